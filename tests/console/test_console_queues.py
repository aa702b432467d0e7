"""A system's page: the events that wait and those that failed, looked at and put back."""

import pytest

from tests.support.browser import Browser
from tests.support.looks import WIDE, check
from tests.support.scene import Scene
from tests.support.tenant import Tenant


def test_waiting_events_are_listed_and_looked_into(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    scene.hold(tenant)
    scene.run(tenant.publish("w1", processId="push.quote", payload={"currency": "EUR", "rate": 2.5}))
    scene.waits(tenant, 1)
    browser.open(f"#/systems/{tenant.system}")
    browser.sees("decision pending", "1 event waits.", f"{tenant.system}.w1", "push quote", "EUR · 2.5")
    assert "Owned by" not in browser.text("main"), "there is no cluster"
    assert not browser.run("return document.querySelector('main ul.counters:empty')")
    scene.run(tenant.publish("w2"))
    browser.sees("2 events wait.", f"{tenant.system}.w2", within="#waiting")
    browser.press("Show")
    browser.sees('"rate": 2.5', within="dialog")
    browser.press("Close")
    browser.until(lambda: not browser.text("dialog"), "the dialog to close")


def test_failed_events_are_looked_into_and_put_back(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    scene.run(tenant.publish("ok"))  # Discovery answers about another one: it is the events' own fault
    for number in range(3):
        tenant.fail("discovery", "impacted", 99, 400, f"e{number}")
        scene.run(tenant.publish(f"e{number}", celery_id=f"{tenant.system}-c{number}"))
    scene.errors(tenant, 3)
    browser.open(f"#/systems/{tenant.system}")
    browser.sees("3 events failed for good.", "made to fail with 400", f"{tenant.system}.e2", within="#errors")
    browser.cannot("Choose what to put back")
    browser.press(f"Show {tenant.system}-c1", exact=True)
    browser.sees("x-maestro-error", "tasks.process", f"{tenant.system}.e1", within="dialog")
    browser.press("Close")
    browser.press(f"Choose {tenant.system}-c1")
    scene.siblings.heal()
    browser.press("Put 1 back to be judged")
    browser.type("Your name", "ana")
    browser.press("Put 1 back to be judged")
    browser.sees("1 event was put back.", "2 events failed for good.")
    scene.run(tenant.commits_are("ok", "e1"))
    browser.press("Put these 2 back")
    browser.press("Put 2 back to be judged")
    browser.sees("2 events were put back.", "No event failed.")
    scene.run(tenant.commits_are("ok", "e1", "e0", "e2"))


TEXTS = {
    "en": (
        "3 events failed for good.", "2 reasons.", "Show the 2", "Put these 2 back", "Put 2 back to be judged",
        "Your name", "2 events were put back.", "1 event failed for good.",
        "is no JSON",
    ),
    "pt-BR": (
        "3 eventos falharam de vez.", "2 motivos.", "Mostrar os 2", "Devolver estes 2", "Devolver 2 para julgamento",
        "Seu nome", "2 eventos foram devolvidos.", "1 evento falhou de vez.",
        "não é JSON",
    ),
}  # fmt: skip


@pytest.mark.parametrize("language", ["en", "pt-BR"])
@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_events_that_failed_alike_are_put_back_together(
    browser: Browser, scene: Scene, tenant: Tenant, language: str, size: tuple[int, int]
) -> None:
    failed, reasons, show, back, sure, name, done, rest, no_json = TEXTS[language]
    scene.run(tenant.publish("ok"))
    for number in range(2):
        tenant.fail("discovery", "impacted", 99, 400, f"e{number}")
        scene.run(tenant.publish(f"e{number}"))
    scene.run(scene.it.publish(b"no JSON", system=tenant.system))
    scene.errors(tenant, 3)
    browser.size(*size)
    browser.fresh(scene.url, language=language)
    browser.open(f"#/systems/{tenant.system}")
    browser.sees(failed, reasons, "made to fail with 400", within="#errors")
    browser.press(show)
    browser.until(lambda: no_json not in browser.text("#errors h3 ~ .scroll"), "one group's events only")
    assert browser.run(WIDE) == []
    check(browser, "error groups")
    browser.press(back)
    browser.sees("made to fail with 400", within="dialog")
    check(browser, "the dialog")
    scene.siblings.heal()
    browser.type(name, "ana")
    browser.press(sure)
    browser.sees(done, rest, no_json)
    scene.run(tenant.commits_are("ok", "e0", "e1"))


def test_a_group_of_which_one_is_gone_is_not_put_back(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    scene.run(tenant.publish("ok"))
    for number in range(2):
        tenant.fail("discovery", "impacted", 99, 400, f"e{number}")
        scene.run(tenant.publish(f"e{number}", celery_id=f"{tenant.system}-c{number}"))
    scene.errors(tenant, 2)
    browser.open(f"#/systems/{tenant.system}")
    browser.press("Put these 2 back")
    browser.type("Your name", "ana")
    scene.siblings.heal()
    path = f"/v1.0.0/systems/{tenant.system}/errors/redrive"
    scene.run(scene.it.post(path, {"user": "ben", "ids": [f"{tenant.system}-c0"]}))
    browser.press("Put 2 back to be judged")
    browser.sees("somebody, or something, was faster", "is not what was shown any more", within="dialog")
    browser.press("Back")
    browser.sees("1 event failed for good.", within="#errors")
    scene.run(tenant.commits_are("ok", "e0"))


def test_a_system_that_is_not_served(browser: Browser) -> None:
    browser.open("#/systems/nobody")
    browser.sees("There is no such thing.", "nobody")


def test_all_systems(browser: Browser, tenant: Tenant) -> None:
    browser.open("#/systems")
    browser.sees("Every system that Maestro guards", tenant.system)
    browser.press(tenant.system, exact=True)
    browser.sees("Waiting events", "No event waits.", "No event failed.")


def test_what_keeps_the_broker_from_its_work(browser: Browser, tenant: Tenant) -> None:
    """The systems' list has it from the API; the embedded broker has no alarm of its own."""
    browser.open()
    browser.run(
        r"""const fetch = window.fetch; window.fetch = async (url, options) => {
          if (!String(url).endsWith("/v1.0.0/systems")) return fetch(url, options);
          const answer = await fetch(url, { ...options, headers: {} });  // not what the page has already
          const systems = (await answer.json()).map((one) => ({ ...one, broker: "RabbitMQ takes no publishes" }));
          return new Response(JSON.stringify(systems), { status: 200, headers: answer.headers });
        };
        location.hash = "#/systems";"""
    )
    browser.until(lambda: "Broker: RabbitMQ takes no publishes" in browser.row(tenant.system), "said in its row")

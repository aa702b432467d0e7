"""What needs a person: one list, counted in the navigation and in the tab's title, and what can be done about it."""

import pytest
from selenium.common.exceptions import StaleElementReferenceException

from tests.support.browser import Browser
from tests.support.scene import JSON, Scene
from tests.support.tenant import Tenant


def entry(browser: Browser, system: str) -> str:
    find = "return [...document.querySelectorAll('.inbox > li')].find((e) => e.innerText.includes(arguments[0]))"
    return str(browser.run(f"{find}?.innerText ?? ''", system))


def todo(scene: Scene, tenant: Tenant) -> list[JSON]:
    items: list[JSON] = scene.run(scene.it.get(f"/v1.0.0/todo?system={tenant.system}"))["items"]
    return items


def fails_for(tenant: Tenant, scene: Scene, *names: str) -> None:
    """Have events fail for good, all for the same reason but for what it names."""
    scene.run(tenant.publish("ok"))  # Discovery answers about another one: it is the events' own fault
    for name in names:
        tenant.fail("discovery", "impacted", 99, 400, name)
        scene.run(tenant.publish(name))
    scene.errors(tenant, len(names))


def opened(browser: Browser, system: str) -> bool:
    """Click the entry; the list may be drawn again between finding it and the click."""
    try:
        browser.find(".inbox a", system).click()
    except StaleElementReferenceException:
        return False
    return True


def test_a_run_that_its_budget_paused_is_there_with_its_lock(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant)
    scene.post(doc, "approve", budget={"replays": 1})
    scene.reaches(doc, "paused")
    scene.run(tenant.publish("w1"))
    scene.waits(tenant, 1)
    browser.open()
    browser.until(lambda: entry(browser, tenant.system), "it to be listed")
    said = entry(browser, tenant.system)
    for part in ("rectify quote", "USD · 1.61414", "paused", "keeps the system locked", "1 event waits behind it",
                 "2 results are still to be computed again", "budget of 1 replay used"):  # fmt: skip
        assert part.lower() in said.lower(), said
    browser.until(lambda: opened(browser, tenant.system), "it is opened")
    browser.sees("Resume")


def test_what_holds_a_lock_comes_first(browser: Browser, scene: Scene) -> None:
    older, paused = scene.tenant(), scene.tenant()
    scene.hold(older)
    doc = scene.hold(paused)
    scene.post(doc, "approve", budget={"replays": 1})
    scene.reaches(doc, "paused")
    browser.open()
    browser.sees(older.system, paused.system, within=".inbox")
    shown = browser.text(".inbox")
    assert shown.index(paused.system) < shown.index(older.system)


@pytest.mark.parametrize(("language", "says"), [("en", "work left"), ("pt-BR", "falta trabalho")])
def test_what_was_cancelled_with_work_left(
    browser: Browser, scene: Scene, tenant: Tenant, language: str, says: str
) -> None:
    doc = scene.hold(tenant)
    scene.mute(tenant)
    scene.post(doc, "approve")
    scene.run(tenant.sent(1))
    scene.post(doc, "cancel")
    scene.answers(tenant, 1)
    scene.reaches(doc, "cancelled")
    browser.fresh(scene.url, language=language)
    browser.open()
    browser.until(lambda: says in entry(browser, tenant.system), "it to be listed")
    (item,) = todo(scene, tenant)
    assert (item["kind"], item["left"], item["locked"]) == ("cancelled", 2, False)


def test_errors_alike_are_one_thing(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    fails_for(tenant, scene, "e1", "e2")
    browser.open()
    browser.until(lambda: "2 events failed for good" in entry(browser, tenant.system), "one group of two")
    (item,) = todo(scene, tenant)
    assert (item["kind"], item["count"]) == ("errors", 2)
    assert "made to fail with 400" in item["cause"]


def test_the_navigation_and_the_tab_say_how_much_waits(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant)

    def counted() -> bool:
        total = scene.run(scene.it.get("/v1.0.0/todo?limit=1"))["total"]
        title = browser.driver.title
        return browser.text("#needs-count") == str(total) and title.startswith(f"({total}) ")

    for path in ("#/", "#/systems", f"#/reprocessing/{doc['id']}"):
        browser.open(path)
        browser.until(counted, f"the count on {path}")
    assert "rectify quote" in browser.driver.title


def test_a_commit_in_doubt_is_resolved(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    scene.siblings.entities[tenant.id("i")] = [{"id": "i", "_metadata": {"type": "conta", "changeTrack": "create"}}]
    scene.siblings.fail(
        "domain", "commit", 1, "applied_then_fail", when=lambda call: call.instance_id == tenant.id("i")
    )  # fmt: skip
    scene.run(tenant.publish("i"))
    scene.errors(tenant, 1)
    browser.open(f"#/systems/{tenant.system}")
    browser.sees("Nobody knows whether the domain has the data of", within=".inbox .doubt")
    browser.press("It was made")
    browser.sees("the domain has the rows of")
    browser.type("Why?", "looked into the domain")
    browser.type("Your name", "ana")
    browser.run("document.querySelector('dialog button.primary').click()")
    browser.sees("Recorded as committed.")
    browser.until(lambda: not browser.text(".inbox .doubt"), "it to be gone")


def test_nothing_is_asked_again_without_a_change(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    """While the stream is silent nothing is read; what is read again is answered without a body."""
    doc = scene.hold(tenant)
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.until(
        lambda: browser.run("return document.querySelector('.decision').dataset.live") == "stream", "a stream"
    )
    count = "return performance.getEntriesByType('resource').filter((e) => /v1.0.0.reprocessing/.test(e.name)).length"
    settled = [-1]

    def quiet() -> bool:
        before, settled[0] = settled[0], browser.run(count)
        browser.driver.execute_async_script("setTimeout(arguments[0], 700)")
        return bool(before == settled[0])

    browser.until(quiet, "the page to be quiet")
    browser.driver.execute_async_script("setTimeout(arguments[0], 5000)")
    assert browser.run(count) == settled[0]
    sizes = (
        "return performance.getEntriesByType('resource').filter((e) => e.name.includes(arguments[0]) && "
        "e.responseStatus === 304).map((e) => e.encodedBodySize)"
    )
    browser.run("document.dispatchEvent(new Event('visibilitychange'))")
    browser.until(lambda: browser.run(sizes, f"/v1.0.0/reprocessing/{doc['id']}?"), "a look that finds it unchanged")
    assert set(browser.run(sizes, f"/v1.0.0/reprocessing/{doc['id']}?")) == {0}

"""The inbox: what waits, oldest first, and the systems at a glance."""

from tests.support.browser import Browser
from tests.support.scene import Scene
from tests.support.tenant import Tenant


def test_it_says_what_is_asked(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    scene.hold(tenant)
    scene.run(tenant.publish_all("w1", "w2"))
    scene.waits(tenant, 2)
    browser.open()
    browser.sees(tenant.system, within=".inbox")
    entry = browser.find(".inbox a", tenant.system).text
    for part in (
        "“rectify quote” wants to save its data", "USD · 1.61414",
        "3 finished results were computed with the old data. Nothing is saved until you decide.",
        "Branch master", "held", "2 events wait behind it",
    ):  # fmt: skip
        assert part in entry, "an event is called alike everywhere"
    style = "return getComputedStyle(document.querySelector('.inbox h2'), '::first-letter').textTransform"
    assert browser.run(style) == "none"


def test_oldest_first_and_each_leads_to_its_page(browser: Browser, scene: Scene) -> None:
    older, newer = scene.tenant(), scene.tenant()
    doc = scene.hold(older)
    scene.hold(newer)
    browser.open()
    browser.sees(older.system, newer.system, within=".inbox")
    shown = browser.text(".inbox")
    assert shown.index(older.system) < shown.index(newer.system)
    browser.find(".inbox a", older.system).click()
    browser.sees("Your decision")
    assert doc["id"] in browser.driver.current_url
    assert browser.run("return document.activeElement.tagName") == "H1"
    assert "rectify quote" in browser.driver.title


def test_a_new_one_appears_and_a_decided_one_goes(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    browser.open()
    browser.sees("Systems at a glance")
    doc = scene.hold(tenant)
    browser.sees(tenant.system, within=".inbox")
    scene.post(doc, "skip")
    browser.until(lambda: tenant.system not in browser.text(".inbox"), "it to be gone")


def test_systems_at_a_glance(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    running, failing = scene.tenant(), scene.tenant()
    scene.hold(tenant)
    scene.mute(running)
    scene.post(scene.hold(running), "approve")
    scene.answers(running, 1)
    scene.run(running.sent(2))
    scene.run(failing.publish("ok"))  # Discovery answers about another one: it is the event's own fault
    failing.fail("discovery", "impacted", 99, 400, "e1")
    scene.run(failing.publish("e1"))
    scene.errors(failing, 1)
    browser.open()

    browser.until(lambda: "decision pending" in browser.row(tenant.system), "pending")
    browser.until(lambda: "running" in browser.row(running.system), "running")
    browser.until(lambda: "1 of at least 3 replayed" in browser.row(running.system), "its progress")
    assert "locked" in browser.row(running.system)
    browser.until(lambda: "made to fail with 400" in browser.row(failing.system), "the last error")
    scene.answers(running, 2)
    scene.answers(running, 3)


def test_what_failed_and_was_retried_has_not_failed(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    """The error queue of reprocessings keeps what ever failed; what stands as failed is what was given up."""
    scene.mute(tenant)
    doc = scene.hold(tenant)
    scene.post(doc, "approve")
    sent = scene.run(tenant.sent(1))
    failed = {"systemId": tenant.system, "instanceId": "r0", "name": "x.error", "reprocessing": sent["reprocessing"],
              "payload": {"message": "no rate"}}  # fmt: skip
    scene.run(scene.it.post("/v1.0.0/reprocessing/failure", failed))
    scene.reaches(doc, "failure")
    scene.run(tenant.failed_documents(1))

    def failures() -> str:
        return browser.run(
            "return [...document.querySelectorAll('tbody tr')].find((row) => row.innerText.includes(arguments[0]))"
            "?.cells[4].innerText", tenant.system,
        )  # fmt: skip

    browser.open()
    browser.until(lambda: failures() == "1", "one that failed")
    assert "no rate" in browser.row(tenant.system)
    browser.open(f"#/systems/{tenant.system}")
    browser.sees("Failed reprocessings", doc["id"][:8], within="main .facts")
    scene.post(doc, "retry")
    for number in (2, 3, 4):
        scene.answers(tenant, number)
    scene.reaches(doc, "finished")
    browser.sees_not("Failed reprocessings")
    browser.open()
    browser.until(lambda: failures() == "0", "none that failed")


def test_a_system_that_waits_for_a_sibling_needs_a_person(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    tenant.fail("discovery", "impacted", 9999, 503)
    scene.run(tenant.publish("e1"))
    browser.open()
    browser.sees(tenant.system, "waits for discovery", "made to fail with 503", within=".inbox .stalled")
    browser.press("Set the event in hand aside")
    browser.sees("goes to its error queue")
    browser.type("Why?", "it is broken")
    browser.type("Your name", "ana")
    browser.run("document.querySelector('dialog button.danger').click()")
    browser.sees("Set aside: it is on the error queue.")
    scene.errors(tenant, 1)
    scene.siblings.heal()
    browser.until(lambda: "waits for discovery" not in browser.text("main"), "it to be gone")


def test_what_a_system_that_does_not_answer_has_is_not_known(browser: Browser) -> None:
    browser.open()
    browser.sees("Systems at a glance")
    shown = browser.run(
        """
        const silent = { id: "sysZ", state: "unavailable", message: "no answer" };
        return import("/console/js/glance.js").then(({ Failures, glance }) =>
          new Failures().of([silent], { items: [], counts: {}, next: null }).then((systems) =>
            [...glance(systems).querySelectorAll("tbody td, tbody th")].map((cell) => cell.textContent)));
        """
    )
    assert shown == ["sysZ", "unavailableno answer", *["\N{EN DASH}"] * 3, ""]

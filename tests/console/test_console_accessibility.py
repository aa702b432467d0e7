"""axe-core finds nothing to complain of, on any page, in any state, in both colours."""

import pytest

from tests.support.browser import Browser
from tests.support.looks import check
from tests.support.scene import Scene
from tests.support.tenant import Tenant


@pytest.fixture
def failing(scene: Scene) -> Tenant:
    tenant = scene.tenant()
    scene.run(tenant.publish("ok"))  # Discovery answers about another one: it is the event's own fault
    tenant.fail("discovery", "impacted", 99, 400, "e1")
    scene.run(tenant.publish("e1"))
    scene.errors(tenant, 1)
    return tenant


def test_the_lists(browser: Browser, scene: Scene, tenant: Tenant, failing: Tenant) -> None:
    scene.post(scene.hold(tenant), "skip")
    scene.run(tenant.open_again())
    scene.hold(tenant, "second")
    for path, shown in (
        ("#/", "second"), ("#/systems", failing.system), ("#/history", tenant.system), ("#/skipped", tenant.system),
        ("#/together", "Decide together"),
        ("#/stale", "Stale results"),
        (f"#/systems/{failing.system}", "1 event failed for good."), ("#/signin", "Token"), ("#/nowhere", "nowhere"),
        ("#/systems/nobody", "no such thing"),
    ):  # fmt: skip
        browser.open(path)
        browser.sees({"second": tenant.system, "nowhere": "No such page"}.get(shown, shown))
        check(browser, path)


def test_a_decision_through_its_life(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant, "fix", *(f"p{number}" for number in range(7)))
    scene.mute(tenant)
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees("Your decision", "1.4674")
    browser.press("Limit how far it may go")
    browser.press("Re-check now")
    browser.sees("nothing has changed", within="#decide")
    check(browser, "pending")
    browser.press("Graph")
    scene.post(doc, "approve")
    scene.answers(tenant, 1, "c1")
    browser.sees("Replay 1 of at least 8")
    browser.sees_not("Approved:")
    check(browser, "running, graph")
    browser.press("Table", exact=True)
    check(browser, "running, table")
    browser.press("Cancel", exact=True)
    browser.sees("Cancel this reprocessing?", within="dialog")
    check(browser, "dialog")
    browser.press("Back")
    scene.post(doc, "cancel")
    scene.answers(tenant, 2)
    browser.sees("Cancelled.")
    check(browser, "cancelled")


def test_a_phone(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant)
    browser.size(390, 800)
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees("Your decision", "1.4674")
    check(browser, "phone")

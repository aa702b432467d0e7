"""The decision: what is shown before it, and what each of its buttons does."""

import re

from selenium.webdriver.common.keys import Keys

from tests.support.browser import Browser
from tests.support.scene import REASON, Scene
from tests.support.stage import unit
from tests.support.tenant import Tenant

#: Let what the page asks for wait, as on a slow line; what it sends goes through.
HOLD_READS = """
const fetch = window.fetch; const held = [];
window.fetch = (url, options) => options?.method === "POST" ? fetch(url, options)
  : new Promise((resolve) => held.push(() => resolve(fetch(url, options))));
window.release = () => { window.fetch = fetch; held.forEach((go) => go()); };
"""


def opened(browser: Browser, doc: dict[str, object]) -> None:
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees("Your decision")


def fill_in(browser: Browser) -> None:
    browser.type("Why?", REASON)
    browser.type("Your name", "ana")


def test_the_page_before_a_decision(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant)
    scene.siblings.entities[tenant.id("fix")][0]["id"] = "quote-1"  # `before` does not have it: it is no change
    scene.run(tenant.publish_all("w1", "w2"))
    scene.waits(tenant, 2)
    opened(browser, doc)
    browser.sees("3 finished results were computed with the old data", "Nothing is saved until you decide.")
    browser.sees(
        tenant.system, "rectify.quote.request", f"tag-{tenant.system}.fix", "Held since", within=".decision-head"
    )
    browser.sees("quote", "changed", "1.4674", "1.61414", "quote-1", within="#commit")
    assert browser.run("return [...document.querySelectorAll('#commit del')].map((e) => e.innerText)") == ["1.4674"]
    browser.sees("At least 3 instances of 1 process on 1 branch; a cascade may add more.", within="#impact")
    browser.sees("monthly average", f"{tenant.system}.p1", "Original time", within="#impact")
    browser.sees("at least 3 instances are computed again", "not known yet", "The system is locked meanwhile",
                 "2 events wait behind it", "These rows will NOT reach the domain.", within="#decide")  # fmt: skip
    order = browser.run("return [...document.querySelectorAll('.card')].map((card) => card.id)")
    assert order == ["unusual", "commit", "impact", "decide", "trace"]


def test_times_are_local_with_utc_on_hover(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    opened(browser, scene.hold(tenant))
    browser.sees("11:12:31", within="#impact")
    title = browser.run("return document.querySelector('#impact time').title")
    assert title == "2026-11-23 14:12:31 UTC"


def test_the_graph(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    opened(browser, scene.hold(tenant))
    browser.press("Graph")
    browser.sees("Commit rectify quote", "1 monthly average", "3 monthly average", within="svg.graph")
    browser.press("Table", exact=True)
    browser.sees("Original time", within="#impact")


def test_approve(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant)
    opened(browser, doc)
    assert "wait behind it" not in browser.text("#decide"), "nothing does"
    [row] = scene.siblings.entities[tenant.id("fix")]
    was = row["before"] | {"_metadata": {"type": "quote", "rid": row["_metadata"]["rid"]}}
    row["before"] = {"currency": "USD", "rate": 1.61414}  # the domain has but what the commit wrote
    scene.siblings.read[tenant.id("fix")] = {"dataset": {"entities": {"quote": [was]}}}
    scene.siblings.heads[tenant.id("fix")] = {"dataset": {"entities": {"quote": [row]}}}
    fill_in(browser)
    browser.press("Approve and replay 3")
    browser.sees("Approved: 3 replays begin.", "Done: the data is saved")
    entry = scene.document(doc)["history"][1]
    assert (entry["status"], entry["user"], entry["reason"]) == ("approved", "ana", REASON)
    browser.sees("by ana", REASON, within="#trace")
    browser.sees("What was computed again", within="#impact")
    browser.sees("1.4674", "1.61414", within="#commit .diff")
    browser.sees("3 replays", "Drain", within="#run")
    assert not browser.run("return document.querySelector('.steps [aria-current]')")
    assert browser.text("#impact").count("done") >= 3
    assert re.search(r"\d+(\.\d)?\sm?s", browser.text("#impact"))


def test_skip(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant)
    opened(browser, doc)
    fill_in(browser)
    browser.press("Skip and discard the commit")
    browser.sees("Skipped: the data was not saved", "What was not committed")
    entry = scene.document(doc)["history"][-1]
    assert (entry["status"], entry["user"], entry["reason"]) == ("skipped", "ana", REASON)


def test_a_reason_is_needed_and_the_name_is_remembered(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant)
    opened(browser, doc)
    browser.sees("Still missing: why, your name", within=".missing")
    browser.press("your name", exact=True)
    assert browser.run("return document.activeElement.name") == "user"
    browser.press("Approve and replay 3")
    assert browser.run("return document.activeElement.name") == "reason"
    browser.type("Why?", "   ")
    browser.type("Your name", "ana")
    browser.until(lambda: browser.text(".missing") == "Still missing: why", "what is missing")
    browser.press("Approve and replay 3")
    assert browser.run("return document.activeElement.name") == "reason"
    assert scene.document(doc)["status"] == "pending_approval"
    browser.type("Why?", REASON)
    browser.until(lambda: not browser.text(".missing"), "nothing to be missing")
    browser.press("Skip and discard the commit")
    browser.sees("Skipped: the data was not saved")
    opened(browser, scene.hold(tenant, "second"))
    browser.sees("Still missing: why", within=".missing")
    assert browser.find("input", "Your name").get_attribute("value") == "ana"


def test_enter_decides_nothing(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant)
    posts = (
        "return performance.getEntriesByType('resource').filter((one) => /\\/(approve|skip)$/.test(one.name)).length"
    )
    opened(browser, doc)
    fill_in(browser)
    browser.find("input", "Your name").send_keys(Keys.ENTER)
    browser.press("Limit how far it may go")
    browser.find("input", "Replays at most").send_keys("2", Keys.ENTER)
    assert browser.run(posts) == 0
    assert scene.document(doc)["status"] == "pending_approval"
    scene.mute(tenant)
    browser.press("Approve and replay 3")
    scene.reaches(doc, "running")
    browser.press("Pause")
    browser.type("Why?", "lunch")
    browser.find("input", "Your name").send_keys(Keys.ENTER)
    browser.sees("It stops after the replay in hand", within="dialog")
    assert not scene.document(doc)["pausing"]
    browser.press("Pause", exact=True)
    browser.sees("It pauses after the replay in hand")
    assert scene.document(doc)["pausing"]


def test_a_large_skip_asks_again(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant, "fix", *(f"p{number}" for number in range(20)))
    opened(browser, doc)
    fill_in(browser)
    browser.press("Skip and discard the commit")
    browser.sees("20 finished results stay as they are", within="dialog")
    browser.press("Back")
    assert scene.document(doc)["status"] == "pending_approval"
    browser.press("Skip and discard the commit")
    browser.sees("Skip so much?", within="dialog")
    browser.press("Skip and discard the commit")
    browser.sees("Skipped: the data was not saved")
    assert scene.document(doc)["status"] == "skipped"


def test_the_preview_binds(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant)
    opened(browser, doc)
    fill_in(browser)
    browser.run(HOLD_READS)
    tenant.impacts("fix", *map(unit, ("p2", "p3", "p4")))
    scene.post(doc, "recheck")
    browser.press("Approve and replay 3")
    browser.sees("Not approved: what would be replayed has changed", within="#decide")
    browser.sees(f"came in: {tenant.system}.p4 master", f"gone: {tenant.system}.p1 master", within="#decide")
    assert scene.document(doc)["status"] == "pending_approval"
    browser.run("release()")
    browser.sees(f"{tenant.system}.p4", within="#impact")
    browser.sees("Not approved", within="#decide")
    browser.press("Approve and replay 3")
    scene.reaches(doc, "finished")


def test_recheck_now(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    opened(browser, scene.hold(tenant))
    browser.type("Why?", REASON)
    browser.press("Re-check now")
    browser.sees("Checked again: nothing has changed.", within="#decide")
    tenant.impacts("fix", *map(unit, ("p1", "p2", "p3", "p4")))
    browser.press("Re-check now")
    browser.sees("has changed; this page now shows what it is", f"came in: {tenant.system}.p4", within="#decide")
    browser.sees("Approve and replay 4", within="#decide")
    assert browser.find("textarea", "Why?").get_attribute("value") == REASON
    tenant.fail("discovery", "impacted", 9, 400)
    browser.press("Re-check now")
    browser.sees("A service that Maestro depends on did not answer", within="#decide")


def test_somebody_was_faster(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant)
    opened(browser, doc)
    fill_in(browser)
    browser.run(HOLD_READS)
    scene.post(doc, "skip")
    browser.press("Approve and replay 3")
    browser.sees("It is not possible any more", "skipped (by ben", within="#decide")
    browser.run("release()")
    browser.sees("Skipped: the data was not saved")


def test_a_large_one_has_the_system_typed(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant, "fix", *(f"p{number}" for number in range(20)))
    opened(browser, doc)
    fill_in(browser)
    approve = browser.find("button", "Approve and replay 20")
    assert not approve.is_enabled()
    browser.sees("Still missing: the system's id", within=".missing")
    assert browser.find("button", "Skip and discard").is_enabled()
    browser.type(f"Type {tenant.system} to approve", "something else")
    assert not approve.is_enabled()
    browser.type(f"Type {tenant.system} to approve", tenant.system)
    browser.sees("Page 1 of 2 (20 in all)", within="#impact")
    browser.press("Next")
    browser.sees("Page 2 of 2", within="#impact")
    browser.press("Approve and replay 20")
    scene.reaches(doc, "finished")


def test_a_budget(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant)
    scene.mute(tenant)
    opened(browser, doc)
    fill_in(browser)
    browser.press("Limit how far it may go")
    browser.type("Replays at most", "1")
    browser.type("Minutes at most", "30")
    browser.press("Approve and replay 3")
    browser.sees("It pauses after 1 replay (0 done), 30 minutes", within="#run")
    scene.answers(tenant, 1)
    browser.sees("Paused after 1 of at least 3 replays.", "the system is locked")
    browser.sees("budget of 1 replay used", within="#trace")
    browser.press("Resume")
    browser.sees("At least 2 replays are left.", within="dialog")
    browser.type("Why?", "looks good")
    browser.press("Limit how far it may go")
    browser.type("Replays at most", "1")
    browser.press("Resume")
    scene.answers(tenant, 2)
    browser.sees("Paused after 2 of at least 3 replays.")
    browser.press("Cancel")
    browser.type("Why?", "enough")
    browser.press("Cancel", exact=True)
    browser.sees("Cancelled. What was replayed stays")
    reasons = [entry.get("reason") for entry in scene.reaches(doc, "cancelled")["history"]]
    assert [reason for reason in reasons if reason] == [REASON, "looks good", "enough"]


def test_no_rows_and_no_answer_about_them(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant)
    scene.siblings.entities[tenant.id("fix")] = []
    opened(browser, doc)
    browser.sees("this commit writes no row", within="#commit")
    tenant.fail("domain", "entities", 9, 400)
    opened(browser, doc)
    browser.sees("A service that Maestro depends on did not answer", "Try again", within="#commit")
    scene.siblings.heal()
    browser.press("Try again")
    browser.sees("this commit writes no row", within="#commit")


def test_a_decision_for_the_whole_tag(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant)
    opened(browser, doc)
    assert "Decide likewise" not in browser.text("#decide")
    tenant.impacts("other", unit("q1", "b1"))
    scene.run(tenant.publish("other", tag=doc["tag"], branch="b1"))
    scene.waits(tenant, 1)
    browser.sees("Decide likewise what the same user action brings on other branches, soon (b1 waits)")
    browser.run("document.querySelector('input[name=covers]').click()")
    fill_in(browser)
    browser.press("Skip and discard the commit")
    browser.sees("Skipped: the commit is discarded.")
    scene.lists(tenant, 2)
    other = next(one for one in scene.run(tenant.it.get(f"/v1.0.0/reprocessing/{tenant.system}/find"))
                 if one["id"] != doc["id"])  # fmt: skip
    entry = scene.reaches(other, "skipped")["history"][-1]
    assert (entry["user"], entry["reason"]) == ("ana", REASON)
    browser.open(f"#/reprocessing/{other['id']}")
    browser.sees(f"covered by the decision about {doc['id']}")

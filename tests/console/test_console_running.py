"""A run, live; what can be done about it; and each end."""

from tests.support.browser import Browser
from tests.support.scene import REASON, Scene
from tests.support.tenant import Tenant

JSON = dict[str, object]
#: Make the page believe that its tab is hidden, or shown.
HIDE = """
const hidden = arguments[0] === "hidden";
Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
document.dispatchEvent(new Event("visibilitychange"));
"""


def live(browser: Browser) -> str:
    """Return how the page is kept up to date."""
    return str(browser.run("return document.querySelector('.decision')?.dataset.live ?? ''"))


def running(browser: Browser, scene: Scene, tenant: Tenant) -> JSON:
    """Have a run whose replays wait for the test, and look at it."""
    doc = scene.hold(tenant)
    scene.mute(tenant)
    scene.post(doc, "approve")
    scene.run(tenant.sent(1))
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees("The run")
    return doc


def answer_dialog(browser: Browser, button: str) -> None:
    browser.type("Why?", REASON)
    browser.type("Your name", "ana")
    browser.press(button, exact=True)


def test_it_is_followed_live_with_its_cascade(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = running(browser, scene, tenant)
    scene.run(tenant.publish("w1"))
    browser.sees("Lock", "Commit", "Replay 0 of at least 3", "Unlock", "Drain 1", within="#run")
    browser.sees("in hand", "sent, its result is awaited", "to do", within="#impact")
    browser.until(
        lambda: browser.run("return document.querySelector('.decision').dataset.live") == "stream", "a stream"
    )
    scene.answers(tenant, 1, "c1", "c2")
    browser.sees("Replay 1 of at least 5", "+2 by cascade", within="#run")
    browser.sees("From the pace of this run: 1 replay so far.", within="#run")
    browser.sees("replay 1", within="#impact")
    browser.press("Graph")
    browser.sees("4 yearly rate", "5 yearly rate", within="svg.graph")
    assert browser.run("return document.querySelectorAll('.edge.cascade').length") == 2
    assert browser.run("return document.querySelectorAll('.node.done').length") == 2, "the commit and a replay"
    assert browser.run("return document.querySelector('progress').value") == 1
    for number in (2, 3):
        scene.answers(tenant, number)
    browser.sees("running mean of 3 past replays of this system", "left", within="#run")
    for number in (4, 5):
        scene.answers(tenant, number)
    browser.sees("Done: the data is saved, and every result")
    browser.sees("5 replays", "+2 by cascade", within="#run")
    assert not browser.run("return document.querySelector('.steps [aria-current]')"), "nothing goes on"
    assert browser.run("return document.querySelectorAll('.steps .done').length") >= 4
    scene.reaches(doc, "finished")


def test_without_a_stream_it_is_polled(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant)
    scene.mute(tenant)
    browser.open("#/")
    browser.run("const fetch = window.fetch; window.fetch = (url, options) => url.endsWith('/stream') "
                "? Promise.resolve(new Response('', { status: 404 })) : fetch(url, options)")  # fmt: skip
    browser.run("location.hash = arguments[0]", f"#/reprocessing/{doc['id']}")
    browser.until(lambda: live(browser) == "poll", "polling")
    scene.post(doc, "approve")
    browser.sees("Replay 0 of at least 3")
    for number in (1, 2, 3):
        scene.answers(tenant, number)
    browser.sees("Done: the data is saved")


def test_a_hidden_tab_lets_its_stream_go_and_takes_it_up_again(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant)
    scene.mute(tenant)
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.until(lambda: live(browser) == "stream", "a stream")
    browser.run(HIDE, "hidden")
    browser.until(lambda: live(browser) == "poll", "the stream to end")
    scene.post(doc, "approve")
    scene.answers(tenant, 1)
    browser.run(HIDE, "visible")
    browser.until(lambda: live(browser) == "stream", "a stream again")
    browser.sees("Replay 1 of at least 3")
    scene.answers(tenant, 2)
    scene.answers(tenant, 3)
    browser.sees("Done: the data is saved")


def test_pause_and_resume(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    running(browser, scene, tenant)
    browser.press("Pause", exact=True)
    browser.sees("The system stays locked meanwhile.", within="dialog")
    answer_dialog(browser, "Pause")
    browser.sees("It pauses after the replay in hand: 0 of at least 3 are done.")
    scene.answers(tenant, 1)
    browser.sees("Paused after 1 of at least 3 replays.")
    browser.press("Resume")
    answer_dialog(browser, "Resume")
    browser.sees("1 of at least 3 results are computed again")
    scene.answers(tenant, 2)
    scene.answers(tenant, 3)
    browser.sees("Done: the data is saved")


def test_cancel_and_retry(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = running(browser, scene, tenant)
    browser.press("Cancel", exact=True)
    answer_dialog(browser, "Cancel")
    browser.sees("Being cancelled: 0 of at least 3 replays are done.")
    scene.answers(tenant, 1)
    browser.sees("Cancelled. What was replayed stays", "not done", "1 of 3 replays")
    browser.press("Retry what is left")
    browser.sees("at least 2 replays", within="dialog")
    answer_dialog(browser, "Retry what is left")
    scene.answers(tenant, 2)
    scene.answers(tenant, 3)
    browser.sees("Done: the data is saved")
    scene.reaches(doc, "finished")


def test_a_failure_names_its_cause(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant)
    tenant.fail("domain", "commit", 9, 400)
    scene.post(doc, "approve")
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees("It failed, and the system is unlocked.", "made to fail with 400", "aborted: commit refused")
    scene.siblings.heal()
    browser.press("Retry what is left")
    answer_dialog(browser, "Retry what is left")
    browser.sees("Done: the data is saved")


def test_a_failed_replay_shows_its_error(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = running(browser, scene, tenant)
    scene.answers(tenant, 1)
    sent = scene.run(tenant.sent(2))
    failure = sent | {"name": "monthly.average.error", "payload": {"message": "no quote of that day"}}
    scene.run(scene.it.post("/v1.0.0/reprocessing/failure", failure))
    browser.sees("It failed", "no quote of that day", "not done", within="main")
    browser.sees("no quote of that day", within="#impact")
    scene.reaches(doc, "failure")


def test_a_fork_runs_without_a_lock(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    scene.siblings.forks.add(tenant.id("fix"))
    scene.mute(tenant)
    scene.starts(tenant, "fix", "rectify.quote.request", "scenario")
    tenant.impacts("fix", {"instanceId": "p1", "branch": "scenario", "forking": True})
    scene.run(tenant.publish("fix", branch="scenario"))
    scene.lists(tenant, 1)
    (doc,) = scene.run(scene.it.get(f"/v1.0.0/reprocessing/{tenant.system}/find"))
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees("running, no lock", "Replay 0 of at least 1", "forks")
    assert "Unlock" not in browser.text("#run")
    scene.answers(tenant, 1)
    browser.sees("Done: the data is saved")

"""The history, its filters and exports; the skip ledger and the way back out of it."""

import csv
import json
from pathlib import Path

from tests.support.browser import Browser
from tests.support.scene import REASON, Scene
from tests.support.tenant import Tenant


def exported(browser: Browser, button: str, name: str) -> str:
    browser.press(button)
    path: Path = browser.downloads / name
    browser.until(path.exists, f"{name} to be saved")
    text = path.read_bytes().decode()
    path.unlink()
    return text


def lists(browser: Browser, count: int, *texts: str) -> None:
    """Wait until so many reprocessings are listed, and these texts."""
    rows = "return document.querySelectorAll('main tbody tr').length"
    browser.until(lambda: browser.run(rows) == count and all(text in browser.text("main") for text in texts),
                  f"{count} rows with {texts}")  # fmt: skip


def test_it_is_filtered_and_exported(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    scene.post(scene.hold(tenant, "one"), "skip", reason="=a duplicate")
    scene.run(tenant.open_again())
    scene.reaches(scene.post(scene.hold(tenant, "two"), "approve", user="carla"), "finished")
    browser.open("#/history")
    browser.sees("Export CSV")
    browser.choose("System", tenant.system)
    lists(browser, 2)
    browser.choose("Status", "skipped")
    lists(browser, 1, "=a duplicate", "ben")
    assert f"system={tenant.system}" in browser.driver.current_url

    rows = json.loads(exported(browser, "Export JSON", "maestro-history.json"))
    assert [(row["system"], row["status"], row["user"], row["reason"]) for row in rows] == [
        (tenant.system, "skipped", "ben", "=a duplicate")
    ]
    (line,) = csv.DictReader(exported(browser, "Export CSV", "maestro-history.csv").splitlines())
    assert (line["status"], line["event"], line["reason"]) == ("skipped", "rectify quote", "'=a duplicate")
    assert all(line[time].endswith("Z") for time in ("since", "changed", "decidedAt")), "times have their zone"

    browser.choose("Status", "All")
    browser.type("User", "carla")
    lists(browser, 1, "finished", "3 / 3", "carla")
    browser.type("Text", "no such words")
    browser.sees("Nothing fits these filters.")
    browser.type("Text", "one")
    browser.run("const f = document.querySelector('[name=user]'); f.value = ''; f.dispatchEvent("
                "new Event('input', { bubbles: true }))")  # fmt: skip
    lists(browser, 1, "skipped")


def test_who_skipped_is_not_who_reconsidered(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant, "one")
    scene.post(doc, "skip", user="ana", reason="wrong source")
    scene.run(tenant.open_again())
    tenant.impacts("one")
    scene.post(doc, "reconsider", user="bob", reason="was right")
    browser.open(f"#/history?system={tenant.system}")
    lists(browser, 1, "ana", "wrong source")
    assert "bob" not in browser.text("main tbody")
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees("wrong source", "was right", within="#trace")
    badges = "return [...document.querySelectorAll('.trace .badge')].map((one) => one.textContent)"
    assert browser.run(badges)[1:] == ["skipped", "note"]


def test_its_filters_are_in_its_address(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    scene.post(scene.hold(tenant), "skip")
    address = f"#/history?system={tenant.system}"
    browser.open(address)
    lists(browser, 1)
    browser.open(f"{address}&to=2001-01-01")
    browser.sees("Nothing fits these filters.")
    browser.open(f"{address}&from=2001-01-01")
    lists(browser, 1)
    browser.press("rectify quote")
    browser.sees("Skipped: the data was not saved")


def test_it_is_read_page_by_page(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    for number in range(27):
        scene.post(scene.hold(tenant, f"i{number}", "p1"), "skip", reason=f"no {number}.")
        scene.run(tenant.open_again())
    browser.open(f"#/history?system={tenant.system}")
    lists(browser, 25, "no 26.")
    browser.press("Next")
    lists(browser, 2, "no 1.", "no 0.")
    browser.press("Previous")
    lists(browser, 25, "no 26.")
    sizes = "return performance.getEntriesByType('resource').filter((e) => e.name.includes('/history?')).length"
    assert browser.run(sizes) == 3


def test_the_skip_ledger_and_reconsider(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    scene.post(scene.hold(tenant, "fix", "p1", currency="CHF", day="2008-03-14"), "skip")
    scene.run(tenant.open_again())
    browser.open("#/skipped")
    browser.sees(tenant.system, "ben", REASON)
    browser.press_in_row(tenant.system, "Payload")
    browser.sees(f"{tenant.system}.fix", within="dialog")
    browser.press("Close")
    browser.press_in_row(tenant.system, "Reconsider")
    browser.type("Why?", "it was right")
    browser.type("Your name", "ana")
    browser.press("Reconsider", exact=True)
    browser.sees("it is held once more", "Your decision")
    second = scene.run(tenant.pending())
    assert second["id"] in browser.driver.current_url
    tenant.impacts("fix")
    scene.post(second, "skip")
    scene.run(tenant.open_again())
    browser.open(f"#/reprocessing/{second['id']}")
    browser.press("Reconsider", exact=True)
    browser.type("Why?", "nothing is impacted any more")
    browser.press("Reconsider", exact=True)
    browser.sees("it was committed", "This commit was reconsidered")
    scene.run(tenant.commits_are("fix"))

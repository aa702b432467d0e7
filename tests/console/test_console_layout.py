"""What can be seen without scrolling, and that nothing is cut: at 1280x800 and at 390x844, in both languages."""

import pytest

from tests.support.browser import Browser
from tests.support.looks import BROKEN, WIDE
from tests.support.scene import REASON, Scene
from tests.support.tenant import Tenant

LANGUAGES = ["en", "pt-BR"]
LOADED = "return !document.querySelector('.spinner') && !!document.querySelector('main h1')"
SEEN = """
const box = document.querySelector(`[data-key=${arguments[0]}]`).getBoundingClientRect();
const middle = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
return box.top >= 0 && box.bottom <= innerHeight && middle?.dataset.key === arguments[0];
"""

#: Whether a whole field of the decision is seen.
NAMED_SEEN = """
const field = document.querySelector(`#decide [name=${arguments[0]}]`);
const box = field.getBoundingClientRect();
const seen = (y) => document.elementFromPoint(box.left + box.width / 2, y) === field;
return seen(box.top + 3) && seen(box.bottom - 3);
"""


def page_of_all(scene: Scene, tenant: Tenant) -> list[str]:
    """Have something on every page; return their addresses."""
    scene.post(scene.hold(tenant, "one"), "skip", reason=REASON)
    scene.run(tenant.open_again())
    doc = scene.hold(tenant, "two")
    scene.run(tenant.publish_all("w1", "w2"))
    scene.waits(tenant, 2)
    return [
        "#/", f"#/reprocessing/{doc['id']}", "#/systems", f"#/systems/{tenant.system}",
        f"#/history?system={tenant.system}", "#/skipped", "#/together", f"#/stale?system={tenant.system}",
    ]  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_approve_and_skip_are_seen_without_scrolling(
    browser: Browser, scene: Scene, tenant: Tenant, language: str
) -> None:
    doc = scene.hold(tenant, "fix", *(f"p{number}" for number in range(20)))
    browser.size(1280, 800)
    browser.fresh(scene.url, language=language)
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.until(lambda: browser.text("#decide"), "the decision")
    browser.until(lambda: "2026-11-28" not in browser.text("#impact") and browser.text("#commit tbody"), "the rows")
    for button in ("approve", "skip"):
        assert browser.run(SEEN, button), (button, browser.run("return scrollY"))
    for name in ("reason", "user", "typed"):
        assert browser.run(NAMED_SEEN, name), f"{name} is asked for by these buttons"
    browser.run("document.querySelector('[data-key=to-typed]').click()")
    assert browser.run("return document.activeElement.name") == "typed"
    browser.run("document.querySelector('[data-key=skip]').click()")
    assert browser.run("return document.activeElement.name") == "reason"
    assert browser.run("return scrollY") == 0
    browser.run("scrollTo(0, document.documentElement.scrollHeight)")
    for button in ("approve", "skip"):
        assert browser.run(SEEN, button), f"{button} at the end of the page"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_nothing_is_cut(browser: Browser, scene: Scene, tenant: Tenant, language: str, size: tuple[int, int]) -> None:
    pages = page_of_all(scene, tenant)
    browser.size(*size)
    browser.fresh(scene.url, language=language)
    for path in pages:
        browser.open(path)
        browser.until(lambda: browser.run(LOADED), f"{path} to be there")
        assert browser.run(WIDE) == [], path
        if size[0] > 1000:
            assert browser.run(BROKEN) == [], path


def test_a_commit_of_thousands_of_rows_is_opened_page_by_page(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc_of = tenant.id("fix")
    scene.starts(tenant, "fix", "rectify.quote.request", currency="USD")
    scene.starts(tenant, "p1", "monthly.average.request", currency="USD")
    tenant.impacts("fix", {"instanceId": "p1", "branch": "master", "forking": False})
    scene.siblings.entities[doc_of] = [
        {"day": f"d{number:04}", "rate": number, "_metadata": {"type": "quote", "changeTrack": "update"}}
        for number in range(5000)
    ]
    scene.run(tenant.publish("fix"))
    doc = scene.run(tenant.pending())
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees("5,000 rows in all.", "100 rows on this page", "Rows 1 to 100 of 5,000", "d0099", within="#commit")
    browser.run("document.querySelector('[data-key=\"commit-pager.next\"]').click()")
    browser.sees("Rows 101 to 200 of 5,000", "d0199", within="#commit")
    browser.run("document.querySelector('[data-key=\"commit-pager.previous\"]').click()")
    browser.sees("Rows 1 to 100 of 5,000", within="#commit")


def test_units_of_a_large_one_are_read_block_by_block(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant, "fix", *(f"p{number:03}" for number in range(170)))
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees("At least 170 instances", "Page 1 of 12", within="#impact")
    for page in range(2, 13):
        browser.press("Next")
        browser.sees(f"Page {page} of 12", within="#impact")
    browser.sees("170", within="#impact")
    browser.press("Graph")
    browser.sees("The first 150 of 170", within="#impact")

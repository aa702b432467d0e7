"""The decision report as a person has it: made on the page of a reprocessing, opened, saved, read, printed."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.console.test_console_accessibility import check
from tests.console.test_console_layout import WIDE
from tests.console.test_console_outcome import replayed
from tests.support.browser import Browser
from tests.support.scene import Scene
from tests.support.tenant import Tenant


def opened(browser: Browser, link: str) -> None:
    """Follow a link that opens a tab, and go there."""
    browser.press(link)
    browser.until(lambda: len(browser.driver.window_handles) == 2, "another tab")
    browser.driver.switch_to.window(browser.driver.window_handles[1])


def closed(browser: Browser) -> None:
    """Go back to the first tab, and close the other."""
    browser.driver.close()
    browser.driver.switch_to.window(browser.driver.window_handles[0])


@pytest.mark.parametrize(
    ("language", "button", "link", "words"),
    [
        ("en", "Decision report", "Open the page", ("What was asked", "ben: approved", "+12.4%", "13,488", "Usina A")),
        ("pt-BR", "Relatório da decisão", "Abrir a página",
         ("O que foi perguntado", "ben: aprovado", "+12,4%", "13.488", "Usina A")),
    ],
)  # fmt: skip
def test_it_is_made_and_opened_in_the_reader_s_language(
    browser: Browser, scene: Scene, tenant: Tenant, language: str, button: str, link: str, words: tuple[str, ...]
) -> None:
    doc = replayed(scene, tenant)
    browser.fresh(scene.url, language=language)
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.press(button)
    digest = browser.until(lambda: browser.text("dialog .mono"), "the digest")
    assert len(digest) == 64
    check(browser, "dialog of the report")
    opened(browser, link)
    try:
        browser.sees(*words, digest)
        assert browser.run("return document.documentElement.lang") == language
        assert browser.run("return getComputedStyle(document.querySelector('h2')).borderBottomWidth") == "2px"
        assert browser.problems() == []
    finally:
        closed(browser)


def test_it_is_saved_as_a_file(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = replayed(scene, tenant)
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.press("Decision report")
    browser.press("Save the file")
    path = browser.downloads / f"report-{doc['id']}.html"
    browser.until(path.is_file, "the file")
    text = browser.until(lambda: path.read_text("utf-8"), "its content")
    form = scene.run(fetched(scene, doc))
    assert hashlib.sha256(form).hexdigest() in text


async def fetched(scene: Scene, doc: dict[str, Any]) -> bytes:
    async with scene.it.http.get(f"{scene.url}/v1.0.0/reprocessing/{doc['id']}/report.json") as answer:
        return await answer.read()


@pytest.mark.parametrize("language", ["en", "pt-BR"])
def test_it_can_be_read_everywhere_and_printed(
    browser: Browser, scene: Scene, tenant: Tenant, tmp_path: Path, language: str
) -> None:
    doc = replayed(scene, tenant)
    browser.open(f"v1.0.0/reprocessing/{doc['id']}/report?language={language}")
    browser.sees("Usina A")
    for size in ((1280, 800), (390, 844)):
        browser.size(*size)
        assert browser.run(WIDE) == [], size
        check(browser, f"report, {size}")
    assert browser.run("return getComputedStyle(document.querySelector('thead')).display") == "none"
    labelled = "return getComputedStyle(document.querySelector('td'), '::before').content"
    assert browser.run(labelled) != "none"

    browser.size(1280, 800)
    media = {"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        assert browser.run("return getComputedStyle(document.body).color") == "rgb(24, 33, 44)", "dark on white paper"
        assert browser.run("return getComputedStyle(document.querySelector('thead')).display") == "table-header-group"
        printed = browser.driver.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69})
        assert len(printed["data"]) > 10_000
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})

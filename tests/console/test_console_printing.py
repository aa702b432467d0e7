"""A page on paper: what is known of a reprocessing, whole, in ink on white, and nothing to press."""

import base64
from collections.abc import Iterator

import pytest

from tests.support.browser import Browser
from tests.support.scene import REASON, Scene
from tests.support.tenant import Tenant

#: What can be pressed or typed into and is to be seen; and what would be cut off.
LEFT = """
const shown = [...document.querySelectorAll("header.top, button, input, textarea, select")];
const cut = [...document.querySelectorAll("main *")].filter((e) => e.scrollHeight > e.clientHeight + 2
  && ["auto", "scroll", "hidden"].includes(getComputedStyle(e).overflowY) && !e.closest(".unseen"));
return [...shown.filter((e) => e.checkVisibility()), ...cut.filter((e) => e.checkVisibility())].map((e) =>
  `${e.tagName}.${e.className}`);
"""


@pytest.fixture
def paper(browser: Browser) -> Iterator[Browser]:
    yield browser
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


@pytest.mark.parametrize("language", ["en", "pt-BR"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_decision_is_printed_whole(paper: Browser, scene: Scene, tenant: Tenant, language: str, theme: str) -> None:
    pending = scene.hold(tenant, "fix", *(f"p{number}" for number in range(20)))
    paper.fresh(scene.url, language=language, theme=theme)
    look(paper, pending["id"])
    scene.post(pending, "skip")
    look(paper, pending["id"])
    assert REASON in paper.text("#trace")
    # A page of the size of A4: its text is in the file, and it is not empty.
    made = base64.b64decode(paper.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    assert made.startswith(b"%PDF")


def look(paper: Browser, id_: str) -> None:
    paper.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    paper.open(f"#/reprocessing/{id_}")
    paper.until(lambda: paper.text("#commit tbody") and paper.text("#impact tbody"), "what is known")
    paper.until(lambda: "spinner" not in paper.run("return document.querySelector('main').innerHTML"), "all of it")
    assert paper.run(LEFT) == []
    ink, ground = paper.run(
        "const of = (e, what) => getComputedStyle(e)[what]; const main = document.querySelector('main h1');"
        "return [of(main, 'color'), of(document.body, 'backgroundColor')]"
    )
    assert (ink, ground) == ("rgb(24, 33, 44)", "rgba(0, 0, 0, 0)")

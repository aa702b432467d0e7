"""Files that the documentation names are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("docs/*.md"), ROOT / "CONTRIBUTING.md", ROOT / "README.md"])
FOLDERS = (ROOT / "maestro", ROOT / "tests", ROOT / "scripts", ROOT / "benchmarks")
#: Names without a folder may be those of a part that the text is about.
NAMED = re.compile(r"`(?:maestro/)?((?:[\w-]+/)*[\w-]+\.py)`")
#: What an attacker may leave in a folder (security.md).
ELSEWHERE = {"pika.py"}
LINKED = re.compile(r"\]\(([\w./-]+)(?:#[\w-]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = {
        name
        for name in NAMED.findall(text)
        if not (ROOT / "maestro" / name).is_file()
        and not (ROOT / name).is_file()
        and ("/" in name or not any(found for folder in FOLDERS for found in folder.rglob(name)))
    }
    missing |= {link for link in LINKED.findall(text) if not (page.parent / link).exists()}
    assert missing - ELSEWHERE == set()

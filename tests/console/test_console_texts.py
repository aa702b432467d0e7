"""Both languages say everything, with the same values; and no text is asked for that is not there."""

import re
from pathlib import Path
from typing import Any

import pytest

import maestro.http
from maestro.reprocessing.status import Status
from maestro.reprocessing.unit import UnitState
from tests.support.browser import Browser

SCRIPTS = Path(maestro.http.__file__).parent / "console" / "js"
Table = dict[str, Any]


@pytest.fixture
def tables(browser: Browser) -> tuple[Table, Table]:
    browser.open("#/nowhere")
    english, portuguese = (
        browser.driver.execute_async_script(
            "import(arguments[0]).then((table) => arguments[1](table.default))", f"/console/js/text/{name}.js"
        )
        for name in ("en", "pt-br")
    )
    return english, portuguese


def forms(text: Any) -> list[str]:
    return list(text.values()) if isinstance(text, dict) else [text]


def names(text: Any) -> set[str]:
    """Return the values that a text needs; `n` may be spelled out in a singular."""
    return {name for form in forms(text) for name in re.findall(r"\{(\w+)\}", form)}


def test_they_are_alike(tables: tuple[Table, Table]) -> None:
    english, portuguese = tables
    assert english.keys() == portuguese.keys()
    for key, text in english.items():
        other = portuguese[key]
        assert names(text) == names(other), key
        assert isinstance(text, dict) == isinstance(other, dict), key
        assert all(form.strip() for form in forms(text) + forms(other)), key
    same = {
        key for key, text in english.items() if text == portuguese[key] and re.search(r"[a-z]{3} [a-z]{3}", str(text))
    }
    assert same == set(), "left untranslated"


def test_what_is_asked_for_is_there(tables: tuple[Table, Table]) -> None:
    english, _ = tables
    source = "\n".join(path.read_text("utf-8") for path in SCRIPTS.rglob("*.js") if path.parent.name != "text")
    asked = set(re.findall(r"\bt\(\s*\"([a-z][\w.]*)\"", source))
    assert asked - english.keys() == set()
    mentioned = set(re.findall(r"[\"`]([a-z]+(?:\.[\w]+)+)[\"`]", source))
    made = re.findall(r"`([a-z]+(?:\.[a-z]+)*\.)\$\{", source)
    made += ["state.", "status."]  # by `badge`
    dead = {key for key in english if key not in mentioned and not any(key.startswith(prefix) for prefix in made)}
    assert dead == set()


def test_every_status_state_and_step_has_a_word(tables: tuple[Table, Table]) -> None:

    english, _ = tables
    assert {f"status.{status}" for status in Status} <= english.keys()
    active = set(UnitState) - {UnitState.OUTSTANDING, UnitState.DONE}
    assert {f"unit.step.{state}" for state in active} <= english.keys()
    for state in ("open", "pending", "approved", "running", "paused", "draining", "unavailable"):
        assert f"state.{state}" in english

"""Both languages say everything, with the same values; and no text is asked for that is not there."""

import re
from pathlib import Path
from typing import Any

import pytest

import maestro.http
from maestro.rules.status import Status
from maestro.rules.unit import UnitState
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
    """Return the values that a text needs."""
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


def test_figures_come_from_the_value(browser: Browser, tables: tuple[Table, Table]) -> None:
    """No text spells out a figure, and 0, 1, 2 and 1,000 are shown as the language writes them."""
    for language, table, written in (
        ("en", tables[0], ("0", "1", "2", "1,000")),
        ("pt-BR", tables[1], ("0", "1", "2", "1.000")),
    ):
        plurals = {key: text for key, text in table.items() if isinstance(text, dict)}
        assert len(plurals) > 20
        spelled = {key for key, text in plurals.items() if any(re.search(r"(?<!\w)1(?!\w)", f) for f in forms(text))}
        assert spelled == set()
        browser.run("localStorage.setItem('maestro.language', arguments[0])", language)
        said = browser.driver.execute_async_script(
            """const [keys, done] = arguments;
            import("/console/js/i18n.js").then(({ t }) =>
              done(Object.fromEntries(keys.map((key) => [key, [0, 1, 2, 1000].map((n) => t(key, { n }))]))));""",
            list(plurals),
        )
        for key, text in plurals.items():
            for number, shown, figure in zip((0, 1, 2, 1000), said[key], written, strict=True):
                form = text["one" if number == 1 else "other"]
                assert shown == form.replace("{n}", figure), (language, key, number)


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

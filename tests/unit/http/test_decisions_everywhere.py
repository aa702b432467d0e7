"""A decision about a document goes the whole way: each step below forgets it in silence, so they are held together."""

import re
from pathlib import Path
from typing import get_args

import pytest

from maestro.cli.lazy import COMMANDS
from maestro.http.deciding import body_of
from maestro.http.middleware import unmatched
from maestro.http.operations import Operation
from maestro.http.routes import operations
from maestro.messages.decisions import Decision, LeaveOut, SetStatus
from maestro.rules import facts, machine
from tests.simulation.people import WANTED

ROOT = Path(__file__).parents[3]
TEXTS = ROOT / "maestro" / "http" / "console" / "js" / "text"
KINDS = get_args(Decision)
#: An override is an operator's, by hand: no command and no button make it easy.
BY_HAND = {SetStatus}


def name_of(kind: type[Decision], between: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", between, kind.__name__).lower()


def deciding() -> list[Operation]:
    return [one for one in operations(unmatched, unmatched) if one.decides]


@pytest.mark.parametrize("kind", KINDS)
def test_the_gateway_has_an_operation_for_it(kind: type[Decision]) -> None:
    (operation,) = [one for one in deciding() if one.name == name_of(kind, "_")]
    page = (ROOT / "docs" / "http.md").read_text("utf-8")
    assert operation.path.rpartition("/")[2] in page, "docs/http.md names it"


@pytest.mark.parametrize("kind", [one for one in KINDS if one not in BY_HAND])
def test_a_person_can_decide_so(kind: type[Decision]) -> None:
    assert name_of(kind, "-") in COMMANDS, "maestro/cli/lazy.py names its command"
    for language in ("en.js", "pt-br.js"):
        texts = (TEXTS / language).read_text("utf-8")
        key = "leave.go" if kind is LeaveOut else f"(decide|run)\\.{name_of(kind, '_')}"
        assert re.search(f'"{key}"', texts), f"{language} has the text of its button"


@pytest.mark.parametrize("kind", KINDS)
def test_the_simulation_decides_so(kind: type[Decision]) -> None:
    assert ("set" if kind is SetStatus else name_of(kind, " ")) in WANTED, "tests/simulation/people.py"


def test_what_is_a_fact_as_it_stands_says_all_that_the_decision_says() -> None:
    for kind, fact in facts.PLAIN.items():
        assert {*fact.__struct_fields__} == {*kind.__struct_fields__, "ticket"}  # type: ignore[attr-defined]
        assert fact in machine._HANDLERS


def test_one_without_a_body_of_its_own_takes_who_and_why() -> None:
    assert {*body_of(facts.Pause).__struct_fields__} == {"user", "reason"}

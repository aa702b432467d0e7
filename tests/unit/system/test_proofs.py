"""What Domain's answers about an instance's data prove."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from maestro.platform import SiblingError, SiblingRefused
from maestro.rules.doubt import Finding
from maestro.system.proofs import Proofs

CREATES, UPDATES, DESTROYS = {"a": {"create"}}, {"a": {"update"}}, {"a": {"destroy"}}


class Domain:
    """Answers what it is told: a problem is raised."""

    def __init__(self, changes: object, rows: object) -> None:
        self._answers = {"changes": changes, "rows": rows}

    async def changes(self, _system: str, _instance: str) -> Any:
        return self._answer("changes")

    async def has_rows(self, _system: str, _type: str, _instance: str) -> Any:
        return self._answer("rows")

    async def register_map(self, _system: str, _type: str) -> None:
        """It takes a while until it knows it."""

    def _answer(self, what: str) -> Any:
        answer = self._answers[what]
        if isinstance(answer, Exception):
            raise answer
        return answer


def look(changes: object, rows: object = None, *, use_map: bool = True) -> Finding:
    domain = Domain(changes, rows)
    engine = SimpleNamespace(known=lambda *_: False, write_later=lambda _: None)
    platform = SimpleNamespace(domain=domain, apicore=domain)
    return asyncio.run(Proofs("s", platform, engine, use_map=use_map).look("i1"))  # type: ignore[arg-type]


REFUSED = SiblingRefused("domain", "has_rows", "answered 400")
AWAY = SiblingError("domain", "changes", "no connection")


@pytest.mark.parametrize(
    ("changes", "rows", "finding"),
    [
        (CREATES, True, Finding.ROWS),
        (CREATES, False, Finding.NO_ROWS),
        (CREATES, REFUSED, Finding.NO_MAP),
        (UPDATES, True, Finding.ROWS),
        (UPDATES, False, Finding.HARMLESS_NO_ROWS),
        (UPDATES, REFUSED, Finding.HARMLESS),
        (DESTROYS, False, Finding.HARMLESS),
        ({}, None, Finding.HARMLESS_NO_ROWS),
        (UPDATES, AWAY, Finding.SILENT),
        (REFUSED, None, Finding.UNKNOWN),
        (SiblingError("domain", "changes", "answered 500: x"), None, Finding.UNKNOWN),
        (AWAY, None, Finding.SILENT),
    ],
)
def test_what_the_rows_say(changes: object, rows: object, finding: Finding) -> None:
    assert look(changes, rows) is finding


@pytest.mark.parametrize(
    ("changes", "finding"),
    [(CREATES, Finding.UNPROVABLE), (UPDATES, Finding.HARMLESS), ({}, Finding.HARMLESS_NO_ROWS)],
)
def test_without_a_map_only_what_would_be_made_says_something(changes: object, finding: Finding) -> None:
    assert look(changes, use_map=False) is finding

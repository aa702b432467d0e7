"""Why a unit is in a reprocessing, row by row: what it read that the held commit, or one that it missed, changes.

The gateway asks Domain and Process Memory itself when somebody looks (semantics: The ledger, 6).
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
from msgspec import Struct

from maestro.http.datasets import gently
from maestro.platform import Platform, SiblingError, SiblingUnreachable
from maestro.platform.errors import WrongShapeError
from maestro.platform.history import Rows
from maestro.platform.rows import ReadRow, read_row
from maestro.system.deadline import PROMPT_TRIES, SHARE, promptly

#: Answers held at once: each may be of megabytes.
AT_ONCE: Final = 2
#: Pages that are explained at once; each holds which rows are changed.
PAGES: Final = 2
#: How often the time of one answer a page may take: 16 s by default, and callers wait for 30.
PAGE_TIMES: Final = 2
#: Rows shown of one unit.
SHOWN: Final = 20

NO_DATASET: Final = "Process Memory has no dataset of it"
NOT_LOOKED_AT: Final = "it was not looked at in the time that a page has: ask again, for fewer units"


class UnitAsked(Struct, rename="camel"):
    """A unit, who named it, and the computation that is looked at."""

    instance_id: str
    branch: str
    named: str
    missed: tuple[str, ...]
    computation: str


class Asked(Struct, rename="camel"):
    """What the system says of a document's units."""

    system_id: str
    held_instance: str
    branch: str
    total: int
    units: list[UnitAsked]
    next: int | None


class Evidence:
    """Explains units. `timeout`: seconds that a system's answer may take; a sibling gets part of it for each answer.

    The time in which an answer waits for its place is not the sibling's: the page as a whole has a bound.
    """

    def __init__(self, platform: Platform, timeout: float) -> None:
        self._platform = platform
        self._timeout = timeout
        self._longest = timeout * SHARE * PAGE_TIMES
        self._pages = asyncio.Semaphore(PAGES)
        self._places = asyncio.Semaphore(AT_ONCE)

    async def explained(self, asked: Asked) -> list[dict[str, Any]]:
        """Return each unit with the rows that it read and that are changed; a `problem` where that is not known.

        `addsRows`: rows that its computation created; a replay will add them again, not replace them.
        """
        told = [_untold(unit) for unit in asked.units]
        with suppress(TimeoutError):
            async with asyncio.timeout(self._longest), self._pages:
                await self._explain(asked, told)
        return told

    async def _explain(self, asked: Asked, told: list[dict[str, Any]]) -> None:
        """Put into `told` what is known of each unit, as soon as it is."""
        causes = {unit.missed or (asked.held_instance,) for unit in asked.units}
        names = {name for found in causes for name in found if name}
        changed = dict(zip(names, await asyncio.gather(*(self._changed(asked, name) for name in names)), strict=True))

        async def explain(unit: UnitAsked, shown: dict[str, Any]) -> None:
            known = [changed[name] for name in unit.missed or (asked.held_instance,) if name in changed]
            shown |= await self._unit(unit, known)

        await asyncio.gather(*map(explain, asked.units, told))

    async def _changed(self, asked: Asked, instance_id: str) -> frozenset[int] | str:
        """Return the base keys of the rows that an instance's commit changes, or why they are not known."""
        try:
            async with self._places, promptly("domain", "entities", self._timeout):
                footprint = await self._platform.domain.footprint(asked.system_id, instance_id, tries=PROMPT_TRIES)
        except SiblingError as problem:
            return str(problem)
        return frozenset(base for base, _ in footprint.rows(asked.branch))

    async def _unit(self, unit: UnitAsked, causes: Sequence[frozenset[int] | str]) -> dict[str, Any]:
        """Return what is known of a unit; `causes`: the rows that its causes change, or why they are not known."""
        keys = [cause for cause in causes if not isinstance(cause, str)]
        try:
            async with self._places:
                async with promptly("process_memory", "head", self._timeout):
                    rows = await self._platform.process_memory.dataset(unit.computation, tries=PROMPT_TRIES)
                if rows is None:
                    return {"problem": NO_DATASET}
                read, created = await _changed_of(rows, unit.branch, keys)
        except SiblingError as problem:
            return {"problem": str(problem)}
        except (WrongShapeError, msgspec.DecodeError, RecursionError) as problem:
            return {"problem": str(SiblingUnreachable("process_memory", "head", f"not the agreed answer: {problem}"))}
        return {
            "read": [
                {"type": row.type, "id": row.id, "branch": row.branch, "version": row.writer, "wrote": row.wrote}
                for row in read[:SHOWN]
            ],
            "rows": len(read),
            "addsRows": created,
            "problem": _first(cause for cause in causes if isinstance(cause, str)),
        }


def _untold(unit: UnitAsked) -> dict[str, Any]:
    return {
        "instanceId": unit.instance_id, "branch": unit.branch, "named": unit.named, "missed": list(unit.missed),
        "computation": unit.computation, "read": [], "rows": 0, "addsRows": 0, "problem": NOT_LOOKED_AT,
    }  # fmt: skip


async def _changed_of(rows: Rows, branch: str, keys: Sequence[frozenset[int]]) -> tuple[list[ReadRow], int]:
    """Return the rows of a computation on `branch` that are among `keys`, and how many it created."""
    read, created = [], 0
    async for type_, raw in gently((type_, raw) for type_, several in rows.items() for raw in several):
        row = read_row(type_, bytes(raw), branch)
        if row is None:
            created += 1
        elif any(row.base in some for some in keys):
            read.append(row)
    return read, created


def _first(texts: Iterable[str]) -> str:
    return next(iter(texts), "")

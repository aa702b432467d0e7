"""Why a unit is in a reprocessing, row by row: what it read that the held commit, or one that it missed, changes.

The gateway asks Domain and Process Memory itself when somebody looks (semantics: The ledger, 6).
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from maestro.http.datasets import gently
from maestro.platform import Platform, SiblingError, SiblingUnreachable
from maestro.platform.errors import WrongShapeError
from maestro.platform.history import Rows
from maestro.platform.rows import ReadRow, read_row
from maestro.system.deadline import PROMPT_TRIES, promptly

#: Answers held at once: each may be of megabytes.
AT_ONCE: Final = 2
#: Rows shown of one unit.
SHOWN: Final = 20


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
    """Explains units. `timeout`: seconds that a page may take."""

    def __init__(self, platform: Platform, timeout: float) -> None:
        self._platform = platform
        self._timeout = timeout
        self._places = asyncio.Semaphore(AT_ONCE)

    async def explained(self, asked: Asked) -> list[dict[str, Any]]:
        """Return each unit with the rows that it read and that are changed; a `problem` where a sibling does not say.

        `addsRows`: rows that its computation created; a replay will add them again, not replace them.
        """
        causes = {unit.missed or (asked.held_instance,) for unit in asked.units}
        names = {name for found in causes for name in found if name}
        changed = dict(zip(names, await asyncio.gather(*(self._changed(asked, name) for name in names)), strict=True))
        return list(await asyncio.gather(*(self._unit(unit, changed, asked.held_instance) for unit in asked.units)))

    async def _changed(self, asked: Asked, instance_id: str) -> frozenset[int] | str:
        """Return the base keys of the rows that an instance's commit changes, or why they are not known."""
        try:
            async with promptly("domain", "entities", self._timeout), self._places:
                footprint = await self._platform.domain.footprint(asked.system_id, instance_id, tries=PROMPT_TRIES)
        except SiblingError as problem:
            return str(problem)
        return frozenset(base for base, _ in footprint.rows(asked.branch))

    async def _unit(self, unit: UnitAsked, changed: dict[str, frozenset[int] | str], held: str) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "instanceId": unit.instance_id, "branch": unit.branch, "named": unit.named, "missed": list(unit.missed),
            "computation": unit.computation, "read": [], "rows": 0, "addsRows": 0, "problem": "",
        }  # fmt: skip
        causes = [changed[name] for name in unit.missed or (held,) if name in changed]
        unknown = _first(cause for cause in causes if isinstance(cause, str))
        keys = [cause for cause in causes if not isinstance(cause, str)]
        try:
            async with promptly("process_memory", "head", self._timeout), self._places:
                rows = await self._platform.process_memory.dataset(unit.computation, tries=PROMPT_TRIES)
                if rows is None:
                    return shown | {"problem": "Process Memory has no dataset of it"}
                read, created = await _changed_of(rows, unit.branch, keys)
        except SiblingError as problem:
            return shown | {"problem": str(problem)}
        except (WrongShapeError, msgspec.DecodeError, RecursionError) as problem:
            return shown | {
                "problem": str(SiblingUnreachable("process_memory", "head", f"not the agreed answer: {problem}"))
            }
        return shown | {
            "read": [
                {"type": row.type, "id": row.id, "branch": row.branch, "version": row.writer, "wrote": row.wrote}
                for row in read[:SHOWN]
            ],
            "rows": len(read),
            "addsRows": created,
            "problem": unknown,
        }


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

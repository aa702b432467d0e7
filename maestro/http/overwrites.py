"""Both values of what was overwritten: an instance's own, and the one of a commit that it had not seen.

The ledger keeps hashes, so it knows which instance replaced a row that it had not seen, but no value (semantics: The
ledger, 2). Process Memory has both: it is asked when somebody looks.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from maestro.http.comparing import CHANGED, DESTROYED, Comparison, Rows, does_to, key_of, row_of
from maestro.http.datasets import Datasets, compared, gently
from maestro.platform import Platform, SiblingError
from maestro.system.deadline import SHARE

#: Entries of one page that are valued; of each the latest commits that it missed; values of each that are told.
AT_MOST: Final = 20
MISSED: Final = 3
KEPT: Final = 30
#: Entries that are looked at at the same time.
AT_ONCE: Final = 2

NO_HISTORY: Final = "Process Memory has no history of {instance}"
NO_ROW: Final = "neither wrote a row of the other's, as far as Process Memory knows"
TOO_LATE: Final = "Process Memory did not answer in time: ask again"


class Overwriting(Struct, rename="camel"):
    """What the ledger says of an instance that replaced what it had not seen."""

    branch: str
    computation: str
    #: Instances whose commits it missed, in the order of their commits.
    missed: list[str]


class Overwrites:
    """Tells both values. `timeout`: seconds that an answer may take."""

    def __init__(self, platform: Platform, timeout: float) -> None:
        self._datasets = Datasets(platform, timeout, AT_ONCE)
        self._timeout = timeout

    async def valued(self, entries: Sequence[Overwriting]) -> list[dict[str, Any]]:
        """Return for each entry its `values` (before: the one replaced, after: its own), `same`, `more`, `problem`."""
        tasks = [asyncio.create_task(self._of(entry)) for entry in entries]
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=self._timeout * SHARE)
        finally:
            # Time is up, or nobody waits any more.
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return [_told(problem=TOO_LATE) if task.cancelled() else task.result() for task in tasks]

    async def _of(self, entry: Overwriting) -> dict[str, Any]:
        try:
            async with self._datasets.looking():
                return await self._compared(entry)
        except SiblingError as problem:
            return _told(problem=str(problem))

    async def _compared(self, entry: Overwriting) -> dict[str, Any]:
        own = await self._datasets.history(entry.computation)
        if own is None:
            return _told(problem=NO_HISTORY.format(instance=entry.computation))
        left = await self._written(own.computed)
        values: list[dict[str, Any]] = []
        same = more = 0
        problem = ""
        # The latest commit of a row is the one whose value was replaced.
        for missed in entry.missed[: -MISSED - 1 : -1]:
            other = await self._datasets.history(missed)
            if other is None:
                problem = NO_HISTORY.format(instance=missed)
                continue
            theirs = await self._written(other.computed, theirs=True)
            both = theirs.keys() & left.keys()
            found = await compared(Comparison(_rows(theirs, both), _rows(left, both), entry.branch, keep=KEPT))
            values += [{**msgspec.to_builtins(value), "by": missed} for value in found.values]
            same += found.same
            more += found.changed - sum(value.change == CHANGED for value in found.values)
            left = {key: raw for key, raw in left.items() if key not in both}
        if not values and not same and not problem:
            problem = NO_ROW
        values.sort(key=lambda value: -abs(value["percent"] or 0))
        return _told(values[:KEPT], same, more + max(0, len(values) - KEPT), problem)

    @staticmethod
    async def _written(rows: Rows, *, theirs: bool = False) -> dict[tuple[str, str], msgspec.Raw]:
        """Return the rows that a computation changed or destroyed; of `theirs`, what was destroyed has no values."""
        found = {}
        async for type_, raw in gently((type_, raw) for type_, several in rows.items() for raw in several):
            row = row_of(raw)
            does = does_to(row)
            if does in (CHANGED, DESTROYED):
                gone = theirs and does == DESTROYED
                found[key_of(type_, row)] = _emptied(row) if gone else raw
        return found


def _emptied(row: dict[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode({name: row[name] for name in ("id", "_metadata") if name in row}))


def _rows(rows: dict[tuple[str, str], msgspec.Raw], keys: set[tuple[str, str]]) -> Rows:
    found: dict[str, list[msgspec.Raw]] = {}
    for key, raw in rows.items():
        if key in keys:
            found.setdefault(key[0], []).append(raw)
    return found


def _told(values: Sequence[dict[str, Any]] = (), same: int = 0, more: int = 0, problem: str = "") -> dict[str, Any]:
    return {"values": list(values), "same": same, "more": more, "problem": problem}

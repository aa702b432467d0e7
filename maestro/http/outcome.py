"""What a reprocessing changed: of each unit what was there before its replay against what its replay computed.

Nothing of it is stored here: Process Memory keeps what each replay read and computed, and is asked when somebody looks.
A document's units are looked at in the background, a few at a time; the caller waits a moment and gets what is known
by then, with word whether that is all. What was found is kept for the next who looks, up to a bound.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from maestro.http.comparing import Compared, Comparison, Value, size
from maestro.http.datasets import Datasets, Looks, compared
from maestro.language import figure, t, tn
from maestro.platform import Platform, SiblingError
from maestro.rules.unit import UnitState

#: Units of one document that are looked at; of the others only a page that is asked for, and the export.
SURVEYED: Final = 1000
#: Values kept of a unit, and of an exported one; beyond them changes are counted.
KEPT: Final = 30
EXPORTED: Final = 10_000
#: The largest changes of all units that are told.
BIGGEST: Final = 20
#: Histories held at once: each may be of `history.LIMIT` bytes.
AT_ONCE: Final = 3
#: Values and units kept in all.
VALUES: Final = 40_000
UNITS: Final = 5_000
#: Seconds after which something is asked for again: a unit that is not done yet, or of which there was no answer.
AGAIN: Final = 10.0
#: Answers in a row that fail before no more is asked.
ENOUGH: Final = 5
#: Documents whose units are looked at at the same time.
SURVEYS: Final = 8

NOT_REPLAYED: Final = "it was not replayed yet"
NO_RESULT: Final = "its replay ended without a result: it had nothing to commit"
LEFT_OUT: Final = "it was left out, and not replayed"
NO_HISTORY: Final = "Process Memory has no history of its replay"
NOTHING_REPLAYED: Final = "nothing was replayed yet"
NOT_YET: Final = "not asked yet"


class UnitReplayed(Struct, rename="camel", frozen=True):
    """A unit, how far it is, and the first and the last instance that replayed it; empty: none did."""

    instance_id: str
    branch: str
    state: str
    round: int
    first: str
    last: str
    #: The position of the unit whose replay brought it in; -1: it is one of the first, -2: the start of the run.
    cause: int = -1

    @property
    def why_not(self) -> str:
        """Why there is nothing to compare; empty: there is."""
        if self.last:
            return ""
        if self.state == UnitState.DONE:
            return NO_RESULT
        return LEFT_OUT if self.state == UnitState.LEFT_OUT else NOT_REPLAYED


class Replays(Struct, rename="camel"):
    """What the system says of a document's units."""

    system_id: str
    status: str
    total: int
    units: list[UnitReplayed]
    next: int | None


class _Known(Struct, frozen=True):
    """What is known of a unit: what changed, or why that is not known, and until when it holds (monotonic)."""

    compared: Compared | None
    problem: str
    until: float | None


_Key = tuple[str, str, str, str]
_NOTHING: Final = Compared(())


class Outcomes:
    """Tells outcomes. `timeout`: seconds that an answer may take."""

    def __init__(self, platform: Platform, timeout: float) -> None:
        self._datasets = Datasets(platform, timeout, AT_ONCE)
        self._known: OrderedDict[_Key, _Known] = OrderedDict()
        self._values = 0
        self._surveys = Looks(SURVEYS, timeout)

    async def told(self, document_id: str, asked: Replays, page: Sequence[UnitReplayed]) -> dict[str, Any]:
        """Return a summary of the units `asked` about, the biggest changes, and each unit of the `page`.

        It waits for what is not known yet, as long as an answer may take.
        """
        wanted = [unit for unit in (*page, *asked.units) if unit.last and self._of(asked.system_id, unit) is None]
        if wanted:
            if not (self._surveys.goes_on(document_id) or self._surveys.full):
                self._surveys.begin(document_id, self._survey(asked.system_id, wanted), f"outcome of {document_id}")
            await self._surveys.wait(document_id)
        return {
            "status": asked.status,
            "summary": self._summary(asked),
            "biggest": self._biggest(asked),
            "total": asked.total,
            "units": [self._told(asked.system_id, unit) for unit in page],
        }

    async def whole(self, unit: UnitReplayed) -> tuple[Compared, str]:
        """Return all that changed of a unit (`EXPORTED` values at most), and why that is not known; nothing is kept."""
        if unit.why_not:
            return _NOTHING, unit.why_not
        known = await self._look(unit, EXPORTED)
        return known.compared or _NOTHING, known.problem

    async def close(self) -> None:
        """Look at no more."""
        await self._surveys.close()

    # --- looking -----------------------------------------------------------------------------------------------

    async def _survey(self, system_id: str, units: Sequence[UnitReplayed]) -> None:
        """Look at units in their order, `AT_ONCE` at a time; stop after `ENOUGH` failures in a row."""
        rest = iter(dict.fromkeys(units))
        failed = 0

        async def worker() -> None:
            nonlocal failed
            for unit in rest:
                known = await self._look(unit, KEPT)
                self._keep(system_id, unit, known)
                failed = failed + 1 if known.compared is None else 0
                if failed >= ENOUGH:
                    for other in rest:
                        self._keep(system_id, other, known)

        await asyncio.gather(*(worker() for _ in range(AT_ONCE)))

    async def _look(self, unit: UnitReplayed, keep: int) -> _Known:
        """Ask Process Memory what a unit's replays read and computed, and compare."""
        passing = time.monotonic() + AGAIN
        try:
            async with self._datasets.looking():
                last = await self._datasets.history(unit.last)
                first = last if unit.first == unit.last else await self._datasets.history(unit.first)
                if first is None or last is None:
                    return _Known(None, NO_HISTORY, time.monotonic() + AGAIN)
                earlier = None if first is last else first.computed
                comparison = Comparison(first.read, last.computed, unit.branch, keep=keep, earlier=earlier)
                found = await compared(comparison)
        except SiblingError as problem:
            return _Known(None, str(problem), time.monotonic() + AGAIN)
        return _Known(found, "", None if unit.state == UnitState.DONE else passing)

    # --- what is known -----------------------------------------------------------------------------------------

    def _of(self, system_id: str, unit: UnitReplayed) -> _Known | None:
        key = (system_id, unit.branch, unit.first, unit.last)
        known = self._known.get(key)
        if known is None:
            return None
        if known.until is not None and known.until < time.monotonic():
            self._forget(key)
            return None
        self._known.move_to_end(key)
        return known

    def _keep(self, system_id: str, unit: UnitReplayed, known: _Known) -> None:
        key = (system_id, unit.branch, unit.first, unit.last)
        if key in self._known:
            self._forget(key)
        self._known[key] = known
        self._values += len(known.compared.values) if known.compared else 0
        while self._values > VALUES or len(self._known) > UNITS:
            self._forget(next(iter(self._known)))

    def _forget(self, key: _Key) -> None:
        known = self._known.pop(key)
        self._values -= len(known.compared.values) if known.compared else 0

    def _summary(self, asked: Replays) -> dict[str, Any]:
        replayed = [unit for unit in asked.units if unit.last]
        known = [(unit, self._of(asked.system_id, unit)) for unit in replayed]
        found = [(unit, one.compared) for unit, one in known if one is not None and one.compared is not None]
        failed = sum(one is not None and one.compared is None for _, one in known)
        problems = [one.problem for _, one in known if one is not None and one.problem]
        best = _largest(found)
        counts = {
            name: sum(getattr(one, name) for _, one in found) for name in ("changed", "added", "destroyed", "unread")
        }
        return {
            "says": _said(counts, best and best[1], len(found)) if replayed else NOTHING_REPLAYED,
            "units": asked.total,
            "looked": len(asked.units),
            "replayed": len(replayed),
            "compared": len(found),
            "failed": failed,
            "pending": len(replayed) - len(found) - failed,
            **counts,
            "unchanged": sum(not (one.changed or one.added or one.destroyed or one.unread) for _, one in found),
            "largest": None if best is None else _of_unit(*best),
            "problem": problems[0] if problems else "",
        }

    def _biggest(self, asked: Replays) -> list[dict[str, Any]]:
        values = []
        for unit in asked.units:
            known = self._of(asked.system_id, unit) if unit.last else None
            if known is not None and known.compared is not None:
                values += [(size(value), unit, value) for value in known.compared.values[:BIGGEST]]
        values.sort(key=lambda one: (one[0], one[1].instance_id, one[1].branch))
        return [_of_unit(unit, value) for _, unit, value in values[:BIGGEST]]

    def _told(self, system_id: str, unit: UnitReplayed) -> dict[str, Any]:
        known = self._of(system_id, unit) if unit.last else None
        compared = known.compared if known is not None and known.compared is not None else _NOTHING
        return {
            "instanceId": unit.instance_id,
            "branch": unit.branch,
            "state": unit.state,
            "round": unit.round,
            "computation": unit.last,
            "changed": compared.changed,
            "added": compared.added,
            "destroyed": compared.destroyed,
            "unread": compared.unread,
            "same": compared.same,
            "values": msgspec.to_builtins(compared.values),
            "problem": unit.why_not or (known.problem if known is not None else NOT_YET),
        }


def _largest(found: Iterable[tuple[UnitReplayed, Compared]]) -> tuple[UnitReplayed, Value] | None:
    """Return the largest change in per cent there is; else the largest from 0."""
    firsts = [(unit, one.values[0]) for unit, one in found if one.values and one.values[0].difference is not None]
    return min(firsts, key=lambda one: size(one[1]), default=None)


def _said(counts: Mapping[str, int], largest: Value | None, compared: int) -> str:
    """Return what all replays changed in one line, for terminals, in the caller's language."""
    changed, added, destroyed, unread = (counts[name] for name in ("changed", "added", "destroyed", "unread"))
    parts = []
    if changed or not (added + destroyed + unread):
        parts.append(tn("{n} value changed", "{n} values changed", changed))
    if largest is not None and largest.percent is not None:
        digits = "+,.1f" if abs(largest.percent) >= 1 or not largest.percent else "+.3g"
        parts.append(t("largest {percent} %", percent=figure(largest.percent, digits)))
    if added:
        parts.append(tn("{n} row added", "{n} rows added", added))
    if destroyed:
        parts.append(tn("{n} row destroyed", "{n} rows destroyed", destroyed))
    if unread:
        parts.append(
            tn("{n} row changed without having been read", "{n} rows changed without having been read", unread)
        )
    return ", ".join(parts) + " " + tn("({n} result compared)", "({n} results compared)", compared)


def _of_unit(unit: UnitReplayed, value: Value) -> dict[str, Any]:
    return {"instanceId": unit.instance_id, "unitBranch": unit.branch, **msgspec.to_builtins(value)}

"""What is unusual about a held correction: its new numbers against the past values of the same fields.

Process Memory tells both. The held instance's history has each row as it was read and as it would be written, and each
row says who wrote the version that was read. That instance's history has the version before it, and so on: a row's past
is followed from writer to writer, while the caller waits and a little beyond, within bounds. Nothing of it is stored
but what was found, for the next who looks. What the numbers mean: `maestro.rules.unusual`.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from maestro.http.comparing import ADDED, CHANGED, Comparison, Value, does_to, writer_of
from maestro.http.datasets import Datasets, Looks, compared, rows_of
from maestro.platform import Platform, SiblingError
from maestro.rules.unusual import ENOUGH, LIMIT, Measure, Verdict, measured, slipped

#: New values that are looked at, the largest changes first.
LOOKED: Final = 20
#: Past values of one field, and histories that are asked for in all, for one correction.
VERSIONS: Final = 30
HISTORIES: Final = 60
#: Histories held at once.
AT_ONCE: Final = 2
#: Seconds that the look at one correction may take, however many ask.
LONGEST: Final = 60.0
#: Corrections that are looked at at the same time, and that are remembered.
LOOKS: Final = 4
REMEMBERED: Final = 200
#: Seconds after which what was not to be had is asked for again.
AGAIN: Final = 10.0

NO_HISTORY: Final = "Process Memory has no history of {instance}"
NO_WRITER: Final = "a version does not say who wrote it"
NOT_READ: Final = "{instance} wrote the row without having read it"
TOO_MANY: Final = "more histories would have to be asked for than one look may ask for"
TOO_LONG: Final = "it took too long"
BUSY: Final = "too many corrections are looked at: ask again"
#: Beside the verdicts of the measure: the past is still being asked for.
PENDING: Final = "pending"

_Key = tuple[str, str]


class _Past:
    """The numbers of a row's past versions, the newest first."""

    def __init__(self, fields: Iterable[str] = ()) -> None:
        self._fields = frozenset(fields)
        self.versions: list[dict[str, float]] = []
        #: Why there may be more versions; empty: these are all.
        self.ends = ""

    def add(self, row: Mapping[str, Any]) -> None:
        """Note an earlier version: of it only what is measured."""
        numbers = {field: _number(row.get(field)) for field in self._fields}
        self.versions.append({field: number for field, number in numbers.items() if number is not None})


class _Look:
    """What is known of one correction; it grows while `done` is false."""

    def __init__(self, *, done: bool = False) -> None:
        self.values: tuple[Value, ...] = ()
        #: Values of all kinds that the commit changes.
        self.changed = 0
        self.past: dict[_Key, _Past] = {}
        self.done = done
        self.problem = ""
        #: Until when it holds (monotonic); None: for good.
        self.until: float | None = None


class Unusual:
    """Tells what is unusual. `timeout`: seconds that an answer may take."""

    def __init__(self, platform: Platform, timeout: float) -> None:
        self._datasets = Datasets(platform, timeout, AT_ONCE)
        self._looks: OrderedDict[tuple[str, str], _Look] = OrderedDict()
        self._under_way = Looks(LOOKS, timeout)

    async def told(self, system_id: str, instance_id: str, branch: str) -> dict[str, Any]:
        """Return what is known of the held instance's new values by the time an answer may take."""
        if not instance_id:
            return _told(_Look(done=True))  # a late reprocessing commits nothing
        key = (system_id, instance_id)
        look = self._looks.get(key)
        if look is None or (look.until is not None and look.until < time.monotonic()):
            if self._under_way.full:
                return _told(_Look(), problem=BUSY)
            look = self._looks[key] = _Look()
            self._under_way.begin(key, self._look(look, instance_id, branch), f"past of {instance_id}")
        self._looks.move_to_end(key)
        while len(self._looks) > REMEMBERED:
            self._looks.popitem(last=False)
        await self._under_way.wait(key)
        return _told(look)

    async def close(self) -> None:
        """Look at no more."""
        await self._under_way.close()

    # --- looking -----------------------------------------------------------------------------------------------

    async def _look(self, look: _Look, instance_id: str, branch: str) -> None:
        try:
            async with asyncio.timeout(LONGEST):
                writers = await self._corrected(look, instance_id, branch)
                await self._follow(look, writers)
        except TimeoutError:
            look.problem = TOO_LONG
        except SiblingError as problem:
            look.problem = str(problem)
        finally:
            look.done = True
            incomplete = look.problem or any(one.ends for one in look.past.values())
            look.until = time.monotonic() + AGAIN if incomplete else None

    async def _corrected(self, look: _Look, instance_id: str, branch: str) -> dict[_Key, str]:
        """Find the numbers that a commit changes; return who wrote what it replaces, by row."""
        async with self._datasets.looking():
            history = await self._datasets.history(instance_id)
            if history is None:
                look.problem = NO_HISTORY.format(instance=instance_id)
                return {}
            found = await compared(Comparison(history.read, history.computed, branch, keep=LOOKED))
            look.changed = found.changed
            look.values = tuple(one for one in found.values if _numbers(one))
            rows = await rows_of(history.read, {(one.type, one.id) for one in look.values})
        for key, row in rows.items():
            look.past[key] = past = _Past(one.field for one in look.values if (one.type, one.id) == key)
            past.add(row)
        return {key: writer_of(row) for key, row in rows.items()}

    async def _follow(self, look: _Look, writers: dict[_Key, str]) -> None:
        """Follow each row's versions from writer to writer, back to its creation or a bound."""
        asked = 0
        while writers:
            for key in [key for key, writer in writers.items() if not writer]:
                look.past[key].ends = NO_WRITER
                del writers[key]
            for key in [key for key in writers if len(look.past[key].versions) >= VERSIONS]:
                del writers[key]
            # Rows that one instance wrote are followed together.
            for instance_id in dict.fromkeys(writers.values()):
                keys = {key for key, writer in writers.items() if writer == instance_id}
                if asked >= HISTORIES:
                    ends = TOO_MANY
                else:
                    asked += 1
                    ends = await self._before(look, instance_id, keys, writers)
                for key in keys & writers.keys() if ends else ():
                    look.past[key].ends = ends
                    del writers[key]

    async def _before(self, look: _Look, instance_id: str, keys: set[_Key], writers: dict[_Key, str]) -> str:
        """Note the versions that an instance replaced, and who wrote those; return why none is known, if so."""
        try:
            async with self._datasets.looking():
                history = await self._datasets.history(instance_id)
                if history is None:
                    return NO_HISTORY.format(instance=instance_id)
                read = await rows_of(history.read, keys)
                written = await rows_of(history.computed, keys - read.keys())
        except SiblingError as problem:
            return str(problem)
        for key in keys:
            if key in read:
                look.past[key].add(read[key])
                # An instance that reads its own row would be followed for ever.
                writers[key] = writer_of(read[key]) if writer_of(read[key]) != instance_id else ""
                continue
            del writers[key]
            # Created rows have other ids in the dataset than in the domain: one that is not found may be such a one.
            if key in written and does_to(written[key]) != ADDED:
                look.past[key].ends = NOT_READ.format(instance=instance_id)
        return ""


def _told(look: _Look, problem: str = "") -> dict[str, Any]:
    values = [_value(look, value) for value in look.values]
    # What stands out first; the sort keeps the others by the size of the change.
    values.sort(key=lambda one: (not one["standsOut"], -(one["past"]["score"] or 0.0)))
    return {
        "pending": not look.done and not problem,
        "changed": look.changed,
        "unusual": sum(one["standsOut"] for one in values),
        "enough": ENOUGH,
        "limit": LIMIT,
        "values": values,
        "problem": problem or look.problem,
    }


def _value(look: _Look, value: Value) -> dict[str, Any]:
    past = look.past.get((value.type, value.id)) or _Past()
    old, new = _number(value.before), _number(value.after)
    assert old is not None and new is not None, "as they were compared"  # noqa: PT018 - one fact
    measure = measured(new, [version[value.field] for version in past.versions if value.field in version])
    told: dict[str, Any] = msgspec.to_builtins(value)
    told["verdict"] = measure.verdict if look.done or measure.verdict != Verdict.TOO_FEW else PENDING
    told["slipped"] = slipped(old, new)
    told["standsOut"] = bool(told["slipped"]) or measure.verdict in (Verdict.UNUSUAL, Verdict.CONSTANT)
    told["past"] = _past(measure) | {"ends": past.ends}
    return told


def _past(measure: Measure) -> dict[str, Any]:
    about: dict[str, Any] = msgspec.to_builtins(measure)
    del about["verdict"]
    return about


def _numbers(value: Value) -> bool:
    """Whether a value was and is a number; one of many digits is shown as a text."""
    told = value.change == CHANGED and value.difference is not None
    return told and _number(value.before) is not None and _number(value.after) is not None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None

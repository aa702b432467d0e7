"""What a computation changed, value by value: rows before against rows after, matched by their type and id. Pure.

`Comparison` goes forward row by row, so that the caller can give way in between: a dataset may be of
megabytes, and the gateway's loop answers lock checks.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from maestro import json_text, titles

#: Values that are gathered before those too many are dropped, beside twice the number to keep.
SPARE: Final = 200
#: Characters of a value, and of what names a row, that are shown.
SHOWN: Final = 200
NAMED: Final = 80
#: A text of more characters names nothing; and so many texts name a row.
_NAME: Final = 40
_NAMES: Final = 3
CHANGED: Final = "changed"
ADDED: Final = "added"
DESTROYED: Final = "destroyed"
UNREAD: Final = "unread"
_ORDER: Final = {CHANGED: 2, ADDED: 3, DESTROYED: 4, UNREAD: 5}
#: What a computation does to a row, by Domain's words; all else leaves it as it is.
_DOES: Final = {"create": ADDED, "update": CHANGED, "destroy": DESTROYED}
#: Fields that say nothing of the data.
_NOISE: Final = frozenset({"_metadata", "id", "meta_instance_id"})
#: Integers that every JSON reader takes.
_LARGEST: Final = 2**63 - 1
#: Digits of a per cent that mean something.
_DIGITS: Final = 10

Rows = Mapping[str, Sequence[msgspec.Raw]]


class Value(msgspec.Struct, frozen=True):
    """One value before and after. Numbers, true, false and null are as they are; all else is a text, maybe cut."""

    type: str
    id: str
    branch: str
    #: What else the row says of itself, for people; empty: nothing that is short.
    about: str
    field: str
    #: `changed`, `added` (its row is new), `destroyed` (its row is gone) or `unread` (its row was changed, but not
    #: read: what it was is not known).
    change: str
    before: float | int | str | bool | None
    after: float | int | str | bool | None
    #: After less before; None: they are no two numbers, or it is no number.
    difference: float | None
    #: The difference in per cent of before; None as well where that is 0.
    percent: float | None


class Compared(msgspec.Struct, frozen=True):
    """What changed: the values that are kept, the largest change first, and how much there is in all."""

    values: tuple[Value, ...]
    #: Values of rows that were there before and are there after.
    changed: int = 0
    #: Rows.
    added: int = 0
    destroyed: int = 0
    unread: int = 0
    #: Rows that were written with the values they had.
    same: int = 0


def size(value: Value) -> tuple[int, float, str, str, str]:
    """Return what values are sorted by: the largest change in per cent first; then changes from 0; then all else."""
    rest = (value.type, value.id, value.field)
    if value.percent is not None:
        return (0, -abs(value.percent), *rest)
    if value.difference is not None:
        return (1, -abs(value.difference), *rest)
    return (_ORDER[value.change], 0.0, *rest)


def difference(before: object, after: object) -> tuple[float | None, float | None]:
    """Return by how much a number changed, and that in per cent of what it was.

    It is calculated with decimal digits: 1.1 to 1.2 is 0.1. None: one of them is no number, or what comes out is none
    that fits; no per cent of 0.
    """
    if not (_is_number(before) and _is_number(after)):
        return None, None
    was, now = Decimal(str(before)), Decimal(str(after))
    change = now - was
    percent = change / abs(was) * 100 if was else None
    return _finite(change), None if percent is None else _finite(percent)


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)


def _finite(value: Decimal) -> float | None:
    found = float(f"{value:.{_DIGITS}g}")
    return found if math.isfinite(found) else None


class Comparison:
    """Compares rows as they were `read` with rows as they were `computed`.

    Args:
        read: before.
        computed: after, with what the computation does to each row.
        branch: of a row that does not say its own.
        keep: values that are kept, the largest changes; the others are counted.
        earlier: as an earlier computation left the rows that it read; what that changed is compared as well.
    """

    def __init__(self, read: Rows, computed: Rows, branch: str, *, keep: int, earlier: Rows | None = None) -> None:
        self._read = read
        self._computed = computed
        self._earlier = earlier
        self._branch = branch
        self._keep = keep
        self._before: dict[tuple[str, str], dict[str, Any]] = {}
        self._values: list[Value] = []
        self._counts = {CHANGED: 0, ADDED: 0, DESTROYED: 0, UNREAD: 0}
        self._same = 0

    def steps(self) -> Iterator[None]:
        """Go on by one row between two yields; afterwards ask for the `result`.

        Raises:
            ValueError: a row is no row.
        """
        once: set[tuple[str, str]] = set()
        for key, row in _all(self._earlier or {}):
            if does_to(row) == CHANGED:
                once.add(key)
            yield
        written: list[tuple[tuple[str, str], dict[str, Any], str]] = []
        for key, row in _all(self._computed):
            does = does_to(row) or (CHANGED if key in once else None)
            if does is not None:
                written.append((key, row, does))
            yield
        wanted = {key for key, _, does in written if does != ADDED}
        for key, row in _all(self._read if wanted else {}):
            if key in wanted:
                self._before.setdefault(key, row)
            yield
        for key, row, does in written:
            self._compare(key, row, does)
            yield

    @property
    def result(self) -> Compared:
        """What changed: all steps are taken."""
        values = tuple(sorted(self._values, key=size)[: self._keep])
        return Compared(
            values, self._counts[CHANGED], self._counts[ADDED], self._counts[DESTROYED],
            self._counts[UNREAD], self._same,
        )  # fmt: skip

    def _compare(self, key: tuple[str, str], row: dict[str, Any], does: str) -> None:
        before = {} if does == ADDED else self._before.get(key)
        if before is None:
            # It changes a row that it did not read; a later round may change one that an earlier one added.
            before, does = {}, UNREAD if self._earlier is None else ADDED
        after = {} if does == DESTROYED else row
        names = [name for name in (before | after) if name not in _NOISE]
        different = [name for name in names if not _equal(before.get(name), after.get(name))]
        if does == CHANGED:
            self._counts[CHANGED] += len(different)
            self._same += not different
        else:
            self._counts[does] += 1
        about = _about(row, [name for name in names if does != CHANGED or name not in different])
        type_, id_ = key[0], _cut(key[1], SHOWN)
        branch = _cut(str(_metadata(row).get("branch") or self._branch), SHOWN)
        for name in different:
            was, now = before.get(name), after.get(name)
            change, percent = difference(was, now) if does == CHANGED else (None, None)
            self._values.append(
                Value(type_, id_, branch, about, _cut(name, SHOWN), does, _shown(was), _shown(now), change, percent)
            )
        if len(self._values) > 2 * self._keep + SPARE:
            self._values = sorted(self._values, key=size)[: self._keep]


def _all(rows: Rows) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    """Decode rows one after the other; each has its type and id for a key."""
    for type_, found in rows.items():
        for raw in found:
            row = row_of(raw)
            yield key_of(type_, row), row


def key_of(type_: str, row: Mapping[str, Any]) -> tuple[str, str]:
    """Return what rows are matched by: type, and id or rid. `type_`: of a row that does not say its own."""
    return _type(type_, row), _name(row)


def row_of(raw: msgspec.Raw) -> dict[str, Any]:
    """Decode a row. Raises `ValueError`: it is none."""
    try:
        row = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        row = json_text.loads(bytes(raw))
    if not isinstance(row, dict):
        raise ValueError("a row is no object")  # noqa: TRY004 - what came is wrong, not a type of ours
    return row


def _metadata(row: Mapping[str, Any]) -> Mapping[str, Any]:
    found = row.get("_metadata")
    return found if isinstance(found, dict) else {}


def writer_of(row: Mapping[str, Any]) -> str:
    """Return which instance wrote the version of a row that was read; empty: it does not say."""
    found = _metadata(row).get("instance_id")
    return found if isinstance(found, str) else ""


def does_to(row: Mapping[str, Any]) -> str | None:
    """Return what its computation does to a row: `CHANGED`, `ADDED` or `DESTROYED`; None: nothing."""
    told = _metadata(row).get("changeTrack")
    return _DOES.get(told) if isinstance(told, str) else None


def _type(type_: str, row: Mapping[str, Any]) -> str:
    told = _metadata(row).get("type")
    return _cut(told if isinstance(told, str) and told else type_, SHOWN)


def _name(row: Mapping[str, Any]) -> str:
    """Return the id of a row; its rid without one."""
    for value in (row.get("id"), _metadata(row).get("rid")):
        if value is not None and value != "":
            return value if isinstance(value, str) else _json(value)
    return ""


def _equal(before: object, after: object) -> bool:
    # True is 1 for Python.
    return before == after and isinstance(before, bool) == isinstance(after, bool)


def _about(row: Mapping[str, Any], names: Iterable[str]) -> str:
    values = (row.get(name) for name in names)
    told = [str(value) for value in values if isinstance(value, str | int) and not isinstance(value, bool)]
    return _cut(" ".join([text for text in told if 0 < len(text) <= _NAME][:_NAMES]), NAMED)


def _shown(value: object) -> float | int | str | bool | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST else _cut(str(value), SHOWN)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return _cut(value if isinstance(value, str) else _json(value), SHOWN)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _cut(text: str, most: int) -> str:
    """Return a text that any encoder takes, of at most so many characters."""
    return titles.cut(text, most).encode(errors="replace").decode()

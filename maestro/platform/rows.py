"""Rows as Domain and Process Memory send them, reduced to what the ledger keeps while they arrive.

An answer of many megabytes is never held whole: `FootprintReader` takes its bytes part by part, decodes what is
complete, and keeps hashes. A part costs about a millisecond, so nobody on the event loop waits for the rest.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from maestro.json_text import without_surrogates
from maestro.platform.array import ArrayReader
from maestro.platform.errors import WrongShapeError
from maestro.rules.ledger import Footprint, Read, Reads, base_key, writer_key

_CREATE: Final = "create"
#: What a commit does to a row that exists.
_CHANGES: Final = frozenset({"update", "destroy"})


class _Metadata(msgspec.Struct, gc=False):
    type: str | None = None
    rid: Any = None
    branch: str | None = None
    # Domain's own spelling, and what the SDK writes.
    changeTrack: str | None = None  # noqa: N815
    instance_id: str | None = None


class _Row(msgspec.Struct, gc=False):
    metadata: _Metadata = msgspec.field(name="_metadata")
    id: Any = None


_ROWS: Final = msgspec.json.Decoder(list[_Row])
_ROW: Final = msgspec.json.Decoder(_Row)


def _text(value: Any) -> str:
    """Return an id as text: most are strings, some domains number their rows."""
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


def _base(metadata: _Metadata, type_: str, id_: Any) -> int:
    key, rid = _text(id_), _text(metadata.rid)
    if not type_ or not (key or rid):
        raise WrongShapeError("a row that exists has neither an id nor a rid, or no type")
    return base_key(type_, key, rid)


class FootprintReader(ArrayReader):
    """Reads which rows a commit would change or destroy, and how many it would create."""

    def __init__(self) -> None:
        super().__init__(_ROWS)
        self._changed: dict[str, list[int]] = {}
        self._created = 0

    def end(self) -> Footprint:
        """Return the footprint: the answer is complete. Raises as `take_rest`."""
        self.take_rest()
        return Footprint(
            tuple((branch, tuple(dict.fromkeys(bases))) for branch, bases in self._changed.items()), self._created
        )

    def note(self, rows: Iterable[_Row], _part: bytes) -> None:
        """Keep what is wanted of the next rows."""
        for row in rows:
            metadata = row.metadata
            if metadata.changeTrack == _CREATE:
                self._created += 1
            elif metadata.changeTrack in _CHANGES:
                base = _base(metadata, metadata.type or "", row.id)
                self._changed.setdefault(metadata.branch or "", []).append(base)


class ChangesReader(ArrayReader):
    """Reads how a commit would change rows, by their type."""

    def __init__(self) -> None:
        super().__init__(_ROWS)
        self._changes: dict[str, set[str]] = {}

    def end(self) -> dict[str, set[str]]:
        """Return the changes by type: the answer is complete. Raises as `take_rest`."""
        self.take_rest()
        return self._changes

    def note(self, rows: Iterable[_Row], _part: bytes) -> None:
        """Keep what is wanted of the next rows."""
        for row in rows:
            if not row.metadata.type:
                raise WrongShapeError("a row without a type")
            self._changes.setdefault(row.metadata.type, set()).add(row.metadata.changeTrack or "")


class _Dataset(msgspec.Struct, gc=False):
    entities: dict[str, list[_Row]]


class _Head(msgspec.Struct, gc=False):
    dataset: _Dataset | None = None


_HEAD: Final = msgspec.json.Decoder(_Head | list[_Head] | None)


def reads_of(answer: bytes, branch: str) -> Reads | None:
    """Return what a computation on `branch` read, from Process Memory's `head`; None when it has no dataset.

    Raises:
        WrongShapeError, msgspec.DecodeError: it is no dataset.
    """
    head = _HEAD.decode(without_surrogates(answer))
    if isinstance(head, list):
        head = head[-1] if head else None
    if head is None or head.dataset is None:
        return None
    created = sum(row.metadata.changeTrack == _CREATE for rows in head.dataset.entities.values() for row in rows)
    return Reads(tuple(_reads(head.dataset.entities, branch)), created)


class ReadRow(msgspec.Struct, frozen=True):
    """One row as a computation read it, by its names."""

    base: int
    type: str
    #: Its id, or its rid without one.
    id: str
    branch: str
    #: The instance that wrote the version; empty: not known.
    writer: str
    wrote: bool


def read_row(type_: str, row: bytes, branch: str) -> ReadRow | None:
    """Return a row of a dataset, listed under `type_`, by its names; None for one that the computation created.

    `branch`: where the computation was.

    Raises:
        WrongShapeError, msgspec.DecodeError: it is no row.
    """
    found = _ROW.decode(row)
    metadata = found.metadata
    if metadata.changeTrack == _CREATE:
        return None
    base = _base(metadata, metadata.type or type_, found.id)
    name = _text(found.id) or _text(metadata.rid)
    wrote = metadata.changeTrack in _CHANGES
    return ReadRow(base, metadata.type or type_, name, metadata.branch or branch, metadata.instance_id or "", wrote)


def _reads(entities: dict[str, list[_Row]], branch: str) -> Iterator[Read]:
    for type_, rows in entities.items():
        for row in rows:
            metadata = row.metadata
            if metadata.changeTrack == _CREATE:
                continue
            yield Read(
                _base(metadata, metadata.type or type_, row.id),
                metadata.branch or branch,
                writer_key(metadata.instance_id or ""),
                metadata.changeTrack in _CHANGES,
            )

"""Units that are stored before the document that holds them: a document of thousands opens without a long turn.

One transaction with all of its rows would hold the system's loop, and its questions, for most of a second. So they are
stored part by part while the document is not there yet; the step that opens it writes its header, and only those of its
units that are not stored as they are. Units without a header count for nothing. A mark says which these are, and goes
with the very commit that writes the header: what a crash leaves is removed by the next life.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import fields
from itertools import islice
from operator import attrgetter
from typing import Any, Final

from maestro.rules.document import Document
from maestro.rules.impact import Origin
from maestro.rules.step import Save, SaveDocument, SaveUnit
from maestro.rules.unit import Unit
from maestro.store.base import Delete, Put, Store, Write
from maestro.system.unit_rows import UNITS, unit_key, unit_row

AHEAD: Final = "units_ahead"
#: Units that one commit stores: a few milliseconds.
PART: Final = 250
#: Units up to which a document is stored in one commit.
FEW: Final = 1000
#: All of a unit: two that have it in common have the same row.
_fields = attrgetter(*(field.name for field in fields(Unit)))


class UnitsAhead:
    """The units of one system that are stored ahead of their documents."""

    def __init__(self) -> None:
        #: What the stored units were like, by the document's id and in the order of positions.
        self._stored: dict[str, list[Any]] = {}

    def load(self, store: Store) -> tuple[str, ...]:
        """Return the documents of which a former life stored units, and no header. Raises `StoreDamaged`."""
        self._stored = {id_: [None] * row["units"] for id_, row in store.rows(AHEAD)}
        return tuple(self._stored)

    def parts(self, system_id: str, document_id: str, origins: Iterable[Origin]) -> Iterator[list[Write]]:
        """Yield the writes that store the units of a document that is to open, in the order of replay."""
        draft = Document(document_id, system_id, 0, "", "", False, "", b"", b"")  # noqa: FBT003 - a field
        stored = self._stored[document_id] = []
        left = iter(origins)
        while units := draft.add(islice(left, PART)):
            stored += map(_fields, units)
            yield [
                Put(AHEAD, document_id, {"units": len(stored)}),
                *(Put(UNITS, unit_key(document_id, unit.position), unit_row(unit)) for unit in units),
            ]

    def given_up(self, document_id: str) -> Iterator[list[Write]]:
        """Yield the writes that remove what is stored of a document that did not open, if anything is."""
        count = len(self._stored.pop(document_id, ()))
        for begin in range(0, count, PART):
            yield _removed(document_id, begin, min(begin + PART, count))
        if count:
            yield [Delete(AHEAD, document_id)]

    def not_stored(self, saves: Collection[Save]) -> Collection[Save]:
        """Return the saves, one of each record, without those of units that are stored as they are."""
        if not self._stored:
            return saves
        return [save for save in saves if type(save) is not SaveUnit or not self._is_stored(save)]

    def _is_stored(self, save: SaveUnit) -> bool:
        stored = self._stored.get(save.document.id, ())
        position = save.unit.position
        return position < len(stored) and stored[position] == _fields(save.unit)

    def opened(self, saves: Iterable[Save]) -> Iterator[Write]:
        """Yield the writes that make the units count whose documents' headers are among the saves."""
        if not self._stored:
            return
        for save in saves:
            if type(save) is SaveDocument and save.document.id in self._stored:
                id_, total = save.document.id, save.document.total
                yield from _removed(id_, total, len(self._stored.pop(id_)))
                yield Delete(AHEAD, id_)


def _removed(document_id: str, begin: int, end: int) -> list[Write]:
    return [Delete(UNITS, unit_key(document_id, position)) for position in range(begin, end)]

"""A large document as JSON, rendered in parts that are kept: what has changed since is made again, and nothing else.

    units:  [ part | part | part ]      each part: the JSON of some units and of their events, and what of them
    events: [ part | part | part ]      the document lists besides

All that changes of a unit is saved, so the saves of each step say what is to be made again. Pure.
"""

from collections.abc import Iterable
from itertools import chain
from typing import Final

import msgspec

from maestro.rules.document import Document
from maestro.rules.impact import UnitKey
from maestro.rules.preview import digest
from maestro.rules.rendering import ShownUnits, document_of, event_of, listed, unit_json
from maestro.rules.step import Save, SaveDocument, SaveUnit
from maestro.rules.unit import Unit

#: Units of one part: about a millisecond.
PART: Final = 256


class _Part:
    """Some units, one after the other, as they were when it was made."""

    def __init__(self, units: Iterable[Unit]) -> None:
        units = tuple(units)
        self.keys: tuple[UnitKey, ...] = tuple(unit.key for unit in units)
        self.units = msgspec.json.encode([unit_json(unit) for unit in units])[1:-1]
        self.events = b",".join(map(event_of, units))
        self.listed = listed(units)
        self.outstanding = sum(not unit.settled for unit in units)


class Picture:
    """One document whose units are at hand."""

    def __init__(self, doc: Document, part: int = PART) -> None:
        self._doc = doc
        self._size = part
        self._order: list[Unit] = []
        self._parts: list[_Part | None] = []
        #: Parts to be made before the next rendering.
        self._missing: set[int] = set()
        self._digest = ""

    def changed(self, position: int) -> None:
        """The unit at a position is another, or not as it was."""
        self._missing.add(position // self._size)

    def make_some(self) -> bool:
        """Make a part that is missing; return whether there was one. To render takes little time once there is none."""
        self._look()
        if not self._missing:
            return False
        self._make(self._missing.pop())
        return True

    def render(self) -> bytes:
        """Return what `rendering.document_json` returns."""
        while self.make_some():
            pass
        parts = [part for part in self._parts if part is not None]
        if not self._digest:
            self._digest = digest(self._doc.held_instance, chain.from_iterable(part.keys for part in parts))
        reimpacted, set_aside, left_out = (
            list(chain.from_iterable(part.listed[which] for part in parts)) for which in range(3)
        )
        units = ShownUnits(
            _array(part.units for part in parts), reimpacted, set_aside, left_out,
            sum(part.outstanding for part in parts), self._digest, self._doc.units.keys(),
        )  # fmt: skip
        return document_of(self._doc, units, _array(part.events for part in parts))

    def _look(self) -> None:
        """See to it that the parts are those of the units there are."""
        order = self._doc.order
        if order is not self._order:
            self._order, self._parts, self._digest = order, [], ""
            self._missing.clear()
        count = -(-len(order) // self._size)
        while len(self._parts) < count:
            self._missing.add(len(self._parts))
            self._parts.append(None)
        last = self._parts[-1] if self._parts else None
        if last is not None and len(last.keys) != len(order) - (count - 1) * self._size:
            self._missing.add(count - 1)

    def _make(self, number: int) -> None:
        before = self._parts[number]
        part = self._parts[number] = _Part(self._order[number * self._size : (number + 1) * self._size])
        if before is None or before.keys != part.keys:
            self._digest = ""


class Pictures:
    """The pictures of a system's documents; `part`: units of one part."""

    def __init__(self, part: int = PART) -> None:
        self._part = part
        self._by_document: dict[str, Picture] = {}

    def of(self, doc: Document) -> Picture:
        """Return the picture of a document; it is kept from now on, until the document lets its units go."""
        picture = self._by_document.get(doc.id)
        if picture is None:
            picture = self._by_document[doc.id] = Picture(doc, self._part)
        return picture

    def drop(self, document_id: str) -> None:
        """Keep no picture of a document any more, if there is one."""
        self._by_document.pop(document_id, None)

    def saved(self, saves: Iterable[Save]) -> None:
        """Have made again what a step saves."""
        if not self._by_document:
            return
        for save in saves:
            if type(save) is SaveUnit and (picture := self._by_document.get(save.document.id)) is not None:
                picture.changed(save.unit.position)
            elif type(save) is SaveDocument and not save.document.order:
                self.drop(save.document.id)


def _array(parts: Iterable[bytes]) -> msgspec.Raw:
    return msgspec.Raw(b"[" + b",".join(parts) + b"]")

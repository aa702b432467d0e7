"""How large an item is on its way, roughly, without encoding it."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from maestro.links.codec import LIMIT
from maestro.links.items import Answered
from maestro.messages.cascade import DeadLetterDocument, EnqueueReprocessing, EnqueueUnits
from maestro.messages.error_queue import ErrorsPeeked
from maestro.messages.ingress import Arrived, DeadLetter, Park

#: Bytes of an item beside what it carries.
OVERHEAD: Final = 200


def size_of(item: object) -> int:
    """Return about how many bytes the item takes in a frame."""
    carried = _CARRIED.get(type(item))
    return OVERHEAD if carried is None else OVERHEAD + carried(item)


def _bytes_of_units(item: EnqueueUnits) -> int:
    return sum(len(event) for _, event in item.units) + sum(len(event) for _, event in item.in_flight)


#: How many bytes an item carries for others; those of no kind that is named here carry next to none.
_CARRIED: Final[Mapping[type, Callable[[Any], int]]] = {
    Answered: lambda item: len(item.answer.body),
    Arrived: lambda item: len(item.body),
    Park: lambda item: len(item.body),
    DeadLetter: lambda item: len(item.body),
    ErrorsPeeked: lambda item: sum(len(message.body) for message in item.messages),
    EnqueueReprocessing: lambda item: len(item.document),
    DeadLetterDocument: lambda item: len(item.document),
    EnqueueUnits: _bytes_of_units,
}


def fits(item: object) -> bool:
    """Whether a frame can carry the item."""
    return size_of(item) + OVERHEAD <= LIMIT

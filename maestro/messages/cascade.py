"""What a system asks the cascade for, and its answer."""

from maestro.messages.item import Item


class EnqueueReprocessing(Item, frozen=True):
    """Publish an approved document, in line on the reprocessing queue."""

    op: int
    document: bytes
    id: str


class DequeueReprocessing(Item, frozen=True):
    """Take the document `id`, every copy of it, off the reprocessing queue; others stay in their order."""

    op: int
    id: str


class EnqueueUnits(Item, frozen=True):
    """Publish units to the events and the control queue, all confirmed. `fresh`: empty both first.

    Those of `in_flight` are sent already: to the control queue only.
    """

    op: int
    #: (unit id, event JSON)
    units: tuple[tuple[str, bytes], ...]
    fresh: bool
    in_flight: tuple[tuple[str, bytes], ...] = ()


class DequeueUnit(Item, frozen=True):
    """Take the unit `id`, and whatever stands before it, off the events queue: its send is stored."""

    op: int
    id: str


class DequeueControl(Item, frozen=True):
    """Take one message off the control queue: a replay is persisted."""

    op: int


class EmptyUnitQueues(Item, frozen=True):
    """Empty the events and the control queue."""

    op: int


class DeadLetterDocument(Item, frozen=True):
    """Publish a failed document to the reprocessing error queue."""

    op: int
    document: bytes
    id: str


class CascadeDone(Item, frozen=True):
    """The operation is done; `problem` says why it failed for good (returned or nacked), empty when it did not."""

    op: int
    problem: str = ""


ToCascade = (
    EnqueueReprocessing
    | DequeueReprocessing
    | EnqueueUnits
    | DequeueUnit
    | DequeueControl
    | EmptyUnitQueues
    | DeadLetterDocument
)

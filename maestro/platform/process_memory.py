"""Process Memory: the origin events of instances, and the platform's home of reprocessing documents."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec

from maestro.json_text import elements, text_of
from maestro.platform.errors import WrongShapeError
from maestro.platform.history import Gathered, History, Rows, dataset_of, history_of
from maestro.platform.rows import reads_of
from maestro.platform.target import Target, address
from maestro.platform.transport import CallName, Transport, nothing
from maestro.rules.ledger import Reads

T = TypeVar("T")

_HEAD: Final = CallName("process_memory", "head")
_HISTORY: Final = CallName("process_memory", "history")
_ORIGIN: Final = CallName("process_memory", "origin")
_SAVE: Final = CallName("process_memory", "save_document")
_FIND: Final = CallName("process_memory", "find_documents")


@dataclass(frozen=True, slots=True)
class OriginEvent:
    """The event that started an instance."""

    #: Its JSON, byte for byte as Process Memory sent it.
    event: bytes
    #: As in the event; empty if it has none. Not necessarily parseable.
    timestamp: str


class _Counted(msgspec.Struct):
    n: int | None = None


class _Replaced(msgspec.Struct):
    result: _Counted | None = None


_REPLACED: Final = msgspec.json.Decoder(_Replaced)
_DOCUMENTS: Final = msgspec.json.Decoder(list[msgspec.Raw] | None)


class ProcessMemory:
    """Client of Process Memory, at `base` (scheme, host and port)."""

    def __init__(self, transport: Transport, base: str) -> None:
        self._transport = transport
        self._base = address(base)
        self._documents = address(base, "/reprocessing")

    def origin(self, instance_id: str, *, tries: int | None = None) -> Awaitable[OriginEvent | None]:
        """Return the instance's origin event; None when Process Memory does not know the instance.

        `tries` replaces the setting.

        Raises:
            SiblingUnreachable: no usable answer.
            SiblingRefused: Process Memory answered 4xx.
        """
        target = self._base.below(instance_id, "event")
        return self._transport.call(_ORIGIN, "GET", target, _decode, tries=tries)

    def reads(self, instance_id: str, branch: str, *, tries: int | None = None) -> Awaitable[Reads | None]:
        """Return which rows the instance, computing on `branch`, read in which version; None when it has no dataset.

        `tries` replaces the setting.

        Raises:
            SiblingUnreachable: no usable answer.
            SiblingRefused: Process Memory answered 4xx.
        """
        target = self._base.below(instance_id, "head")
        return self._transport.call(_HEAD, "GET", target, lambda answer: reads_of(answer, branch), tries=tries)

    def documents(self, field: str, value: str) -> Awaitable[list[bytes]]:
        """Return the reprocessing documents (JSON) that have this value in a field, of all systems.

        There may be several of one id.

        Raises:
            SiblingUnreachable: no usable answer.
            SiblingRefused: Process Memory answered 4xx.
        """
        return self._transport.call(_FIND, "GET", self._documents.asking(**{field: value}), _list)

    def dataset(self, instance_id: str, *, tries: int | None = None) -> Awaitable[Rows | None]:
        """Return the rows that the instance read, each as it came; None without a dataset.

        `tries` replaces the setting.

        Raises:
            SiblingUnreachable: no usable answer; an answer of more than `history.LIMIT` bytes is none.
            SiblingRefused: Process Memory answered 4xx.
        """
        target = self._base.below(instance_id, "head")
        return self._transport.retried(lambda: self._bounded(_HEAD, target, dataset_of), tries)

    async def history(self, instance_id: str) -> History | None:
        """Return the rows as the instance read them first, and as it computed them last; None without both. One try.

        Raises:
            SiblingUnreachable: no usable answer; an answer of more than `history.LIMIT` bytes is none.
            SiblingRefused: Process Memory answered 4xx.
        """
        return await self._bounded(_HISTORY, self._base.below(instance_id, "history"), history_of)

    async def _bounded(self, name: CallName, target: Target, decoded: Callable[[bytes], T]) -> T:
        gathered = Gathered()

        def decode(rest: bytes) -> T:
            gathered.feed(rest)  # what came compressed
            return decoded(gathered.end())

        return await self._transport.once(name, "GET", target, decode, sink=gathered.feed)

    def save_document(self, id: str, body: bytes) -> Awaitable[None]:  # noqa: A002 - the document's own word
        """Store a reprocessing document (its JSON) in the place of the one with that id, or as a new one.

        It inserts only after a replacement found nothing to replace, in each try: an insert that was repeated
        because its answer got lost would make a second document of the same id (contracts: Process Memory).

        Raises:
            SiblingUnreachable: no usable answer; it may be stored all the same.
            SiblingRefused: Process Memory answered 4xx.
        """

        async def attempt() -> None:
            there = await self._transport.once(_SAVE, "PUT", self._documents.asking(id=id), _replaced, body=body)
            if not there:
                await self._transport.once(_SAVE, "POST", self._documents, nothing, body=body)

        return self._transport.retried(attempt)


def _decode(answer: bytes) -> OriginEvent | None:
    try:
        events = elements(answer)
        raw = bytes(events[0]) if events else b""
        raw.decode()  # it is kept, and sent on
        # Whatever it is: a strange timestamp orders an event last, it does not make the event unusable.
        return OriginEvent(raw, text_of(raw, "timestamp")) if events else None
    except ValueError as problem:
        raise WrongShapeError(str(problem)) from problem


def _replaced(answer: bytes) -> bool:
    """Return whether a document was replaced: not when the answer counts none."""
    result = _REPLACED.decode(answer).result
    return result is None or result.n != 0


def _list(answer: bytes) -> list[bytes]:
    # Process Memory of an empty database answers null.
    return [bytes(raw) for raw in _DOCUMENTS.decode(answer) or ()]

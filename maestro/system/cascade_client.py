"""The system's side of its cascade actor: operations on a document's queues, in order, each until done."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from maestro import logs
from maestro.links.session import Session
from maestro.links.sizes import fits
from maestro.messages.cascade import (
    CascadeDone,
    DeadLetterDocument,
    DequeueControl,
    DequeueReprocessing,
    DequeueUnit,
    EmptyUnitQueues,
    EnqueueReprocessing,
    EnqueueUnits,
    ToCascade,
)
from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.document import Document
from maestro.rules.facts import Fact
from maestro.rules.rendering import document_json, outstanding_first, queued_event, queued_id
from maestro.rules.unit import Unit
from maestro.system.dispatcher import Handlers
from maestro.system.engine import Engine

Answer = Callable[[str], Fact | None]
#: Bytes of events in one operation, roughly: a message between actors stays small.
PART_BYTES = 256 * 1024


class CascadeClient:
    """Turns the rules' queue commands into operations, and their completions into facts."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._log = logs.get()
        self._documents: dict[str, Document] = engine.machine.system.documents
        self._session: Session | None = None
        self._last_op = 0
        #: Not done yet, oldest first: what a new cascade actor is asked again.
        self._open: dict[int, tuple[ToCascade, Answer | None]] = {}
        #: The queues are being filled, operation by operation, and what waits behind that.
        self._filling = False
        self._behind: deque[Callable[[], None]] = deque()

    @property
    def busy(self) -> bool:
        """Whether an operation is not done."""
        return bool(self._open) or self._filling

    def attach(self, session: Session) -> None:
        """A session with cascade: ask it all that is not done."""
        self._session = session
        for operation, _ in self._open.values():
            if fits(operation):
                session.post(operation)

    def done(self, completion: CascadeDone) -> None:
        """An operation is done, or failed for good."""
        _, answer = self._open.pop(completion.op, (None, None))
        fact = answer(completion.problem) if answer is not None else None
        if fact is not None:
            self._engine.feed(fact)

    def handlers(self) -> Handlers:
        """Return who begins which command of the queues."""
        return {
            do.Enqueue: self._enqueue,
            do.Dequeue: self._leave,
            do.FillQueues: self._fill,
            do.GrowQueues: self._grow,
            do.EmptyQueues: self._empty,
            do.CleanUpQueues: self._clean_up,
            do.TakeUnit: self._take_unit,
            do.TakeControl: self._take_control,
        }

    def _enqueue(self, command: do.Enqueue) -> None:
        self._order(DequeueReprocessing(self._op(), command.id))
        self._order(EnqueueReprocessing(self._op(), self._render(command.id), command.id))

    def _leave(self, command: do.Dequeue) -> None:
        operations: list[ToCascade] = [DequeueReprocessing(self._op(), command.id)]
        if command.failed:
            operations.append(DeadLetterDocument(self._op(), self._render(command.id), command.id))
        self._order_all(operations, _updated(command.id, command.token))

    def _clean_up(self, command: do.CleanUpQueues) -> None:
        id_, answer = command.id, _updated(command.id, command.token)
        # Taken off at the start already; a broker that was killed since may have forgotten that acknowledgement.
        operations: list[ToCascade] = [DequeueReprocessing(self._op(), id_)]
        if command.empty:
            operations.append(EmptyUnitQueues(self._op()))
        if command.failed:
            operations.append(DeadLetterDocument(self._op(), self._render(id_, ended=True), id_))
        self._order_all(operations, answer)

    def _fill(self, command: do.FillQueues) -> None:
        self._order_gradually(self._filled_with(self._documents[command.id]), _updated(command.id, command.token))

    def _filled_with(self, doc: Document) -> Iterator[ToCascade]:
        to_send, in_flight = outstanding_first(doc.not_done())
        parts = _parts(_messages(doc, to_send))
        yield EnqueueUnits(self._op(), next(parts, ()), fresh=True, in_flight=tuple(_messages(doc, in_flight)))
        for part in parts:
            yield EnqueueUnits(self._op(), part, fresh=False)

    def _grow(self, command: do.GrowQueues) -> None:
        doc = self._documents[command.id]
        added = _messages(doc, (doc.order[position] for position in command.positions))
        operations = [EnqueueUnits(self._op(), part, fresh=False) for part in _parts(added)]
        self._order_all(operations, _updated(command.id, command.token))

    def _empty(self, _command: do.EmptyQueues) -> None:
        self._order(EmptyUnitQueues(self._op()))

    def _take_unit(self, command: do.TakeUnit) -> None:
        doc = self._documents[command.id]
        self._order(DequeueUnit(self._op(), queued_id(doc, doc.order[command.position])), lazy=True)

    def _take_control(self, _command: do.TakeControl) -> None:
        self._order(DequeueControl(self._op()), lazy=True)

    def _render(self, id_: str, *, ended: bool = False) -> bytes:
        doc = self._documents[id_]
        if not ended:
            return self._engine.rendered(doc)
        return document_json(doc, doc.order or self._engine.repository.units(id_), ended=True)

    def _op(self) -> int:
        self._last_op += 1
        return self._last_op

    def _order_all(self, operations: Sequence[ToCascade], answer: Answer) -> None:
        """Order operations whose common answer is given with the last one's, and tells of the first problem."""
        together = _Together(answer, len(operations))
        for operation in operations:
            self._order(operation, together.one_done)

    def _order_gradually(self, operations: Iterator[ToCascade], answer: Answer) -> None:
        """Order operations as `_order_all` does, one in a turn of the loop: to make thousands of events takes long.

        What is ordered meanwhile comes behind the last of them. One that cannot be made is the last, and a problem.
        """
        if self._filling:
            self._behind.append(partial(self._order_gradually, operations, answer))
            return
        together, loop = _Together(answer), asyncio.get_running_loop()

        def order() -> None:
            try:
                operation = next(operations, None)
            except Exception as problem:  # noqa: BLE001 - a bug: what waits behind goes on
                self._log.exception("an event of a queue cannot be made")
                operation, together.problem = None, together.problem or f"an event cannot be made: {problem}"
            if operation is not None:
                together.left += 1
                self._send(operation, together.one_done)
                loop.call_soon(order)
                return
            self._filling = False
            if (fact := together.one_done("")) is not None:
                loop.call_soon(self._engine.feed, fact)
            while self._behind and not self._filling:
                self._behind.popleft()()

        self._filling = True
        order()

    def _order(self, operation: ToCascade, answer: Answer | None = None, *, lazy: bool = False) -> None:
        """Order an operation. `lazy`: nothing waits for its end, so it travels with others."""
        if self._filling:
            self._behind.append(partial(self._send, operation, answer, lazy=lazy))
        else:
            self._send(operation, answer, lazy=lazy)

    def _send(self, operation: ToCascade, answer: Answer | None = None, *, lazy: bool = False) -> None:
        self._open[operation.op] = (operation, answer)
        if not fits(operation):
            too_large = CascadeDone(operation.op, "it is larger than a message may be")
            asyncio.get_running_loop().call_soon(self.done, too_large)
        elif self._session is not None:
            self._session.post(operation, lazy=lazy)


@dataclass
class _Together:
    """Operations with a common answer."""

    answer: Answer
    #: How many are not done; while others follow that are not ordered yet, they count as one.
    left: int = 1
    #: Of the first one that failed; empty: none did.
    problem: str = ""

    def one_done(self, problem: str) -> Fact | None:
        """Take the end of one; return the answer with that of the last."""
        self.problem = self.problem or problem
        self.left -= 1
        return None if self.left else self.answer(self.problem)


def _messages(doc: Document, units: Iterable[Unit]) -> Iterator[tuple[str, bytes]]:
    return ((queued_id(doc, unit), queued_event(doc, unit)) for unit in units)


def _parts(messages: Iterable[tuple[str, bytes]]) -> Iterator[tuple[tuple[str, bytes], ...]]:
    """Split messages into parts of about `PART_BYTES`, each made when it is asked for."""
    part: list[tuple[str, bytes]] = []
    size = 0
    for message in messages:
        if part and size + len(message[1]) > PART_BYTES:
            yield tuple(part)
            part, size = [], 0
        part.append(message)
        size += len(message[1])
    if part:
        yield tuple(part)


def _updated(id_: str, token: int) -> Answer:
    def answer(problem: str) -> Fact:
        return facts.QueuesUpdated(id_, token, problem)

    return answer

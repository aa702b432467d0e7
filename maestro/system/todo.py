"""What waits for a person in a system: one list, from the state. The gateway joins those of all systems.

What holds the lock comes first, then what events wait behind, then the rest; the oldest first in each. The messages of
the error queue are not in the state: the gateway looks at them when the depth says that there are some.
"""

from collections.abc import Iterator
from typing import Final

from msgspec import json

from maestro import json_text, titles
from maestro.messages.answers import Answer, Code
from maestro.messages.todo import TodoItem, Waits, urgency
from maestro.rules.document import Document
from maestro.rules.policies import Effect
from maestro.rules.preview import digest
from maestro.rules.rendering import zoned_time
from maestro.rules.state import System
from maestro.rules.status import GIVEN_UP, Status
from maestro.system.repository import Repository

#: Things of one system that are listed; all are counted.
MOST: Final = 500


def origin_of(doc: Document) -> tuple[str, str]:
    """Return what started the held instance, as people name it: the event in words, and what its payload says."""
    return said_of(doc.origin or doc.pending_event)


def said_of(raw: bytes) -> tuple[str, str]:
    """Return an event's name in words, and the plain values of its payload; empty texts where there is no event."""
    event = json_text.loads(raw) if raw else {}
    event = event if isinstance(event, dict) else {}
    return json_text.plain(titles.words(event.get("name"))), json_text.plain(titles.gist(event.get("payload")))


def _cannot_be_replayed(number: int) -> str:
    """Say so in the words of the pause (`rules/leaving_out.py`): who lists both leaves the cause out."""
    if number == 1:
        return f"{number} unit cannot be replayed: leave it out, or resume to try it again"
    return f"{number} units cannot be replayed: leave them out, or resume to try them again"


class Todo:
    """Lists what waits for a person in one system."""

    def __init__(self, system: System, repository: Repository) -> None:
        self._system = system
        self._repository = repository
        #: What is left of an ended document: it changes only when its history does.
        self._left: dict[str, tuple[int, int]] = {}

    def answer(self, depths: dict[str, int] | None) -> Answer:
        """Render the list, how much there is of each kind, and how deep the error queue is (null: not known)."""
        items = sorted(self.items(), key=urgency)
        counts: dict[str, int] = {}
        for item in items:
            counts[item.kind] = counts.get(item.kind, 0) + 1
        depth = (depths or {}).get(f"persist.{self._system.id}.queue.error", -1)
        failure = self._system.last_failure
        body = {
            "total": len(items), "counts": counts, "items": items[:MOST], "errors": None if depth < 0 else depth,
            "failed": self._system.counters.error, "lastFailure": zoned_time(failure.at) if failure else "",
        }  # fmt: skip
        return Answer(Code.OK, json.encode(body))

    def items(self) -> Iterator[TodoItem]:
        """Yield all that waits for a person, in no order."""
        for doc in self._system.documents.values():
            if doc.status is Status.PENDING:
                yield self._pending(doc)
            elif doc.status is Status.PAUSED:
                yield self._paused(doc)
            elif doc.status in GIVEN_UP and (item := self._given_up(doc)) is not None:
                yield item
        for doubt in self._system.open_doubts:
            yield TodoItem(
                kind=Waits.DOUBT, system=self._system.id, since=zoned_time(doubt.since), key=doubt.key,
                cause=doubt.cause, instance_id=doubt.instance_id, reprocessing=doubt.document,
                says=f"nobody knows whether the domain has the data of instance {doubt.instance_id}",
            )  # fmt: skip
        stall = self._system.stalled()
        if stall is not None:
            yield TodoItem(
                kind=Waits.STALLED, system=self._system.id, since=zoned_time(stall.since), sibling=stall.sibling,
                cause=stall.cause, waiting=len(self._system.waiting) + len(self._system.inbox),
                says=f"waits for {stall.sibling}: nothing of it is judged, committed or replayed",
            )  # fmt: skip

    def _pending(self, doc: Document) -> TodoItem:
        first = doc.first_approval
        by = first.user if first is not None and not first.spent else ""
        ask = f"replay {doc.total} stale results" if doc.late else f"commit, and replay {doc.total}"
        demand = doc.demand
        two = demand is not None and demand.approval is Effect.TWO_APPROVERS
        if by:
            ask = f"{ask}; {by} approved already, a second person must"
        elif two:
            ask = f"{ask}; two people must"
        skip_refused = demand is not None and demand.skip_refused
        return self._document(
            doc, Waits.LATE if doc.late else Waits.PENDING, doc.history[0].at, left=doc.total,
            says=f"approve: {ask}" if skip_refused else f"approve or skip: {ask}",
            waiting=0 if doc.late else len(self._system.waiting), approved_by=by,
        )  # fmt: skip

    def _paused(self, doc: Document) -> TodoItem:
        left = self._repository_left(doc)
        stuck = bool(doc.set_aside) and doc.next_unit() is None
        says = f"paused after {doc.replayed} of at least {doc.replayed + left} replays: resume or cancel it"
        if stuck:
            says = _cannot_be_replayed(len(doc.set_aside))
        return self._document(
            doc, Waits.UNREPLAYABLE if stuck else Waits.PAUSED, doc.since, says=says, left=left,
            locked=doc.locks, waiting=len(self._system.waiting) if doc.blocks else 0,
        )  # fmt: skip

    def _given_up(self, doc: Document) -> TodoItem | None:
        left = self._repository_left(doc)
        if not left and (doc.held_committed or doc.late):
            return None
        cancelled = doc.status is Status.CANCELLED
        rest = f"{left} not replayed" if doc.held_committed or doc.late else f"nothing committed, {left} not replayed"
        says = f"{'cancelled' if cancelled else 'failed'} with work left: {rest}; retry what is left, or leave it out"
        return self._document(doc, Waits.CANCELLED if cancelled else Waits.FAILED, doc.since, says=says, left=left)

    def _document(
        self, doc: Document, kind: Waits, since: float, *, says: str, left: int, locked: bool = False, waiting: int = 0,
        approved_by: str = "",
    ) -> TodoItem:  # fmt: skip
        event, about = origin_of(doc)
        return TodoItem(
            kind=kind, system=doc.system_id, since=zoned_time(since), says=says, locked=locked, waiting=waiting,
            reprocessing=doc.id, event=event, about=about, instance_id=doc.held_instance, branch=doc.branch,
            units=doc.total, left=left, set_aside=len(doc.set_aside), approved_by=approved_by,
            cause="" if doc.status is Status.PENDING else doc.taken.cause,
            digest=digest(doc.held_instance, doc.units) if doc.status is Status.PENDING else "",
        )  # fmt: skip

    def _repository_left(self, doc: Document) -> int:
        if doc.order:
            return sum(not unit.settled for unit in doc.order)
        known, left = self._left.get(doc.id, (0, 0))
        if known != len(doc.history):
            left = sum(not unit.settled for unit in self._repository.units(doc.id))
            self._left[doc.id] = (len(doc.history), left)
        return left

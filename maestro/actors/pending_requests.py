"""What the actor client has asked one system, and what it owes to whom.

Plain: futures and the time, no I/O and no clock; questions go into the session that it is given. Lock checks are
coalesced: all that arrive while one is under way share the next. A system that leaves a lock check unanswered is
silent: it is asked nothing more, and a caller is told at once that it is unavailable.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

from maestro.actors.child import WAKING, State
from maestro.actors.messages import Entry
from maestro.links.items import Answered, Asked
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import CheckLock, Question

#: Questions, other than lock checks, that one system may have open.
_OPEN: Final = 256
#: Lock checks that wait for the next question; beyond that each is a question of its own.
_WAITING: Final = 10_000

_SILENT: Final = Answer(
    Code.UNAVAILABLE, message="the system's actor does not answer; it is being watched and replaced"
)
_BUSY: Final = Answer(Code.UNAVAILABLE, message=f"the system has {_OPEN} open questions already")
_STARTING: Final = Answer(Code.UNAVAILABLE, message="the system's actor is being started")
_LOST: Final = Answer(
    Code.UNAVAILABLE, message="the link to the system's actor ended before it answered; whether it acted is unknown"
)

Reply = asyncio.Future[Answer]


class Way(Protocol):
    """The way to the system: a session."""

    def post(self, item: object) -> None:
        """Send an item; of a session that ended it is dropped."""


@dataclass(slots=True)
class _Check:
    """The lock check under way, and who shares it."""

    correlation: int
    since: float
    waiting: list[Reply]


@dataclass(slots=True)
class PendingRequests:
    """The talk with one system.

    Args:
        silent_after: seconds after which an unanswered lock check means silence, and another question needs one.
        numbers: yields correlation ids.
    """

    system_id: str
    silent_after: float
    numbers: Callable[[], int]
    session: Way | None = None
    epoch: int = 0
    silent_since: float | None = None
    #: The system has taken its leave, to be passivated; until it has a session again.
    left: bool = False
    _check: _Check | None = None
    _next: list[Reply] = field(default_factory=list)
    #: Replies to other questions that are not answered yet, and since when.
    _open: dict[int, tuple[Reply, float]] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """What readiness says of it: "running", "silent" or "starting"."""
        if self.session is None:
            return "starting"
        return "running" if self.silent_since is None else "silent"

    def is_expected(self, entry: Entry | None) -> bool:
        """Whether the system is to be there, as its entry of the directory has it: not at rest, about to be, or woken.

        One that has a session is there in any case.
        """
        if entry is None or self.session is not None:
            return True
        return entry.state not in (State.PASSIVATED, WAKING) and not (self.left and entry.state == State.RUNNING)

    def is_coming(self, entry: Entry | None) -> bool:
        """Whether the system, which has no session, is on its way to having one."""
        return self.left or (entry is not None and entry.state in (WAKING, State.PASSIVATED))

    def talks_with(self, entry: Entry) -> bool:
        """Whether there is a session with the life of the system that its entry names."""
        return entry.address is not None and self.session is not None and self.epoch == entry.epoch

    @property
    def quiet(self) -> bool:
        """Whether nothing is asked, so that `tick` has nothing to do until something is."""
        return self._check is None and not self._next and not self._open

    def ask(self, question: Question, reply: Reply, now: float) -> None:
        """Put a question."""
        if self.silent_since is not None:
            reply.set_result(_SILENT)
        elif isinstance(question, CheckLock) and len(self._next) < _WAITING:
            self._next.append(reply)
            self._check_next(now)
        elif self.session is None or len(self._open) >= _OPEN:
            reply.set_result(_STARTING if self.session is None else _BUSY)
        else:
            correlation = self.numbers()
            self._open[correlation] = (reply, now)
            reply.add_done_callback(lambda _: self._open.pop(correlation, None))
            self.session.post(Asked(correlation, question))

    def answered(self, item: Answered, now: float) -> None:
        """Take an answer; one to a question that nobody waits for any more is dropped."""
        self.silent_since = None
        if self._check is not None and item.correlation == self._check.correlation:
            waiting, self._check = self._check.waiting, None
            _resolve(waiting, item.answer)
            self._check_next(now)
        elif item.correlation in self._open:
            _resolve([self._open.pop(item.correlation)[0]], item.answer)

    def met(self, session: Way, epoch: int, now: float) -> None:
        """The system has a session: lock checks that wait are put now."""
        self.lost()
        self.session, self.epoch, self.left = session, epoch, False
        self._check_next(now)

    def lost(self) -> None:
        """The session ended. A lock check is put again in the next one; what may have acted is not."""
        self.session, self.silent_since = None, None
        if self._check is not None:
            self._next = [*self._check.waiting, *self._next]
            self._check = None
        self._answer_open(_LOST)

    def leave(self, session: Way) -> bool:
        """The system would end. Return whether it may: then nothing more is posted into this session."""
        if session is not self.session or not self.quiet:
            return False
        self.session, self.silent_since, self.left = None, None, True
        return True

    def answer_checks(self, answer: Answer) -> None:
        """Answer the lock checks that wait for a session."""
        if self.session is None:
            waiting, self._next = self._next, []
            _resolve(waiting, answer)

    def tick(self, now: float) -> None:
        """Do what is due: ask for a sign of life, and take note when there is none."""
        if self.session is None:
            return
        if self._check is None:
            if any(now - since >= self.silent_after for _, since in self._open.values()):
                self._begin_check(self.session, [], now)
        elif self.silent_since is None and now - self._check.since >= self.silent_after:
            self.silent_since = self._check.since
            waiting = [*self._check.waiting, *self._next]
            self._check.waiting, self._next = [], []
            _resolve(waiting, _SILENT)

    def fail(self, answer: Answer) -> None:
        """Answer everything that is open with this."""
        waiting = [*(self._check.waiting if self._check else ()), *self._next]
        self._check = None
        self._next = []
        _resolve(waiting, answer)
        self._answer_open(answer)

    def _answer_open(self, answer: Answer) -> None:
        replies = [reply for reply, _ in self._open.values()]
        self._open.clear()
        _resolve(replies, answer)

    def _check_next(self, now: float) -> None:
        self._next = [reply for reply in self._next if not reply.done()]
        if self._check is None and self._next and self.session is not None:
            waiting, self._next = self._next, []
            self._begin_check(self.session, waiting, now)

    def _begin_check(self, session: Way, waiting: list[Reply], now: float) -> None:
        self._check = _Check(self.numbers(), now, waiting)
        session.post(Asked(self._check.correlation, CheckLock()))


def _resolve(replies: Iterable[Reply], answer: Answer) -> None:
    for reply in replies:
        if not reply.done():
            reply.set_result(answer)


def expire(reply: Reply) -> None:
    """Nobody waits for it any longer."""
    if not reply.done():
        reply.set_exception(TimeoutError("the system did not answer in time"))

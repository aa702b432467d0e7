"""What the actor_client has asked one system, and what it owes to whom.

Plain: futures and the time, no I/O and no clock. Messages to send come out of the methods. Lock checks are coalesced:
all that arrive while one is under way share the next. A system that leaves a lock check unanswered is silent: it
gets nothing but one probe a second, and whoever asks it is told at once that it is unavailable.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from maestro.actors.messages import Put, Questions
from maestro.links.service import Address, Answered
from maestro.messages import Answer, CheckLock, Code, Question

#: Questions, other than lock checks, that one system may have open.
_OPEN: Final = 256
#: Lock checks that wait for the next message; beyond that each is a question of its own.
_WAITING: Final = 10_000
#: Seconds between two probes of a silent system.
PROBE_INTERVAL: Final = 1.0

_SILENT: Final = Answer(
    Code.UNAVAILABLE, message="the system's actor does not answer; it is being watched and replaced"
)
_BUSY: Final = Answer(Code.UNAVAILABLE, message=f"the system has {_OPEN} open questions already")
_STARTING: Final = Answer(Code.UNAVAILABLE, message="the system's actor is being started")
_REPLACED: Final = Answer(
    Code.UNAVAILABLE, message="the system's actor was replaced before it answered; whether it acted is unknown"
)

Reply = asyncio.Future[Answer]


@dataclass(slots=True)
class _Check:
    """The lock check under way, and who shares it."""

    #: The ids of its sends; an answer to any of them is younger than the check, so it serves.
    correlations: list[int]
    first: float
    sent: float
    waiting: list[Reply]


@dataclass(slots=True)
class _Open:
    """Another question that is not answered yet."""

    question: Question
    reply: Reply
    sent: float


@dataclass(slots=True)
class PendingRequests:
    """The talk with one system.

    Args:
        patience: seconds after which an unanswered question is sent again, and a lock check means silence.
        numbers: yields correlation ids.
    """

    system_id: str
    patience: float
    numbers: Callable[[], int]
    address: Address | None = None
    epoch: int = 0
    silent_since: float | None = None
    _check: _Check | None = None
    _next: list[Reply] = field(default_factory=list)
    _open: dict[int, _Open] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """What readiness says of it: "running", "silent" or "starting"."""
        if self.address is None:
            return "starting"
        return "running" if self.silent_since is None else "silent"

    @property
    def quiet(self) -> bool:
        """Whether nothing is asked, so that `tick` has nothing to do until something is."""
        return self._check is None and not self._next and not self._open

    def ask(self, question: Question, reply: Reply, now: float) -> Questions | None:
        """Put a question; return the message to send, if one is due at once."""
        if self.silent_since is not None:
            reply.set_result(_SILENT)
            return None
        if isinstance(question, CheckLock) and len(self._next) < _WAITING:
            self._next.append(reply)
            return self._check_next(now)
        if self.address is None or len(self._open) >= _OPEN:
            reply.set_result(_STARTING if self.address is None else _BUSY)
            return None
        correlation = self.numbers()
        self._open[correlation] = _Open(question, reply, now)
        reply.add_done_callback(lambda _: self._open.pop(correlation, None))
        return Questions(self.epoch, (Put(correlation, question),))

    def answered(self, epoch: int, answers: Iterable[Answered], now: float) -> Questions | None:
        """Take answers; those to questions nobody waits for any more are dropped."""
        if epoch != self.epoch:
            return None
        self.silent_since = None
        for item in answers:
            if self._check is not None and item.correlation in self._check.correlations:
                _resolve(self._check.waiting, item.answer)
                self._check = None
            elif item.correlation in self._open:
                _resolve([self._open.pop(item.correlation).reply], item.answer)
        return self._check_next(now)

    def moved(self, address: Address | None, epoch: int, now: float) -> Questions | None:
        """The directory says where the system is. A new life gets the lock check again, but nothing that acts."""
        if epoch == self.epoch:
            self.address = address
            return self._check_next(now)
        self.address, self.epoch = address, epoch
        self.silent_since = None
        _resolve([each.reply for each in list(self._open.values())], _REPLACED)
        self._open.clear()
        if self._check is not None:
            self._next = [*self._check.waiting, *self._next]
            self._check = None
        return self._check_next(now)

    def tick(self, now: float) -> Questions | None:
        """Return what is due: a repeat, and with it a lock check, by which the silence of the system shows."""
        if self.address is None:
            return None
        if self._check is None:
            overdue = any(now - each.sent >= self.patience for each in self._open.values())
            return self._probe(now) if overdue else None
        if self.silent_since is None and now - self._check.first >= self.patience:
            self._fall_silent()
        if now - self._check.sent < PROBE_INTERVAL:
            return None
        self._check.sent = now
        self._check.correlations.append(self.numbers())
        return Questions(self.epoch, (Put(self._check.correlations[-1], CheckLock()),))

    def fail(self, answer: Answer) -> None:
        """Answer everything that is open with this."""
        waiting = [*(self._check.waiting if self._check else ()), *self._next]
        self._check = None
        self._next = []
        _resolve([*waiting, *(each.reply for each in list(self._open.values()))], answer)
        self._open.clear()

    def _check_next(self, now: float) -> Questions | None:
        self._next = [reply for reply in self._next if not reply.done()]
        if self._check is not None or not self._next or self.address is None:
            return None
        waiting, self._next = self._next, []
        return self._begin_check(waiting, now)

    def _probe(self, now: float) -> Questions:
        due = [Put(number, each.question) for number, each in self._open.items() if now - each.sent >= self.patience]
        for put in due:
            self._open[put.correlation].sent = now
        check = self._begin_check([], now)
        return Questions(self.epoch, (*check.items, *due))

    def _begin_check(self, waiting: list[Reply], now: float) -> Questions:
        self._check = _Check([self.numbers()], now, now, waiting)
        return Questions(self.epoch, (Put(self._check.correlations[0], CheckLock()),))

    def _fall_silent(self) -> None:
        assert self._check is not None
        self.silent_since = self._check.first
        waiting = [*self._check.waiting, *self._next]
        self._check.waiting, self._next = [], []
        _resolve(waiting, _SILENT)


def _resolve(replies: Iterable[Reply], answer: Answer) -> None:
    for reply in replies:
        if not reply.done():
            reply.set_result(answer)

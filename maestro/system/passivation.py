"""Ends the life of a system that is at rest and was asked nothing for a while: it is passivated.

    quiet for a while ──> measure the queues, render what lists ask ──> may I leave? ──> close ──> mark ──> exit
                                  │ something there                        │ no, or something came meanwhile
                                  └───────────────── stay <────────────────┘

The mark is the last act, once the store is closed (`maestro.store.rest_mark`). A stop of Maestro leaves it as well, if
nothing happened since the queues were measured; so the next start need not start the system.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, Protocol

import msgspec
import orjson

from maestro import logs
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import DescribeSystem, ListRecords, ListTodo, Question
from maestro.statuses import SystemState
from maestro.store.rest_mark import RestMark
from maestro.telemetry.definitions import LEDGER_ROWS, STALE, STATE, STORE_BYTES
from maestro.telemetry.metrics import Sample, Snapshot

#: Looks at a system in the time in which it must be quiet, and the longest pause between two, in seconds.
LOOKS: Final = 8
LONGEST_PAUSE: Final = 15.0
#: Seconds that the system has to answer its own questions: the queues are measured for that.
_ANSWERS_WITHIN: Final = 5.0
#: Seconds after which queues that held something, or could not be measured, are measured again.
_AGAIN: Final = 60.0
#: What is told of a system at rest in `/metrics`.
_TOLD: Final = frozenset({STALE.name, LEDGER_ROWS.name, STORE_BYTES.name})

Activity = tuple[object, ...]


class Occupant(Protocol):
    """The open system, as far as this is concerned."""

    @property
    def activity(self) -> Activity:
        """Another value after whatever happened to the system or was asked of it."""

    @property
    def keeps_awake(self) -> str:
        """What it must stay awake for; empty: it is at rest."""

    def tell(self, question: Question, give: Callable[[Answer], None]) -> None:
        """Answer a question of ours, which is no activity."""

    def measured(self) -> Snapshot:
        """Return its metrics."""

    def watched(self, described: bytes) -> bytes:
        """Render what a watcher sees."""

    async def may_leave(self) -> bool:
        """Whether all who may have something for it let it go."""

    def stay(self) -> None:
        """Take that back."""


class Prepared(NamedTuple):
    """What the mark will say, and the activity after which it is not true any more."""

    activity: Activity
    mark: RestMark


class Passivation:
    """Watches one system.

    Args:
        opened: the system while its store is open.
        end: closes everything, leaves the mark, and ends the process.
    """

    def __init__(
        self,
        idle_after: float,
        basis: str,
        opened: Callable[[], Occupant | None],
        end: Callable[[RestMark], Awaitable[None]],
    ) -> None:
        self._idle_after = idle_after
        self._basis = basis
        self._opened = opened
        self._end = end
        self._prepared: Prepared | None = None
        self._log = logs.get()
        #: When the queues may be measured again, by the loop's clock.
        self._again_at = 0.0

    async def run(self) -> None:
        """Look now and again, until the process ends."""
        while True:
            try:
                await self._watch()
            except Exception:  # noqa: BLE001 - a system that is not passivated works all the same
                self._log.exception("it cannot be seen whether the system is at rest")

    async def _watch(self) -> None:
        clock = asyncio.get_running_loop().time
        pause = min(LONGEST_PAUSE, self._idle_after / LOOKS)
        before: Activity | None = None
        since = clock()
        while True:
            await asyncio.sleep(pause)
            system = self._opened()
            activity = system.activity if system is not None else None
            if system is None or activity != before:
                before, since, self._again_at = activity, clock(), 0.0
            elif not system.keeps_awake and clock() >= self._again_at:
                if clock() - since >= self._idle_after:
                    await self._leave(system)
                elif self._prepared is None or self._prepared.activity != activity:
                    await self._prepare(system)

    def mark(self) -> RestMark | None:
        """Return the mark for a system that is stopped now; None: it is not known to be at rest."""
        system, prepared = self._opened(), self._prepared
        if system is None or prepared is None or prepared.activity != system.activity or system.keeps_awake:
            return None
        return prepared.mark

    async def _leave(self, system: Occupant) -> None:
        prepared = await self._prepare(system)
        if prepared is None:
            return
        if await system.may_leave() and system is self._opened() and self.mark() is prepared.mark:
            await self._end(prepared.mark)
        system.stay()

    async def _prepare(self, system: Occupant) -> Prepared | None:
        """Render what lists ask, the queues measured; None: they hold something, or are not known."""
        self._prepared = None
        activity = system.activity
        todo = await _answer(system, ListTodo())
        described = await _answer(system, DescribeSystem())
        if not described or not todo or any(_waiting(described)) or activity != system.activity or system.keeps_awake:
            self._again_at = asyncio.get_running_loop().time() + min(_AGAIN, self._idle_after)
            return None
        shown = described | {"state": SystemState.PASSIVATED}
        body = orjson.dumps(shown)
        newest = await _answer(system, ListRecords(limit=1))
        mark = RestMark(
            self._basis,
            "",
            time.time(),
            body,
            orjson.dumps(todo),
            msgspec.json.encode(self._told(system)),
            system.watched(body),
            newest[0]["cursor"] if newest else "",
        )
        self._prepared = Prepared(activity, mark)
        return self._prepared

    @staticmethod
    def _told(system: Occupant) -> Snapshot:
        gauges = [one for one in system.measured().samples if one.metric in _TOLD and one.value]
        return Snapshot((Sample(STATE.name, (SystemState.PASSIVATED.value,), 1.0), *gauges))


def _waiting(described: dict[str, Any]) -> list[int]:
    """Return how deep the queues are that hold events; one that is not known counts as not empty."""
    queues: dict[str, int] = described["queues"] or {}
    events = [depth for name, depth in queues.items() if name.startswith("persist.")]
    return [max(0, depth) for depth in events] or [1]


async def _answer(system: Occupant, question: Question) -> Any:
    answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def give(answer: Answer) -> None:
        if not answered.done():
            answered.set_result(answer)

    system.tell(question, give)
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN):
            answer = await answered
    except TimeoutError:
        return None
    return orjson.loads(answer.body) if answer.code is Code.OK else None

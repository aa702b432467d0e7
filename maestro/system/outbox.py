"""Delivers the outbox: messages to siblings that decide nothing, tried until they are delivered (`rules: outbox`).

What concerns one instance is delivered in order; different instances do not wait for each other.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush
from typing import Final

from maestro import backoff, logs
from maestro.platform import NeverAsked, NoSubscribers, Platform, SiblingError, SiblingLocked, SiblingRefused
from maestro.rules import facts
from maestro.rules.state import OutboxKind, OutboxMessage, System
from maestro.rules.step import DropOutboxMessage, Save, SaveOutboxMessage
from maestro.statuses import INSTANCE_FINISHED
from maestro.system.engine import Engine
from maestro.tasks import Tasks

#: Pauses between two rounds of tries, in seconds, and rounds before a message is given up (about a day).
PAUSE, PAUSE_MAX, ROUNDS = 1.0, 300.0, 300
#: Outbox under way at once.
AT_ONCE: Final = 16


class Outbox:
    """Delivers a system's outbox."""

    def __init__(self, system: System, engine: Engine, platform: Platform) -> None:
        self._system = system
        self._engine = engine
        self._platform = platform
        self._log = logs.get(system=system.id)
        self._more = asyncio.Event()
        self._tasks = Tasks(self._log)
        #: Numbers of the messages of each instance, in order; some may be dropped by now. A line is ready or busy, or
        #: its first message waits.
        self._lines: dict[str, deque[int]] = {}
        self._newest = 0
        #: Instances whose message may be begun, and those whose message is under way.
        self._ready: deque[str] = deque()
        self._busy: set[str] = set()
        #: The instance of each message that waits: for its moment (of the loop's clock), or for the end of the lock.
        self._waiting: dict[int, str] = {}
        self._due: list[tuple[float, int]] = []
        self._locked: set[int] = set()
        #: Rounds of tries that failed, by number.
        self._failed: dict[int, int] = {}
        self._no_subscribers_told = False
        for message in system.outbox.values():
            self._add(message)

    @property
    def busy(self) -> bool:
        """Whether a message is under way."""
        return bool(self._busy)

    def nudge(self, saves: Iterable[Save]) -> None:
        """These are saved: there may be a message, or the lock may be gone."""
        for save in saves:
            if type(save) is SaveOutboxMessage:
                self._add(save.message)
            elif type(save) is DropOutboxMessage:
                self._drop(save.number)
        if self._ready or (self._locked and self._system.locked_by is None):
            self._more.set()

    async def run(self) -> None:
        """Deliver the outbox, until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._more.clear()
                next_at = self._start_due(loop.time())
                try:
                    async with asyncio.timeout_at(next_at):
                        await self._more.wait()
                except TimeoutError:
                    continue
        finally:
            await self._tasks.close()

    def _start_due(self, now: float) -> float | None:
        """Begin what may be delivered now; return when the next one is due, if one only waits for that."""
        if self._locked and self._system.locked_by is None:
            for number in sorted(self._locked):
                self._let_go(number)
            self._locked.clear()
        while self._due and self._due[0][0] <= now:
            self._let_go(heappop(self._due)[1])
        while self._ready and len(self._busy) < AT_ONCE:
            self._begin(self._ready.popleft())
        return self._due[0][0] if self._due else None

    def _add(self, message: OutboxMessage) -> None:
        if message.number <= self._newest:
            return
        self._newest = message.number
        if message.instance_id not in self._lines:
            self._lines[message.instance_id] = deque()
            self._ready.append(message.instance_id)
        self._lines[message.instance_id].append(message.number)

    def _drop(self, number: int) -> None:
        self._failed.pop(number, None)
        self._locked.discard(number)
        self._let_go(number)

    def _let_go(self, number: int) -> None:
        """It waits no more, if it did."""
        instance_id = self._waiting.pop(number, None)
        if instance_id is not None:
            self._ready.append(instance_id)

    def _begin(self, instance_id: str) -> None:
        """Begin the first message of an instance that is not dropped."""
        line = self._lines[instance_id]
        while line and line[0] not in self._system.outbox:
            line.popleft()
        if not line:
            del self._lines[instance_id]
            return
        self._busy.add(instance_id)
        self._tasks.start(self._deliver(self._system.outbox[line[0]]), "outbox message")

    async def _deliver(self, message: OutboxMessage) -> None:
        await self._engine.settled()  # nothing is told that the store may not have
        self._engine.feed(facts.OutboxMessageBegun(message.number))
        try:
            if message.number not in self._system.outbox:
                return  # dropped before its call began: nobody waits for what it would do
            with logs.correlated(instance=message.instance_id):
                await self._send(message)
        except NoSubscribers as problem:
            if not self._no_subscribers_told:
                self._no_subscribers_told = True
                self._log.warning(
                    "outbox message refused", message=message.kind, instance=message.instance_id, cause=str(problem)
                )
            self._engine.feed(facts.OutboxMessageDone(message.number))
        except SiblingLocked:
            self._engine.feed(facts.OutboxMessageRefused(message.number))
            if message.number in self._system.outbox:
                self._waiting[message.number] = message.instance_id
                self._locked.add(message.number)
        except SiblingError as problem:
            self._late(message, problem)
        except Exception as problem:  # noqa: BLE001 - logged; not again at once
            self._log.exception("outbox message failed", message=message.kind, instance=message.instance_id)
            self._late(message, problem)
        else:
            self._engine.feed(facts.OutboxMessageDone(message.number))
        finally:
            self._busy.discard(message.instance_id)
            if message.number not in self._waiting:
                self._ready.append(message.instance_id)
            self._more.set()

    def _late(self, message: OutboxMessage, problem: Exception) -> None:
        """Try again later, ever later; give it up after about a day."""
        in_vain = isinstance(problem, SiblingRefused | NeverAsked)
        ended = facts.OutboxMessageRefused if in_vain else facts.OutboxMessageUnanswered
        self._engine.feed(ended(message.number))
        if message.number not in self._system.outbox:
            return  # dropped while it was under way
        failed = self._failed[message.number] = self._failed.get(message.number, 0) + 1
        if failed >= ROUNDS:
            self._log.error(
                "outbox message given up", message=message.kind, instance=message.instance_id, cause=str(problem)
            )
            self._engine.feed(facts.OutboxMessageDone(message.number))
            return
        self._log.warning("outbox message late", message=message.kind, instance=message.instance_id, cause=str(problem))
        pause = backoff.pause(failed - 1, PAUSE, PAUSE_MAX)
        self._waiting[message.number] = message.instance_id
        heappush(self._due, (asyncio.get_running_loop().time() + pause, message.number))

    async def _send(self, message: OutboxMessage) -> None:
        if message.kind is OutboxKind.STATUS:
            # One try each: one that is dropped between two must not be sent. An instance that is finished has
            # committed something, though nobody here may remember it: the text would hide that from Discovery.
            instance = await self._platform.apicore.instance(message.instance_id, tries=1)
            if instance is not None and instance.status == INSTANCE_FINISHED:
                return
            await self._platform.apicore.set_instance_status(message.instance_id, message.text, tries=1)
            return
        event = self._engine.repository.error_event(message)
        if event is not None:
            await self._platform.event_manager.send(event)

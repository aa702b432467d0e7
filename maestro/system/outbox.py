"""Delivers the outbox: messages to siblings that decide nothing, tried until they are delivered (`rules: outbox`).

What concerns one instance is delivered in order; different instances do not wait for each other.
"""

import asyncio
from typing import Final

from maestro import backoff, logs
from maestro.platform import NeverAsked, NoSubscribers, Platform, SiblingError, SiblingLocked, SiblingRefused
from maestro.rules import facts
from maestro.rules.state import OutboxKind, OutboxMessage, System
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
        #: Instances whose message is under way.
        self._busy: set[str] = set()
        #: Rounds of tries that failed, and the moment (of the loop's clock) before which there is no other, by number.
        self._failed: dict[int, int] = {}
        self._not_before: dict[int, float] = {}
        #: Messages that wait for the end of the lock.
        self._locked: set[int] = set()
        self._no_subscribers_told = False

    @property
    def busy(self) -> bool:
        """Whether a message is under way."""
        return bool(self._busy)

    def nudge(self) -> None:
        """There may be a message, or the lock may be gone."""
        if self._system.outbox:
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
        self._forget_dropped()
        next_at: float | None = None
        ahead = set(self._busy)
        for message in list(self._system.outbox.values()):
            if len(self._busy) >= AT_ONCE:
                break
            if message.instance_id in ahead:
                continue
            ahead.add(message.instance_id)
            due = self._not_before.get(message.number, now)
            if message.number in self._locked and self._system.locked_by is not None:
                continue
            if due > now:
                next_at = due if next_at is None else min(next_at, due)
            else:
                self._busy.add(message.instance_id)
                self._tasks.start(self._deliver(message), "outbox message")
        return next_at

    def _forget_dropped(self) -> None:
        for kept in (self._failed, self._not_before):
            for number in [number for number in kept if number not in self._system.outbox]:
                del kept[number]
        self._locked &= self._system.outbox.keys()

    async def _deliver(self, message: OutboxMessage) -> None:
        self._locked.discard(message.number)
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
            self._locked.add(message.number)
            self._engine.feed(facts.OutboxMessageRefused(message.number))
        except SiblingError as problem:
            self._late(message, problem)
        except Exception as problem:  # noqa: BLE001 - logged; not again at once
            self._log.exception("outbox message failed", message=message.kind, instance=message.instance_id)
            self._late(message, problem)
        else:
            self._engine.feed(facts.OutboxMessageDone(message.number))
        finally:
            self._busy.discard(message.instance_id)
            self._more.set()

    def _late(self, message: OutboxMessage, problem: Exception) -> None:
        """Try again later, ever later; give it up after about a day."""
        in_vain = isinstance(problem, SiblingRefused | NeverAsked)
        ended = facts.OutboxMessageRefused if in_vain else facts.OutboxMessageUnanswered
        self._engine.feed(ended(message.number))
        failed = self._failed[message.number] = self._failed.get(message.number, 0) + 1
        if failed >= ROUNDS:
            self._log.error(
                "outbox message given up", message=message.kind, instance=message.instance_id, cause=str(problem)
            )
            self._engine.feed(facts.OutboxMessageDone(message.number))
            return
        self._log.warning("outbox message late", message=message.kind, instance=message.instance_id, cause=str(problem))
        pause = backoff.pause(failed - 1, PAUSE, PAUSE_MAX)
        self._not_before[message.number] = asyncio.get_running_loop().time() + pause

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

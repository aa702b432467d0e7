"""Outcomes: what the Event Manager publishes of each process that ended, heard on a queue of Maestro's own.

They only hasten what is known later by other ways, so nothing of Maestro fails over them. Most say nothing to anybody
here, in thousands: they are acknowledged as cheaply as can be. The others go to the system they are about, which
acknowledges one once what it said is stored.

In a cluster the node that holds the owner message hears them. What is of use and about no system of its own it passes
on, once: every node hears that on a queue of its own.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from maestro import json_text, logs
from maestro.backoff import Backoff
from maestro.broker.base import Broker, BrokerError, BrokerUnavailable, Consumer, Delivery, Message
from maestro.broker.topology import NO_SYSTEM, OUTCOMES, OUTCOMES_BINDINGS, OUTCOMES_PASSED, passed_outcomes_of
from maestro.events import BadInput, ReplayRef, first_event
from maestro.messages.ingress import Ended
from maestro.tasks import Tasks

#: Unacknowledged outcomes at a time.
PREFETCH: Final = 256
#: Seconds between two looks whether the queue is there and bound; the bindings are somebody else's to allow. While they
#: are refused it begins with the first and doubles.
LOOK_SOON, LOOK = 2.0, 60.0
#: Domain's own word that a commit failed; it names no system.
DOMAIN_FAILED: Final = "system.process.persist.error"


def ended(body: bytes, ref: int) -> tuple[str, Ended] | None:
    """Return the system that an outcome is about (empty: it does not say) and what it says; None: nothing of use."""
    if b'"args"' not in body:
        return None
    try:
        event = first_event(body)
    except BadInput:
        return None
    name, scope = _text(event, "name"), _text(event, "scope")
    payload = event.get("payload")
    payload = payload if isinstance(payload, dict) else {}
    replay = _replay(event.get("reprocessing")) if scope == "reprocessing" else None
    done, failed = name.endswith(".done"), name.endswith((".error", ".exception"))
    stored = done and isinstance(payload.get("instance_id"), str)
    instance = _text(payload, "instance_id") or _text(payload, "instanceId") or _text(event, "instanceId")
    if not instance or not (stored or (replay and (done or failed)) or name == DOMAIN_FAILED):
        return None
    cause = (_text(payload, "message") or name)[:1000] if failed else ""
    branch = _text(event, "branch") or "master"
    return _text(event, "systemId"), Ended(
        ref, instance, name, _text(event, "version"), branch, replay, stored=stored, cause=cause
    )


def _replay(value: Any) -> ReplayRef | None:
    if not isinstance(value, dict):
        return None
    ref = ReplayRef(_text(value, "id"), _text(value, "instance_id"), _text(value, "send"))
    return ref if ref.id and ref.instance_id else None


def _text(fields: dict[str, Any], key: str) -> str:
    value = fields.get(key)
    return json_text.plain(value) if isinstance(value, str) else ""


class Outcomes:
    """Hears them, while the broker's events are ours.

    Args:
        take: gives a delivery of use to the lines of the system it names (of all, when it names none), and returns how
            many took it; each calls `settled` once.
        void: told when the deliveries given out became void.
        node: this node's name in its cluster; empty: there is none.
    """

    def __init__(
        self, broker: Broker, take: Callable[[str, Delivery], int], void: Callable[[], None], node: str = ""
    ) -> None:
        self._void = void
        self._passed = passed_outcomes_of(node) if node else None
        self._hears_passed = False
        self._tasks = Tasks(logs.get(actor="ingress"))
        self._broker = broker
        self._take = take
        self._log = logs.get(actor="ingress")
        self._consumer: Consumer | None = None
        #: Tasks of each delivery that several systems look at.
        self._open: dict[int, int] = {}
        self._said = ""

    async def run(self, held: asyncio.Event) -> None:
        """Keep the queue bound and consumed, for as long as the task lives. `held`: the owner message is, here."""
        if self._passed is None:
            await held.wait()
        pauses = Backoff(LOOK_SOON, LOOK)
        while True:
            if await self._bind(held.is_set()):
                pauses.reset()
                await self._look_again(held)
            else:
                await asyncio.sleep(pauses.next())

    async def _look_again(self, held: asyncio.Event) -> None:
        """Return when the queue is to be looked at: now and again, and soon after the owner message moved."""
        if self._passed is None:
            await asyncio.sleep(LOOK)
            return
        before = held.is_set()
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK):
                while held.is_set() is before:  # noqa: ASYNC110 - an event tells nobody that it was cleared
                    await asyncio.sleep(LOOK_SOON)

    async def _bind(self, held: bool) -> bool:  # noqa: FBT001 - as it is asked
        """Return whether what is to be heard here is bound and consumed."""
        try:
            if self._passed is not None:
                await self._broker.declare((self._passed,), (OUTCOMES_PASSED,))
                if not self._hears_passed:
                    await self._broker.consume(self._passed.queue, PREFETCH, self._told, self._lost, exclusive=False)
                    self._hears_passed = True
                if not held:
                    if self._consumer is not None:
                        await self._consumer.cancel()
                        self._consumer = None
                    return True
            await self._broker.declare(OUTCOMES_BINDINGS, remember=False)
            if self._consumer is None:
                # Nothing of what is passed on is held here.
                lost = self._lost if self._passed is None else lambda: None
                self._consumer = await self._broker.consume(OUTCOMES, PREFETCH, self._arrived, lost, exclusive=False)
        except BrokerUnavailable:
            return False  # what waits for the broker says so
        except BrokerError as problem:
            if str(problem) != self._said:
                self._said = str(problem)
                text = "outcomes are not heard: ends are known by calls and time-outs only"
                self._log.warning(text, cause=self._said)
            return False
        if self._said:
            self._log.info("outcomes are heard")
        self._said = ""
        return True

    def _lost(self) -> None:
        self._open.clear()
        self._void()

    def _arrived(self, delivery: Delivery) -> None:
        """Take what the Event Manager publishes."""
        found = None if delivery.problem else ended(delivery.body, 0)
        if found is not None and self._passed is not None:
            # All nodes hear it, this one as well; who owns the system takes it.
            self._tasks.start(self._pass_on(found[0], delivery), "pass an outcome on")
            return
        self._give(found, delivery)

    async def _pass_on(self, system_id: str, delivery: Delivery) -> None:
        try:
            message = Message(delivery.body, delivery.message_id, moved=True, original=delivery)
            await self._broker.publish(OUTCOMES_PASSED, system_id or NO_SYSTEM, message)
        except BrokerError as problem:  # it only hastens what is known otherwise
            self._log.info("an outcome was not passed on", cause=str(problem))
        self._broker.ack(delivery)

    def _told(self, delivery: Delivery) -> None:
        """Take what is passed on to all nodes."""
        self._give(None if delivery.problem else ended(delivery.body, 0), replace(delivery, queue=OUTCOMES))

    def _give(self, found: tuple[str, Ended] | None, delivery: Delivery) -> None:
        taken = self._take(found[0], delivery) if found is not None else 0
        if not taken:
            self._broker.ack(delivery)
        elif taken > 1:
            self._open[id(delivery)] = taken

    async def close(self) -> None:
        """Pass nothing on any more."""
        await self._tasks.close()

    def settled(self, delivery: Delivery) -> None:
        """Acknowledge an outcome once every system that looked at it is through with it."""
        left = self._open.pop(id(delivery), 1) - 1
        if left:
            self._open[id(delivery)] = left
        else:
            self._broker.ack(delivery)

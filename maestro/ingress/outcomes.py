"""Outcomes: what the Event Manager publishes of each process that ended, heard on a queue of Maestro's own.

They only hasten what is known later by other ways, so nothing of Maestro fails over them. Most say nothing to anybody
here, in thousands: they are acknowledged as cheaply as can be. The others go to the system they are about, which
acknowledges one once what it said is stored.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from maestro import logs
from maestro.backoff import Backoff
from maestro.broker.base import Broker, BrokerError, BrokerUnavailable, Consumer, Delivery
from maestro.broker.topology import OUTCOMES, OUTCOMES_BINDINGS
from maestro.events import BadInput, ReplayRef, first_event
from maestro.messages import Ended

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
    return value if isinstance(value, str) else ""


class Outcomes:
    """Hears them, while the broker's events are ours.

    Args:
        take: gives a delivery of use to the lines of the system it names (of all, when it names none), and returns how
            many took it; each calls `settled` once.
        void: told when the deliveries given out became void.
    """

    def __init__(self, broker: Broker, take: Callable[[str, Delivery], int], void: Callable[[], None]) -> None:
        self._void = void
        self._broker = broker
        self._take = take
        self._log = logs.get(actor="ingress")
        self._consumer: Consumer | None = None
        #: Tasks of each delivery that several systems look at.
        self._open: dict[int, int] = {}
        self._said = ""

    async def run(self, owned: asyncio.Event) -> None:
        """Keep the queue bound and consumed, for as long as the task lives."""
        await owned.wait()
        pauses = Backoff(LOOK_SOON, LOOK)
        while True:
            if await self._bind():
                pauses.reset()
                await asyncio.sleep(LOOK)
            else:
                await asyncio.sleep(pauses.next())

    async def _bind(self) -> bool:
        """Return whether the queue is bound and consumed."""
        try:
            await self._broker.declare(OUTCOMES_BINDINGS, remember=False)
            if self._consumer is None:
                self._consumer = await self._broker.consume(
                    OUTCOMES, PREFETCH, self._arrived, self._lost, exclusive=False
                )
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
        found = None if delivery.problem else ended(delivery.body, 0)
        taken = self._take(found[0], delivery) if found is not None else 0
        if not taken:
            self._broker.ack(delivery)
        elif taken > 1:
            self._open[id(delivery)] = taken

    def settled(self, delivery: Delivery) -> None:
        """Acknowledge an outcome once every system that looked at it is through with it."""
        left = self._open.pop(id(delivery), 1) - 1
        if left:
            self._open[id(delivery)] = left
        else:
            self._broker.ack(delivery)

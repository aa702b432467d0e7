"""A system's link to ingress: deliveries come in; acknowledgements, and events for other queues, go out."""

import time
from collections.abc import Callable
from functools import partial

from maestro import faultpoints, logs
from maestro.links.session import Session
from maestro.messages.error_queue import ErrorsGrouped, ErrorsPeeked, ErrorsRedriven
from maestro.messages.ingress import (
    Ack,
    Arrived,
    DeadLetter,
    DeadLettered,
    Ended,
    FeedWaitQueue,
    Park,
    Parked,
    PersistSwept,
    QueuesMeasured,
    SweepPersist,
    WaitQueueDrained,
)
from maestro.messages.leaving import LeaveAnswered
from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.state import System
from maestro.settings.servers import BrokerSettings
from maestro.system.arrivals import accept
from maestro.system.changes import Changes
from maestro.system.dispatcher import Handlers
from maestro.system.engine import Engine
from maestro.system.leave import Leave
from maestro.telemetry.definitions import BAD_INPUT, ERRORS, NO_EVENT
from maestro.telemetry.metrics import MetricsRegistry
from maestro.telemetry.tracing import Trace

#: Least prefetch at which acknowledgements may wait for others: with fewer, the broker would send nothing meanwhile.
GATHER_FROM = 16


class IngressClient:
    """Feeds the engine what ingress delivers, and carries out what is for ingress."""

    def __init__(
        self,
        system: System,
        engine: Engine,
        changes: Changes,
        settings: BrokerSettings,
        registry: MetricsRegistry,
        trace: Trace | None,
    ) -> None:
        self._system = system
        self._engine = engine
        self._changes = changes
        self._settings = settings
        self._registry = registry
        self._trace = trace
        self._log = logs.get(system=system.id)
        self._session: Session | None = None
        self.leave = Leave()
        #: Called with the depths of the queues, and with what was found on an error queue.
        self.measured: Callable[[dict[str, int]], None] = lambda _: None
        self.answered: Callable[[ErrorsPeeked | ErrorsGrouped | ErrorsRedriven], None] = lambda _: None

    def attach(self, session: Session) -> None:
        """Begin a session: whatever an earlier one carried and is not settled comes again in it."""
        session.on_item, session.on_lost = self._take, self.lost
        self._session = session
        self.leave.met(session)
        self._engine.feed(facts.IngressAttached())

    def lost(self) -> None:
        """There is no session."""
        self._session = None
        self.leave.lost()

    def post(self, item: object, *, lazy: bool = False) -> bool:
        """Send an item; False when there is no session. A `lazy` one travels with others."""
        if self._session is not None:
            self._session.post(item, lazy=lazy)
        return self._session is not None

    # --- what comes ----------------------------------------------------------------------------------------------

    def _take(self, item: object) -> None:
        match item:
            case Arrived():
                self._arrived(item)
            case Ended():
                self._engine.feed(
                    facts.InstanceEnded(
                        item.instance_id, item.name, item.version, item.branch, item.replay, item.stored, item.cause,
                        item.ref,
                    )
                )  # fmt: skip
            case Parked(key=key):
                self._engine.feed(facts.Parked(key))
            case DeadLettered(key=key, number=number):
                self._engine.feed(facts.DeadLettered(key, number))
            case PersistSwept(id=id_, send=send):
                self._engine.feed(facts.PersistSwept(id_, send))
            case WaitQueueDrained():
                self._engine.feed(facts.WaitQueueDrained())
            case QueuesMeasured(depths=depths):
                self.measured(dict(depths))
            case ErrorsPeeked() | ErrorsGrouped() | ErrorsRedriven():
                self.answered(item)
            case LeaveAnswered():
                self.leave.answered(item)

    def _arrived(self, arrived: Arrived) -> None:
        accepted = accept(arrived, self._system.id, self._settings.max_event_bytes)
        if isinstance(accepted, DeadLetter):
            self._system.failed("", accepted.reason, time.time())
            self._changes.moved(())
            self._registry.count(ERRORS, NO_EVENT if accepted.no_event else BAD_INPUT)
            self._log.error("bad input", reason=accepted.reason, verdict="error")
            self.post(accepted)
        else:
            if self._trace is not None:
                self._trace.delivered(accepted.key, arrived.at)
            self._engine.feed(accepted, arrived.body)

    # --- commands ------------------------------------------------------------------------------------------------

    def handlers(self) -> Handlers:
        """Return what is carried out here."""
        return {
            do.AckDelivery: self._acknowledge,
            do.AckOutcome: self._acknowledge_outcome,
            do.ParkEvent: self._park,
            do.DeadLetterEvent: self._dead_letter,
            do.FeedWaitQueue: self._feed_wait_queue,
            do.SweepPersist: self._sweep_persist,
        }

    @property
    def _acks_gather(self) -> bool:
        """Whether acknowledgements wait for others: each replay's sync gives one free; unless few may be unacked."""
        return self._settings.prefetch >= GATHER_FROM and self._system.running() is not None

    def _acknowledge(self, command: do.AckDelivery) -> None:
        faultpoints.reach("system.before_ack")
        self.post(Ack(command.ref), lazy=self._acks_gather)

    def _acknowledge_outcome(self, command: do.AckOutcome) -> None:
        self.post(Ack(command.ref), lazy=True)

    def _park(self, command: do.ParkEvent) -> None:
        self._move(command.key, command.refs, lambda body: Park(command.key, body, command.refs))

    def _dead_letter(self, command: do.DeadLetterEvent) -> None:
        key, refs, number = command.key, command.refs, command.number
        order = partial(
            DeadLetter, key, reason=command.reason, no_event=False, refs=refs, number=number, doubt=command.doubt
        )
        self._move(key, refs, order, number)

    def _sweep_persist(self, command: do.SweepPersist) -> None:
        self.post(SweepPersist(command.id, command.send))

    def _feed_wait_queue(self, command: do.FeedWaitQueue) -> None:
        self.post(FeedWaitQueue(command.on))

    def _move(
        self, key: str, refs: tuple[int, ...], order: Callable[[bytes], Park | DeadLetter], number: int = 0
    ) -> None:
        """Have an event moved to another queue. Without a body it was moved before, or will be delivered again.

        With another `number` it was moved before, and is back.
        """
        delivery = self._system.deliveries.get(key)
        if delivery is not None and number not in (0, delivery.number):
            delivery = None
        body = self._engine.repository.body(delivery.number) if delivery is not None else None
        if body is not None:
            self.post(order(body))
        elif delivery is None or delivery.done:
            for ref in refs:
                self.post(Ack(ref))

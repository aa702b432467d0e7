"""The model of RabbitMQ and of the ingress actor in front of one system: queues, redelivery, confirms, lives."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

from maestro import events
from maestro.rules import commands as do
from maestro.rules import facts
from tests.simulation.engine import Engine

PREFETCH = 6
#: A body is delivered again and again, and looked at in the end.
parse_celery = lru_cache(4096)(events.parse_celery)


@dataclass(frozen=True)
class Message:
    """One message of a persist or wait queue."""

    uid: str
    body: bytes
    redelivered: bool = False
    redriven: bool = False
    #: When it was published.
    at: float = 0.0


class Ingress:
    """The persist queue, wait queue and error queue of one system, and the actor that consumes them.

    Facts reach the system in the order they were sent, or, when a life ends, not at all.
    """

    def __init__(self, engine: Engine, arrive: Callable[[Message, int, bool], None]) -> None:
        self.engine = engine
        self.arrive = arrive
        self.persist: deque[Message] = deque()
        self.wait: deque[Message] = deque()
        self.errors: list[tuple[Message, str]] = []
        #: Unsettled deliveries by reference; whether they are of the wait queue.
        self.unsettled: dict[int, tuple[Message, bool]] = {}
        #: Ids of the messages that a purge took from the wait queue.
        self.purged: set[str] = set()
        self.feeding = False
        self.attached = False
        self.life = 0
        self._refs = 0
        self._taken = 0
        #: How many deliveries of the persist queue a sweep waits for, and what it is for.
        self._sweeps: list[tuple[int, str, str]] = []
        #: How slow this actor is.
        self._lag = engine.random.choice((1.0, 10.0))
        self._channel_free = 0.0
        self._orders_free = 0.0
        self.tell: Callable[[facts.Fact], None] = lambda _fact: None
        #: Called when a message is put on the error queue.
        self.on_error: Callable[[], None] = lambda: None
        #: Asked before a delivery of the persist queue is settled: a check of the rules.
        self.on_settle: Callable[[Message], None] = lambda _message: None

    # --- the broker ---------------------------------------------------------------------------------------

    def publish(self, message: Message) -> None:
        """RabbitMQ accepts a persist event."""
        self.persist.append(replace(message, at=self.engine.now))
        self.engine.after(0.0, self._deliver)

    def _deliver(self) -> None:
        if not self.attached:
            return
        for queue, of_wait in ((self.persist, False), (self.wait, True)):
            if of_wait and not self.feeding:
                continue
            while queue and sum(flag is of_wait for _, flag in self.unsettled.values()) < PREFETCH:
                message = queue.popleft()
                self._refs += 1
                self._taken += not of_wait
                self.unsettled[self._refs] = (message, of_wait)
                self._send(self.arrive, message, self._refs, of_wait)
        self._swept()

    def _swept(self) -> None:
        """Tell of the sweeps that are over."""
        over = [sweep for sweep in self._sweeps if self._taken >= sweep[0] or not self.persist]
        self._sweeps = [sweep for sweep in self._sweeps if sweep not in over]
        for _, id_, send in over:
            self._send(self.tell, facts.PersistSwept(id_, send))

    def _requeue(self, *, wait_only: bool = False) -> None:
        for ref, (message, of_wait) in sorted(self.unsettled.items(), reverse=True):
            if of_wait or not wait_only:
                (self.wait if of_wait else self.persist).appendleft(replace(message, redelivered=True))
                del self.unsettled[ref]

    # --- lives --------------------------------------------------------------------------------------------

    def detach(self) -> None:
        """This life of the actor, or its link to the system, ends."""
        self.life += 1
        self.attached = self.feeding = False
        self._sweeps.clear()
        self._requeue()

    def attach(self) -> None:
        """A new life begins."""
        self.attached = True
        self._send(self.tell, facts.IngressAttached())
        self.engine.after(0.0, self._deliver)

    def _send(self, act: Callable[..., None], *args: object) -> None:
        """Tell the system, in order, unless this life ends before."""
        self._channel_free = max(self._channel_free, self.engine.now + self.engine.soon(0.2 * self._lag))
        self.engine.at(self._channel_free, self._in_life, self.life, act, *args)

    def _in_life(self, life: int, act: Callable[..., None], *args: object) -> None:
        if life == self.life:
            act(*args)

    # --- orders -------------------------------------------------------------------------------------------

    def order(self, command: do.Command, body: bytes | None) -> None:
        """Carry out the system's command, in the order they were given."""
        self._orders_free = max(self._orders_free, self.engine.now + self.engine.soon(0.3 * self._lag))
        self.engine.at(self._orders_free, self._in_life, self.life, self._obey, command, body)

    def _obey(self, command: do.Command, body: bytes | None) -> None:
        match command:
            case do.AckDelivery(ref):
                self._settle((ref,))
            case do.ParkEvent(key, refs):
                if body is None:
                    self._settle(refs)  # it is done, or the only ones are void
                else:
                    self.wait.append(Message(key, body))
                    self._later(self._parked, key, refs)
            case do.DeadLetterEvent(key, number, reason, refs):
                if body is None:
                    self._settle(refs)
                else:
                    self.errors.append((Message(key, body), reason))
                    self.on_error()
                    self._later(self._dead_lettered, key, number, refs)
            case do.SweepPersist(id_, send):
                self._sweeps.append((self._taken + len(self.persist), id_, send))
                self._swept()
            case do.FeedWaitQueue(on):
                self.feeding = on
                self._requeue(wait_only=True)  # at each turn the system forgets the copies that it was handed
                self._look_for_the_end()
        self._deliver()

    def _later(self, act: Callable[..., None], *args: object) -> None:
        self.engine.after(self.engine.soon(0.2), self._in_life, self.life, act, *args)

    def _parked(self, key: str, refs: tuple[int, ...]) -> None:
        self._settle(refs)
        self._send(self.tell, facts.Parked(key))

    def _dead_lettered(self, key: str, number: int, refs: tuple[int, ...]) -> None:
        self._settle(refs)
        self._send(self.tell, facts.DeadLettered(key, number))

    def _settle(self, refs: tuple[int, ...]) -> None:
        for ref in refs:
            message, of_wait = self.unsettled.pop(ref, (None, False))
            if message is not None and not of_wait:
                self.on_settle(message)
        self._look_for_the_end()
        self._deliver()

    def _look_for_the_end(self) -> None:
        if self.feeding and not self.wait and not any(of_wait for _, of_wait in self.unsettled.values()):
            self._send(self.tell, facts.WaitQueueDrained())

    def holds_copy(self, uid: str) -> bool:
        """Whether some message of this event is left, unsettled ones included, or the wait queue had it until a purge.

        One of the persist queue is as good as one of the wait queue: it is not settled before another is there.
        """
        unsettled = (message for message, _ in self.unsettled.values())
        return uid in self.purged or any(message.uid == uid for message in (*self.wait, *self.persist, *unsettled))

    @property
    def idle(self) -> bool:
        """Nothing is queued or unsettled."""
        return not (self.persist or self.wait or self.unsettled)

"""The broker and the ingress actor as this driver sees them: lists, and a first-in-first-out wire each way."""

from collections import deque
from dataclasses import dataclass, field, replace

from maestro.rules import commands as do
from maestro.rules import facts

PREFETCH = 4


@dataclass(frozen=True)
class Message:
    """One message."""

    id: str
    body: bytes
    redelivered: bool = False
    redriven: bool = False


@dataclass
class Broker:
    """One system's queues, and what travels between them and the system."""

    persist: deque[Message] = field(default_factory=deque)
    wait: deque[Message] = field(default_factory=deque)
    errors: list[Message] = field(default_factory=list)
    #: Deliveries that are not settled: message, and whether it came off the wait queue.
    out: dict[int, tuple[Message, bool]] = field(default_factory=dict)
    to_system: deque[object] = field(default_factory=deque)
    to_ingress: deque[tuple[do.Command, bytes | None]] = field(default_factory=deque)
    feeding: bool = False
    refs: int = 0
    taken: int = 0
    sweeps: list[tuple[int, do.SweepPersist]] = field(default_factory=list)

    def restart(self) -> None:
        """Ingress, or its link, begins another life: what was out is ready again."""
        for ref in sorted(self.out, reverse=True):
            message, waits = self.out.pop(ref)
            (self.wait if waits else self.persist).appendleft(replace(message, redelivered=True))
        self.to_system.clear()
        self.to_ingress.clear()
        self.sweeps.clear()
        self.feeding = False
        self.to_system.append(facts.IngressAttached())

    def deliver(self) -> None:
        """Put what may be out on its way."""
        for queue, waits in ((self.persist, False), (self.wait, True)):
            while queue and (self.feeding or not waits) and sum(w is waits for _, w in self.out.values()) < PREFETCH:
                message = queue.popleft()
                self.refs += 1
                self.taken += not waits
                self.out[self.refs] = (message, waits)
                self.to_system.append((message, self.refs, waits))
        for sweep in [sweep for sweep in self.sweeps if self.taken >= sweep[0] or not self.persist]:
            self.sweeps.remove(sweep)
            self.to_system.append(facts.PersistSwept(sweep[1].id, sweep[1].send))

    def obey(self) -> None:
        """Carry out the system's oldest order."""
        command, body = self.to_ingress.popleft()
        match command:
            case do.AckDelivery(ref=ref):
                self.out.pop(ref, None)
            case do.ParkEvent(key=key, refs=refs):
                if body is not None:
                    self.wait.append(Message(key, body))
                    self.to_system.append(facts.Parked(key))
                self._settle(refs)
            case do.DeadLetterEvent(key=key, number=number, refs=refs):
                if body is not None:
                    self.errors.append(Message(key, body))
                    self.to_system.append(facts.DeadLettered(key, number))
                self._settle(refs)
            case do.FeedWaitQueue(on=on):
                self.feeding = on
                for ref in sorted((ref for ref, (_, waits) in self.out.items() if waits), reverse=True):
                    self.wait.appendleft(replace(self.out.pop(ref)[0], redelivered=True))
            case do.SweepPersist():
                self.sweeps.append((self.taken + len(self.persist), command))
        if self.feeding and not self.wait and not any(waits for _, waits in self.out.values()):
            self.to_system.append(facts.WaitQueueDrained())

    def _settle(self, refs: tuple[int, ...]) -> None:
        for ref in refs:
            self.out.pop(ref, None)

    @property
    def quiet(self) -> bool:
        """Nothing is queued, out, or on its way."""
        return not (self.persist or self.wait or self.out or self.to_system or self.to_ingress)

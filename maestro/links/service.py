"""What an actor and the service inside it may expect of each other.

A service holds the logic and lives on its own asyncio loop, in its own thread; the actor around it (its shell,
`maestro.actors.base`) carries messages. Services know neither thespian nor each other.

Imports nothing of Maestro but `maestro.messages` and the plain values of `maestro.telemetry.metrics`.
"""

from typing import Protocol

from msgspec import Struct

from maestro.messages import Answer, Question
from maestro.telemetry.metrics import Snapshot

#: Where messages can be sent to: an actor's address, opaque to a service. Compare with `==`, never by its text.
Address = object


class Asked(Struct, frozen=True):
    """A question for `Service.receive`. Answer it by sending `answered(...)` to the sender, in any order, once."""

    correlation: int
    question: Question

    def answered(self, answer: Answer) -> "Answered":
        """Return the message that carries `answer` to the asker."""
        return Answered(self.correlation, answer)


class Answered(Struct, frozen=True):
    """The answer to the question of that correlation id."""

    correlation: int
    answer: Answer


class Attach(Struct, frozen=True):
    """A system's actor is up at `address`. Ingress and cascade get each change of a system once, in order."""

    version: int
    system_id: str
    address: Address
    epoch: int


class Detach(Struct, frozen=True):
    """A system's actor is gone; an `Attach` with a new epoch follows once it is back."""

    version: int
    system_id: str


class Outlet(Protocol):
    """The way out of a service; to be called on the service's loop thread only."""

    def send(self, address: Address, message: object) -> None:
        """Hand `message` to the actor's thread. Never blocks; the message may get lost, doubled or reordered."""


class Service(Protocol):
    """The logic inside an actor.

    It is built as `Factory(settings=..., epoch=..., outlet=...)`, a system's with `system_id=...` as well, on its
    loop's thread. What it needs is imported before the fork (`maestro.actors.preload`).
    """

    @property
    def problem(self) -> str:
        """What keeps the service from its work now, in words; empty: nothing. Read on the loop's thread."""

    def figures(self) -> Snapshot | None:
        """Return what the process measured, on the loop's thread; it goes to the supervisor with each sign of life.

        None for a system, which is asked with `Measure`.
        """

    async def start(self) -> None:
        """Get ready. When it raises, the actor's process ends and the supervisor starts a new one."""

    async def stop(self) -> None:
        """Finish what is in hand and close everything; messages go on arriving until it returns.

        A system has 5 s for it, ingress 2 s, cascade 1 s; then the process is killed.
        """

    def receive(self, message: object, sender: Address) -> None:
        """Take a message, on the loop's thread, from the moment `start` is called. What it raises is logged."""

    def answer_now(self, question: Question) -> Answer | None:
        """Answer from a snapshot, on the ACTOR's thread, without a lock; None passes the question to `receive`.

        It is called only once `start` has returned; what comes before that is answered `UNAVAILABLE`.
        """

"""What the gateway asks of the rest of Maestro. The actors' side implements it; tests use a fake of it."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Final, Protocol, TypeVar

from maestro.actors.errors import Unavailable, UnknownSystem
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import Question
from maestro.telemetry.metrics import ActorState, Snapshot

__all__ = ["ActorClient", "Unavailable", "UnknownSystem", "answer_of", "of_each"]

T = TypeVar("T")

#: Systems asked at once for a list over all of them; more would only queue up in the actors.
WIDTH: Final = 16


class ActorClient(Protocol):
    """The way from an HTTP handler to the system actors. All methods are called on one asyncio event loop."""

    async def ask(self, system_id: str, question: Question, *, timeout: float) -> Answer:  # noqa: ASYNC109
        """Ask a system and return its answer. `Answer.body` is the JSON to send, passed through unparsed.

        The client owns the `timeout` (seconds): it returns or raises by then, however the actor behaves. A
        question that timed out, or whose caller was cancelled, may still be carried out.

        Raises:
            UnknownSystem: no such system is served.
            Unavailable: the system cannot be reached now (or the answer says so with `Code.UNAVAILABLE`).
            TimeoutError: no answer within `timeout`.
        """

    def systems(self) -> tuple[str, ...]:
        """Return the ids of the systems served, sorted. From memory: it never waits."""

    def knows(self, system_id: str) -> bool:
        """Whether a system is served. From memory, at once however many there are."""

    async def install(self, system_id: str) -> None:
        """Serve a system from now on; returns once that is stored. Twice is no error. May be cancelled by a time-out.

        Raises:
            Unavailable: it cannot be served now.
        """

    async def at_rest(self, system_ids: Collection[str]) -> Mapping[str, str]:
        """Return which of these systems are passivated, and the `cursor` of each one's newest record.

        It is empty where there is no record. A system that nobody can tell about now counts as awake.
        """

    def passivated(self) -> int:
        """Return how many of the systems are passivated. It never waits."""

    def actors(self) -> tuple[ActorState, ...]:
        """Return the processes as they were seen last, with what some of them measured. It never waits."""

    def measured(self) -> Snapshot:
        """Return what was measured of the way to the actors, in this process."""

    async def readiness(self) -> Mapping[str, str]:
        """Return what keeps Maestro from working, as part -> problem; empty when it is ready."""


async def answer_of(actor_client: ActorClient, system_id: str, question: Question, timeout: float) -> Answer:  # noqa: ASYNC109 - the actor client's own
    """Ask a system that may be away. What keeps it from answering is the message of an `UNAVAILABLE` answer."""
    try:
        return await actor_client.ask(system_id, question, timeout=timeout)
    except (TimeoutError, Unavailable, UnknownSystem) as problem:
        return Answer(Code.UNAVAILABLE, message=str(problem) or "no answer in time")


async def of_each(systems: Iterable[str], ask: Callable[[str], Awaitable[T]]) -> list[T]:
    """Return what `ask` finds for each system, in their order: `WIDTH` of them are asked at once."""
    places = asyncio.Semaphore(WIDTH)

    async def one(system_id: str) -> T:
        async with places:
            return await ask(system_id)

    return await asyncio.gather(*map(one, systems))

"""Who the request at hand comes from, and the one place where its systems are checked.

The application's actor client is a `GuardedActorClient`: no handler can ask a system that its caller may not
touch, and none
needs to think of it.
"""

from collections.abc import Collection, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from maestro.access.roles import Principal
from maestro.http.actor_client import ActorClient
from maestro.http.replies import Denied, Problem
from maestro.messages.answers import Answer
from maestro.messages.questions import Question
from maestro.telemetry.metrics import ActorState, Snapshot


@dataclass(slots=True)
class RequestContext:
    """One request's caller, and what was found out on the way."""

    principal: Principal
    #: The system the request turned out to be about.
    system: str = ""


CONTEXT: Final[ContextVar[RequestContext | None]] = ContextVar("CONTEXT", default=None)


def principal() -> Principal:
    """Return the caller of the request at hand.

    Raises:
        Problem: 401: nobody was let in; a handler that is not wrapped.
    """
    context = CONTEXT.get()
    if context is None:
        raise Problem(401, "a credential is needed")
    return context.principal


def check_system(system_id: str) -> None:
    """Note that the request is about this system. Raises `Problem` (403) when its caller may not touch it."""
    caller = principal()
    context = CONTEXT.get()
    assert context is not None, "there is a caller"
    context.system = system_id
    if not caller.may_touch(system_id):
        raise Denied(403, f"{caller.name} is not allowed on system {system_id!r}")


def unrestricted(handler: Handler) -> Handler:
    """Return a handler for callers that may touch every system: what it answers is about all of them."""

    async def handle(request: web.Request) -> web.StreamResponse:
        caller = principal()
        if caller.systems is not None:
            raise Denied(403, f"{caller.name} is not allowed on every system")
        return await handler(request)

    return handle


class CallersAccess:
    """What the caller of the request at hand may touch (see `documents.Access`)."""

    def may_touch(self, system_id: str) -> bool:
        """Whether it may touch a system."""
        return principal().may_touch(system_id)

    def about(self, system_id: str) -> None:
        """Note that the request is about this system. Raises `Problem` (403) when its caller may not touch it."""
        check_system(system_id)


class GuardedActorClient:
    """An actor client that serves the caller of the request at hand only what it may touch."""

    def __init__(self, actor_client: ActorClient) -> None:
        self._actor_client = actor_client

    async def ask(self, system_id: str, question: Question, *, timeout: float) -> Answer:  # noqa: ASYNC109 - the actor client's
        """Ask a system. Raises `Problem` (403), and what the actor client raises."""
        check_system(system_id)
        return await self._actor_client.ask(system_id, question, timeout=timeout)

    def systems(self) -> tuple[str, ...]:
        """Return the systems served that the caller may touch, sorted."""
        caller = principal()
        return tuple(filter(caller.may_touch, self._actor_client.systems()))

    def knows(self, system_id: str) -> bool:
        """Whether a system is served, and the caller may touch it."""
        return principal().may_touch(system_id) and self._actor_client.knows(system_id)

    async def install(self, system_id: str) -> None:
        """Serve a system from now on. Raises `Problem` (403), and what the actor client raises."""
        check_system(system_id)
        await self._actor_client.install(system_id)

    async def at_rest(self, system_ids: Collection[str]) -> Mapping[str, str]:
        """Return which of these systems are passivated, and the `cursor` of each one's newest record."""
        return await self._actor_client.at_rest(system_ids)

    def passivated(self) -> int:
        """Return how many systems are passivated, of all that are served."""
        return self._actor_client.passivated()

    def actors(self) -> tuple[ActorState, ...]:
        """Return the processes as they were seen last."""
        return self._actor_client.actors()

    def measured(self) -> Snapshot:
        """Return what was measured of the way to the actors."""
        return self._actor_client.measured()

    async def readiness(self) -> Mapping[str, str]:
        """Return what keeps Maestro from working."""
        return await self._actor_client.readiness()

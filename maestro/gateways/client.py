"""`ClusterClient`: the actor client of a node in a cluster. It asks each system where it is."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final, Protocol

from aiohttp import ClientSession

from maestro.actors.errors import Unavailable, UnknownSystem
from maestro.gateways.dialer import Elsewhere, NodeDialer
from maestro.gateways.items import NodeHello
from maestro.gateways.listener import LEASE_OVER
from maestro.gateways.owners import Owners
from maestro.http.actor_client import ActorClient
from maestro.messages import Answer, CheckLock, Question
from maestro.telemetry.metrics import ActorState, Snapshot

#: Seconds after which who is refused because a system moves may ask again.
RETRY: Final = 1


class RemoteLocks(Protocol):
    """Locks as they are stored, whichever node owns the system."""

    async def ask(self, system_id: str, seconds: float) -> Answer | None:
        """Answer a lock check, by what is stored after the call. None: the store does not say.

        Raises:
            UnknownSystem: there is no such system.
            Unavailable: the store cannot be asked now.
            TimeoutError: it gave no answer within `seconds`.
        """


class ClusterClient:
    """See `maestro.http.actor_client.ActorClient`.

    A question is put to one node, and to another one only when the first has said that it did nothing. So it ends, and
    is carried out once at most.

    Args:
        own: the node's own actor client: it knows the systems that this node serves, and no others.
        owners: where the other systems are.
        locks: the stored locks.
        believed: whether this node's lease is believed; what its own systems answer while it is not may be old.
        register: makes a system known to the cluster, so that a node claims it.
    """

    def __init__(
        self,
        own: ActorClient,
        owners: Owners,
        locks: RemoteLocks,
        dialed: "Dialers",
        *,
        believed: Callable[[], bool],
        register: Callable[[str], Awaitable[None]],
    ) -> None:
        self._own = own
        self._owners = owners
        self._locks = locks
        self._dialers = dialed
        self._believed = believed
        self._register = register

    async def ask(self, system_id: str, question: Question, *, timeout: float) -> Answer:  # noqa: ASYNC109 - the protocol
        """See `ActorClient.ask`. `Unavailable` also while the system moves from one node to another."""
        if isinstance(question, CheckLock):
            return await self._check_lock(system_id, question, timeout)
        return await self._ask(system_id, question, timeout)

    async def _check_lock(self, system_id: str, question: CheckLock, seconds: float) -> Answer:
        """Answer by what is stored: an owner stores a lock before it acts under it, and its end after its last act.

        Only the store can say that there is no such system, which may proceed: what is known here may be old.
        """
        until = time.monotonic() + seconds
        own_only = False
        try:
            answer = await self._locks.ask(system_id, seconds / 2)
        except (Unavailable, TimeoutError):
            # The store is away. This node's own systems know their locks for as long as its lease is believed.
            answer, own_only = None, True
        if answer is not None:
            return answer
        left = max(0.0, until - time.monotonic())
        try:
            return await (self._ask_own if own_only else self._ask)(system_id, question, left)
        except UnknownSystem:
            raise Unavailable(f"the lock of system {system_id!r} is not known now", retry_after=RETRY) from None

    async def _ask(self, system_id: str, question: Question, seconds: float) -> Answer:
        until = time.monotonic() + seconds
        try:
            return await self._ask_own(system_id, question, seconds)
        except UnknownSystem:
            if self._owners.seen and not self._owners.knows(system_id):
                raise
        asked = self._owners.of(system_id)
        try:
            return await self._dialers.to(asked).ask(system_id, question, seconds)
        except Elsewhere:
            self._owners.look()
            now = self._owners.of(system_id)
            if now in {asked, ""}:
                raise self._moving(system_id) from None
        try:  # It moved while it was asked for, and nothing was done.
            return await self._dialers.to(now).ask(system_id, question, max(0.0, until - time.monotonic()))
        except Elsewhere:
            raise self._moving(system_id) from None

    async def _ask_own(self, system_id: str, question: Question, seconds: float) -> Answer:
        answer = await self._own.ask(system_id, question, timeout=seconds)
        if not self._believed():
            raise Unavailable(LEASE_OVER, retry_after=RETRY)
        return answer

    def _moving(self, system_id: str) -> Unavailable:
        return Unavailable(f"system {system_id!r} is moving from one node to another", retry_after=RETRY)

    def systems(self) -> tuple[str, ...]:
        """See `ActorClient.systems`: those of all nodes."""
        known, own = self._owners.systems(), self._own.systems()
        return known if all(map(self._owners.knows, own)) else tuple(sorted({*known, *own}))

    async def install(self, system_id: str) -> None:
        """See `ActorClient.install`: the cluster knows it from now on, and a node will claim it."""
        if not self._owners.knows(system_id):
            await self._register(system_id)
            self._owners.look()

    def newest_at_rest(self, system_id: str) -> str | None:
        """See `ActorClient.newest_at_rest`: of this node's systems."""
        return self._own.newest_at_rest(system_id)

    def passivated(self) -> int:
        """See `ActorClient.passivated`: of this node's systems."""
        return self._own.passivated()

    def actors(self) -> tuple[ActorState, ...]:
        """See `ActorClient.actors`: this node's."""
        return self._own.actors()

    def measured(self) -> Snapshot:
        """See `ActorClient.measured`."""
        return self._own.measured()

    async def readiness(self) -> Mapping[str, str]:
        """See `ActorClient.readiness`: this node's."""
        unseen = {} if self._owners.seen else {"cluster": "which nodes there are is not known yet"}
        return unseen | dict(await self._own.readiness())


class Dialers:
    """This node's sessions with the others, one each."""

    def __init__(self, http: ClientSession, hello: NodeHello, owners: Owners, secret: str) -> None:
        self._http = http
        self._hello = hello
        self._owners = owners
        self._secret = secret
        self._dialers: dict[str, NodeDialer] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def to(self, node: str) -> NodeDialer:
        """Return what asks that node. Raises `Unavailable`: there is none to ask."""
        url = self._owners.url(node)
        if not url or node == self._hello.node:
            self._owners.look()
            raise Unavailable("no node owns the system now", retry_after=RETRY)
        dialer = self._dialers.get(node)
        if dialer is None or dialer.url != url:
            self._drop({one for one in self._dialers if one not in self._owners.nodes} | {node})
            dialer = self._dialers[node] = NodeDialer(self._http, self._hello, node, url, self._secret)
        return dialer

    def _drop(self, nodes: set[str]) -> None:
        for node in nodes & self._dialers.keys():
            task = asyncio.get_running_loop().create_task(self._dialers.pop(node).close(), name=f"close {node}")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """End all sessions."""
        self._drop(set(self._dialers))
        await asyncio.gather(*self._closing, return_exceptions=True)


@asynccontextmanager
async def dialing(hello: NodeHello, owners: Owners, secret: str) -> AsyncIterator[Dialers]:
    """Have this node's sessions with the others while the context is open."""
    async with ClientSession() as http:
        dialers = Dialers(http, hello, owners, secret)
        try:
            yield dialers
        finally:
            await dialers.close()

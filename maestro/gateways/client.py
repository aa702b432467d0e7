"""`ClusterClient`: the actor client of a node in a cluster. It asks each system where it is."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final, Protocol

from aiohttp import ClientSession

from maestro.actors.errors import Unavailable, UnknownSystem
from maestro.gateways.dialer import Elsewhere, NodeDialer
from maestro.gateways.items import NodeHello
from maestro.gateways.listener import LEASE_OVER
from maestro.gateways.owners import Owners
from maestro.http.actor_client import ActorClient
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import CheckLock, Question
from maestro.store.base import StoredSystem, StoreError
from maestro.telemetry.metrics import ActorState, Snapshot

#: Seconds after which who is refused because a system moves may ask again.
RETRY: Final = 1
#: Seconds that a node has to say which of its systems are passivated.
AT_REST_WITHIN: Final = 3.0
_OPEN: Final = Answer(Code.OK)


class Lookup(Protocol):
    """What is stored of all systems (`maestro.store.postgres.lookup`)."""

    def find(self, system_id: str) -> asyncio.Future[StoredSystem | None]:
        """Return a system as it is stored after this call; None: there is no such system. Fails with `StoreError`."""

    async def add(self, system_id: str) -> None:
        """Make a system known, without an owner: a node claims it. Twice is no error. Raises `StoreError`."""


class ClusterClient:
    """See `maestro.http.actor_client.ActorClient`.

    A question is put to one node, and to another one only when the first has said that it did nothing. So it ends, and
    is carried out once at most.

    Args:
        own: the node's own actor client: it knows the systems that this node serves, and no others.
        owners: where the other systems are, as far as is known.
        dialers: the sessions with the other nodes.
        lookup: what is stored.
        believed: whether this node's lease is believed; what its own systems answer while it is not may be old.
    """

    def __init__(
        self, own: ActorClient, owners: Owners, dialers: "Dialers", lookup: Lookup, believed: Callable[[], bool]
    ) -> None:
        self._own = own
        self._owners = owners
        self._dialers = dialers
        self._lookup = lookup
        self._believed = believed

    async def ask(self, system_id: str, question: Question, *, timeout: float) -> Answer:  # noqa: ASYNC109 - the protocol
        """See `ActorClient.ask`. `Unavailable` also while the system moves from one node to another."""
        if not isinstance(question, CheckLock):
            return await self._ask(system_id, question, timeout)
        # By what is stored: an owner stores a lock before it acts under it, and its end after its last act.
        until = time.monotonic() + timeout
        ask = self._ask
        try:
            stored = await self._stored(system_id, timeout / 2)
        except (StoreError, TimeoutError):
            # The store is away. This node's own systems know their locks for as long as its lease is believed.
            ask = self._ask_own
        else:
            if stored is None:
                raise UnknownSystem(system_id)
            if stored.lock is not None:
                return Answer(Code.LOCKED, stored.lock) if stored.lock else _OPEN
        try:
            return await ask(system_id, question, max(0.0, until - time.monotonic()))
        except UnknownSystem:
            # Only the store can say that there is no such system, which may proceed: what is known here may be old.
            raise Unavailable(f"the lock of system {system_id!r} is not known now", retry_after=RETRY) from None

    async def _ask(self, system_id: str, question: Question, seconds: float) -> Answer:
        until = time.monotonic() + seconds
        with suppress(UnknownSystem):
            return await self._ask_own(system_id, question, seconds)
        asked = self._owners.of(system_id) or await self._owner(system_id, seconds)
        try:
            return await self._dialers.to(asked).ask(system_id, question, max(0.0, until - time.monotonic()))
        except Elsewhere:
            now = await self._owner(system_id, max(0.0, until - time.monotonic()))
        if now == asked:
            raise Unavailable(f"system {system_id!r} is moving from one node to another", retry_after=RETRY)
        # It moved while it was asked, and nothing was done.
        return await self._dialers.to(now).ask(system_id, question, max(0.0, until - time.monotonic()))

    async def _stored(self, system_id: str, seconds: float) -> StoredSystem | None:
        """Return what is stored of a system. Raises `StoreError`, and `TimeoutError` after `seconds`."""
        found = self._lookup.find(system_id)
        timer = asyncio.get_running_loop().call_later(seconds, _expire, found)
        try:
            return await found
        finally:
            timer.cancel()

    async def _owner(self, system_id: str, seconds: float) -> str:
        """Return the node that owns a system now; empty: none does.

        Raises:
            UnknownSystem, Unavailable: there is no such system; it is not known.
            TimeoutError: not after `seconds`.
        """
        self._owners.read_sooner()
        try:
            stored = await self._stored(system_id, seconds)
        except StoreError as problem:
            raise Unavailable(f"store: {problem}", retry_after=RETRY) from problem
        if stored is None:
            raise UnknownSystem(system_id)
        return stored.node

    async def _ask_own(self, system_id: str, question: Question, seconds: float) -> Answer:
        answer = await self._own.ask(system_id, question, timeout=seconds)
        if not self._believed():
            raise Unavailable(LEASE_OVER, retry_after=RETRY)
        return answer

    def systems(self) -> tuple[str, ...]:
        """See `ActorClient.systems`: those of all nodes."""
        known, own = self._owners.systems(), self._own.systems()
        return known if all(map(self._owners.knows, own)) else tuple(sorted({*known, *own}))

    def knows(self, system_id: str) -> bool:
        """See `ActorClient.knows`: whichever node has it."""
        return self._own.knows(system_id) or self._owners.knows(system_id)

    async def install(self, system_id: str) -> None:
        """See `ActorClient.install`: the cluster knows it from now on, and a node will claim it."""
        if not self._owners.knows(system_id):
            try:
                await self._lookup.add(system_id)
            except StoreError as problem:
                raise Unavailable(f"store: {problem}") from problem
            self._owners.read_sooner()

    async def at_rest(self, system_ids: Collection[str]) -> Mapping[str, str]:
        """See `ActorClient.at_rest`: each node is asked once, about all that are its own."""
        resting = dict(await self._own.at_rest(system_ids)) if self._believed() else {}
        by_node: dict[str, list[str]] = {}
        for system_id in system_ids:
            if system_id not in resting and (node := self._owners.of(system_id)):
                by_node.setdefault(node, []).append(system_id)
        for told in await asyncio.gather(*(self._at_rest(*one) for one in by_node.items())):
            resting |= told
        return resting

    async def _at_rest(self, node: str, system_ids: Collection[str]) -> Mapping[str, str]:
        try:
            return await self._dialers.to(node).at_rest(system_ids, AT_REST_WITHIN)
        except (Unavailable, TimeoutError):
            return {}  # they are asked each by itself, and say why they do not answer

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


def _expire(found: asyncio.Future[StoredSystem | None]) -> None:
    if not found.done():
        found.set_exception(TimeoutError("the store did not answer in time"))


class Dialers:
    """This node's sessions with the others, one each."""

    def __init__(
        self, http: ClientSession, hello: NodeHello, owners: Owners, secret: str, urls: Callable[[], Mapping[str, str]]
    ) -> None:
        self._http = http
        self._hello = hello
        self._owners = owners
        #: The URL of the gateway of each node that holds a lease.
        self._urls = urls
        self._secret = secret
        self._dialers: dict[str, NodeDialer] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def to(self, node: str) -> NodeDialer:
        """Return what asks that node. Raises `Unavailable`: there is none to ask."""
        urls = self._urls()
        url = urls.get(node)
        if not url or node == self._hello.node:
            self._owners.read_sooner()
            raise Unavailable("no node owns the system now", retry_after=RETRY)
        dialer = self._dialers.get(node)
        if dialer is None or dialer.url != url:
            self._drop({one for one in self._dialers if one not in urls} | {node})
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
async def dialing(
    hello: NodeHello, owners: Owners, secret: str, urls: Callable[[], Mapping[str, str]]
) -> AsyncIterator[Dialers]:
    """Have this node's sessions with the others while the context is open. `urls`: of the nodes that hold a lease."""
    async with ClientSession() as http:
        dialers = Dialers(http, hello, owners, secret, urls)
        try:
            yield dialers
        finally:
            await dialers.close()

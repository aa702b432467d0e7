"""The keeper: the task that carries out what this node's `Membership` says, and answers it with facts.

    Membership ──questions──> Nodes, in PostgreSQL ──answers──> Membership
        ├──Believe────────> the node's lease, in shared memory
        ├──Serve──────────> the list that ingress goes by, the marks of what is at rest, then the supervisor
        ├──Release────────> the list, the supervisor, then PostgreSQL
        └──EndEverything──> every process is killed, and `NodeOut` ends this life of the node

It decides nothing. The clock is CLOCK_BOOTTIME. Whatever fails is `Unanswered`, so that the membership asks again.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from itertools import islice
from typing import Final, Protocol

from maestro import logs
from maestro.actors.errors import Unavailable
from maestro.actors.in_run import Asks, in_run
from maestro.board.lease import LeaseReader, Standing
from maestro.board.node_lease import NodeLeaseHolder, boot_time
from maestro.cluster import commands as do
from maestro.cluster import facts
from maestro.cluster.former import FormerLife
from maestro.cluster.lease import Terms
from maestro.cluster.membership import Membership, State
from maestro.cluster.node import Lease, Node
from maestro.cluster.waits import Why
from maestro.settings.model import Settings
from maestro.store.base import StoreAway, StoreError, StoreLocked
from maestro.store.held_lease import write_lease
from maestro.store.installation import read_installation
from maestro.store.nodes import Nodes
from maestro.store.rest_mark import RestMarks, decoded
from maestro.system.rest_basis import rest_basis
from maestro.tasks import Tasks, until_done
from maestro.telemetry.definitions import (
    CLAIMS,
    DRAINING,
    HAND_OVERS,
    LEASE_AGE,
    LEASES_BROKEN,
    LEASES_LOST,
    NODE_SYSTEMS,
    NODES,
    UNOWNED,
)
from maestro.telemetry.metrics import MetricsRegistry

#: Seconds for which others act after a live node said that it holds the owner message.
EVENTS_HELD: Final = 20.0
#: How often an actor that is silent is replaced before its system is handed over all the same.
_LIVES: Final = 3
#: Seconds that the last words of a node may take at a stop.
_LEAVE: Final = 5.0
#: Systems whose marks are read and left together.
_INSTALLED_AT_ONCE: Final = 100
#: Systems that a node which drains waits for, as far as others are told of them.
_TOLD: Final = 20


class NodeOut(Exception):  # noqa: N818 - a fact
    """The node's lease was broken: its systems are others'. All its processes were killed; it may join again."""


class Actors(Asks, Protocol):
    """The node's actors, as the keeper needs them."""

    async def install(self, system_id: str) -> None:
        """See `ActorClient`."""

    async def release(self, system_id: str) -> None:
        """Have no process for this system any more. Raises `Unavailable`: it has not ended in time."""


class Runtime(Protocol):
    """What can end them all at once."""

    def kill(self) -> None:
        """Kill every process of the actor system, and start none again."""


class Keeper:
    """See the module. `run` is its life."""

    def __init__(
        self,
        settings: Settings,
        me: Node,
        nodes: Nodes,
        actors: Actors,
        runtime: Runtime,
        lease: NodeLeaseHolder,
        registry: MetricsRegistry,
        former: Lease | None = None,
    ) -> None:
        """`former`: the lease of a former life of this node of which nothing goes on, if there is one."""
        self._settings = settings
        self._me = me
        self._nodes = nodes
        self._actors = actors
        self._runtime = runtime
        self._lease = lease
        self._registry = registry
        self._terms = Terms(settings.cluster.lease, settings.cluster.drift)
        self._former = FormerLife(former, self._terms) if former is not None else None
        self._marks = RestMarks(settings.data_dir)
        self.membership: Final = Membership(
            me.name, self._terms, self._marks.has, _LIVES * settings.actors.replace_after
        )
        self._facts: asyncio.Queue[facts.Fact] = asyncio.Queue()
        self._log = logs.get(part="cluster", node=me.name)
        self._tasks = Tasks(self._log)
        self._events = LeaseReader(settings.data_dir)
        #: What is waited for before each of these systems is handed over, as it was logged.
        self._waits: dict[str, Why] = {}
        #: The systems that are served here, as ingress is told.
        self._served: set[str] = set()
        #: The beat that each node was last seen with: one that stands still says nothing any more.
        self._beats: dict[str, tuple[int, int]] = {}
        self._said = ""
        #: Ingress was not told of what is served here: the data folder could not be written.
        self._untold = False
        self._unowned = 0
        registry.read_off(LEASE_AGE, self._lease_age)
        registry.read_off(NODE_SYSTEMS, lambda: float(len(self._served)))
        registry.read_off(NODES, lambda: float(sum(node.holds_lease for node in self.membership.nodes)))
        registry.read_off(UNOWNED, lambda: float(self._unowned))
        registry.read_off(DRAINING, lambda: float(self.draining))

    # --- what it is told ---------------------------------------------------------------------------------------

    def found(self, system_ids: Iterable[str]) -> None:
        """The platform, or somebody who calls, knows these systems."""
        self._facts.put_nowait(facts.SystemsFound(frozenset(system_ids)))

    def stop(self) -> None:
        """Maestro is told to stop: nothing is claimed any more."""
        self._facts.put_nowait(facts.StopAsked())

    def ended(self) -> None:
        """No process of the actors is left, after an orderly stop."""
        self._facts.put_nowait(facts.Ended())

    @property
    def holds_events(self) -> bool:
        """Whether this node holds the owner message."""
        return self._events.standing is Standing.HELD and self._events.acts

    @property
    def problem(self) -> str:
        """What keeps this node from the tables of its cluster; empty: nothing."""
        return self._said

    @property
    def draining(self) -> bool:
        """Whether this node hands over what it owns."""
        return any(node.draining for node in self.membership.nodes if node.name == self._me.name)

    def _lease_age(self) -> float:
        """Return how long ago the beat was sent that renewed the lease last; 0: it has none."""
        until = self._lease.believed_until
        return max(0.0, boot_time() - until + self._terms.believed) if until else 0.0

    # --- its life ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the lease and the systems until the node has left the cluster.

        Raises:
            NodeOut: the lease was broken; all processes were killed.
        """
        try:
            while self.membership.state is not State.GONE:
                fact: facts.Fact = facts.Tick()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._terms.beat_every / 2):
                        fact = await self._facts.get()
                self._handle(fact)
                if self._untold:
                    self._tell_ingress()
                await asyncio.sleep(0)  # a queue that is not empty gives no turn to beats and to the gateway
        finally:
            self._lease.believe(0)

    async def close(self) -> None:
        """Let go of everything."""
        await self._tasks.close()
        await self._nodes.close()
        self._events.close()

    def _handle(self, fact: facts.Fact) -> None:
        for command in self.membership.handle(fact, boot_time()):
            match command:
                case do.Believe(until=until):
                    self._lease.believe(until)
                case do.EndEverything():
                    self._runtime.kill()
                    self._registry.count(LEASES_LOST)
                    self._log.error("the lease of this node was broken: everything it owned has ended")
                    raise NodeOut("the lease of this node was broken")
                case do.Serve(systems=systems):
                    self._serve(systems)
                case _:
                    self._tasks.start(self._answer(command), type(command).__name__)

    def _serve(self, systems: tuple[str, ...]) -> None:
        self._registry.count(CLAIMS, by=len(systems))
        self._log.info("systems claimed", systems=len(systems))
        self._served.update(systems)
        self._tell_ingress()  # first: ingress takes a session of an owned system only
        self._tasks.start(self._install(systems), "install")

    async def _install(self, systems: tuple[str, ...]) -> None:
        """Have a process for each of these systems; one at rest gets it when it is woken.

        No process of this node has their stores open: those that it had were ended with the former claims.
        """
        for first in range(0, len(systems), _INSTALLED_AT_ONCE):
            some = systems[first : first + _INSTALLED_AT_ONCE]
            await self._leave_marks(some)
            await asyncio.gather(*map(self._install_one, some))

    async def _install_one(self, system_id: str) -> None:
        if system_id not in self._served:  # it was handed over meanwhile
            return
        with suppress(Unavailable):  # it is created later all the same
            await self._actors.install(system_id)

    async def _leave_marks(self, systems: tuple[str, ...]) -> None:
        """Leave the marks of those of these systems that are at rest, whichever node they came to rest at."""
        basis, lease = rest_basis(self._settings), Lease(self._me.name, self.membership.incarnation)
        if not basis:
            return
        try:
            found = await until_done(lambda: self._nodes.rest_marks(lease, systems), self._log, StoreAway)
            ours = read_installation(self._settings.data_dir)
            for system_id, stored in found.items():
                mark = decoded(stored)
                adopts = ours is not None and system_id in ours.adopting
                if mark is not None and mark.basis == basis and system_id in self._served and not adopts:
                    self._marks.leave(system_id, mark)
        except StoreError as problem:  # their processes find it out
            self._log.warning("it is not known which systems are at rest: they are started", cause=str(problem))
        except Exception:  # noqa: BLE001 - a bug: these systems are ours, and would have no process
            self._log.exception("the marks of systems at rest cannot be left: they are started")

    def _tell_ingress(self) -> None:
        """Have ingress go by what is served here. What cannot be written now is with one of the next facts."""
        try:
            self._lease.own(self._served)
        except OSError as problem:
            if not self._untold:
                self._log.error(
                    "the data folder cannot be written: what is consumed stays as it was", cause=str(problem)
                )
            self._untold = True
        else:
            if self._untold:
                self._log.info("the data folder can be written again")
            self._untold = False

    # --- questions ---------------------------------------------------------------------------------------------

    async def _answer(self, question: do.Question) -> None:
        fact: facts.Fact = facts.Unanswered(question)
        try:
            fact = await self._ask(question)
            self._note("")
        except Unavailable as problem:
            self._log.warning("a question of the membership is not answered", cause=str(problem))
        except StoreLocked as problem:
            self._note(str(problem), "the node may not join its cluster")
        except (StoreError, OSError) as problem:
            self._note(str(problem))
        except Exception:  # noqa: BLE001 - a bug: it is asked again
            self._log.exception("a question of the membership failed", question=type(question).__name__)
        self._facts.put_nowait(fact)

    def _note(self, problem: str, what: str = "the cluster's tables are out of reach") -> None:
        """Log what keeps the node from its cluster once, and that it is over."""
        if problem and problem != self._said:
            self._log.warning(what, cause=problem)
        self._said = problem

    async def _ask(self, question: do.Question) -> facts.Fact:  # noqa: PLR0911 - one for each question
        match question:
            case do.Join():
                return await self._join(question)
            case do.Beat():
                lease = Lease(self._me.name, question.incarnation)
                waits_for = dict(islice(self.membership.waits_for.items(), _TOLD))
                held = await self._nodes.beat(
                    lease, question.number, holds_events=self.holds_events, waits_for=waits_for
                )
                return facts.BeatAnswered(question) if held else facts.BeatRefused(question)
            case do.Look():
                return await self._look(question)
            case do.BreakLease():
                return await self._break(question)
            case do.Claim():
                lease = Lease(self._me.name, question.incarnation)
                return facts.Claimed(question, await self._nodes.claim(lease, question.systems))
            case do.Release():
                return await self._release(question)
            case do.Leave():
                await self._nodes.leave(Lease(self._me.name, question.incarnation))
                return facts.Left(question)

    async def _join(self, question: do.Join) -> facts.Fact:
        incarnation = await self._nodes.join(self._me)
        if incarnation is None and self._former is not None and self._former.over:
            self._log.info("the lease of a former life is given up: nothing of that goes on")
            await self._nodes.leave(self._former.lease)
            incarnation = await self._nodes.join(self._me)
        if incarnation is None:
            self._log.info("a former lease of this node is still held: it is waited for")
            return facts.JoinRefused(question)
        write_lease(self._settings.data_dir, Lease(self._me.name, incarnation))
        self._log.info("joined the cluster", cluster=self._settings.cluster.name, incarnation=incarnation)
        return facts.Joined(question, incarnation)

    async def _look(self, question: do.Look) -> facts.Fact:
        asked = boot_time()
        seen = await self._nodes.look()
        if self._former is not None:
            self._former.see(seen.nodes, asked, boot_time())
            if self._former.renewed:
                self._former = None
                self._log.error("a former lease of this node is renewed: another machine is a copy of this one")
        self._unowned = len(seen.free)
        mine: dict[str, int] = {}
        if question.mine:
            mine = await self._nodes.mine(Lease(self._me.name, question.incarnation))
        for node in seen.nodes:
            beat = node.incarnation, node.beat
            # What is seen for the first time may stand there since long ago.
            moved = self._beats.setdefault(node.name, beat) != beat
            self._beats[node.name] = beat
            if moved and node.holds_events and node.holds_lease and node.name != self._me.name:
                self._lease.others_hold_events(asked + EVENTS_HELD)
        return facts.NodesSeen(question, seen.nodes, seen.free, mine)

    async def _break(self, question: do.BreakLease) -> facts.Fact:
        done = await self._nodes.break_lease(Lease(question.node, question.incarnation), question.beat)
        if done:
            self._registry.count(LEASES_BROKEN)
            self._log.warning("broke the lease of a node that gave no sign of life", other=question.node)
        return facts.Broken(question, done)

    async def _release(self, question: do.Release) -> facts.Fact:
        """Hand a system over, unless it is in a run. Asked again, the rest is done."""
        system_id = question.system
        if system_id in self._served:
            runs = await in_run(self._actors, system_id)
            silent = runs is None
            if runs or (silent and not question.though_silent):
                self._say_why(system_id, Why.SILENT if silent else Why.IN_RUN)
                return facts.Kept(question, silent=silent)
            if silent:
                self._log.warning("a system that does not answer is handed over as it is", system=system_id)
            self._served.discard(system_id)
            self._tell_ingress()
        if self._untold:  # ingress still takes events for it, and a run may begin
            self._served.add(system_id)
            return facts.Unanswered(question)
        await self._actors.release(system_id)
        self._marks.remove(system_id)  # it says that the lock is open, which is another node's to say from now on
        await self._nodes.release(Lease(self._me.name, question.incarnation), system_id, question.claim)
        self._waits.pop(system_id, None)
        self._registry.count(HAND_OVERS)
        self._log.info("system handed over", system=system_id)
        return facts.Released(question)

    def _say_why(self, system_id: str, why: Why) -> None:
        """Log what is waited for before a system is handed over, whenever that changes."""
        if self._waits.get(system_id) is not why:
            self._waits[system_id] = why
            self._log.info("a system is waited for before it is handed over", system=system_id, why=why.value)


@asynccontextmanager
async def keeping(keeper: Keeper) -> AsyncIterator["asyncio.Task[None]"]:
    """Run the keeper while the context is open; at its end, when the actors have ended, the node leaves the cluster."""
    task = asyncio.create_task(keeper.run(), name="keeper")
    try:
        yield task
    finally:
        keeper.stop()
        keeper.ended()
        await asyncio.wait([task], timeout=_LEAVE)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await keeper.close()

"""A node of a simulated cluster: the real `Membership`, a keeper that carries its commands out, and a gateway.

It has a clock of its own, which gains or loses. It can be killed, frozen (everything that is due waits, and happens in
any order when it goes on), and cut off from the database or the broker.
"""

from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, TypeVar

from maestro.cluster import commands as do
from maestro.cluster import facts
from maestro.cluster.former import FormerLife
from maestro.cluster.lease import Terms
from maestro.cluster.membership import Membership, State
from maestro.cluster.node import Lease, Node
from maestro.store.nodes import Seen
from tests.simulation.cluster.process import Process
from tests.simulation.cluster.resting import Resting
from tests.simulation.engine import Violation

if TYPE_CHECKING:
    from tests.simulation.cluster.world import World

T = TypeVar("T")
#: Seconds after which the keeper gives a question up, and after which the broker drops a connection that is silent.
_ANSWER = 2.0
_HEARTBEAT = 4.0


class Machine:
    """One node, over its lives."""

    def __init__(self, world: "World", name: str, rate: float, terms: Terms, node: Node) -> None:
        self.world = world
        self.name = name
        self._rate = rate
        self._began = world.engine.random.uniform(0.0, 1000.0)
        self._terms = terms
        self._node = node
        self._life = 0
        self._processes_begun = 0
        self._backlog: list[tuple[int, Callable[[], None]]] = []
        self.frozen = self.cut = self.cut_off = False
        self.membership: Membership | None = None
        self._until = -inf
        self.lease = Lease(name, 0)
        #: The lease of a life of which nothing is left.
        self._former: FormerLife | None = None
        self.processes: dict[str, Process | Resting] = {}
        #: Systems whose process has ended because they are handed over.
        self._given_up: set[str] = set()

    # --- time -----------------------------------------------------------------------------------------------------

    def clock(self) -> float:
        """Return what CLOCK_BOOTTIME says here."""
        return self._began + self.world.engine.now * self._rate

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Have `act` happen in so many seconds of this node's clock, in this life, and not while it is frozen."""
        self.world.engine.after(seconds / self._rate, self._due, self._life, act)

    def receive(self, act: Callable[[], None]) -> None:
        """Something comes in from outside."""
        self._due(self._life, act)

    def _due(self, life: int, act: Callable[[], None]) -> None:
        if life != self._life or self.membership is None:
            return
        if self.frozen:
            self._backlog.append((life, act))
        else:
            act()

    @property
    def believes(self) -> bool:
        """Whether the lease is believed at this moment."""
        return self.clock() < self._until

    @property
    def truly_holds(self) -> bool:
        """Whether nobody has broken the lease."""
        return self.world.database.holds(self.lease)

    def check_belief(self) -> None:
        """What is believed is so. Raises `Violation`."""
        if self.membership is not None and self.believes and not self.truly_holds:
            raise Violation(f"{self.name} believes a lease that has ended")

    # --- its lives ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        if self.membership is None:
            self._life += 1
            self.membership = Membership(self.name, self._terms, self._at_rest)
            self._until = -inf
            self._tick()
            self._check_a_lock()

    def crash(self) -> None:
        """kill -9 of all of it."""
        self._life += 1
        self.membership, self.frozen = None, False
        self._backlog.clear()
        self._end_processes()
        self._former = FormerLife(self.lease, self._terms)

    def freeze(self) -> None:
        self.frozen = True
        self.world.engine.after(_HEARTBEAT, self._silent, self._life, lambda: self.frozen)

    def thaw(self) -> None:
        self.frozen = False
        backlog, self._backlog = self._backlog, []
        for life, act in backlog:
            self.world.engine.after(self.world.engine.soon(0.1), self._due, life, act)

    def cut_from_broker(self) -> None:
        """Nothing goes to the broker or comes from it, until it has dropped the connection at least."""
        self.cut_off = True
        self.world.engine.after(_HEARTBEAT, self._silent, self._life, lambda: True)

    def _silent(self, life: int, is_so: Callable[[], bool]) -> None:
        """The broker drops the connection of a node that was silent for too long; the node connects again."""
        if life == self._life and is_so():
            for process in self.processes.values():
                self.world.queues[process.system_id].detach(process)
                self.later(1.0, process.attach)

    def stop(self) -> None:
        """Stop in good order."""
        if self.membership is not None and not self.frozen:
            self._tell(facts.StopAsked())
            self._stop_processes()

    def _stop_processes(self) -> None:
        for system_id, process in list(self.processes.items()):
            if process.at_rest or process.standing is None:
                process.end()
                del self.processes[system_id]
        if self.processes:
            self.later(0.3, self._stop_processes)
        else:
            self._tell(facts.Ended())

    def find_systems(self) -> None:
        """The platform says which systems there are."""
        self._tell(facts.SystemsFound(frozenset(self.world.system_ids)))

    # --- the keeper -----------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        self._tell(facts.Tick())
        self.later(self._terms.beat_every / 2, self._tick)

    def _tell(self, fact: facts.Fact) -> None:
        if self.membership is None:
            return
        for command in self.membership.handle(fact, self.clock()):
            self._carry_out(command)
        if self.membership is not None and self.membership.state is State.GONE:
            self.crash()

    def _carry_out(self, command: do.Command) -> None:  # noqa: C901 - one case for each command
        database, lease = self.world.database, self.lease
        match command:
            case do.Join():
                self._ask(command, lambda: database.join(self._node), lambda found: self._joined(command, found))
            case do.Beat():
                self._ask(
                    command,
                    lambda: database.beat(lease, command.number),
                    lambda done: self._tell((facts.BeatAnswered if done else facts.BeatRefused)(command)),
                )
            case do.Look():
                asked = self.clock()
                self._ask(
                    command,
                    lambda: (database.look(), database.mine(lease) if command.mine else {}),
                    lambda found: self._seen(command, asked, *found),
                )
            case do.BreakLease():
                self._ask(
                    command,
                    lambda: database.break_lease(Lease(command.node, command.incarnation), command.beat),
                    lambda done: self._broken(command, done=done),
                )
            case do.Claim():
                self._ask(
                    command,
                    lambda: database.claim(lease, command.systems),
                    lambda got: self._tell(facts.Claimed(command, got)),
                )
            case do.Release():
                self._release(command)
            case do.Leave():
                self._ask(command, lambda: database.leave(lease), lambda _: self._tell(facts.Left(command)))
            case do.Serve():
                for system_id in command.systems:
                    self._serve(system_id)
            case do.Believe():
                self._until = command.until
                self.check_belief()
            case do.EndEverything():
                self._end_processes()
                self.later(self.world.engine.soon(1.0), lambda: self._tell(facts.Ended()))

    def _ask(self, question: do.Question, run: Callable[[], T], answered: Callable[[T], None]) -> None:
        within = self._terms.answer_within if isinstance(question, do.Beat) else _ANSWER
        self.ask(run, answered, lambda: self._tell(facts.Unanswered(question)), within)

    def _joined(self, command: do.Join, incarnation: int | None) -> None:
        if incarnation is None and self._former is not None and self._former.over:
            former, self._former = self._former.lease, None
            self.world.watch.counts["former leases given up"] += 1
            self._ask(
                command, lambda: self.world.database.leave(former), lambda _: self._tell(facts.JoinRefused(command))
            )
        elif incarnation is None:
            self._tell(facts.JoinRefused(command))
        else:
            self.lease = Lease(self.name, incarnation)
            self._tell(facts.Joined(command, incarnation))

    def _seen(self, command: do.Look, asked: float, found: Seen, mine: dict[str, int]) -> None:
        if self._former is not None:
            self._former.see(found.nodes, asked, self.clock())
        self._tell(facts.NodesSeen(command, *found, mine))

    def _broken(self, command: do.BreakLease, *, done: bool) -> None:
        self.world.watch.counts["leases broken"] += done
        self._tell(facts.Broken(command, done))

    # --- systems --------------------------------------------------------------------------------------------------

    def _serve(self, system_id: str) -> None:
        """Have a process for a system that was claimed, unless it is at rest."""
        self._given_up.discard(system_id)
        lease, database = self.lease, self.world.database

        def found(at_rest: bool) -> None:  # noqa: FBT001 - an answer
            if self.lease == lease and self._lacks(system_id):
                if at_rest:
                    self.world.watch.counts["taken over at rest"] += 1
                    self._rest(system_id)
                else:
                    self._start(system_id)

        def again() -> None:
            if self.lease == lease and self._lacks(system_id):
                self._serve(system_id)

        self.ask(lambda: database.at_rest(lease, system_id), found, lambda: self.later(1.0, again))

    def _lacks(self, system_id: str) -> bool:
        """Whether a system is this node's, and has neither a process nor is at rest here."""
        owned = self.membership.owned if self.membership is not None else frozenset()
        return system_id in owned - self._given_up - self.processes.keys()

    def _at_rest(self, system_id: str) -> bool:
        process = self.processes.get(system_id)
        return process is not None and process.at_rest

    def _rest(self, system_id: str) -> None:
        self.world.check_rest(self, system_id)
        self.processes[system_id] = Resting(self, system_id)

    def wake(self, resting: Resting) -> None:
        """Something has come for a system at rest."""
        resting.end()
        if self.processes.get(resting.system_id) is resting:
            self._start(resting.system_id)

    def passivate(self, process: Process) -> None:
        """End a process whose system is at rest; its mark is the last that it leaves."""
        process.end()
        standing, lease, database, system_id = process.standing, self.lease, self.world.database, process.system_id
        assert standing is not None, "it is at rest"

        def left() -> None:
            if self.processes.get(system_id) is process:
                self.world.watch.counts["passivated"] += 1
                self._rest(system_id)

        def not_left() -> None:
            if self.processes.get(system_id) is process:
                self._start(system_id)

        self.ask(
            lambda: database.rested(lease, system_id, standing), lambda done: left() if done else not_left(), not_left
        )

    def _start(self, system_id: str) -> None:
        self._processes_begun += 1
        process = Process(self, system_id, f"{self.name}.{self._life}.{self._processes_begun}")
        self.processes[system_id] = process
        self.later(self.world.engine.soon(0.5), process.start)

    def _release(self, command: do.Release) -> None:
        process = self.processes.get(command.system)
        if process is not None and not process.at_rest:
            self._tell(facts.Kept(command))
            return
        self._given_up.add(command.system)
        if process is not None:
            self.world.watch.counts["hand-overs"] += 1
            process.end()
            del self.processes[command.system]
        lease, database = self.lease, self.world.database

        def release() -> None:
            if database.release(lease, command.system, command.claim) and command.system in self.processes:
                raise Violation(f"{command.system} is given up, and {self.name} serves it")

        self._ask(command, release, lambda _: self._tell(facts.Released(command)))

    def fenced(self, process: Process) -> None:
        """The store refused what a process sent: it ends, and is loaded again while the system is this node's."""
        if self.processes.get(process.system_id) is process:
            process.end()
            del self.processes[process.system_id]
            self.later(1.0, lambda: self._load_again(process.system_id))

    def _load_again(self, system_id: str) -> None:
        if self._lacks(system_id):
            self._start(system_id)

    def _end_processes(self) -> None:
        for process in self.processes.values():
            process.end()
        self.processes.clear()

    # --- the gateway ----------------------------------------------------------------------------------------------

    def _check_a_lock(self) -> None:
        system_id = self.world.engine.random.choice(self.world.system_ids)
        process = self.processes.get(system_id)
        if process is None:
            asked = self.world.engine.now
            self.remote_lock(system_id, lambda locked: self._checked("remote", system_id, asked, locked))
        elif process.board is not None and process.may_act():
            self._checked("own", system_id, self.world.engine.now, process.board)
        self.later(self.world.engine.soon(1.5) + 0.1, self._check_a_lock)

    def remote_lock(self, system_id: str, answered: Callable[[bool | None], None]) -> None:
        """Ask the database for the lock of another node's system."""
        self.ask(lambda: self.world.database.locked(system_id), answered, lambda: None)

    def _checked(self, where: str, system_id: str, asked: float, locked: bool | None) -> None:  # noqa: FBT001
        if locked is False:
            self.world.watch.answered(where, system_id, asked)

    # --- the way to the database ------------------------------------------------------------------------------------

    def ask(
        self, run: Callable[[], T], answered: Callable[[T], None], lost: Callable[[], None], within: float = _ANSWER
    ) -> None:
        """Have one statement carried out, perhaps late; exactly one of `answered` and `lost` is called in this life."""
        world, life, over = self.world, self._life, False

        def end(act: Callable[[], None]) -> None:
            nonlocal over
            if not over:
                over = True
                act()

        def arrive() -> None:
            if self.cut:
                return
            if not world.database.up:
                world.engine.after(0.05, self._due, life, lambda: end(lost))
                return
            result = run()
            world.engine.after(world.way(), come_back, result)

        def come_back(result: T) -> None:
            if not self.cut:
                self._due(life, lambda: end(lambda: answered(result)))

        self.later(within, lambda: end(lost))
        if not self.cut:
            world.engine.after(world.way(), arrive)


def described(name: str, *, capacity: float, digest: str) -> Node:
    """Return a node as it joins."""
    return replace(Node(name), capacity=capacity, settings_digest=digest)

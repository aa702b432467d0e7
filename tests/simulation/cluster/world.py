"""One simulated cluster: a few nodes and systems, and what goes wrong.

`run(seed)` lives through it, lets it come to rest, and checks what must hold in the end.
"""

from maestro.cluster.lease import Terms
from maestro.cluster.placement import claimers, order
from tests.simulation.cluster.broker import Queue
from tests.simulation.cluster.database import Database
from tests.simulation.cluster.domain import Domain
from tests.simulation.cluster.machine import Machine, described
from tests.simulation.cluster.process import EVENT
from tests.simulation.cluster.watch import Watch
from tests.simulation.engine import Engine, Violation

#: Seconds in which things go wrong, and in which the cluster has to come to rest after that.
TROUBLE = 40.0
REST = 150.0


class World:
    """The cluster, its database, its broker, and the platform around it."""

    def __init__(self, seed: int, *, calm: bool = False) -> None:
        self.engine = engine = Engine(seed)
        random = engine.random
        self.watch = Watch(engine)
        self.database = Database(self.watch)
        self.domain = Domain(engine)
        self.faulty = True
        self.system_ids = [f"s{number}" for number in range(random.randrange(1, 5))]
        self.queues = {system_id: Queue(engine) for system_id in self.system_ids}
        self.terms = Terms() if calm else Terms(random.choice((2.0, 3.0, 5.0)), random.choice((0.01, 0.05, 0.2)))
        self._published = 0
        #: How often something is late on its way to the database.
        self._late = 0.0 if calm else random.choice((0.0, 0.02, 0.1))
        digests = random.choice(("xxxx", "xxxx", "xxxy", "xyyy"))
        self.machines = [
            Machine(self, name, self._rate(), self.terms, described(
                name, capacity=random.choice((1.0, 1.0, 3.0)), digest=digests[number]))
            for number, name in enumerate("abcd"[: random.randrange(2, 5)])
        ]  # fmt: skip
        self.database.on_change = self._check_beliefs

    def _rate(self) -> float:
        drift = self.terms.drift
        return 1 + self.engine.random.choice((-drift, drift, self.engine.random.uniform(-drift, drift)))

    def way(self) -> float:
        """Return how long something is on its way to the database or back."""
        if self.faulty and self.engine.chance(self._late):
            return self.engine.random.uniform(0.0, 2 * self.terms.seconds)
        return self.engine.soon(0.1)

    # --- what happens ---------------------------------------------------------------------------------------------

    def live(self) -> None:
        """Begin, and have things go wrong."""
        self.begin()
        for _ in range(self.engine.random.randrange(4, 16)):
            self.engine.at(self.engine.random.uniform(3.0, TROUBLE), self._trouble)
        for _ in range(self.engine.random.randrange(5, 40)):
            self.engine.at(self.engine.random.uniform(0.0, TROUBLE), self._publish)
        self.engine.run(TROUBLE)

    def begin(self) -> None:
        """Start all nodes."""
        for machine in self.machines:
            self.engine.after(self.engine.soon(3.0), machine.start)
        self.engine.after(0.5, self._find_systems)

    def serving(self, system_id: str) -> list[Machine]:
        """Return the nodes that have opened a system's store, believe their lease, and go on."""
        return [
            machine
            for machine in self.machines
            if machine.believes
            and not machine.frozen
            and (process := machine.processes.get(system_id)) is not None
            and process.standing is not None
        ]

    def _find_systems(self) -> None:
        """Each node hears of the systems from the platform, again and again."""
        for machine in self.machines:
            machine.receive(machine.find_systems)
        self.engine.after(5.0, self._find_systems)

    def _publish(self, system_id: str = "") -> None:
        self._published += 1
        kind = self.engine.random.choice(("now", "now", "later"))
        system_id = system_id or self.engine.random.choice(self.system_ids)
        self.queues[system_id].publish(f"{system_id}.{self._published}.{kind}")

    def _trouble(self) -> None:
        engine, machine = self.engine, self.engine.random.choice(self.machines)
        long = engine.random.choice((0.3, 1.0, 2.0, 4.0)) * self.terms.seconds * engine.random.random()
        what = engine.random.choice(("kill", "freeze", "freeze", "cut", "cut off", "fail over", "stop", "drain"))
        engine.note(what, machine.name, long)
        match what:
            case "kill":
                machine.crash()
                engine.after(long, machine.start)
            case "freeze" if not machine.frozen:
                machine.freeze()
                engine.after(long, machine.thaw)
            case "cut":
                machine.cut = True
                engine.after(long, self._mend, machine)
            case "cut off":
                machine.cut_from_broker()
                engine.after(5.0 + long, self._mend, machine)
            case "fail over":
                self._fail_over()
            case "stop":
                machine.stop()
                engine.after(5.0 + long, machine.start)
            case "drain":
                self._drain(machine, draining=True)
                engine.after(0.5 + engine.soon(15.0), lambda: self._drain(machine, draining=False))

    def _fail_over(self, tries: int = 200) -> None:
        """The primary dies, best in a moment in which something is lost with it; a standby takes its place."""
        if tries and not self.database.has_unsynced:
            self.engine.after(0.02, self._fail_over, tries - 1)
        elif self.database.up and self.faulty:
            self.watch.counts["commits lost"] += self.database.fail()
            self.engine.after(self.engine.soon(8.0), self._promote)

    def _mend(self, machine: Machine) -> None:
        machine.cut = machine.cut_off = False

    def _promote(self) -> None:
        self.database.up = True

    def _drain(self, machine: Machine, *, draining: bool) -> None:
        if self.database.up:
            self.database.drain(machine.name, draining=draining)

    def check_rest(self, machine: Machine, system_id: str) -> None:
        """A system is taken for one at rest: it is, as long as it is that node's. Raises `Violation`."""
        owned = self.database.nodes.systems[system_id]
        stored = self.database.stored[system_id]
        busy = stored.locked or any(said != "done" for (table, _), said in stored.rows.items() if table != "run")
        if busy and (owned.node, owned.incarnation) == machine.lease:
            raise Violation(f"{system_id} has something to do, and {machine.name} takes it for at rest")

    def _check_beliefs(self) -> None:
        """Leases or owners have changed: nobody may count on what has ended, or serve what it gave up."""
        for machine in self.machines:
            machine.check_belief()

    # --- how it ends ----------------------------------------------------------------------------------------------

    def come_to_rest(self) -> None:
        """Let nothing go wrong any more, and wait until nothing is left to do. Raises `Violation`."""
        self.faulty = False
        self._promote()
        for machine in self.machines:
            self._mend(machine)
            if machine.frozen:
                machine.thaw()
            machine.start()
        for system_id in self.system_ids:  # what a fail-over took is noticed with the next commit
            self._publish(system_id)
        until = self.engine.now + REST
        self.engine.run(self.engine.now + 10.0)
        while problem := self.unrest():
            if self.engine.now >= until:
                raise Violation(problem)
            self.engine.run(self.engine.now + 5.0)
            for machine in self.machines:
                machine.start()
                self._drain(machine, draining=False)

    def unrest(self) -> str:
        """Return what is not as it has to be in the end; empty: nothing."""
        nodes = self.database.look().nodes
        for machine in self.machines:
            if not machine.believes:
                return f"{machine.name} believes no lease"
        ready = claimers(nodes)
        names = {node.name for node in ready}
        for system_id in self.system_ids:
            serving = [one.name for one in self.machines if system_id in one.processes]
            if len(serving) != 1:
                return f"{system_id} is served by {serving or 'nobody'}"
            if serving[0] in names and serving[0] != order(system_id, ready)[0]:
                return f"{system_id} belongs to {order(system_id, ready)[0]}, and {serving[0]} has it"
            queue, stored = self.queues[system_id], self.database.stored.get(system_id)
            if stored is None or stored.locked or queue.ready or queue.unacked:
                return f"{system_id} is not at rest"
            if any(said != "done" for (table, _), said in stored.rows.items() if table != "run"):
                return f"{system_id} has something to do"
        return ""

    def check(self) -> None:
        """Compare what was made with what was published. Raises `Violation`."""
        done = {event for stored in self.database.stored.values() for table, event in stored.rows if table == EVENT}
        accepted = {event for event in done if "run" not in event}
        if len(accepted) != self._published:
            raise Violation(f"{self._published - len(accepted)} events of {self._published} are lost")
        if done != {event for event, times in self.domain.made.items() if times == 1}:
            raise Violation("what is recorded is not what was made")


def run(seed: int) -> World:
    """Live through a world. Raises `Violation`."""
    world = World(seed)
    try:
        world.live()
        world.come_to_rest()
        world.check()
    except Exception as problem:
        problem.engine = world.engine  # type: ignore[attr-defined] - what happened is printed
        raise
    return world

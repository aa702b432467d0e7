"""One system's process in a simulated cluster: what `maestro.system` does, as far as ownership matters.

An event is judged: `now` (a verdict, then its effect, then it is done) or `later` (it waits, and is judged again). A
run commits its lock, makes two effects and commits the unlock. Everything that is ordered by a commit waits for that.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.simulation.cluster.database import Key, Standing, Stored, Write

if TYPE_CHECKING:
    from tests.simulation.cluster.machine import Machine

#: Tables: events by what was decided, events that wait, the number of the last run and its effect in hand.
EVENT, WAIT, RUN = "event", "wait", "run"
_STEPS = 2


class Process:
    """A life of a system at a node."""

    def __init__(self, machine: "Machine", system_id: str, life: str) -> None:
        self._machine = machine
        self._world = machine.world
        self._queue = machine.world.queues[system_id]
        self.system_id = system_id
        self.life = life
        self.alive = True
        self.standing: Standing | None = None
        self.rows: dict[Key, str] = {}
        self.locked = False
        #: What the node's lock board says; None: nothing yet.
        self.board: bool | None = None
        #: Deliveries in hand, by event; references that may be acknowledged after the next durable commit.
        self.refs: dict[str, int] = {}
        self._settled: list[int] = []
        self._in_hand: set[str] = set()
        self._sending = False
        self._writes: list[tuple[Write, bool, Callable[[], None]]] = []

    # --- its life -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        if self.alive:
            lease, database = self._machine.lease, self._world.database
            self._machine.ask(
                lambda: self._open(database.open(lease, self.system_id, self.life)),
                self._opened,
                lambda: self._later(1.0, self.start),
            )

    def _open(self, found: tuple[Standing, Stored] | None) -> tuple[Standing, Stored] | None:
        if found is not None and self.alive:  # what comes late for one that has ended has nobody act
            self._world.watch.opens(self.system_id, self.life)
        return found

    def _opened(self, found: tuple[Standing, Stored] | None) -> None:
        if not self.alive:
            return
        if found is None:
            self._machine.fenced(self)
            return
        self.standing, stored = found
        self.rows, self.locked = stored.rows, stored.locked
        self.board = self.locked
        for (table, event), said in sorted(self.rows.items()):
            if table == EVENT and said == "verdict":
                self._in_hand.add(event)
                self._doubt(event)
        if self.locked and not self._in_hand:
            self._next_effect()
        self.attach()
        self._later(1.0, self._work)

    def attach(self) -> None:
        """Consume once the last consumer is gone."""
        if self.alive and self.standing is not None and (self._machine.cut_off or not self._queue.attach(self)):
            self._later(0.5, self.attach)

    def end(self) -> None:
        """It ends at once, however that happens."""
        self.alive = False
        self._queue.detach(self)

    @property
    def at_rest(self) -> bool:
        """Nothing is under way or owed."""
        return self.standing is not None and not (self._sending or self._writes or self._in_hand or self.locked)

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self._machine.later(seconds, act)

    # --- commits --------------------------------------------------------------------------------------------------

    def _save(self, write: Write, then: Callable[[], None], *, durable: bool) -> None:
        self.rows.update(write.puts)
        for key in write.gone:
            self.rows.pop(key, None)
        if write.locked is not None:
            self.locked = write.locked
        self._writes.append((write, durable, then))
        self._send()

    def _send(self) -> None:
        """Have what gathered committed with one statement; one is under way at a time."""
        if self._sending or not self._writes or not self.alive:
            return
        self._sending = True
        together, self._writes = self._writes, []
        puts: dict[Key, str] = {}
        gone: set[Key] = set()
        locked = None
        for write, _, _ in together:
            puts, gone = {**puts, **write.puts}, gone - write.puts.keys() | write.gone
            locked = write.locked if write.locked is not None else locked
        puts = {key: said for key, said in puts.items() if key not in gone}
        durable = any(durable for _, durable, _ in together)
        settled = self._settled if durable else []
        if durable:
            self._settled = []
        self._put(Write(puts, frozenset(gone), locked), durable, [then for _, _, then in together], settled)

    def _put(self, write: Write, durable: bool, thens: list[Callable[[], None]], settled: list[int]) -> None:  # noqa: FBT001
        if not self.alive:
            return
        database, standing = self._world.database, self.standing
        assert standing is not None

        def answered(done: bool) -> None:  # noqa: FBT001 - an answer
            if not self.alive:
                return
            if not done:
                self._machine.fenced(self)
                return
            self.standing = standing._replace(number=standing.number + 1)
            if write.locked is not None:
                self.board = write.locked
            self._sending = False
            for then in thens:
                then()
            for ref in settled:
                self.ack(ref)
            self._send()

        self._machine.ask(
            lambda: database.commit(self.system_id, standing, write, durable=durable),
            answered,
            lambda: self._later(0.3, lambda: self._put(write, durable, thens, settled)),
        )

    # --- events ---------------------------------------------------------------------------------------------------

    def arrives(self, event: str, ref: int) -> None:
        """A delivery is on its way from the broker."""
        self._machine.receive(lambda: self._delivered(event, ref))

    def _delivered(self, event: str, ref: int) -> None:
        if not self.alive:
            return
        if (WAIT, event) in self.rows or self.rows.get((EVENT, event)) == "done":
            self._settle(ref)
            return
        self.refs[event] = max(ref, self.refs.get(event, 0))  # not that of a channel that was closed meanwhile
        if (EVENT, event) in self.rows:
            return  # it is in doubt, or in hand; its acknowledgement follows
        if self.locked or self._in_hand or event.endswith("later"):
            self.refs.pop(event)
            self._save(Write({(WAIT, event): ""}), lambda: self._settle(ref), durable=False)
        else:
            self._judge(event)

    def _judge(self, event: str) -> None:
        self._in_hand.add(event)
        write = Write({(EVENT, event): "verdict"}, frozenset({(WAIT, event)}))
        self._save(write, lambda: self._effect(event), durable=True)

    def _work(self) -> None:
        """Judge what waits, or begin a run; acknowledge what was settled."""
        if not self.alive:
            return
        if self._settled and not self._sending:
            self._save(Write({}), lambda: None, durable=True)
        if not (self.locked or self._in_hand or self._writes):
            waiting = sorted(event for table, event in self.rows if table == WAIT)
            if waiting:
                self._judge(waiting[0])
            elif self._world.faulty and self._world.engine.chance(0.3):
                run = int(self.rows.get((RUN, ""), "0 0").split()[0]) + 1
                self._save(Write({(RUN, ""): f"{run} 0"}, locked=True), self._next_effect, durable=True)
            elif not (self.refs or self._settled or self._sending) and self._world.engine.chance(0.2):
                self._machine.passivate(self)
                return
        self._later(0.4, self._work)

    # --- effects --------------------------------------------------------------------------------------------------

    def _effect(self, event: str) -> None:
        if not self.alive:
            return
        if not self.may_act():
            self._later(0.2, lambda: self._effect(event))
            return
        self._world.watch.acts("effect", self.system_id, self.life, holds=self._machine.truly_holds)
        if "run" in event:
            self._world.watch.locked(self.system_id)
        self._world.domain.begin(event, lambda: self._machine.receive(lambda: self._made(event)))

    def may_act(self) -> bool:
        """Whether the node's lease is believed at this moment: asked right before each effect."""
        return self._machine.believes

    def _doubt(self, event: str) -> None:
        """A former owner may have begun this: look what became of it, once that has ended."""
        if not self.alive:
            return
        if not self.may_act() or self._world.domain.under_way[event]:
            self._later(0.5, lambda: self._doubt(event))
        elif self._world.domain.made[event]:
            self._made(event)
        else:
            self._effect(event)

    def _made(self, event: str) -> None:
        if not self.alive or self.rows.get((EVENT, event)) == "done":
            return

        def done() -> None:
            self._in_hand.discard(event)
            if (ref := self.refs.pop(event, None)) is not None:
                self._settle(ref)
            if self.locked:
                self._next_effect()

        self._save(Write({(EVENT, event): "done"}), done, durable=False)

    def _next_effect(self) -> None:
        """A run goes on: its next effect, or its end."""
        run, step = map(int, self.rows[RUN, ""].split())
        if self._in_hand:
            return
        if step == _STEPS:
            self._save(Write({}, locked=False), lambda: None, durable=True)
            return
        event = f"{self.system_id}.run{run}.{step}"
        self._in_hand.add(event)
        write = Write({(EVENT, event): "verdict", (RUN, ""): f"{run} {step + 1}"})
        self._save(write, lambda: self._effect(event), durable=True)

    # --- acknowledgements -----------------------------------------------------------------------------------------

    def _settle(self, ref: int) -> None:
        """Acknowledge with the next durable commit."""
        self._settled.append(ref)

    def ack(self, ref: int) -> None:
        """Acknowledge; an acknowledgement waits for the lease as an effect does."""
        if not self.alive:
            return
        if not self.may_act():
            self._later(0.2, lambda: self.ack(ref))
            return
        self._world.watch.acts("ack", self.system_id, self.life, holds=self._machine.truly_holds)
        if not self._machine.cut_off:
            self._world.engine.after(self._world.engine.soon(0.05), self._queue.ack, self, ref)

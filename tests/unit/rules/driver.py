"""A machine under test: facts go in at a settable time; saves and commands of the last fact come out.

`Driver` answers nothing by itself. Its verbs are the shorthand of the tests: each hands in one fact, carrying the
token that the machine's last command of that kind carries.
"""

from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import orjson
from msgspec import structs

from maestro.events import ReplayRef
from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.delivery import Delivery
from maestro.rules.document import Document
from maestro.rules.doubt import CommitEnd, Finding
from maestro.rules.impact import Impacted, Origin, UnitKey
from maestro.rules.ledger import Footprint, Read, Reads
from maestro.rules.machine import Machine
from maestro.rules.state import Rules, System
from maestro.rules.step import Save, SaveUnit
from maestro.store.memory import MemoryStore
from maestro.system.ledger import Ledger
from maestro.system.repository import Repository
from tests.support.stages import check_stages

C = TypeVar("C", bound=do.Command)
T = TypeVar("T")

P1, P2, P3 = Impacted("p1", "master"), Impacted("p2", "master"), Impacted("p3", "b1", forking=True)


def origin(unit: Impacted, timestamp: str = "2018-07-20T15:00:00") -> Origin:
    event = {"instanceId": unit.instance_id, "tag": "t", "branch": "elsewhere", "timestamp": timestamp, "x": 1}
    return Origin(unit, orjson.dumps(event), timestamp)


def footprint(*changed: int, branch: str = "") -> Footprint:
    return Footprint(((branch, changed),)) if changed else Footprint()


def drive(work: Coroutine[Any, Any, T]) -> T:
    """Run what waits for nothing but its turn."""
    try:
        while True:
            work.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


class Driver:
    def __init__(self, **rules: float | bool) -> None:
        """A machine of these rules. It trusts the platform with `finished` unless told otherwise."""
        self.rules = Rules(**{"ensure_finished": False} | rules)  # type: ignore[arg-type]
        self.store = MemoryStore()
        self.repository = Repository(self.store, "s", self.rules)
        self.machine = Machine(System("s", self.rules))
        self.now = 1000.0
        self.commands: list[do.Command] = []
        self.saves: list[Save] = []
        self.log: list[do.Command] = []
        self._refs = 0
        self._tickets = 0

    def tell(self, fact: facts.Fact) -> list[do.Command]:
        self.now += 1.0
        step = self.machine.handle(fact, self.now)
        check_stages(self.system, step.commands)
        if isinstance(fact, facts.EventArrived):
            body = orjson.dumps({"args": [{"systemId": "s", "instanceId": fact.instance_id, "name": fact.name}]})
            if self.system.last_arrived is not None:
                self.repository.remember_body(self.system.last_arrived.number, body)
        self.commands, self.saves = step.commands, step.saves
        self.log += step.commands
        self.store.commit(self.repository.writes(step.saves), durable=True)
        return step.commands

    def restart(self) -> list[do.Command]:
        self.store = self.store.crash()
        self.repository = Repository(self.store, "s", self.rules)
        self.machine = Machine(self.repository.load())
        return self.tell(facts.Resumed()) + self.tell(facts.IngressAttached())

    # --- looking --------------------------------------------------------------------------------------------

    @property
    def system(self) -> System:
        return self.machine.system

    @property
    def doc(self) -> Document:
        return next(iter(self.system.documents.values()))

    def delivery(self, name: str) -> Delivery:
        return self.system.deliveries[f"m-{name}"]

    def kinds(self) -> list[str]:
        return [type(command).__name__ for command in self.commands]

    def only(self, kind: type[C]) -> C:
        found = [command for command in self.commands if isinstance(command, kind)]
        assert len(found) == 1, f"{kind.__name__} in {self.commands}"
        return found[0]

    def last(self, kind: type[C]) -> C:
        return next(command for command in reversed(self.log) if isinstance(command, kind))

    def asked(self, kind: type[do.Command]) -> bool:
        return any(isinstance(command, kind) for command in self.commands)

    def ref(self) -> int:
        return self._refs

    def units(self) -> tuple[object, ...]:
        return self.repository.units(self.doc.id)

    # --- flow 1 -----------------------------------------------------------------------------------------------

    def arrive(
        self,
        name: str,
        *,
        branch: str = "master",
        wait: bool = False,
        redelivered: bool = False,
        redriven: bool = False,
        foreign: bool = False,
        instance: str = "",
    ) -> list[do.Command]:
        """An event arrives, of the instance of its own name unless another is named."""
        self._refs += 1
        instance = instance or name
        return self.tell(
            facts.EventArrived(
                f"m-{name}", instance, "s.persist.request", branch, f"tag-{name}", ref=self._refs, from_wait_queue=wait,
                redelivered=redelivered, redriven=redriven, foreign=foreign,
            )
        )  # fmt: skip

    def sync(self, name: str, replay: ReplayRef | None = None) -> int:
        self._tickets += 1
        self.tell(
            facts.EventArrived(
                f"m-{name}", name, "s.persist.request", "master", f"tag-{name}", replay, ticket=self._tickets
            )
        )
        return self._tickets

    def impact(self, *units: Impacted, footprint: Footprint | None = None) -> list[do.Command]:
        return self.tell(facts.ImpactFound(self.last(do.AskImpact).token, units, self._asked(footprint)))

    def _asked(self, footprint: Footprint | None) -> Footprint | None:
        return footprint and structs.replace(footprint, asked=self.system.ledger.whole)

    def owed(self, *reads: Read, changed: tuple[int, ...] = (), problem: str = "") -> list[do.Command]:
        """What is owed to the ledger is fetched, from the real store."""
        entry = self.system.ledger.owed[self.last(do.FetchOwed).number]
        ledger = Ledger(self.store, lambda: None)
        if problem and entry.footprint is not None:  # what it read cannot be had
            return self.tell(drive(ledger.fetched(entry, entry.footprint, None, problem=problem)))
        if problem:
            return self.tell(facts.OwedFetched(entry.number, problem=problem))
        read = Reads(reads) if entry.reads else None
        return self.tell(drive(ledger.fetched(entry, entry.footprint or footprint(*changed), read)))

    def named(self, *changed: int, branch: str = "master") -> list[UnitKey]:
        """Whom the ledger says that a commit impacts."""
        units = drive(Ledger(self.store, lambda: None).named(footprint(*changed), branch))
        return sorted(unit.key for unit in units)

    def origins(self, origins: Sequence[Origin] = (), *, fork: bool = False, id_: str = "d1") -> list[do.Command]:
        fetch = self.last(do.FetchOrigins)
        found = tuple(origins) or tuple(origin(unit) for unit in fetch.units)
        return self.tell(facts.OriginsFetched(fetch.token, id_, b'{"held":1}', b'{"o":1}', found, fork))

    def judging_fails(self) -> list[do.Command]:
        return self.tell(facts.JudgingFailed(self.system.judging_token, "out of reach"))

    def committed(self) -> list[do.Command]:
        return self.tell(facts.Committed(self.last(do.Commit).token))

    def commit(self, name: str) -> None:
        self.arrive(name)
        self.impact()
        self.committed()

    def hold(self, name: str = "i1", *units: Impacted, id_: str = "d1", fork: bool = False) -> None:
        """An event arrives and is held in a pending document."""
        self.arrive(name)
        self.impact(*(units or (P1, P2)))
        self.origins(id_=id_, fork=fork)

    # --- flow 3 -----------------------------------------------------------------------------------------------

    def ticket(self) -> int:
        self._tickets += 1
        return self._tickets

    def approve(self, id_: str = "d1") -> list[do.Command]:
        return self.tell(facts.Approved(id_, "anna", self.ticket()))

    def skip(self, id_: str = "d1") -> list[do.Command]:
        return self.tell(facts.Skipped(id_, "anna", self.ticket()))

    def cancel(self, id_: str = "d1") -> list[do.Command]:
        return self.tell(facts.Cancelled(id_, "anna", self.ticket()))

    def retry(self, id_: str = "d1") -> list[do.Command]:
        return self.tell(facts.Retried(id_, "anna", self.ticket(), self.repository.units(id_)))

    def override(self, status: str, id_: str = "d1") -> list[do.Command]:
        return self.tell(facts.StatusSet(id_, status, "hand", self.ticket()))

    def notified(self) -> list[do.Command]:
        command = self.last(do.Notify)
        return self.tell(facts.Notified(command.id, command.token))

    def queues_updated(self, problem: str = "") -> list[do.Command]:
        command = next(
            command for command in reversed(self.log)
            if isinstance(command, do.FillQueues | do.GrowQueues | do.CleanUpQueues)
            or (isinstance(command, do.Dequeue) and command.token)
        )  # fmt: skip
        return self.tell(facts.QueuesUpdated(command.id, command.token, problem))

    def start_impact(self, *units: Impacted) -> list[do.Command]:
        command = self.last(do.AskStartImpact)
        return self.tell(facts.StartImpactFound(command.id, command.token, units))

    def held_committed(self) -> list[do.Command]:
        command = self.last(do.CommitHeld)
        return self.tell(facts.HeldCommitted(command.id, command.token))

    def held_commit_fails(self) -> list[do.Command]:
        return self.refused(do.CommitHeld)

    def commit_ends(self, end: CommitEnd, kind: type[do.Command] = do.Commit) -> list[do.Command]:
        """A call of a commit ends without `ok`."""
        token = self.last(kind).token  # type: ignore[attr-defined]
        return self.tell(facts.CommitFailed(token, end, f"domain.commit: {end}"))

    def proof(self, finding: Finding, began: float | None = None) -> list[do.Command]:
        return self.tell(facts.ProofFound(self.last(do.AskProof).token, finding, began))

    def wake(self) -> list[do.Command]:
        """The last wake-up that was ordered is due."""
        wakes = [one for one in self.log if isinstance(one, do.WakeAt) and one.topic is do.Topic.COMMIT]
        order = wakes[-1]
        self.now = max(self.now, order.at - 1.0)
        return self.tell(facts.Woken(order.topic, order.key))

    def settles(self, finding: Finding) -> list[do.Command]:
        """Domain answers so, look after look, until a commit in doubt counts as ended."""
        for _ in range(100):
            self.proof(finding)
            if not self.looks_again():
                return self.commands
            self.wake()
        raise AssertionError("it never counts as ended")

    def looks_again(self) -> bool:
        """Whether the last fact led to a further look for proof, or a further call, later."""
        return any(isinstance(one, do.WakeAt) and one.topic is do.Topic.COMMIT for one in self.commands)

    def refused(self, kind: type[do.Command] = do.Commit) -> list[do.Command]:
        """Domain answers no, and its rows prove that it stored nothing, as often as it takes."""
        for _ in range(self.rules.commit_tries - 1):
            self.commit_ends(CommitEnd.REFUSED, kind)
            self.proof(Finding.NO_ROWS)
            self.wake()
        self.commit_ends(CommitEnd.REFUSED, kind)
        return self.proof(Finding.NO_ROWS)

    def sent(self) -> list[do.Command]:
        command = self.last(do.SendReplay)
        return self.tell(facts.ReplaySent(command.id, command.token))

    def run_fails(self) -> list[do.Command]:
        return self.tell(facts.RunFailed(self.doc.id, self.doc.token, "out of reach"))

    def run_fails_at(self, kind: type[do.Command]) -> list[do.Command]:
        """The step that this command stands for fails, by its own fault; a commit is refused."""
        if kind is do.CommitReplay:
            return self.refused(kind)
        return self.tell(facts.RunFailed(self.doc.id, self.last(kind).token, "it cannot be"))  # type: ignore[attr-defined]

    def times_out(self) -> list[do.Command]:
        command = self.last(do.AwaitResult)
        sweep = self.tell(facts.ReplayTimedOut(command.id, command.send))
        return self.tell(facts.PersistSwept(command.id, command.send)) if self.asked(do.SweepPersist) else sweep

    def errs(self, instance_id: str, send: str = "", branch: str = "master") -> list[do.Command]:
        return self.tell(facts.ReplayErred(self.doc.id, instance_id, branch, send, "the process raised"))

    def oldest_found(self) -> list[do.Command]:
        """The oldest entries of the ledger are found, in the real store."""
        return self.tell(Ledger(self.store, lambda: None).oldest(self.last(do.FindOldestEntries).rows))

    def replay_to_the_end(self, name: str, of: str) -> None:
        """The only unit of a run is replayed, with nothing to fetch for the ledger but an empty dataset."""
        self.sent()
        self.result(name, of)
        self.replay_impact(footprint=Footprint())
        self.replay_committed()
        self.owed()
        self.end()

    def tell_result(self, name: str, of: str, id_: str) -> list[do.Command]:
        """A result of a run that is not the first document's."""
        self._refs += 1
        ref = ReplayRef(id_, of, "")
        return self.tell(facts.EventArrived(f"m-{name}", name, "s.persist.request", "master", "", ref, ref=self._refs))

    def result(
        self, name: str, of: str, send: str = "", *, branch: str = "master", redelivered: bool = False
    ) -> list[do.Command]:
        self._refs += 1
        ref = ReplayRef(self.doc.id, of, send)
        return self.tell(
            facts.EventArrived(
                f"m-{name}", name, "s.persist.request", branch, "", ref, ref=self._refs, redelivered=redelivered
            )
        )

    def replay_impact(self, *units: Impacted, footprint: Footprint | None = None) -> list[do.Command]:
        command = self.last(do.AskReplayImpact)
        return self.tell(facts.ReplayImpactFound(command.id, command.token, units, self._asked(footprint)))

    def replay_origins(self) -> list[do.Command]:
        command = self.last(do.FetchReplayOrigins)
        found = tuple(origin(unit) for unit in command.units)
        return self.tell(facts.ReplayOriginsFetched(command.id, command.token, found))

    def replay_committed(self) -> list[do.Command]:
        command = self.last(do.CommitReplay)
        return self.tell(facts.ReplayCommitted(command.id, command.token))

    def start(self) -> None:
        """The approved document's run begins: its queues are filled."""
        self.notified()
        if self.asked(do.AskStartImpact):
            self.start_impact()
        self.queues_updated()

    def run(self, *units: Impacted) -> None:
        """A held document's run, up to the first send."""
        self.hold("i1", *units)
        self.approve()
        self.start()
        self.held_committed()

    def replay(self, name: str, of: str, *impacts: Impacted) -> None:
        """One whole replay: sent, result, assessed, committed."""
        self.sent()
        self.result(name, of)
        self.replay_impact(*impacts)
        if self.asked(do.FetchReplayOrigins):
            self.replay_origins()
        if self.asked(do.GrowQueues):
            self.queues_updated()
        self.replay_committed()

    def end(self) -> None:
        """A run's end is cleaned up and told."""
        self.queues_updated()
        self.notified()

    def saved_units(self) -> list[str]:
        return [save.unit.instance_id for save in self.saves if isinstance(save, SaveUnit)]

"""The model of one system's siblings: Discovery, Process Memory, Domain, and the Event Manager's replays."""

from collections.abc import Callable, Sequence
from math import inf

import orjson

from maestro.events import MASTER, ReplayRef, celery_body
from maestro.rules import facts
from maestro.rules.impact import DISCOVERY, Impacted, Origin
from maestro.rules.ledger import Footprint
from tests.simulation.commits import Commits
from tests.simulation.domain import FINISHED, Data, Instance, row
from tests.simulation.engine import Engine, Violation

#: Seconds for which API core is away then.
FALTERS_FOR = 3.0
#: Name of the event that starts the next operation of a chain.
CHAINED = "first.step.done"


class Siblings:
    """Answers what the rules ask, and runs replays; sometimes badly, while `faulty`."""

    def __init__(self, engine: Engine, system_id: str, settle: float = 60.0) -> None:
        self.engine = engine
        self.system_id = system_id
        self.data = Data()
        self.faulty = True
        #: The share of calls that fail.
        self.failing = 0.02
        self.commits = Commits(engine, self, settle)
        #: Ids of the instances whose commit Domain took, in order, repeats included.
        self.taken: list[str] = []
        #: Ids of those that Domain took without Maestro knowing.
        self.uncertain: set[str] = set()
        #: When Maestro heard that Domain has an instance's data.
        self.heard_at: dict[str, float] = {}
        #: Where persist events and reports of failed replays go.
        self.publish: Callable[[str, bytes], None] = lambda _id, _body: None
        #: Where results go that are persisted synchronously.
        self.publish_sync: Callable[[bytes, Instance], None] = lambda _event, _replay: None
        self.report: Callable[[facts.Fact], None] = lambda _fact: None
        #: When Discovery was first asked again about a held instance, while the answer does not count yet.
        self.asked_again_at: dict[str, float] = {}
        self._replays = 0
        #: Tries of API core that failed, in this life of Maestro.
        self.api_failures = 0
        #: When each sibling that is away comes back.
        self._away: dict[str, float] = {}
        #: Seconds until the Event Manager has called an instance finished, at most, and how often it never does.
        self.finishes_in = engine.random.choice((0.0, 0.06, 0.5, 4.0))
        self.forgets = engine.random.choice((0.0, 0.0, 0.1))
        #: From when on API core goes away in the very moment that Discovery asks it about an event.
        self.falters_from = inf
        #: Discovery names those who are not finished, too.
        self.names_early = engine.chance(0.2)
        #: Instances that API core has called finished.
        self.finished: set[str] = set()
        #: Units that Maestro said it had missed, by the instance that was committed over them.
        self.missed: dict[str, set[tuple[str, str]]] = {}

    # --- outages -------------------------------------------------------------------------------------------------

    def goes_away(self, sibling: str, seconds: float) -> None:
        """An outage begins."""
        self.engine.note("AWAY", self.system_id, sibling, seconds)
        self._away[sibling] = self.engine.now + seconds

    def away(self, sibling: str) -> bool:
        """Whether a sibling is out of reach at this moment."""
        return self.faulty and self._away.get(sibling, 0.0) > self.engine.now

    def api_answers(self) -> bool:
        """Whether API core answers a call at this moment; else Maestro notices."""
        if self.away("apicore"):
            self.api_failures += 1
            return False
        return True

    def poisons(self, instance_id: str) -> bool:
        """Whether Discovery, being there, refuses to say anything of this instance: the fault is the event's."""
        return self.faulty and self.data.instances[instance_id].seed % 19 == 0

    def fate(self, *, patient: bool = True, of: str = "") -> str:
        """Say how a call ends: ok, refused, or applied and reported as failed. Without patience it fails more often."""
        if of and self.away(of):
            return "refused"
        if self.faulty and self.engine.chance(self.failing if patient else 0.2):
            return "applied" if self.engine.chance(0.3) else "refused"
        return "ok"

    # --- Discovery and Process Memory -----------------------------------------------------------------------------

    def impacted(self, instance_id: str, began: float, *, counts: bool = True) -> tuple[Impacted, ...]:
        """Discovery's answer to a question that `began` then; whether it `counts`: nobody waits for one too late.

        What is committed while it is answered is not finished yet, so it counts as coming after it.
        """
        instance = self.data.instances[instance_id]
        stored = instance_id in self.taken  # of one that is stored already it says what it said before
        known = self.data.impacted(instance, committed=stored)
        impacts = self._as_far_as_known(instance, known)
        if counts:
            instance.asked_at, instance.impacts = began, impacts
            instance.kept_back = frozenset(one.key for one in known) - {one.key for one in impacts}
            instance.noticed = False
        return (*impacts, *self._early(instance), *self._noise(instance, impacts))

    def _early(self, instance: Instance) -> list[Impacted]:
        """Return who read what the instance writes and is not finished: named when all others have closed branches."""
        if not self.names_early:
            return []
        return [
            Impacted(other.id, other.branch)
            for other in self.data.instances.values()
            if instance.writes in other.used
            and not other.of
            and other.branch == instance.branch
            and self.data.statuses.get(other.id) != FINISHED
        ]

    def _as_far_as_known(self, instance: Instance, impacts: tuple[Impacted, ...]) -> tuple[Impacted, ...]:
        """Discovery fails open: what API core does not tell it, it does not name."""
        if impacts and instance.asked_at < 0 and self.engine.now >= self.falters_from and self.faulty:
            self.goes_away("apicore", FALTERS_FOR)
        if self.away("apicore"):
            return tuple(one for one in impacts if self.engine.chance(0.4))
        return impacts

    def impacted_after_all(self, instance_id: str) -> tuple[Impacted, ...]:
        """Discovery's answer about an instance that is committed."""
        return self.data.impacted(self.data.instances[instance_id], committed=True)

    def impacted_now(self, instance_id: str) -> tuple[Impacted, ...]:
        """Discovery's answer about a held instance, asked again: it counts from `taken_over` on."""
        instance = self.data.instances[instance_id]
        self.asked_again_at.setdefault(instance_id, self.engine.now)
        impacts = self.data.impacted(instance)
        return (*impacts, *self._early(instance), *self._noise(instance, impacts))

    def taken_over(self, instance_id: str) -> None:
        """The preview is what Discovery said when it was asked again."""
        instance = self.data.instances[instance_id]
        instance.asked_at = self.asked_again_at.pop(instance_id, instance.asked_at)

    def _noise(self, instance: Instance, impacts: tuple[Impacted, ...]) -> list[Impacted]:
        """Return what the rules must drop."""
        noise = []
        if self.engine.chance(0.1):
            noise.append(Impacted(instance.id, instance.branch))
        if self.engine.chance(0.1):
            noise += impacts[:1]
        if instance.branch != MASTER and self.engine.chance(0.2):
            noise += [Impacted(found.instance_id, MASTER) for found in impacts]
        return noise

    def also_named(self, instance: Instance, named: tuple[Impacted, ...]) -> None:
        """The ledger names these beside Discovery: what counts is what both say."""
        known = {unit.key for unit in instance.impacts}
        instance.impacts += tuple(unit for unit in named if unit.key not in known)

    def footprint_of(self, instance: Instance) -> Footprint:
        """Domain's answer about an instance that is committed already: as before its commit."""
        return Footprint(((instance.branch, (row(instance.writes),)),)) if instance.changes else Footprint((), 1)

    def origins(self, units: Sequence[Impacted]) -> tuple[Origin, ...]:
        """Process Memory's answer."""
        found = []
        for unit in units:
            instance = self.data.instances[unit.instance_id]
            if instance.trouble == "no origin":
                found.append(Origin(unit, b"", "", self._is_finished(unit)))
            else:
                timestamp = orjson.loads(instance.origin)["timestamp"]
                found.append(Origin(unit, instance.origin, timestamp, self._is_finished(unit)))
        return tuple(found)

    def _is_finished(self, unit: Impacted) -> bool:
        """API core's answer; of what the ledger names it is not asked."""
        return unit.named != DISCOVERY or self.data.statuses.get(unit.instance_id) == FINISHED

    # --- Domain ------------------------------------------------------------------------------------------------------

    def commit(self, instance_id: str, doc: str) -> None:
        """Domain takes a commit."""
        self.engine.note("DOMAIN", self.system_id, instance_id, doc)
        self.taken.append(instance_id)
        self.data.commit(self.data.instances[instance_id], self.engine.now, doc)
        if not self.data.instances[instance_id].of and not self.engine.chance(self.forgets):
            self.engine.after(self.engine.soon(self.finishes_in), self.set_status, instance_id, FINISHED)

    # --- API core --------------------------------------------------------------------------------------------------

    def set_status(self, instance_id: str, text: str) -> None:
        """API core takes a status."""
        self.engine.note("status", self.system_id, instance_id, text)
        if text == FINISHED:
            self.finished.add(instance_id)
        self.data.statuses[instance_id] = text

    # --- the Event Manager ---------------------------------------------------------------------------------------

    def send_event(self, event: bytes) -> None:
        """A replay is taken: it runs a little later, and persists; or not, or twice, or much later."""
        fields = orjson.loads(event)
        assert "instanceId" not in fields
        assert "tag" not in fields
        assert fields["scope"] == "reprocessing"
        ref = fields["reprocessing"]
        original = self.data.instances[ref["instance_id"]]
        if self.data.statuses.get(original.id) != FINISHED and original.id not in {*self.finished, *self.taken}:
            raise Violation(f"I5: {original.id} is replayed before its own commit")
        self._replays += 1
        replay = Instance(
            f"{original.id}~{self._replays}", fields["branch"], original.reads, original.writes, original.seed,
            original.origin, of=original.id, doc=ref["id"], send=ref["send"], started_at=self.engine.now,
            began=self.engine.now,
        )  # fmt: skip
        self.data.instances[replay.id] = replay
        self.engine.after(self.engine.soon(2.0), self._run, replay, fields)

    def _run(self, replay: Instance, fields: dict[str, object]) -> None:
        self.data.compute(replay)
        self.engine.note("replay computed", self.system_id, replay.id, replay.doc)
        fate = self.engine.random.random() if self.faulty else 1.0
        delay = self.engine.soon(5.0)
        if replay.trouble == "fails":
            fate = 0.03
        if fate < 0.02:
            return
        if fate < 0.04:
            failed = facts.ReplayErred(replay.doc, replay.of, replay.branch, replay.send, "the process raised")
            self._tell_failure(replay, failed, delay)
            return
        if fate < 0.08:
            delay += 60.0 * self.engine.random.random()
        if self.faulty and self.engine.chance(0.15):  # the end of a chain's first operation, in an instance of its own
            first = self._ended(replay, f"{replay.id}.first", CHAINED)
            self.engine.after(delay * self.engine.random.random(), self.report, first)
        self.engine.after(delay, self._persist, replay, fields, "")
        if fate < 0.14:
            self.engine.after(delay + self.engine.soon(20.0), self._persist, replay, fields, "")
        elif fate < 0.18:  # the process ran twice in one go: another message of the same instance
            self.engine.after(delay + self.engine.soon(20.0), self._persist, replay, fields, "again ")

    def _tell_failure(self, replay: Instance, failed: facts.ReplayErred, delay: float) -> None:
        """Report it, publish its outcome, or both, as the generation of the Event Manager does."""
        how = self.engine.random.choice(("call", "outcome", "both"))
        if how != "outcome":
            self.engine.after(delay, self.report, failed)
        if how != "call":
            outcome = self._ended(replay, replay.id, "process.error", cause=failed.cause)
            self.engine.after(delay + self.engine.soon(5.0), self.report, outcome)

    def _ended(self, replay: Instance, instance: str, name: str, cause: str = "") -> facts.InstanceEnded:
        ref = ReplayRef(replay.doc, replay.of, "" if replay.drops_send else replay.send)
        return facts.InstanceEnded(instance, name, "1", replay.branch, ref, cause=cause)

    def _persist(self, replay: Instance, fields: dict[str, object], prefix: str) -> None:
        ref = dict(fields["reprocessing"])  # type: ignore[call-overload]
        if replay.drops_send:
            ref.pop("send")
        event = {
            **fields,
            "name": f"{self.system_id}.persist.request",
            "instanceId": replay.id,
            "reprocessing": ref,
        }
        if replay.seed % 7 == 0 and not prefix:
            self.publish_sync(orjson.dumps(event), replay)
            return
        message_id = f"{prefix}m-{replay.id}"
        self.publish(message_id, celery_body(message_id, orjson.dumps(event)))

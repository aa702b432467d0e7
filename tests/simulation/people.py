"""The people of one system: admins who look, decide, and ask again, and apps that persist and wait for the answer."""

from collections.abc import Callable
from dataclasses import dataclass

from maestro.messages.answers import Code
from maestro.messages.decisions import (
    UNLIMITED,
    Approve,
    Budget,
    Cancel,
    Covers,
    Decision,
    LeaveOut,
    Pause,
    Recheck,
    Reconsider,
    Resume,
    Retry,
    SetStatus,
    Skip,
)
from maestro.rules import commands as do
from maestro.rules import facts, resolving
from maestro.rules.approving import NOTED
from maestro.rules.doubt import Word
from maestro.rules.impact import UnitKey
from maestro.rules.preview import digest
from maestro.rules.status import Status
from maestro.system.decisions import fact_of
from tests.simulation.decided import RUNNING
from tests.simulation.engine import Engine, Violation
from tests.simulation.host import Host
from tests.simulation.siblings import Siblings

USERS = ("anna", "bert")
#: What somebody may want, as often as it is named, and the statuses that it is meant for.
WANTED = (
    *("approve",) * 6,
    *("skip", "recheck", "reconsider") * 3,
    *("retry", "resume") * 2,
    *("cancel", "set", "pause", "leave out"),
)
MEANT_FOR = {
    "approve": ("pending_approval",),
    "skip": ("pending_approval",),
    "recheck": ("pending_approval",),
    "retry": ("failure", "aborted_split_events_failure", "aborted_persist_domain_failure", "cancelled"),
    "cancel": ("approved", "paused", *RUNNING),
    "set": ("pending_approval", "approved", "paused", *RUNNING),
    "pause": RUNNING,
    "resume": ("paused",),
    "reconsider": ("skipped",),
    "leave out": ("paused", "failure", "aborted_split_events_failure", "aborted_persist_domain_failure", "cancelled"),
}


@dataclass(frozen=True)
class Asked:
    """A question that is not answered yet: what, about which document or instance, in which life of the process."""

    what: Decision | str
    about: str
    life: int


class People:
    """Whoever asks one system for something."""

    def __init__(self, engine: Engine, host: Host, siblings: Siblings) -> None:
        self.engine = engine
        self.host = host
        self.siblings = siblings
        host.on_reply = self._answered
        #: Called before somebody wants Discovery asked again.
        self.on_recheck: Callable[[], None] = lambda: None
        #: Instances of events that somebody was told are taken: committed, held or waiting.
        self.promised: set[str] = set()
        self._asked: dict[int, Asked] = {}
        self._tickets = 0
        #: In which life somebody heard that an instance is committed, and how often it was before it persisted again.
        self._heard: dict[str, int] = {}
        self._expected: dict[int, int] = {}
        #: The preview that somebody looked at last, by document, and the units of each digest.
        self._looked: dict[str, str] = {}
        self._previews: dict[str, frozenset[UnitKey]] = {}

    def ticket(self, what: Decision | str, about: str) -> int:
        """Ask; the answer comes with this number."""
        self._tickets += 1
        self._asked[self._tickets] = Asked(what, about, self.host.life)
        return self._tickets

    @property
    def unanswered(self) -> list[Asked]:
        """Questions whose answer no end of a process has taken along."""
        return [asked for asked in self._asked.values() if asked.life == self.host.life]

    # --- decisions ---------------------------------------------------------------------------------------------------

    def decide(self) -> None:
        """Somebody wants something of one of the reprocessings."""
        random, documents = self.engine.random, self.host.watch.documents
        if not self.host.up or not documents:
            return
        what = random.choice(WANTED)
        if what == "recheck" and self.engine.chance(0.5):
            self.on_recheck()
        meant = [id_ for id_, row in documents.items() if row["status"] in MEANT_FOR[what]]
        self._decide(self._decision(what, random.choice(meant if meant and self.engine.chance(0.8) else [*documents])))

    def _decision(self, what: str, id_: str) -> Decision:  # noqa: PLR0911 - one for each kind of decision
        random = self.engine.random
        user, reason = random.choice(USERS), random.choice(("", "because"))
        match what:
            case "approve":
                return Approve(id_, user, reason, self._digest(id_), self._budget(), covers=self._covers())
            case "skip":
                return Skip(id_, user, reason, self._covers())
            case "recheck":
                self.look(id_)
                return Recheck(id_, user)
            case "retry":
                return Retry(id_, user, reason, self._budget())
            case "cancel":
                return Cancel(id_, user, reason)
            case "pause":
                return Pause(id_, user, reason)
            case "resume":
                return Resume(id_, user, reason, self._budget())
            case "reconsider":
                return Reconsider(id_, user, reason)
            case "leave out":
                units = sorted(self.host.watch.units_of(id_))
                return LeaveOut(
                    id_, user, tuple(random.sample(units, min(len(units), random.choice((1, 1, 2))))), reason
                )
            case _:
                to = random.choice(("approved", "skipped", "failure", "finished", "running"))
                return SetStatus(id_, to, "hand", reason)

    def _decide(self, decision: Decision) -> None:
        ticket = self.ticket(decision, decision.id)
        if isinstance(decision, Approve | Retry | LeaveOut):  # what the store alone knows belongs to it
            self.host.flush(durable=False)
        self.host.tell(fact_of(decision, ticket, self.host.system, self.host.repository))

    def _digest(self, id_: str) -> str:
        """Return the preview that somebody saw, perhaps a while ago; empty when they did not look."""
        if self.engine.chance(0.4):
            return ""
        if id_ not in self._looked or self.engine.chance(0.3):
            self.look(id_)
        return self._looked[id_]

    def look(self, id_: str) -> None:
        """Somebody looks at a document's preview."""
        units = frozenset(self.host.watch.units_of(id_))
        seen = digest(self.host.watch.documents[id_]["held_instance"], units)
        self._looked[id_] = seen
        self._previews[seen] = units

    def _budget(self) -> Budget:
        random = self.engine.random
        if random.random() < 0.6:
            return UNLIMITED
        return Budget(random.choice((None, 1, 2, 3)), random.choice((None, None, 0.1, 0.5)))

    def _covers(self) -> Covers | None:
        """Whether somebody decides for the whole tag, and up to which size."""
        random = self.engine.random
        return Covers(limit=random.choice((None, None, 1, 5))) if random.random() < 0.4 else None

    def settle(self) -> None:
        """What is pending is approved or skipped, what is paused resumed, and some of what was skipped reconsidered."""
        if not self.host.up:
            return
        user = self.engine.random.choice(USERS)
        for doc in list(self.host.system.live.values()):
            if doc.status is Status.PAUSED and doc.set_aside and self.engine.chance(0.5):
                self._decide(LeaveOut(doc.id, user, tuple(doc.set_aside), "at last"))
            elif doc.status is Status.PAUSED:
                self._decide(Resume(doc.id, user, "at last", Budget(1) if self.engine.chance(0.3) else UNLIMITED))
        pending = self.host.system.pending(late=self.engine.chance(0.5)) or self.host.system.pending()
        if pending is not None:
            skip = self.engine.chance(0.2)
            covers = self._covers() if pending.tag else None
            if skip:
                self._decide(Skip(pending.id, user, "at last", covers))
            else:
                self._decide(Approve(pending.id, user, "at last", covers=covers))
        self.resolve_doubts()
        skipped = [doc.id for doc in self.host.system.documents.values() if doc.status is Status.SKIPPED]
        if skipped and self.engine.chance(0.2):
            self._decide(Reconsider(self.engine.random.choice(skipped), user, "at last"))

    def expect_another_commit(self, instance: str) -> None:
        """An instance persists once more: who heard of its commit in this life must hear of another one."""
        under_way = any(asked.what == "sync" and asked.about == instance for asked in self.unanswered)
        if self._heard.get(instance) == self.host.life and not under_way:
            self._expected[self._tickets + 1] = self.siblings.taken.count(instance)

    def resolve_doubts(self) -> None:
        """Somebody looks what became of each commit in doubt, and says it."""
        host, commits = self.host, self.siblings.commits
        for doubt in resolving.known_doubts(host.system):
            if not commits.any_under_way(doubt.instance_id):
                made = commits.was_made(doubt)
                word = Word.MADE if made else Word.MAKE_AGAIN
                host.tell(facts.DoubtResolved(doubt.key, word, "anna", self.ticket("doubt", doubt.key), "looked"))

    # --- answers -----------------------------------------------------------------------------------------------------

    def _answered(self, reply: do.Reply) -> None:
        asked = self._asked.pop(reply.ticket, None)
        if asked is None:
            raise Violation(f"a question is answered that nobody asked, or again: {reply}")
        name = asked.what if isinstance(asked.what, str) else type(asked.what).__name__
        self.engine.note("answer", self.host.system_id, name, asked.about, reply.code)
        if asked.what == "doubt":
            return
        if isinstance(asked.what, str):
            self._persisted(asked.about, reply)
            self._heard_of(asked.about, reply)
        elif isinstance(asked.what, Reconsider):
            row = self.host.watch.documents[asked.about]
            if reply.code in (Code.OK, Code.ACCEPTED):
                self.host.watch.decided.told(asked.about, row)
                if ("status", NOTED) not in reply.fields:
                    self._persisted(str(row["held_instance"]), reply)
        elif reply.code in (Code.OK, Code.ACCEPTED):
            self._allowed(asked.what, reply)

    def _persisted(self, instance: str, reply: do.Reply) -> None:
        """Somebody is told what became of an event."""
        if reply.code in (Code.ACCEPTED, Code.OK):
            self.promised.add(instance)
        if reply.document_id:
            self.host.watch.decided.told(reply.document_id, self.host.watch.documents[reply.document_id])
        elif reply.code is Code.OK and instance not in self.siblings.taken:
            raise Violation(f"{instance} is told commited and is not")

    def _heard_of(self, instance: str, reply: do.Reply) -> None:
        if reply.code is Code.ACCEPTED:  # it waits: who asks again asks what became of this one
            self._heard.pop(instance, None)
        if reply.code is not Code.OK or reply.document_id:
            return
        self._heard[instance] = self.host.life
        before = self._expected.pop(reply.ticket, -1)
        if self.siblings.taken.count(instance) <= before:
            raise Violation(f"{instance} persisted once more, is told commited, and was not committed once more")

    def _allowed(self, decision: Decision, reply: do.Reply) -> None:
        watch, id_ = self.host.watch, decision.id
        watch.decided.told(id_, watch.documents[id_])
        match decision:
            case Recheck():
                fields = dict(reply.fields)
                watch.decided.explained(id_, fields["added"], fields["removed"])  # type: ignore[arg-type]
                self.siblings.taken_over(watch.documents[id_]["held_instance"])
            case Approve(digest=seen, budget=budget) if reply.code is Code.OK:
                shown = frozenset(watch.units_of(id_))
                if seen and self._previews[seen] != shown and not (watch.late(id_) and shown <= self._previews[seen]):
                    raise Violation(f"{id_} is approved by the preview {self._previews[seen]}, it is another one")
                watch.decided_by_hand(id_)
                watch.decided.granted(id_, budget)
            case Skip():
                watch.decided_by_hand(id_)
            case Approve() | Retry() | Resume() | SetStatus() if reply.code is Code.ACCEPTED:
                pass  # another must approve it, too
            case Retry(budget=budget) | Resume(budget=budget):
                watch.decided.granted(id_, budget)

"""A walk that lives in doubt: commits that brought no `ok`, and all that may happen before it is known what they did.

A third of the commits fails, or more, and Domain may carry one out long after its caller has lost it. Proofs are vague
or missing, questions and canaries fail, people say the truth of some doubts and set other events aside, retries aim at
what is in doubt, and new events at what is to be made again. Checked beside what every walk checks (`walk`): nothing is
called again that a person said was made, that Domain still carries out, or over what was made since; nothing is
committed beside a doubt; events stand in order; what is stored is what is known, at any moment.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

from maestro.rules import commands as do
from maestro.rules import facts, resolving
from maestro.rules.document import MAESTRO
from maestro.rules.doubt import CaseState, CommitEnd, Doubt, Finding, Use, Word
from maestro.rules.ledger_book import Scope
from maestro.rules.state import JudgingStage, Rules, System
from maestro.rules.status import GIVEN_UP
from maestro.rules.step import Step
from tests.random_driver.broker import PREFETCH
from tests.random_driver.platform import Run
from tests.random_driver.reloading import lost_by_a_restart
from tests.random_driver.walk import Broken, Host

STEPS, PATIENCE = 900, 30_000
#: Steps between an order to stop and the end of the process.
STOPPING = 60
#: How the calls of commits fail: the more often the more places.
ENDS = (
    *(CommitEnd.REFUSED, CommitEnd.LOST, CommitEnd.NOT_BEGUN) * 3,
    *(CommitEnd.NO_DOMAIN, CommitEnd.NO_ROUTE),
)
#: Those of a held commit that was in doubt already: most of them are known not to have made it.
ENDS_AGAIN = (*(CommitEnd.NOT_BEGUN,) * 2, CommitEnd.NO_DOMAIN, CommitEnd.REFUSED, CommitEnd.LOST)
#: What a look brings that is no proof.
VAGUE = (Finding.UNPROVABLE, Finding.UNKNOWN, Finding.SILENT, Finding.NO_MAP)
#: The orders to commit.
COMMITS = (do.Commit, do.CommitHeld, do.CommitReplay)


@dataclass
class Carried:
    """A commit that Domain still carries out, though nobody waits for it."""

    run: Run
    at: float


@dataclass
class DoubtfulHost(Host):
    """One system whose commits end in doubt."""

    carried: list[Carried] = field(default_factory=list)
    #: Instances of which a person said that they were made.
    said_made: set[str] = field(default_factory=set)
    #: The step at which an orderly stop ends the process; 0: none was ordered.
    stops_at: int = 0
    #: How often each of the situations came about that this walk is for.
    seen: Counter[str] = field(default_factory=Counter)

    # --- what is checked ----------------------------------------------------------------------------------------------

    def tell(self, fact: facts.Fact, body: bytes | None = None) -> Step:
        """Let a fact happen; after it events stand in order, and none is committed beside one in doubt."""
        if isinstance(fact, facts.StatusSet | facts.SetAside):  # what is given up by hand may end at any later time
            self.excused |= {case.instance_id for case in self.system.cases.values()}
        before = {case.instance_id for case in self.system.cases.values() if case.state is CaseState.DOUBT}
        step = super().tell(fact, body)
        system = self.system
        for command in step.commands:
            if isinstance(command, COMMITS):
                beside = before & {case.instance_id for case in system.cases.values() if case.state is CaseState.DOUBT}
                if beside - {command.instance_id}:
                    raise Broken(f"I7: {command.instance_id} is committed beside {beside}, which are in doubt")
        for name, numbers in (("inbox", [one.number for one in system.inbox]), ("waiting", list(system.waiting))):
            if numbers != sorted(numbers):
                raise Broken(f"I2: {name} is out of order: {numbers}")
        if system.judged is not None and system.judged in system.inbox:
            raise Broken(f"I2: {system.judged.key} is judged and in the inbox")
        if system.judged is None and system.judging_stage is not None:
            raise Broken(f"I9: nothing is judged, and {system.judging_stage} is waited for")
        self.seen.update(situations(system))
        return step

    def check_what_is_stored(self) -> None:
        """What is stored is what is known."""
        self.flush(durable=True)
        lost = lost_by_a_restart(self.system, self.repository)
        if lost:
            raise Broken(f"I4: a restart changes {lost[0]}")

    # --- the platform -------------------------------------------------------------------------------------------------

    def begin_run(self) -> Run:
        """Start a process: many open a branch or change nothing new, few cannot be replayed."""
        run = super().begin_run()
        if self.dice.random() < 0.4:
            run.fork, run.branch = True, "b1"
        run.harmless = self.dice.random() < 0.7
        if self.dice.random() < 0.7:
            run.trouble = ""
        return run

    def may_be_stored_twice(self, run: Run) -> bool:
        """Of a domain that takes commits again nothing follows from any."""
        return self.rules.commit_repeatable or super().may_be_stored_twice(run)

    def commits(self, instance: str, token: int, made: facts.Fact, document: str = "") -> None:
        """Domain persist; not of what is known to be made."""
        if instance in self.said_made:
            raise Broken(f"I7: a person said that {instance} was made, and it is committed again")
        row = self.held.get(document)
        if row is not None and row["held_instance"] == instance and row["held_committed"]:
            raise Broken(f"I7: {instance}, held, is recorded as committed, and committed again")
        run, log = self.platform.runs[instance], self.platform.log
        if not self.may_be_stored_twice(run):
            if any(one.run is run for one in self.carried):
                raise Broken(f"I7: {instance} is committed again while Domain carries out a former call")
            if run.stored and log[-1] != instance:
                raise Broken(f"I7: {instance} is stored, and committed again over {log[-1]}")
        super().commits(instance, token, made, document)

    def end_of_commit(self, document: str) -> CommitEnd | None:
        """One of three fails, of those of documents more; of those that were in doubt before most."""
        if not self.unkind:
            return None
        if document in self.system.doubts and self.dice.random() < 0.7:
            return self.dice.choice(ENDS_AGAIN)
        return self.dice.choice(ENDS) if self.dice.random() < (0.6 if document else 0.3) else None

    def persists(self, run: Run, document: str, answer: facts.Fact, *, stores: bool) -> None:
        """Domain may take its time, and longer than its caller knows."""
        lost = isinstance(answer, facts.CommitFailed) and answer.end is CommitEnd.LOST
        if lost and stores and self.dice.random() < 0.7:
            self.carried.append(Carried(run, self.now + self.dice.random() * 45))
            stores = False
        super().persists(run, document, answer, stores=stores)
        if self.dice.random() < 0.5:
            self.calls[-1].at = self.now + self.dice.random() * 5

    def store_data(self, run: Run) -> None:
        """Domain stores a run's data; now and then its outcome says so."""
        super().store_data(run)
        if self.up and self.dice.random() < 0.2:
            said = facts.InstanceEnded(run.id, "system.process.persist.done", "", run.branch, None, stored=True)
            self.call(lambda: said)

    def carry_out(self, carried: Carried) -> None:
        """Domain is done with what nobody waits for."""
        self.carried.remove(carried)
        self.store_data(carried.run)

    @property
    def persisting(self) -> bool:
        """Whether something may still be stored."""
        return bool(self.carried) or super().persisting

    def proof_of(self, token: int, run: Run) -> Finding:
        """Domain is asked for a run's rows: they may be replaced meanwhile, or their map missing."""
        if token in self.system.retries and run.harmless and self.dice.random() < 0.9:
            return Finding.HARMLESS
        case = next((one for one in self.system.cases.values() if one.token == token), None)
        if self.unkind and case is not None and case.use is not Use.EVENT and self.dice.random() < 0.5:
            return Finding.UNPROVABLE
        if self.unkind and self.dice.random() < 0.35:
            return self.dice.choice(VAGUE)
        rows = run.stored > 0 and (self.platform.log[-1] == run.id or self.dice.random() < 0.5)
        if run.harmless and self.dice.random() < 0.4:
            return Finding.HARMLESS
        if rows:
            return Finding.ROWS
        return Finding.HARMLESS_NO_ROWS if run.harmless else Finding.NO_ROWS

    def begin(self, command: do.Command) -> None:
        """Carry a command out: questions fail for one sibling or another, and canaries with them."""
        unkind = self.unkind and self.dice.random() < 0.15
        match command:
            case do.AskProof(token=token, instance_id=instance):
                run = self.platform.runs[instance]
                self.call(lambda: facts.ProofFound(token, self.proof_of(token, run)))
            case do.AskImpact(token=token) if unkind:
                self.fails_for_judging(token, "discovery", "domain")
            case do.FetchOrigins(token=token) if unkind:
                self.fails_for_judging(token, "processMemory", "apicore")
            case do.AskReplayImpact(id=id_, token=token) | do.AskStartImpact(id=id_, token=token) if unkind:
                self.fails_for_run(id_, token, "discovery", "domain")
            case do.FetchReplayOrigins(id=id_, token=token) if unkind:
                self.fails_for_run(id_, token, "processMemory")
            case do.AskCanary(what=what, token=token) if self.unkind:
                answered, known = self.dice.random() < 0.4, self.dice.random() < 0.7
                said = facts.CanaryAsked(what, token, answered, known)
                self.call(lambda: said, at=self.now + self.dice.random() * 30)
            case do.FillQueues(id=id_, token=token) if self.unkind:
                filled = facts.QueuesUpdated(id_, token, "")
                self.call(lambda: filled, at=self.now + self.dice.random() * 4)
            case do.AskFootprint():
                pass  # what commits change is not known
            case _:
                super().begin(command)

    def fails_for_judging(self, token: int, *siblings: str) -> None:
        """A question about the event in hand fails past its tries: for a sibling, or by itself."""
        failed = facts.JudgingFailed(token, "away", self.dice.choice((*siblings * 2, "")))
        self.call(lambda: failed)

    def fails_for_run(self, id_: str, token: int, *siblings: str) -> None:
        """A question of a run fails past its tries."""
        failed = facts.RunFailed(id_, token, "away", self.dice.choice((*siblings * 2, "")))
        self.call(lambda: failed)

    # --- what may happen ----------------------------------------------------------------------------------------------

    def possible(self) -> list[Callable[[], object]]:
        """Return all that may happen now; Domain goes on while the process is down."""
        carried = [one for one in self.carried if one.at <= self.now]
        return [*super().possible(), *(lambda one=one: self.carry_out(one) for one in carried)]

    def wait(self) -> None:
        """Time goes by until something may happen."""
        later = [*(call.at for call in self.calls), *(one.at for one in self.carried)]
        if later:
            self.now = max(self.now, min(later))

    def crash(self, *, power: bool) -> None:
        """The process dies. After a loss of power anything may be made twice: what was known of it is lost."""
        super().crash(power=power)
        self.stops_at = 0
        if power:
            self.said_made.clear()
            self.excused |= set(self.platform.runs)

    def stop(self, at: int) -> None:
        """An orderly stop: what is in hand is finished until the process ends."""
        self.system.closing, self.stops_at = True, at

    # --- people -------------------------------------------------------------------------------------------------------

    def retry(self, id_: str) -> None:
        """Somebody retries a document that has ended."""
        self.flush(durable=False)
        self.ask(facts.Retried, id_, units=self.repository.units(id_))

    def decide(self) -> None:
        """Somebody decides: mostly about what has failed, for its doubts must be met, and what is called again."""
        self.flush(durable=False)
        called_again = [
            case.key for case in self.system.cases.values() if case.use is Use.HELD and case.key in self.system.doubts
        ]
        failed = [doc for doc in self.system.documents.values() if doc.status in GIVEN_UP]
        pending = self.system.pending()
        if pending is not None and self.dice.random() < 0.5:
            self.ask(facts.Approved, pending.id)
        elif called_again and self.dice.random() < 0.5:
            if self.dice.random() < 0.5:
                self.ask(facts.Cancelled, called_again[0])
            else:
                self.ask(facts.StatusSet, called_again[0], status="failure")
        elif failed and self.dice.random() < 0.6:
            self.retry(self.dice.choice(failed[-4:]).id)
        else:
            super().decide()

    def resolve(self) -> None:
        """Somebody says the truth of a doubt, once it is known; or sets the event in hand aside."""
        if self.dice.random() < 0.3:
            self.tickets += 1
            self.tell(facts.SetAside("ana", self.tickets, "r"))
            return
        doubts = resolving.known_doubts(self.system)
        if doubts and not self.persisting:
            doubt = self.dice.choice(doubts)
            if doubt.use is Use.EVENT or self.dice.random() < 0.3:  # a retry is to find those of documents open
                self.say_the_truth(doubt)

    def say_the_truth(self, doubt: Doubt) -> None:
        """Somebody has looked, and says so: nothing calls again what was made."""
        run = self.platform.runs[doubt.instance_id]
        if run.stored and not self.may_be_stored_twice(run):
            self.said_made.add(run.id)
        super().say_the_truth(doubt)

    def aim(self) -> None:
        """Have a document in doubt retried; or another commit made before one is made again, or is over at Domain."""
        system = self.system
        carried = {one.run.id for one in self.carried}
        between = bool(carried)
        for doubt in system.doubts.values():
            doc = system.documents.get(doubt.document)
            if doc is None or doubt.overtaken or not (doubt.use is Use.HELD or doubt.instance_id in carried):
                continue
            if doubt.open and not doc.live and not system.retries:
                self.retry(doc.id)
                return
            # Beside a run without lock events are made all the time: there the call itself is aimed at.
            due = doc.live and not doubt.open and not doc.held_committed
            between = between or (due and (doc.held_begun or not doc.forking))
        if between and not (system.cases or self.broker.persist):
            self.event_comes()

    @property
    def quiet(self) -> bool:
        """Nothing is left to do."""
        return super().quiet and not (self.system.cases or self.system.stalls or self.carried)


def situations(system: System) -> Iterator[str]:
    """Name what this walk is for, where a system is in it."""
    if system.judging_stage is JudgingStage.DOUBT:
        yield "an event waits for a doubt"
    if len(system.cases) > 1:
        yield "two commits without ok"
    if any("waits for another one" in stall.cause for stall in system.stalls.values()):
        yield "a call is put off"
    for case in system.cases.values():
        yield f"{case.use}: {case.state}"
    for doubt in system.doubts.values():
        if doubt.open and not doubt.ended:
            yield "left, perhaps under way"
        if doubt.use is Use.HELD and doubt.overtaken:
            yield "held: overtaken"
        if doubt.use is Use.HELD and doubt.called_again:
            yield "held: called again, not made"
        if doubt.use is Use.HELD and (doubt.verdict, doubt.user) == (Word.MAKE_AGAIN, MAESTRO):
            yield "held: harmless to make again"


def walk(seed: int, seen: Counter[str] | None = None) -> int:
    """Walk; return the steps it took, and count in `seen` what came about. Raises as `walk.walk` does."""
    dice = Random(seed)
    host = DoubtfulHost("s0", dice, _rules(dice), seen=Counter() if seen is None else seen)
    for step in range(PATIENCE):
        unkind = step < STEPS
        host.now += dice.random() * 0.05
        if unkind:
            if host.up and host.system.doubts and dice.random() < 0.1:
                host.aim()
            if dice.random() < 0.09:
                _from_outside(host, dice, step)
        elif host.up and dice.random() < 0.02:
            host.unkind = False
            host.settle()
        if host.up and host.stops_at and step >= host.stops_at:
            host.crash(power=False)
        things = host.possible()
        if things and (not host.unkind or dice.random() < 0.93):
            dice.choice(things)()
        elif host.up:
            host.wait()
        if not unkind and step % 50 == 0 and host.quiet:
            host.check_what_is_stored()
            host.check()
            return step
    system = host.system
    raise Broken(f"I9: it does not come to rest: {system.live}, {system.waiting}, {system.cases}, {system.stalls}")


def _from_outside(host: DoubtfulHost, dice: Random, step: int) -> None:
    """Something comes from outside: an event, a decision, a fault."""
    what = dice.random()
    if what < 0.35:
        host.event_comes()
    elif not host.up:
        return
    elif what < 0.65:
        host.decide()
    elif what < 0.72:
        host.redrive()
    elif what < 0.75:
        host.broker.restart()
    elif what < 0.86:
        host.resolve()
    elif what < 0.93:
        host.check_what_is_stored()
    elif what < 0.96:
        host.stop(step + STOPPING)
    else:
        host.crash(power=dice.random() < 0.05)


def _rules(dice: Random) -> Rules:
    return Rules(
        replay_attempts=dice.choice((1, 2)),
        max_replays_per_instance=dice.choice((1, 2)),
        auto_approve=dice.random() < 0.5,
        prefetch=PREFETCH,
        hold_copies=dice.choice((0.0, 600.0)),
        ensure_finished=False,
        ledger_scope=Scope.OFF,
        outage_limit=dice.choice((30.0, 1800.0)),
        commit_settle=60.0,
        commit_repeatable=dice.random() < 0.06,
    )

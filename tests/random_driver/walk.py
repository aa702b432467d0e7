"""One walk: several systems, and at each step one thing of all that may happen next.

Checked on the way: order of verdicts (I2), held means held (I3), answers to former lives are not heard (I4), the lock
at each effect of a run (I6), no commit twice (I7). In the end: nothing lost (I1), all replayed (I5), at rest (I9).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from maestro.events import celery_body, parse_celery
from maestro.messages.decisions import Budget
from maestro.rules import commands as do
from maestro.rules import facts, identity, reconsidering, rendering, resolving
from maestro.rules.commands import Needs
from maestro.rules.doubt import CommitEnd, Doubt, Finding, Word
from maestro.rules.ledger_book import Scope
from maestro.rules.machine import Machine
from maestro.rules.state import Rules, System
from maestro.rules.status import GIVEN_UP, Status
from maestro.rules.step import Step
from maestro.store.base import Put
from maestro.store.memory import MemoryStore
from maestro.system.repository import Repository
from tests.random_driver.broker import PREFETCH, Broker, Message
from tests.random_driver.platform import Platform, Run

STEPS, PATIENCE = 1500, 60_000
TIMEOUT = 40.0
#: After these Domain may have stored the data all the same.
PERHAPS_STORED = (CommitEnd.REFUSED, CommitEnd.LOST)
#: Statuses under which nothing but an approved held commit may be made (I3), for a document with lock.
HOLDING = ("approved", "running", "paused")


class Broken(AssertionError):  # noqa: N818 - a finding
    """A rule does not hold; the message says which."""


@dataclass
class Call:
    """A call on the wire: what it does, whether it did, and what is heard of it."""

    life: int
    answer: Callable[[], facts.Fact | None]
    act: Callable[[], None] | None = None
    #: When it may be answered at the earliest.
    at: float = 0.0


@dataclass
class Host:
    """One system: its process of now, its platform and its broker."""

    name: str
    dice: Random
    rules: Rules
    broker: Broker = field(default_factory=Broker)
    store: MemoryStore = field(default_factory=MemoryStore)
    life: int = 0
    up: bool = False
    now: float = 1.7e9
    unkind: bool = True
    documents: int = 0
    tickets: int = 0
    locked: bool = False
    calls: list[Call] = field(default_factory=list)
    #: Commits whose verdict a loss of power took along, or that a person had made again: they may be made twice.
    excused: set[str] = field(default_factory=set)
    recorded: set[str] = field(default_factory=set)
    last_verdict: int = 0
    users: tuple[str, ...] = ("ana", "ben")

    def __post_init__(self) -> None:
        self.platform = Platform(self.name, self.dice)
        self.start()

    # --- lives ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """A process begins, from what is stored."""
        self.life += 1
        self.up = True
        self.repository = Repository(self.store, self.name, self.rules)
        self.machine = Machine(self.repository.load())
        self.saves: list[Any] = []
        self.stored: list[do.Command] = []
        self.synced: list[do.Command] = []
        self.begun: set[int] = set()
        #: What is stored of documents and events.
        self.held: dict[str, dict[str, Any]] = dict(self.store.rows("documents"))
        self.events: dict[str, dict[str, Any]] = dict(self.store.rows("deliveries"))
        self.locked = self.system.lock() is not None
        self.tell(facts.Resumed())
        self.broker.restart()

    def crash(self, *, power: bool) -> None:
        """The process dies; what is on the wire still arrives, or does not."""
        self.up = False
        before = {row["key"]: row["instance"] for _, row in self.store.rows("deliveries")}
        for call in self.calls:
            if call.act is not None and self.dice.random() < 0.5:
                call.act()
        self.calls.clear()
        self.broker.restart()
        self.broker.to_system.clear()
        self.store = self.store.crash(power_lost=power)
        rows = [row for _, row in self.store.rows("deliveries")]
        kept = {row["key"] for row in rows}
        if power:
            self.excused |= {instance for key, instance in before.items() if key not in kept}
            self.excused |= {row["instance"] for row in rows if not row.get("done")}
            self.recorded &= {row["instance"] for row in rows if row.get("done")}
            held = {row["held_instance"] for _, row in self.store.rows("documents") if not row["held_committed"]}
            self.excused |= held
        judged = (int(key) for key, row in self.store.rows("deliveries") if _judged(row) and not _is_result(row))
        self.last_verdict = max(judged, default=0)
        self.locked = True  # nobody answers 200 meanwhile

    @property
    def system(self) -> System:
        """The state of now."""
        return self.machine.system

    # --- facts and commands ----------------------------------------------------------------------------------------

    def tell(self, fact: facts.Fact, body: bytes | None = None) -> Step:
        """Let a fact happen; return what follows."""
        step = self.machine.handle(fact, self.now)
        arrived = self.system.last_arrived
        if isinstance(fact, facts.EventArrived) and body is not None and arrived is not None and not arrived.done:
            self.repository.remember_body(arrived.number, body)
        if isinstance(fact, facts.ReconsiderAsked):
            again = self.system.deliveries.get(reconsidering.delivery_key(fact.id))
            if again is not None and not again.done:
                self.repository.remember_body(again.number, reconsidering.delivery_body(self.system.documents[fact.id]))
        self.saves += step.saves
        for command in step.commands:
            if command.needs is Needs.NOTHING:
                self.begin(command)
            else:
                (self.synced if command.needs is Needs.SYNCED else self.stored).append(command)
        return step

    def flush(self, *, durable: bool) -> None:  # noqa: C901 - the checks of one transaction, one after the other
        """Store what is to be saved, check it, and begin what waited for it."""
        saves, self.saves = self.saves, []
        writes = self.repository.writes(saves)
        self.store.commit(writes, durable=durable)
        self.locked = self.system.lock() is not None
        blocked = {id_ for id_, row in self.held.items() if _blocks(row)}
        for write in writes:
            if write.table == "documents" and isinstance(write, Put):
                self.held[write.key] = dict(write.fields)
        blocking = {id_ for id_ in blocked if _blocks(self.held[id_])}  # before this transaction, and after it
        events = [write for write in writes if write.table == "deliveries"]
        for write in sorted(events, key=lambda write: write.key):
            row, before = dict(write.fields) if isinstance(write, Put) else None, self.events.pop(write.key, None)
            if row is None:
                continue
            self.events[write.key] = row
            if _is_result(row):
                continue
            if row.get("done") and row["verdict"] == "commit":
                self.recorded.add(row["instance"])
            if _judged(row) and not _judged(before):
                if int(write.key) < self.last_verdict:
                    raise Broken(f"I2: {row['key']} is judged as number {write.key} after number {self.last_verdict}")
                if blocking and row["verdict"] == "commit":
                    raise Broken(f"I3: {row['key']} gets its verdict while {blocking} block")
                self.last_verdict = int(write.key)
        ready, self.stored = self.stored, []
        if durable:
            ready, self.synced = ready + self.synced, []
        for command in ready:
            self.begin(command)

    def begin(self, command: do.Command) -> None:  # noqa: C901, PLR0912, PLR0915 - one branch for each kind
        """Carry a command out: as a call on the wire, or as an order."""
        platform, unkind = self.platform, self.unkind and self.dice.random() < 0.06
        match command:
            case do.AckDelivery() | do.FeedWaitQueue() | do.SweepPersist():
                self.broker.to_ingress.append((command, None))
            case do.ParkEvent() | do.DeadLetterEvent():
                known = self.system.deliveries.get(command.key)
                same = known is not None and getattr(command, "number", known.number) == known.number
                body = self.repository.body(known.number) if known is not None and same else None
                self.broker.to_ingress.append((command, body))
            case do.AskImpact(token=token, instance_id=instance):
                failed = facts.JudgingFailed(token, "away")
                self.call(lambda: failed if unkind else facts.ImpactFound(token, platform.impacted(instance)))
            case do.FetchOrigins(token=token, key=key, instance_id=instance, units=units):
                self.documents += 1
                id_ = f"{self.name}-doc{self.documents}"
                body = self.repository.body(self.system.deliveries[key].number)
                if body is None:
                    raise Broken(f"I1: the body of {key} is gone while it is judged")
                event, fork = parse_celery(body).event.raw, platform.runs[instance].fork
                found = facts.OriginsFetched(token, id_, event, b"{}", platform.origins(units), fork)
                self.call(lambda: facts.JudgingFailed(token, "away") if unkind else found)
            case do.Commit(token=token, instance_id=instance):
                self.commits(instance, token, facts.Committed(token))
            case do.CommitHeld(id=id_, token=token, instance_id=instance):
                self.commits(instance, token, facts.HeldCommitted(id_, token), id_)
            case do.CommitReplay(id=id_, token=token, instance_id=instance):
                self.commits(instance, token, facts.ReplayCommitted(id_, token), id_)
            case do.AskProof(token=token, instance_id=instance):
                run = platform.runs[instance]
                found_ = Finding.HARMLESS if run.harmless else Finding.ROWS if run.stored else Finding.NO_ROWS
                self.call(lambda: facts.ProofFound(token, Finding.UNPROVABLE if unkind else found_))
            case do.AskStartImpact(id=id_, token=token, instance_id=instance):
                self.call(lambda: facts.StartImpactFound(id_, token, platform.impacted(instance)))
            case do.AskReplayImpact(id=id_, token=token, instance_id=instance):
                failed_ = facts.RunFailed(id_, token, "away")
                self.call(
                    lambda: failed_ if unkind else facts.ReplayImpactFound(id_, token, platform.impacted(instance))
                )
            case do.AskAgain(key=key, token=token, instance_id=instance):
                failed_again = facts.AskAgainFailed(key, token, "away")
                self.call(lambda: failed_again if unkind else facts.AskedAgain(key, token, platform.impacted(instance)))
            case do.FetchLateOrigins(token=token, units=units):
                self.documents += 1
                late_id = f"{self.name}-doc{self.documents}"
                self.call(lambda: facts.LateOriginsFetched(token, late_id, platform.origins(units)))
            case do.FetchReplayOrigins(id=id_, token=token, units=units):
                self.call(lambda: facts.ReplayOriginsFetched(id_, token, platform.origins(units)))
            case do.AskRecheck(id=id_, token=token, instance_id=instance):
                self.call(lambda: facts.RecheckFound(id_, token, platform.impacted(instance)))
            case do.FetchRecheckOrigins(id=id_, token=token, units=units):
                self.call(lambda: facts.RecheckOriginsFetched(id_, token, platform.origins(units)))
            case do.Notify(id=id_, token=token):
                self.call(lambda: facts.Notified(id_, token))
            case do.SendReplay(id=id_, token=token):
                self.send(id_, token, unkind=unkind)
            case do.AwaitResult(id=id_, send=send, since=since):
                self.call(lambda: facts.ReplayTimedOut(id_, send), at=since + TIMEOUT)
            case do.WakeAt(topic=topic, key=key, at=at):
                self.call(lambda: facts.Woken(topic, key), at=at)
            case (
                do.FillQueues(id=id_, token=token)
                | do.GrowQueues(id=id_, token=token)
                | do.CleanUpQueues(id=id_, token=token)
            ):
                self.call(lambda: facts.QueuesUpdated(id_, token, ""))
            case do.Dequeue(id=id_, token=token) if token:
                self.call(lambda: facts.QueuesUpdated(id_, token, ""))
            case do.AskCanary(what=what, token=token):
                self.call(lambda: facts.CanaryAsked(what, token, answered=True))
            case do.AskFollowing(id=id_, send=send, instance_id=instance):
                self.call(lambda: facts.FollowingKnown(id_, send, instance, follows=True))
            case do.CheckDeciders(id=id_, token=token):
                self.call(lambda: facts.DecidersChecked(id_, token, ""))
            case do.Reply() | do.RaiseAlarm() | do.TakeUnit() | do.TakeControl() | do.Enqueue() | do.EmptyQueues():
                pass
            case do.Dequeue() | do.AckOutcome():
                pass
            case _:
                raise Broken(f"nothing is known of {command}")

    def call(
        self, answer: Callable[[], facts.Fact | None], act: Callable[[], None] | None = None, at: float = 0.0
    ) -> None:
        """Put a call on the wire."""
        self.calls.append(Call(self.life, answer, act, at))

    def commits(self, instance: str, token: int, made: facts.Fact, document: str = "") -> None:
        """Domain persist: not idempotent. It may store and say no, or not be heard of."""
        run = self.platform.runs[instance]
        if instance in self.recorded and not document and not self.may_be_stored_twice(run):
            raise Broken(f"I7: {instance} is recorded as committed, and committed again")
        end = self.end_of_commit(document)
        stores = end is None or (end in PERHAPS_STORED and self.dice.random() < 0.5)
        answer = made if end is None else facts.CommitFailed(token, end, f"domain: {end}")
        self.persists(run, document, answer, stores=stores)

    def end_of_commit(self, _document: str) -> CommitEnd | None:
        """Say how a call of a commit ends; None: with `ok`."""
        ends = (CommitEnd.REFUSED, CommitEnd.LOST, CommitEnd.NOT_BEGUN)
        return self.dice.choice(ends) if self.unkind and self.dice.random() < 0.08 else None

    def persists(self, run: Run, document: str, answer: facts.Fact, *, stores: bool) -> None:
        """Domain is called: it stores the run's data, or does not, and is heard of."""

        def store() -> None:
            if document:
                self.guarded(document, f"the commit of {run.id}")
            self.store_data(run)

        self.call(lambda: answer, store if stores else None)

    def store_data(self, run: Run) -> None:
        """Domain stores a run's data. Twice only what changes nothing the second time."""
        run.stored += 1
        log = self.platform.log
        if run.stored > 1 and not self.may_be_stored_twice(run):
            if not run.harmless:
                raise Broken(f"I7: {run.id} is stored {run.stored} times")
            if log[-1] != run.id:
                raise Broken(f"I7: {run.id} is stored again, over {log[-1]}")
        log.append(run.id)

    def may_be_stored_twice(self, run: Run) -> bool:
        """Whether nothing follows from a second commit: that was lost or wanted, or there are several messages."""
        return run.id in self.excused or run.messages > 1

    def send(self, id_: str, token: int, *, unkind: bool) -> None:
        """Event Manager: a replay runs and persists, or fails, or never does."""
        doc = self.system.documents[id_]
        if doc.current is None or doc.token != token:
            self.call(lambda: facts.ReplaySent(id_, token))
            return
        trouble, event = self.platform.runs[doc.current.instance_id].trouble, rendering.replay_event(doc, doc.current)
        unit, name = doc.current.instance_id, doc.send_name(doc.current)
        branch = doc.current.branch
        if trouble == "no subscriber":
            self.call(lambda: facts.UnitRefused(id_, token, "has no subscribers"))
            return

        def act() -> None:
            self.guarded(id_, f"the replay of {unit}")
            if trouble == "fails" or (unkind and self.dice.random() < 0.3):
                self.call(lambda: facts.ReplayErred(id_, unit, branch, name, "it raised"))
                return
            if unkind and self.dice.random() < 0.3:
                return
            run, body = self.platform.replay(event)
            self.publish(run, f"r-{run.id}", body, times=2 if unkind else 1)

        self.call(lambda: facts.ReplaySent(id_, token), act)

    def guarded(self, document: str, what: str) -> None:
        """I6: a run with lock changes nothing while `proceed` says 200."""
        row = self.held.get(document)
        if row is not None and not row["forking"] and not self.locked:
            raise Broken(f"I6: {what} of {document} happens while nothing is locked ({row['status']})")

    # --- what may happen ----------------------------------------------------------------------------------------------

    def begin_run(self) -> Run:
        """Somebody starts a process."""
        return self.platform.begin()

    def event_comes(self, twice: float = 0.0) -> None:
        """A process persists; its event may be there twice."""
        run = self.begin_run()
        self.publish(run, f"m-{run.id}", self.platform.event(run), times=1 + (self.dice.random() < twice))

    def publish(self, run: Run, id_: str, event: bytes, times: int = 1) -> None:
        """The broker accepts an event."""
        for _ in range(times):
            run.messages += 1
            self.broker.persist.append(Message(id_, celery_body(id_, event)))

    def heard(self) -> None:
        """The oldest that is on its way from ingress arrives."""
        item = self.broker.to_system.popleft()
        if not isinstance(item, tuple):
            self.tell(item)  # type: ignore[arg-type]
            return
        message, ref, waits = item
        celery = parse_celery(message.body)
        event, own = celery.event, identity.own_key(message.id if waits or message.redriven else "")
        arrived = facts.EventArrived(
            own or identity.from_outside(celery.id), event.instance_id, event.name, event.branch, event.tag,
            event.reprocessing, ref=ref, from_wait_queue=waits, redelivered=message.redelivered,
            redriven=message.redriven,
        )  # fmt: skip
        self.tell(arrived, message.body)

    def possible(self) -> list[Callable[[], object]]:
        """Return all that may happen now."""
        if not self.up:
            return [self.start]
        broker, things = self.broker, []
        broker.deliver()
        if broker.to_system:
            things.append(self.heard)
        if broker.to_ingress:
            things.append(broker.obey)
        if self.saves or self.stored or self.synced:
            things += [lambda: self.flush(durable=True), lambda: self.flush(durable=False)]
        things += [lambda call=call: self.answered(call) for call in self.calls if call.at <= self.now]
        things += [lambda one=one: self.message(one) for one in self.system.outbox if one not in self.begun]
        return things

    def answered(self, call: Call) -> None:
        """A call arrives, or its answer does."""
        if call.act is not None:
            act, call.act = call.act, None
            act()
            return
        self.calls.remove(call)
        if call.life != self.life:
            raise Broken("I4: an answer to a former life is heard")
        fact = call.answer()
        if fact is not None:
            self.tell(fact)

    def message(self, number: int) -> None:
        """A message that decides nothing is delivered."""
        self.begun.add(number)
        self.tell(facts.OutboxMessageBegun(number))
        self.call(lambda: facts.OutboxMessageDone(number))

    def wait(self) -> None:
        """Nothing may happen now: time goes by until something may."""
        later = [call.at for call in self.calls]
        if later:
            self.now = max(self.now, min(later))

    # --- people ------------------------------------------------------------------------

    def ask(self, kind: type, id_: str, **more: object) -> None:
        """Somebody decides."""
        self.tickets += 1
        self.flush(durable=False)
        self.tell(kind(id=id_, user=self.dice.choice(self.users), ticket=self.tickets, reason="r", **more))

    def decide(self) -> None:
        """Somebody decides something, sensible or not."""
        docs = list(self.system.documents.values())
        if not docs:
            return
        doc, budget = self.dice.choice(docs), self.dice.choice((Budget(), Budget(1), Budget(2, 0.2)))
        stored = self.repository.units(doc.id) if not doc.live else ()
        keys = tuple(unit.key for unit in (stored or doc.order))
        what = self.dice.randrange(12)
        if what < 3:
            self.ask(facts.Approved, doc.id, budget=budget)
        elif what == 3:
            self.ask(facts.Skipped, doc.id)
        elif what in (4, 5):
            self.ask(facts.Retried, doc.id, units=stored, budget=budget)
        elif what == 6:
            self.ask(facts.Cancelled, doc.id)
        elif what == 7:
            self.ask(facts.PauseAsked, doc.id)
        elif what == 8:
            self.ask(facts.ResumeAsked, doc.id, budget=budget)
        elif what == 9:
            self.ask(facts.ReconsiderAsked, doc.id)
        elif what == 10:
            some = tuple(self.dice.sample(keys, min(len(keys), 2)))
            self.ask(facts.LeaveOutAsked, doc.id, units=some, stored=stored)
        else:
            self.ask(facts.StatusSet, doc.id, status=self.dice.choice(("failure", "finished", "approved", "skipped")))

    def redrive(self) -> None:
        """Somebody gives a message of the error queue back."""
        if self.broker.errors:
            message = self.broker.errors.pop(self.dice.randrange(len(self.broker.errors)))
            run = self.platform.runs[parse_celery(message.body).event.instance_id]
            run.messages += 1
            self.broker.persist.append(Message(message.id, message.body, redriven=True))

    def settle(self) -> None:
        """Somebody has all of it decided: doubts by looking, what is pending approved, what rests resumed."""
        for doubt in resolving.known_doubts(self.system):
            if not self.persisting:
                self.say_the_truth(doubt)
        for doc in list(self.system.live.values()):
            if doc.status is Status.PENDING:
                self.ask(facts.Approved, doc.id)
            elif doc.status is Status.PAUSED and doc.set_aside:
                self.ask(facts.LeaveOutAsked, doc.id, units=tuple(doc.set_aside))
                self.ask(facts.ResumeAsked, doc.id)
            elif doc.status is Status.PAUSED:
                self.ask(facts.ResumeAsked, doc.id)

    @property
    def persisting(self) -> bool:
        """Whether something may still be stored: who looks now has not seen the end of it."""
        return any(call.act for call in self.calls)

    def say_the_truth(self, doubt: Doubt) -> None:
        """Somebody has looked whether a commit in doubt was made, and says so."""
        word = Word.MADE if self.platform.runs[doubt.instance_id].stored else Word.MAKE_AGAIN
        self.tickets += 1
        self.tell(facts.DoubtResolved(doubt.key, word, "ana", self.tickets, "looked"))

    @property
    def quiet(self) -> bool:
        """Nothing is left to do."""
        system = self.system
        busy = system.live or system.owed or system.waiting or system.inbox or system.judged or system.outbox
        return self.up and not busy and self.broker.quiet and not resolving.known_doubts(system)

    # --- the end ------------------------------------------------------------------------

    def check(self) -> None:
        """Nothing is lost (I1), and what is finished was replayed (I5)."""
        self.flush(durable=True)
        if self.locked:
            raise Broken(f"I6: {self.name} is at rest and locked")
        documents = list(self.store.rows("documents"))
        failed = {parse_celery(message.body).event.instance_id for message in self.broker.errors}
        for run in self.platform.runs.values():
            if run.messages and not run.of:
                held = [row["status"] for _, row in documents if row["held_instance"] == run.id]
                if not (run.stored or held or run.id in failed):
                    raise Broken(f"I1: {run.id} is lost")
                if held and held[-1] == Status.FINISHED and not run.stored:
                    raise Broken(f"I1: the document of {run.id} is finished, and its data nowhere")
        for id_, row in documents:
            if (
                row["status"] in GIVEN_UP
                or row["status"] == Status.SKIPPED
                or any(entry[2] in self.users and entry[0] == Status.FINISHED for entry in row["history"])
            ):
                continue
            for _, unit in self.store.rows("units", f"{id_}/"):
                replays = [
                    run for run in self.platform.runs.values()
                    if run.of == unit["instance_id"] and run.document == id_ and run.branch == unit["branch"]
                ]  # fmt: skip
                if unit["state"] != "left_out" and not any(run.stored for run in replays):
                    raise Broken(f"I5: {id_} is {row['status']}, {unit['instance_id']} was never replayed: {unit}")


def _is_result(row: dict[str, Any]) -> bool:
    return bool(row.get("replay") or row.get("reprocessing"))


def _judged(row: dict[str, Any] | None) -> bool:
    return row is not None and row["verdict"] in ("commit", "pending", "error")


def _blocks(row: dict[str, Any]) -> bool:
    if row["status"] == "pending_approval":
        return not row.get("late")
    return not row["forking"] and row["status"] in HOLDING


def walk(seed: int) -> int:
    """Walk; return the steps it took. Raises `Broken`, and whatever the rules raise."""
    dice = Random(seed)
    hosts = [Host(f"s{number}", dice, _rules(dice)) for number in range(dice.choice((1, 2, 3)))]
    for step in range(PATIENCE):
        host = dice.choice(hosts)
        unkind = step < STEPS
        host.now += dice.random() * 0.05
        if unkind and dice.random() < 0.06:
            _from_outside(host, dice)
        elif not unkind and dice.random() < 0.02 and host.up:
            host.unkind = False
            host.settle()
        things = host.possible()
        if things:
            dice.choice(things)()
        elif host.up:
            host.wait()
        if not unkind and step % 50 == 0 and all(one.quiet for one in hosts):
            for one in hosts:
                one.check()
            return step
    raise Broken(f"I9: it does not come to rest: {[(one.system.live, one.system.waiting) for one in hosts]}")


def _from_outside(host: Host, dice: Random) -> None:
    """Something comes from outside: an event, a decision, a fault."""
    what = dice.random()
    if what < 0.35:
        host.event_comes(twice=0.1)
    elif not host.up:
        return
    elif what < 0.8:
        host.decide()
    elif what < 0.88:
        host.redrive()
    elif what < 0.94:
        host.broker.restart()
    else:
        host.crash(power=dice.random() < 0.4)


def _rules(dice: Random) -> Rules:
    two = dice.random() < 0.25
    return Rules(
        replay_attempts=dice.choice((1, 2)),
        max_replays_per_instance=dice.choice((1, 2, 3)),
        auto_approve=not two and dice.random() < 0.2,
        two_approvers=two,
        dedup_window=dice.choice((24, 4096)),
        prefetch=PREFETCH,
        hold_copies=dice.choice((0.0, 5.0, 600.0)),
        ensure_finished=False,
        ledger_scope=Scope.OFF,
    )

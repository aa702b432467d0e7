"""The commands of one system's machine, carried out against the modelled siblings, broker and mirrors."""

from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import structs

from maestro.rules import commands as do
from maestro.rules import facts, rendering
from maestro.rules.document import UnitState
from maestro.rules.doubt import CommitEnd
from maestro.rules.impact import Impacted, relevant
from maestro.rules.ledger import Footprint, merged
from maestro.rules.state import OutboxKind, OutboxMessage, System
from maestro.store.memory import MemoryStore
from maestro.system.ledger import Ledger
from maestro.system.repository import UNITS, Repository
from tests.simulation.broker import Ingress, parse_celery
from tests.simulation.domain import FINISHED, drive
from tests.simulation.engine import Engine, Violation
from tests.simulation.mirrors import Mirrors
from tests.simulation.siblings import CHAINED, Siblings
from tests.simulation.watch import Watch, whose
from tests.simulation.wire import Wire

REPLAY_TIMEOUT = 40.0


class Effects(Wire):
    """Carries commands out, and tells what came of them: the half of a `Host` that looks outwards."""

    system_id: str
    ingress: Ingress
    repository: Repository
    store: MemoryStore
    up: bool

    def __init__(self, engine: Engine, system_id: str, siblings: Siblings) -> None:
        super().__init__(engine, siblings)
        self.system_id = system_id
        self.watch = Watch()
        self.mirrors = Mirrors(engine)
        #: Seconds this machine's clock is off.
        self.skew = 0.0
        self.on_reply: Callable[[do.Reply], None] = lambda _reply: None
        self._documents = 0
        #: The latest order of each wake-up.
        self._alarms: dict[tuple[do.Topic, str], int] = {}
        #: Instances whose commit Domain has confirmed since the last durable commit.
        self._heard: list[str] = []
        self._outbox_sent: set[int] = set()
        #: How often the power is still to be lost when that does most harm.
        self.worst_moments = 0
        #: When the time for the last awaited result of each run was over.
        self._overdue_at: dict[str, float] = {}

    @property
    def system(self) -> System:
        """The machine's state."""
        raise NotImplementedError

    @property
    def proceed(self) -> int:
        """What `proceed` answers at this moment."""
        raise NotImplementedError

    def _begin(self, command: do.Command) -> None:
        self.engine.note("begin", self.system_id, command)
        _BEGIN[type(command)](self, command)

    def _to_ingress(
        self, command: do.AckDelivery | do.ParkEvent | do.DeadLetterEvent | do.FeedWaitQueue | do.SweepPersist
    ) -> None:
        body = None
        if isinstance(command, do.ParkEvent | do.DeadLetterEvent):
            delivery = self.system.deliveries.get(command.key)
            if delivery is not None and getattr(command, "number", delivery.number) == delivery.number:
                body = self.repository.body(delivery.number)
        self.ingress.order(command, body)

    def _reply(self, command: do.Reply) -> None:
        self.on_reply(command)

    def _alarm(self, command: do.RaiseAlarm) -> None:
        self.engine.note("alarm", self.system_id, command.alarm)

    def _ask_impact(self, command: do.AskImpact) -> None:
        if self.system.closing:
            raise Violation(f"an event is judged by a process that ends: {command}")

        mark, failed = self.siblings.api_failures, facts.JudgingFailed(command.token, "Discovery", "discovery")
        self._check_visible()
        began, asked = self.engine.now, self.system.ledger.whole

        def found() -> facts.Fact:
            if self.siblings.away("discovery") or self.siblings.poisons(command.instance_id):
                return failed
            counts = command.token == self.system.judging_token  # else the event was put off, and asked about again
            if counts:
                self.siblings.data.instances[command.instance_id].asked_mark = mark
            units = self.siblings.impacted(command.instance_id, began, counts=counts)
            return facts.ImpactFound(command.token, *self._with_ledger(units, command.instance_id, asked), mark)

        self._ask(found, failed)

    def _ask_footprint(self, command: do.AskFootprint) -> None:
        instance = self.siblings.data.instances[command.instance_id]

        def found() -> facts.FootprintFound:
            return facts.FootprintFound(command.token, self.siblings.data.footprint(instance))

        self._ask(found, facts.FootprintFound(command.token, None))

    def _check_visible(self) -> None:
        """Discovery is asked: all that this system knows to be committed is visible to it, unless that says nothing."""
        judged = self.system.judged
        if judged is not None and judged.harmless:  # it only inserts: the real Discovery names nobody for that
            self.siblings.data.instances[judged.instance_id].only_inserts = True
            return
        committed = self.watch.committed_executions()
        hidden = [one for one in committed if self.siblings.data.statuses.get(one) != FINISHED]
        if hidden:
            raise Violation(f"Discovery is asked while {hidden} are committed and not finished")

    def _fetch_origins(self, command: do.FetchOrigins) -> None:
        delivery = self.system.deliveries[command.key]
        body = self.repository.body(delivery.number)
        if body is None:
            raise Violation(f"I1: the body of {command.key} is lost while it is judged")
        instance = self.siblings.data.instances[command.instance_id]
        self._documents += 1
        name, event = f"{self.system_id}-{self._documents}", parse_celery(body).event.raw

        def found() -> facts.Fact:
            for sibling in ("apicore", "process_memory"):
                if not (self.siblings.api_answers() if sibling == "apicore" else not self.siblings.away(sibling)):
                    return facts.JudgingFailed(command.token, f"{sibling} is out of reach", sibling)
            return facts.OriginsFetched(
                command.token, name, event, instance.origin, self.siblings.origins(command.units), instance.is_fork,
                self.siblings.api_failures,
            )  # fmt: skip

        self._ask(found, facts.JudgingFailed(command.token, "Process Memory is out of reach", "process_memory"))

    def _commit(self, command: do.Commit) -> None:
        judged = self.system.judged
        assert judged is not None
        self.watch.commit_begins(judged.number, judged.key)
        self._to_domain(
            whose(judged.key, judged.instance_id), facts.Committed(command.token), command.token, command.instance_id
        )

    def _to_domain(self, key: str, made: facts.Fact, token: int, instance_id: str, doc: str = "") -> None:
        """Domain persist. It goes on when its caller dies; what it stored without Maestro knowing is uncertain."""
        commits, siblings, life = self.siblings.commits, self.siblings, self.life
        call = commits.begins(key, siblings.data.instances[instance_id])
        fate = commits.fate()
        slow = siblings.faulty and self.engine.chance(0.1)
        works = self.engine.soon(commits.works_for if slow or fate.end is CommitEnd.LOST else 1.0)
        failed = facts.CommitFailed(token, fate.end, f"domain.commit: {fate.end}")

        def arrive() -> None:
            if not fate.begins or (life != self.life and self.engine.chance(0.5)):
                call.under_way = False
            else:
                self.engine.after(works, work)

        def work() -> None:
            if fate.stores:
                siblings.uncertain.add(instance_id)
                known = not commits.repeatable and not commits.forgotten & {key, instance_id}
                if doc and known and not self.watch.by_hand(doc):
                    self.watch.effect(doc, f"the commit of {instance_id}", self.proceed)
                commits.store(call, lambda: siblings.commit(instance_id, doc))
            call.under_way = False
            commits.outcome(call)
            if life == self.life and siblings.faulty and self.engine.chance(self.fragile):
                self.crash(power_lost=self.engine.chance(0.5))
            elif life == self.life and siblings.faulty and doc and self._is_worst_moment(doc):
                self.worst_moments -= 1
                self.crash(power_lost=True)

        def answer() -> facts.Fact:
            if fate.end is not CommitEnd.MADE:
                return failed
            siblings.uncertain.discard(instance_id)
            siblings.heard_at.setdefault(instance_id, self.engine.now)
            self._heard.append(instance_id)
            return made

        there, back = self.engine.soon(0.2), self.engine.soon(0.2)
        self.engine.after(there, arrive)
        answered = works * self.engine.random.random() if fate.end is CommitEnd.LOST else works
        self.engine.after(there + answered + back, self._answered, life, answer)

    def _is_worst_moment(self, doc: str) -> bool:
        """Whether a loss of power now, when Domain has just stored a replay, would take along even that it was sent.

        Its unit is sent again then, and of the new result, which changes nothing any more, Discovery names nobody.
        """
        unit = self.system.documents[doc].current
        if not self.worst_moments or unit is None or not self.system.documents[doc].grown:
            return False
        left = self.store.synced(UNITS, f"{doc}/{unit.position:08d}")
        return left is None or left["sends"] < unit.sends

    def _notify(self, command: do.Notify) -> None:
        self._call(lambda: facts.Notified(command.id, command.token))

    def _commit_held(self, command: do.CommitHeld) -> None:
        self.watch.held_begins(command.id)
        made = facts.HeldCommitted(command.id, command.token)
        self._to_domain(f"held {command.id}", made, command.token, command.instance_id, command.id)

    def _ask_start_impact(self, command: do.AskStartImpact) -> None:
        """Ask about the held instance, under the lock: who is asked about before is not asked well enough."""
        row = self.watch.documents[command.id]
        if not row["forking"] and self.proceed == 200:
            raise Violation(f"the start of {command.id} asks Discovery while proceed says 200")
        # The engine stores and asks in one turn; here an event may be committed in between, beside a run without lock.
        if not row["forking"]:
            self._check_visible()
        began, asked = self.engine.now, self.system.ledger.whole
        failed = facts.RunFailed(command.id, command.token, "Discovery", "discovery")

        def found() -> facts.Fact:
            named = self.siblings.impacted(command.instance_id, began)
            if self.siblings.away("discovery") or not self.siblings.api_answers():
                return failed
            units, footprint = self._with_ledger(named, command.instance_id, asked)
            self.watch.start_was_told(command.id, units)
            return facts.StartImpactFound(command.id, command.token, units, footprint)

        self._ask(found, failed)

    def _send_replay(self, command: do.SendReplay) -> None:
        doc = self.system.documents[command.id]
        if doc.current is None or doc.token != command.token:  # the unit was set aside before the order was stored
            self._call(lambda: facts.ReplaySent(command.id, command.token))
            return
        event = rendering.replay_event(doc, doc.current)
        if doc.current.attempts > 1:
            self._nothing_stood_before(command.id, doc.current.instance_id)
        if self.siblings.data.instances[doc.current.instance_id].trouble == "no subscriber":
            refused = facts.UnitRefused(command.id, command.token, "it has no subscribers")
            self._outcome(refused, facts.RunFailed(command.id, command.token, "the Event Manager refuses"))
            return
        self._outcome(
            facts.ReplaySent(command.id, command.token),
            facts.RunFailed(command.id, command.token, "the Event Manager refuses", "event_manager"),
            lambda: self._send(command.id, event),
        )

    def _send(self, id_: str, event: bytes) -> None:
        self.watch.effect(id_, "a replay", self.proceed)
        self.siblings.send_event(event)

    def _nothing_stood_before(self, id_: str, instance: str) -> None:
        """A replay is sent again: no result of it stood in the queue when its time was over."""
        for message in self.ingress.persist:
            ref = parse_celery(message.body).event.reprocessing
            if ref is None or (ref.id, ref.instance_id) != (id_, instance) or message.redelivered:
                continue
            if message.at < self._overdue_at.get(id_, 0.0):
                raise Violation(f"{instance} is sent again in {id_} though {message.uid} stands in the queue")

    def _await_result(self, command: do.AwaitResult) -> None:
        left = command.since + REPLAY_TIMEOUT - (1.6e9 + self.engine.now + self.skew)
        timed_out = facts.ReplayTimedOut(command.id, command.send)

        def due() -> facts.Fact:
            self._overdue_at[command.id] = self.engine.now
            return timed_out

        self.engine.after(max(0.0, min(left, REPLAY_TIMEOUT)), self._answered, self.life, due)

    def _wake_at(self, command: do.WakeAt) -> None:
        key = (command.topic, command.key)
        self._alarms[key] = order = self._alarms.get(key, 0) + 1

        def due() -> facts.Fact | None:
            return facts.Woken(command.topic, command.key) if self._alarms.get(key) == order else None

        left = command.at - (1.6e9 + self.engine.now + self.skew)
        self.engine.after(max(0.0, left), self._answered, self.life, due)

    def _ask_replay_impact(self, command: do.AskReplayImpact) -> None:
        failed = facts.RunFailed(command.id, command.token, "Discovery is out of reach", "discovery")
        if not self.watch.documents[command.id]["forking"]:  # as at the start
            self._check_visible()
        began, asked = self.engine.now, self.system.ledger.whole

        def found() -> facts.Fact:
            units = self.siblings.impacted(command.instance_id, began)
            if self.siblings.away("discovery") or not self.siblings.api_answers():
                return failed
            return facts.ReplayImpactFound(
                command.id, command.token, *self._with_ledger(units, command.instance_id, asked)
            )

        self._ask(found, failed)

    def _fetch_replay_origins(self, command: do.FetchReplayOrigins) -> None:
        found = facts.ReplayOriginsFetched(command.id, command.token, self.siblings.origins(command.units))
        failed = facts.RunFailed(command.id, command.token, "Process Memory is out of reach", "process_memory")
        self._ask(lambda: failed if self.siblings.away("process_memory") else found, failed)

    def _commit_replay(self, command: do.CommitReplay) -> None:
        replay = self.siblings.data.instances[command.instance_id]
        branch = self.watch.documents[command.id]["branch"]
        on_master = replay.branch == branch == "master"
        named = relevant(
            replay.impacts, own_instance=replay.id, on_master=on_master, own_unit=(replay.of, replay.branch)
        )
        self.watch.replay_commit_begins(command.id, replay, named)
        made = facts.ReplayCommitted(command.id, command.token)
        current = self.system.documents[command.id].current
        assert current is not None
        self._to_domain(whose(current.result_key, replay.id), made, command.token, replay.id, command.id)

    def _ask_proof(self, command: do.AskProof) -> None:
        instance = self.siblings.data.instances[command.instance_id]
        began = 1.6e9 + instance.began if command.began and not self.engine.chance(0.1) else None
        look = self.siblings.commits.look
        self._call(lambda: facts.ProofFound(command.token, look(instance), began))

    def _check_deciders(self, command: do.CheckDeciders) -> None:
        """Now and then somebody may no longer decide what they decided."""
        self.watch.covered.asked.add(command.id)
        problem = "may no longer" if self.engine.chance(0.2) else ""
        self._call(lambda: facts.DecidersChecked(command.id, command.token, problem))

    # --- a preview ---------------------------------------------------------------------------------------------------

    def _ask_recheck(self, command: do.AskRecheck) -> None:
        siblings, ask = self.siblings, self.siblings.impacted_now
        failed = facts.RecheckFailed(command.id, command.token, "Discovery is out of reach")

        def found() -> facts.Fact:
            if siblings.away("discovery") or not siblings.api_answers():
                return failed
            units, _ = self._with_ledger(ask(command.instance_id), command.instance_id, self.system.ledger.whole)
            return facts.RecheckFound(command.id, command.token, units)

        self._ask(found, failed, patient=False)

    def _fetch_recheck_origins(self, command: do.FetchRecheckOrigins) -> None:
        found = facts.RecheckOriginsFetched(command.id, command.token, self.siblings.origins(command.units))
        failed = facts.RecheckFailed(command.id, command.token, "Process Memory is out of reach")
        self._ask(lambda: found, failed, patient=False)

    # --- the ledger --------------------------------------------------------------------------------------------------

    @property
    def _ledger(self) -> Ledger:
        return Ledger(self.store, lambda: self.flush(durable=False))

    def flush(self, *, durable: bool) -> None:
        """Commit what is not committed yet."""
        raise NotImplementedError

    def _with_ledger(
        self, units: tuple[Impacted, ...], instance_id: str, asked: int
    ) -> tuple[tuple[Impacted, ...], Footprint | None]:
        """Ask the ledger beside Discovery, as the real effects do; `asked`: its last entry when the question began."""
        if not self.system.keeps_ledger:
            return units, None
        instance = self.siblings.data.instances[instance_id]
        footprint = self.siblings.data.footprint(instance)
        named = drive(self._ledger.named(footprint, instance.branch))
        self.siblings.also_named(instance, named)
        return merged(units, named), structs.replace(footprint, asked=asked)

    def _fetch_owed(self, command: do.FetchOwed) -> None:
        owed = self.system.ledger.owed[command.number]
        instance = self.siblings.data.instances[owed.instance_id]

        def fetched() -> facts.OwedFetched:
            footprint = owed.footprint or self.siblings.footprint_of(instance)
            reads = self.siblings.data.reads(instance) if owed.reads else None
            return drive(self._ledger.fetched(owed, footprint, reads))

        self._call(fetched)

    def _fetch_late_origins(self, command: do.FetchLateOrigins) -> None:
        self._documents += 1
        id_ = f"{self.system_id}-{self._documents}"
        found = facts.LateOriginsFetched(command.token, id_, self.siblings.origins(command.units))
        self._ask(lambda: found, facts.LateOriginsFetched(command.token, problem="Process Memory is out of reach"))

    def _find_oldest_entries(self, command: do.FindOldestEntries) -> None:
        self._call(lambda: self._ledger.oldest(command.rows))

    # --- the mirrors -------------------------------------------------------------------------------------------------

    def _fill_queues(self, command: do.FillQueues) -> None:
        left = list(self.system.documents[command.id].not_done())
        waiting = [unit.position for unit in left if unit.state is UnitState.OUTSTANDING]
        busy = [unit.position for unit in left if unit.state is not UnitState.OUTSTANDING]
        problem = "returned" if self.siblings.faulty and self.engine.chance(0.02) else ""
        self._update(command, self.mirrors.fill, command.id, waiting, busy, problem=problem)

    def _grow_queues(self, command: do.GrowQueues) -> None:
        self._update(command, self.mirrors.grow, command.id, list(command.positions))

    def _clean_up_queues(self, command: do.CleanUpQueues) -> None:
        self._update(command, self.mirrors.clean_up, command.id, command.failed, command.empty)

    def _empty_queues(self, _command: do.EmptyQueues) -> None:
        self.mirrors.order(self.mirrors.clear)

    def _update(
        self,
        command: do.FillQueues | do.GrowQueues | do.CleanUpQueues | do.Dequeue,
        act: Callable[..., None],
        *args: Any,
        problem: str = "",
    ) -> None:
        updated = facts.QueuesUpdated(command.id, command.token, problem)
        life = self.life
        self.mirrors.order(act, *args, done=lambda: self._answered(life, lambda: updated))

    def _mirror(self, command: do.TakeUnit | do.TakeControl | do.Enqueue | do.Dequeue) -> None:
        match command:
            case do.TakeUnit(id=id_, position=position):
                self.mirrors.order(self.mirrors.take_unit, id_, position)
            case do.TakeControl():
                self.mirrors.order(self.mirrors.take_control)
            case do.Enqueue(id=id_):
                self.mirrors.order(self.mirrors.enqueue, id_)
            case do.Dequeue():
                self._update(command, self.mirrors.dequeue, command.id, command.failed)

    # --- what is committed becomes visible --------------------------------------------------------------------------

    def _look(self, command: do.Look) -> None:
        siblings = self.siblings

        def seen() -> facts.Fact:
            if not siblings.api_answers():
                return facts.LookFailed(command.key, command.token, "API core is out of reach")
            instance = siblings.data.instances[command.instance_id]
            instance.noticed = instance.noticed or siblings.api_failures != instance.asked_mark
            status = siblings.data.statuses.get(command.instance_id, "running")
            return facts.Looked(command.key, command.token, status, siblings.api_failures)

        self._call(seen)

    def _set_finished(self, command: do.SetFinished) -> None:
        fate = self.siblings.fate(of="apicore")
        if fate != "ok":
            self.siblings.api_failures += 1

        def answer() -> facts.Fact:
            if fate == "ok":
                return facts.FinishedSet(command.key, command.token, self.siblings.api_failures)
            if self.engine.chance(0.5):
                return facts.FinishedRefused(command.key, command.token, "400")
            return facts.LookFailed(command.key, command.token, "API core is out of reach")

        apply = partial(self.siblings.set_status, command.instance_id, FINISHED)
        self._call(answer, apply if fate != "refused" else None)

    def _ask_again(self, command: do.AskAgain) -> None:
        failed = facts.AskAgainFailed(command.key, command.token, "Discovery is out of reach")

        def found() -> facts.Fact:
            if self.siblings.away("discovery") or not self.siblings.api_answers():
                return failed
            units = self.siblings.impacted_after_all(command.instance_id)
            self.siblings.missed.setdefault(command.instance_id, set()).update(unit.key for unit in units)
            return facts.AskedAgain(command.key, command.token, units)

        self._ask(found, failed)

    def _ask_canary(self, command: do.AskCanary) -> None:
        known = bool(self.siblings.taken) and command.sibling != "event_manager"

        def answer() -> facts.Fact:
            answered = known and not self.siblings.away(command.sibling)
            return facts.CanaryAsked(command.what, command.token, answered, known)

        self._call(answer)

    def _ask_following(self, command: do.AskFollowing) -> None:
        answer = facts.FollowingKnown(command.id, command.send, command.instance_id, command.name == CHAINED)
        unknown = facts.FollowingKnown(command.id, command.send, command.instance_id, follows=True)
        self._ask(lambda: answer, unknown)

    # --- outbox -----------------------------------------------------------------------------------------------------

    def _work_outbox(self) -> None:
        for number, message in list(self.system.outbox.items()):
            if number not in self._outbox_sent and self.store.get("errands", f"{number:015d}") is not None:
                self._outbox_sent.add(number)
                event = self.repository.error_event(message)
                if event is not None:
                    rendering.error_event(event, message.instance_id, message.text)
                self.tell(facts.OutboxMessageBegun(number))
                self._deliver(message)

    def _deliver(self, message: OutboxMessage) -> None:
        """A text arrives and is answered, is refused, or has no answer: then it arrives later, or never."""
        text = message.kind is OutboxKind.STATUS
        fate = self.siblings.fate(of="apicore" if text else "")
        if fate != "ok" and text:
            self.siblings.api_failures += 1
        if text and self.siblings.data.statuses.get(message.instance_id) == FINISHED:
            self._call(lambda: facts.OutboxMessageDone(message.number))
            return
        arrive = partial(self.siblings.set_status, message.instance_id, message.text) if text else None
        if fate == "ok":
            self._call(lambda: facts.OutboxMessageDone(message.number), arrive)
            return
        if fate == "applied" and arrive is not None:
            self.engine.after(self.engine.soon(28.0), arrive)
        ended = facts.OutboxMessageUnanswered if fate == "applied" else facts.OutboxMessageRefused

        def failed() -> facts.Fact:
            # Not before: a message has one call at a time.
            self.engine.after(10.0, self._try_outbox_message_again, self.life, message.number)
            return ended(message.number)

        self._call(failed)

    def _try_outbox_message_again(self, life: int, number: int) -> None:
        if life == self.life and self.up:
            self._outbox_sent.discard(number)
            self._work_outbox()


_BEGIN: dict[type[do.Command], Callable[[Effects, Any], None]] = {
    do.AckDelivery: Effects._to_ingress,
    do.AckOutcome: lambda _effects, _command: None,
    do.ParkEvent: Effects._to_ingress,
    do.DeadLetterEvent: Effects._to_ingress,
    do.FeedWaitQueue: Effects._to_ingress,
    do.SweepPersist: Effects._to_ingress,
    do.Reply: Effects._reply,
    do.RaiseAlarm: Effects._alarm,
    do.AskImpact: Effects._ask_impact,
    do.AskFootprint: Effects._ask_footprint,
    do.AskCanary: Effects._ask_canary,
    do.Look: Effects._look,
    do.SetFinished: Effects._set_finished,
    do.AskAgain: Effects._ask_again,
    do.FetchOrigins: Effects._fetch_origins,
    do.Commit: Effects._commit,
    do.AskProof: Effects._ask_proof,
    do.Notify: Effects._notify,
    do.CommitHeld: Effects._commit_held,
    do.AskStartImpact: Effects._ask_start_impact,
    do.SendReplay: Effects._send_replay,
    do.AwaitResult: Effects._await_result,
    do.WakeAt: Effects._wake_at,
    do.AskReplayImpact: Effects._ask_replay_impact,
    do.FetchReplayOrigins: Effects._fetch_replay_origins,
    do.AskFollowing: Effects._ask_following,
    do.CommitReplay: Effects._commit_replay,
    do.AskRecheck: Effects._ask_recheck,
    do.FetchRecheckOrigins: Effects._fetch_recheck_origins,
    do.FetchOwed: Effects._fetch_owed,
    do.FindOldestEntries: Effects._find_oldest_entries,
    do.FetchLateOrigins: Effects._fetch_late_origins,
    do.CheckDeciders: Effects._check_deciders,
    do.FillQueues: Effects._fill_queues,
    do.GrowQueues: Effects._grow_queues,
    do.EmptyQueues: Effects._empty_queues,
    do.CleanUpQueues: Effects._clean_up_queues,
    do.TakeUnit: Effects._mirror,
    do.TakeControl: Effects._mirror,
    do.Enqueue: Effects._mirror,
    do.Dequeue: Effects._mirror,
}

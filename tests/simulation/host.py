"""The process of one system: the real machine and the real repository, over a store that can crash.

Carries out the machine's commands by the rule of `commands.Needs`: NOTHING begins at once; STORED once its step is
committed; SYNCED once a durable commit has it. Saves since the last commit go into one transaction, in order.
"""

from collections.abc import Callable
from typing import Any

from maestro.events import celery_body, parse_celery, parse_event
from maestro.reprocessing import commands as do
from maestro.reprocessing import facts, rendering
from maestro.reprocessing.commands import Needs
from maestro.reprocessing.delivery import delivery_key
from maestro.reprocessing.document import UnitState
from maestro.reprocessing.impact import relevant
from maestro.reprocessing.machine import Machine
from maestro.reprocessing.state import Rules, System
from maestro.reprocessing.step import Save
from maestro.runtime.repository import Repository
from maestro.store.base import Write
from maestro.store.memory import MemoryStore
from tests.simulation.broker import Ingress, Message
from tests.simulation.engine import Engine, Violation
from tests.simulation.mirrors import Mirrors
from tests.simulation.siblings import Siblings
from tests.simulation.watch import Watch

REPLAY_TIMEOUT = 40.0


class Host:
    """One system's process, its lives, and its line to the world."""

    def __init__(self, engine: Engine, system_id: str, rules: Rules, siblings: Siblings) -> None:
        self.engine = engine
        self.system_id = system_id
        self.rules = rules
        self.siblings = siblings
        self.watch = Watch()
        self.mirrors = Mirrors(engine)
        self.ingress = Ingress(engine, self._arrived)
        self.ingress.tell = self.tell
        self.ingress.on_settle = self._check_settled
        self.store = MemoryStore()
        self.up = False
        self.life = 0
        #: Seconds this machine's clock is off.
        self.skew = 0.0
        #: Answers by ticket.
        self.replies: dict[int, do.Reply] = {}
        self.on_reply: Callable[[do.Reply], None] = lambda _reply: None
        self._in_flight: dict[int, Callable[[], None]] = {}
        self._calls = 0
        self._documents = 0
        self._lock_board = 503

    # --- lives --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """A life begins: load, carry on, take deliveries."""
        self.up = True
        self.life += 1
        self.repository = Repository(self.store, self.system_id, self.rules)
        self.machine = Machine(self.repository.load())
        self._saves: list[Save] = []
        self._writes: list[Write] = []
        self._stored: list[do.Command] = []
        self._synced: list[do.Command] = []
        self._flush_due = False
        self._errands_sent: set[int] = set()
        #: Instances whose commit Domain has confirmed since the last durable commit.
        self._heard: list[str] = []
        self.engine.note("started", self.system_id)
        self.tell(facts.Resumed())
        self._publish_lock()
        self._do_errands()
        self.ingress.attach()

    def crash(self, *, power_lost: bool) -> None:
        """This life ends between two steps; calls on the wire still arrive, or do not."""
        if not self.up:
            return
        self.engine.note("POWER LOST" if power_lost else "CRASH", self.system_id)
        self.up = False
        self.life += 1
        self._lock_board = 503
        in_flight, self._in_flight = self._in_flight, {}
        for apply in in_flight.values():
            if self.engine.chance(0.5):
                apply()
        self.siblings.uncertain.update(self._heard)
        self.mirrors.crash()
        self.ingress.detach()
        self.store = self.store.crash(power_lost=power_lost)
        self.watch.restarted(self.store, power_lost=power_lost)
        self.engine.after(self.engine.soon(5.0), self.start)

    def lose_ingress(self) -> None:
        """The ingress actor dies and is replaced."""
        if self.up and self.ingress.attached:
            self.engine.note("ingress lost", self.system_id)
            self.ingress.detach()
            self.engine.after(self.engine.soon(3.0), self._replace_ingress, self.life)

    def _replace_ingress(self, life: int) -> None:
        if self.up and life == self.life and not self.ingress.attached:
            self.ingress.attach()

    @property
    def system(self) -> System:
        """The machine's state."""
        return self.machine.system

    @property
    def proceed(self) -> int:
        """What `proceed` answers at this moment."""
        return self._lock_board if self.up else 503

    def _publish_lock(self) -> None:
        self._lock_board = 403 if self.system.lock() else 200

    # --- facts in ------------------------------------------------------------------------------------------------

    def _arrived(self, message: Message, ref: int, from_wait_queue: bool) -> None:  # noqa: FBT001 - the channel's
        celery = parse_celery(message.body)
        event = celery.event
        key = delivery_key(celery.id, event)
        if event.reprocessing is not None:
            self.watch.replays.add(key)
        arrived = facts.EventArrived(
            key, event.instance_id, event.name, event.branch, event.tag, event.reprocessing, ref=ref,
            from_wait_queue=from_wait_queue, redelivered=message.redelivered, redriven=message.redriven,
        )  # fmt: skip
        self._handle(arrived, message.body)

    def persist_sync(self, event_json: bytes, ticket: int) -> None:
        """A presentation app persists and waits for the answer."""
        event = parse_event(event_json)
        key = delivery_key("", event)
        arrived = facts.EventArrived(key, event.instance_id, event.name, event.branch, event.tag, ticket=ticket)
        self._handle(arrived, celery_body("", event_json))

    def tell(self, fact: facts.Fact) -> None:
        """A fact reaches the system."""
        self._handle(fact, None)

    def _handle(self, fact: facts.Fact, body: bytes | None) -> None:
        if not self.up:
            return
        self.engine.note("fact", self.system_id, fact)
        step = self.machine.handle(fact, 1.6e9 + self.engine.now + self.skew)
        if body is not None and isinstance(fact, facts.EventArrived):
            delivery = self.system.deliveries[fact.key]
            if not delivery.done:
                self.repository.remember_body(delivery.number, body)
        self._saves += step.saves
        for command in step.commands:
            match command.needs:
                case Needs.NOTHING:
                    self._begin(command)
                case Needs.STORED:
                    self._stored.append(command)
                case Needs.SYNCED:
                    self._synced.append(command)
        if step.needs is not Needs.NOTHING:
            self._schedule_flush()

    def _schedule_flush(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self.engine.after(self.engine.soon(0.1), self._flush_in, self.life)

    def _flush_in(self, life: int) -> None:
        if life == self.life:
            self._flush_due = False
            self.flush(durable=bool(self._synced) and self.engine.chance(0.7))
            if self._synced:
                self._schedule_flush()

    def flush(self, *, durable: bool) -> None:
        """Commit what is not committed yet, and begin what waited for it."""
        saves, self._saves = self._saves, []
        writes = self.repository.writes(saves)
        if writes or durable:
            self.store.commit(writes, durable=durable)
            self.watch.committed(writes)
            self._publish_lock()
        commands, self._stored = self._stored, []
        if durable:
            self._heard.clear()
            synced, self._synced = self._synced, []
            commands += synced
        self._do_errands()
        for command in commands:
            self._begin(command)

    # --- commands out ----------------------------------------------------------------------------------------------

    def _begin(self, command: do.Command) -> None:
        self.engine.note("begin", self.system_id, command)
        _BEGIN[type(command)](self, command)

    def _call(self, answer: Callable[[], facts.Fact | None], apply: Callable[[], None] | None = None) -> None:
        """Call a sibling: perhaps it changes something, later it answers."""
        self._calls += 1
        call = self._calls
        slow = 20.0 if self.siblings.faulty and self.engine.chance(0.05) else 1.0
        there, back = self.engine.soon(slow), self.engine.soon(slow)
        if apply is not None:
            self._in_flight[call] = apply
            self.engine.after(there, self._apply, self.life, call)
        self.engine.after(there + back, self._answered, self.life, answer)

    def _apply(self, life: int, call: int) -> None:
        if life == self.life:
            self._in_flight.pop(call)()

    def _answered(self, life: int, answer: Callable[[], facts.Fact | None]) -> None:
        if life == self.life:
            fact = answer()
            if fact is not None:
                self.tell(fact)

    def _outcome(self, good: facts.Fact, bad: facts.Fact, apply: Callable[[], None] | None = None) -> None:
        """A call that is taken, refused, or applied and reported as failed all the same."""
        fate = self.siblings.fate()
        self._call(lambda: good if fate == "ok" else bad, apply if fate != "refused" else None)

    def _to_ingress(self, command: do.AckDelivery | do.ParkEvent | do.DeadLetterEvent | do.FeedWaitQueue) -> None:
        body = None
        if isinstance(command, do.ParkEvent | do.DeadLetterEvent):
            delivery = self.system.deliveries.get(command.key)
            body = self.repository.body(delivery.number) if delivery is not None else None
        self.ingress.order(command, body)

    def _reply(self, command: do.Reply) -> None:
        self.replies[command.ticket] = command
        self.on_reply(command)

    def _ask_impact(self, command: do.AskImpact) -> None:
        failed = facts.JudgingFailed(command.token, "Discovery is out of reach")
        if self.siblings.fate() != "ok":
            self._call(lambda: failed)
        else:
            ask = self.siblings.impacted
            self._call(lambda: facts.ImpactFound(command.token, ask(command.instance_id)))

    def _fetch_origins(self, command: do.FetchOrigins) -> None:
        delivery = self.system.deliveries[command.key]
        body = self.repository.body(delivery.number)
        if body is None:
            raise Violation(f"I1: the body of {command.key} is lost while it is judged")
        instance = self.siblings.data.instances[command.instance_id]
        self._documents += 1
        found = facts.OriginsFetched(
            command.token, f"{self.system_id}-{self._documents}", parse_celery(body).event.raw, instance.origin,
            self.siblings.origins(command.units), instance.is_fork,
        )  # fmt: skip
        self._outcome(found, facts.JudgingFailed(command.token, "Process Memory is out of reach"))

    def _commit(self, command: do.Commit) -> None:
        judged = self.system.judged
        assert judged is not None
        self.watch.commit_begins(judged.number, judged.key)
        failed = facts.JudgingFailed(command.token, "Domain is out of reach")
        self._to_domain(facts.Committed(command.token), failed, command.instance_id)

    def _to_domain(self, good: facts.Fact, bad: facts.Fact, instance: str, doc: str = "") -> None:
        """Domain persist. What Domain took without Maestro knowing is noted as uncertain."""
        fate = self.siblings.fate()

        def apply() -> None:
            self.siblings.uncertain.add(instance)
            if doc:
                self.watch.effect(doc, f"the commit of {instance}", self.proceed)
            self.siblings.commit(instance, doc)

        def answer() -> facts.Fact:
            if fate == "ok":
                self.siblings.uncertain.discard(instance)
                self._heard.append(instance)
                return good
            return bad

        self._call(answer, apply if fate != "refused" else None)

    def _notify(self, command: do.Notify) -> None:
        self._call(lambda: facts.Notified(command.id, command.token))

    def _commit_held(self, command: do.CommitHeld) -> None:
        self.watch.held_begins(command.id)
        failed = facts.HeldCommitFailed(command.id, command.token, "Domain refused")
        self._to_domain(facts.HeldCommitted(command.id, command.token), failed, command.instance_id, command.id)

    def _send_replay(self, command: do.SendReplay) -> None:
        doc = self.system.documents[command.id]
        assert doc.current is not None
        event = rendering.replay_event(doc, doc.current)
        self._outcome(
            facts.ReplaySent(command.id, command.token),
            facts.RunFailed(command.id, command.token, "the Event Manager refuses"),
            lambda: self._send(command.id, event),
        )

    def _send(self, id_: str, event: bytes) -> None:
        self.watch.effect(id_, "a replay", self.proceed)
        self.siblings.send_event(event)

    def _await_result(self, command: do.AwaitResult) -> None:
        left = command.since + REPLAY_TIMEOUT - (1.6e9 + self.engine.now + self.skew)
        timed_out = facts.ReplayTimedOut(command.id, command.send)
        self.engine.after(max(0.0, min(left, REPLAY_TIMEOUT)), self._answered, self.life, lambda: timed_out)

    def _ask_replay_impact(self, command: do.AskReplayImpact) -> None:
        failed = facts.RunFailed(command.id, command.token, "Discovery is out of reach")
        if self.siblings.fate() != "ok":
            self._call(lambda: failed)
        else:
            ask = self.siblings.impacted
            self._call(lambda: facts.ReplayImpactFound(command.id, command.token, ask(command.instance_id)))

    def _fetch_replay_origins(self, command: do.FetchReplayOrigins) -> None:
        found = facts.ReplayOriginsFetched(command.id, command.token, self.siblings.origins(command.units))
        self._outcome(found, facts.RunFailed(command.id, command.token, "Process Memory is out of reach"))

    def _commit_replay(self, command: do.CommitReplay) -> None:
        replay = self.siblings.data.instances[command.instance_id]
        branch = self.watch.documents[command.id]["branch"]
        on_master = replay.branch == branch == "master"
        named = relevant(
            replay.impacts, own_instance=replay.id, on_master=on_master, own_unit=(replay.of, replay.branch)
        )
        self.watch.replay_commit_begins(command.id, replay, named)
        failed = facts.RunFailed(command.id, command.token, "Domain is out of reach")
        self._to_domain(facts.ReplayCommitted(command.id, command.token), failed, replay.id, command.id)

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
        self._update(command, self.mirrors.clean_up, command.id, command.failed)

    def _update(
        self, command: do.FillQueues | do.GrowQueues | do.CleanUpQueues, act: Callable[..., None], *args: Any,
        problem: str = "",
    ) -> None:  # fmt: skip
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
            case do.Dequeue(id=id_, failed=failed):
                self.mirrors.order(self.mirrors.dequeue, id_, failed)

    # --- errands -----------------------------------------------------------------------------------------------------

    def _do_errands(self) -> None:
        for number, errand in self.system.errands.items():
            if number not in self._errands_sent and self.store.get("errands", f"{number:015d}") is not None:
                self._errands_sent.add(number)
                event = self.repository.error_event(errand)
                if event is not None:
                    rendering.error_event(event, errand.instance_id, errand.text)
                self._call(lambda number=number: self._errand_done(number))

    def _errand_done(self, number: int) -> None:
        del self.system.errands[number]
        self.store.commit([self.repository.errand_done(number)], durable=False)

    # --- checks ------------------------------------------------------------------------------------------------------

    def _check_settled(self, message: Message) -> None:
        """The broker forgets a persist event: is it safe where it went?"""
        waiting = any(
            row["key"] == message.uid and row["verdict"] == "waiting" and not row.get("done")
            for row in self.watch.deliveries.values()
        )
        if waiting and not self.ingress.holds_copy(message.uid):
            raise Violation(f"I1: waiting event {message.uid} is acked and has no copy on the wait queue")


_BEGIN: dict[type[do.Command], Callable[[Host, Any], None]] = {
    do.AckDelivery: Host._to_ingress,
    do.ParkEvent: Host._to_ingress,
    do.DeadLetterEvent: Host._to_ingress,
    do.FeedWaitQueue: Host._to_ingress,
    do.Reply: Host._reply,
    do.AskImpact: Host._ask_impact,
    do.FetchOrigins: Host._fetch_origins,
    do.Commit: Host._commit,
    do.Notify: Host._notify,
    do.CommitHeld: Host._commit_held,
    do.SendReplay: Host._send_replay,
    do.AwaitResult: Host._await_result,
    do.AskReplayImpact: Host._ask_replay_impact,
    do.FetchReplayOrigins: Host._fetch_replay_origins,
    do.CommitReplay: Host._commit_replay,
    do.FillQueues: Host._fill_queues,
    do.GrowQueues: Host._grow_queues,
    do.CleanUpQueues: Host._clean_up_queues,
    do.TakeUnit: Host._mirror,
    do.TakeControl: Host._mirror,
    do.Enqueue: Host._mirror,
    do.Dequeue: Host._mirror,
}

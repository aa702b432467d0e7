"""The process of one system: the real machine and the real repository, over a store that can crash.

Carries out the machine's commands by the rule of `commands.Needs`: NOTHING begins at once; STORED once its step is
committed; SYNCED once a durable commit has it. Saves since the last commit go into one transaction, in order.
"""

from dataclasses import replace

from maestro.events import celery_body, parse_event
from maestro.rules import commands as do
from maestro.rules import facts, identity, reconsidering
from maestro.rules.commands import Needs
from maestro.rules.delivery import Delivery, Verdict
from maestro.rules.machine import Machine
from maestro.rules.picture import Pictures
from maestro.rules.policies import Policy
from maestro.rules.rendering import document_json
from maestro.rules.state import Rules, System
from maestro.rules.step import Save
from maestro.store.memory import MemoryStore
from maestro.system.engine import LAZY
from maestro.system.repository import Repository
from tests.simulation.broker import Ingress, Message, parse_celery
from tests.simulation.demanded import Demanded
from tests.simulation.effects import Effects
from tests.simulation.engine import Engine, Violation
from tests.simulation.siblings import Siblings
from tests.simulation.watch import whose

#: Flushes after which the pictures of documents are looked at.
PICTURED_EVERY = 10


class Host(Effects):
    """One system's process, its lives, and its line to the world."""

    def __init__(self, engine: Engine, system_id: str, rules: Rules, siblings: Siblings) -> None:
        super().__init__(engine, system_id, siblings)
        self.rules = rules
        self.ingress = Ingress(engine, self._arrived)
        self.watch.window = rules.dedup_window
        self.watch.decided.demanded = self.watch.covered.demanded = self.demanded = Demanded(rules)
        #: The policies of its lives, one after the other; the last ones for ever.
        self.policies: list[tuple[Policy, ...]] = [()]
        self.ingress.tell = self.tell
        self.ingress.on_settle = self._check_settled
        self.watch.on_recorded = siblings.commits.recorded
        siblings.commits.repeatable = rules.commit_repeatable
        siblings.commits.tell = self._outcome_told
        self.store = MemoryStore()
        #: How often a flush syncs when only acknowledgements and the like wait for that.
        self.syncs_acknowledgements = 0.7
        self.up = False
        self._lock_board = 503

    # --- lives --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """A life begins: load, carry on, take deliveries."""
        self.up = True
        self.life += 1
        self.demanded.policies = self.policies.pop(0) if len(self.policies) > 1 else self.policies[0]
        self.rules = replace(self.rules, policies=self.demanded.policies)
        self.repository = Repository(self.store, self.system_id, self.rules)
        self.machine = Machine(self.repository.load())
        self.watch.decided.waiting = self._waiting
        self._saves: list[Save] = []
        self._pictures = Pictures(part=2)
        self._flushes = 0
        self._stored: list[do.Command] = []
        self._synced: list[do.Command] = []
        self._flush_due = False
        self._outbox_sent = set()
        self._heard = []
        self.siblings.api_failures = 0
        for instance in self.siblings.data.instances.values():
            instance.asked_mark = None
        self.engine.note("started", self.system_id)
        self.tell(facts.Resumed())
        for id_ in self.watch.documents:
            self.watch.covered.pending(self.watch, id_)
        self._publish_lock()
        self._work_outbox()
        self.ingress.attach()

    def crash(self, *, power_lost: bool) -> None:
        """This life ends between two steps; calls on the wire still arrive, or do not."""
        if not self.up:
            return
        self.engine.note("POWER LOST" if power_lost else "CRASH", self.system_id)
        self.up = False
        self.life += 1
        self._lock_board = 503
        self._cut_off()
        self.siblings.uncertain.update(self._heard)
        for instance in self._heard:
            self.siblings.heard_at.pop(instance, None)
        self.siblings.asked_again_at.clear()
        self.mirrors.crash()
        self.ingress.detach()
        self.store = self.store.crash(power_lost=power_lost)
        self.watch.restarted(self.store, power_lost=power_lost)
        if power_lost:  # a verdict need survive the death of the process only
            self._forget_what_was_not_synced()
        self.engine.after(self.engine.soon(5.0), self.start)

    def _forget_what_was_not_synced(self) -> None:
        """What was called without its verdict being on the disk is judged anew: the rules' known limit."""
        rows = self.watch.deliveries.values()
        kept = {whose(row["key"], row["instance"]) for row in rows if row["verdict"] == "commit"}
        begun = {
            whose(unit["result_key"], unit["result_instance"])
            for id_ in self.watch.documents
            for unit in self.watch.units_of(id_).values()
            if unit["state"] == "done" or unit.get("begun")
        }
        kept |= {f"held {id_}" for id_, row in self.watch.documents.items() if row["held_begun"]}
        for key in list(self.siblings.commits.calls):
            if key not in kept or (key.partition(" of ")[0] in self.watch.replays and key not in begun):
                self.siblings.commits.forget(key)

    def _outcome_told(self, ended: facts.InstanceEnded) -> bool:
        """Hear an outcome; it is acknowledged once what it led to is stored."""
        if not self.up:
            return False
        self._handle(ended, None)
        self.flush(durable=True)
        return True

    def stop(self) -> None:
        """The process is asked to end: what is in hand may finish, then it ends, and starts again."""
        if self.up and not self.system.closing:
            self.engine.note("stopping", self.system_id)
            self.system.closing = True
            self.engine.after(self.engine.soon(10.0), self._stopped, self.life)

    def _stopped(self, life: int) -> None:
        if self.up and life == self.life:
            self.flush(durable=True)
            self.crash(power_lost=False)

    def lose_ingress(self) -> None:
        """The ingress actor dies and is replaced."""
        if self.up and self.ingress.attached:
            self.engine.note("ingress lost", self.system_id)
            self.ingress.detach()
            away = self.engine.soon(3.0) if self.engine.chance(0.7) else 45.0
            self.engine.after(away, self._replace_ingress, self.life)

    def _replace_ingress(self, life: int) -> None:
        if self.up and life == self.life and not self.ingress.attached:
            self.ingress.attach()

    @property
    def system(self) -> System:
        """The machine's state."""
        return self.machine.system

    def _waiting(self) -> set[str]:
        return {delivery.instance_id for delivery in (*self.system.waiting.values(), *self.system.inbox)}

    @property
    def proceed(self) -> int:
        """What `proceed` answers at this moment."""
        return self._lock_board if self.up else 503

    def _publish_lock(self) -> None:
        self._lock_board = 403 if self.system.locked_by else 200

    # --- facts in ------------------------------------------------------------------------------------------------

    def _arrived(self, message: Message, ref: int, from_wait_queue: bool) -> None:  # noqa: FBT001 - the channel's
        celery = parse_celery(message.body)
        event = celery.event
        mark = message.uid if from_wait_queue or message.redriven else ""
        key = identity.own_key(mark) or identity.from_outside(celery.id)
        if key not in self.system.deliveries:
            self.watch.arrives_anew(key, event.instance_id)
            if key in self.watch.judged_anew:
                self.siblings.commits.calls.pop(f"{key} of {event.instance_id}", None)
        if event.reprocessing is not None:
            self.watch.replays.add(key)
        arrived = facts.EventArrived(
            key, event.instance_id, event.name, event.branch, event.tag, event.reprocessing, ref=ref,
            from_wait_queue=from_wait_queue, redelivered=message.redelivered, redriven=message.redriven,
            fingerprint="" if key else identity.fingerprint(identity.BODY, message.body),
        )  # fmt: skip
        self._handle(arrived, message.body)

    def persist_sync(self, event_json: bytes, ticket: int) -> None:
        """A presentation app persists and waits for the answer."""
        event = parse_event(event_json)
        mark = identity.fingerprint(identity.SYNC, event_json)
        arrived = facts.EventArrived(
            "", event.instance_id, event.name, event.branch, event.tag, event.reprocessing, ticket=ticket,
            fingerprint=mark, call=str(ticket),
        )  # fmt: skip
        self._handle(arrived, celery_body("", event_json))
        if event.reprocessing is not None and self.system.last_arrived is not None:
            self.watch.replays.add(self.system.last_arrived.key)

    def tell(self, fact: facts.Fact) -> None:
        """A fact reaches the system."""
        self._handle(fact, None)

    def _handle(self, fact: facts.Fact, body: bytes | None) -> None:
        if not self.up:
            return
        self.engine.note("fact", self.system_id, fact)
        self.watch.decided.heard(fact)
        judged = self.system.judged
        self.watch.covered.heard(fact)
        step = self.machine.handle(fact, 1.6e9 + self.engine.now + self.skew)
        if judged is not None and isinstance(fact, facts.JudgingFailed | facts.CanaryAsked):
            self._check_fault(judged, fact)
        if body is not None:
            self._remember(self.system.last_arrived, body)
        elif type(fact) is facts.ReconsiderAsked and fact.id in self.system.documents:
            again = self.system.deliveries.get(reconsidering.delivery_key(fact.id))
            self._remember(again, reconsidering.delivery_body(self.system.documents[fact.id]))
        if step.saves:
            self._saves += step.saves
            self._pictures.saved(step.saves)
            self.watch.covered.saved(step.saves)
        waits = False
        for command in step.commands:
            needs = command.needs
            if needs is Needs.NOTHING:
                self._begin(command)
            else:
                (self._stored if needs is Needs.STORED else self._synced).append(command)
                waits = True
        if waits:
            self._schedule_flush()

    def _remember(self, delivery: Delivery | None, body: bytes) -> None:
        if delivery is not None and not delivery.done:
            self.repository.remember_body(delivery.number, body)

    def _check_pictures(self) -> None:
        """A picture is made anew where a save says that a unit changed: it shows the document as it is all the same."""
        for doc in self.system.live.values():
            if doc.order and self._pictures.of(doc).render() != document_json(doc, doc.order):
                raise Violation(f"the picture of {doc.id} is not the document: a unit changed and was not saved")

    def _schedule_flush(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self.engine.after(self.engine.soon(0.1), self._flush_in, self.life)

    def _flush_in(self, life: int) -> None:
        if life == self.life:
            self._flush_due = False
            self.flush(durable=bool(self._synced) and self.engine.chance(self._syncs()))
            if self._synced:
                self._schedule_flush()

    def _syncs(self) -> float:
        return self.syncs_acknowledgements if all(isinstance(one, LAZY) for one in self._synced) else 0.7

    def flush(self, *, durable: bool) -> None:
        """Commit what is not committed yet, and begin what waited for it."""
        self._flushes += 1
        if self._flushes % PICTURED_EVERY == 0:
            self._check_pictures()
        saves, self._saves = self._saves, []
        writes = self.repository.writes(saves) if saves else []
        if writes or durable:
            self.store.commit(writes, durable=durable)
            self.watch.committed(writes)
        if saves:
            self._publish_lock()
        commands, self._stored = self._stored, []
        if durable:
            self._heard.clear()
            synced, self._synced = self._synced, []
            commands += synced
        if self.system.outbox:
            self._work_outbox()
        for command in commands:
            self._begin(command)

    def _check_fault(self, judged: Delivery, fact: facts.JudgingFailed | facts.CanaryAsked) -> None:
        """An event fails by its own fault only: not while the sibling that failed is away."""
        certain = isinstance(fact, facts.CanaryAsked) and fact.answered
        sibling = getattr(fact, "sibling", "")
        if judged.verdict is Verdict.ERROR and not certain and sibling and self.siblings.away(sibling):
            raise Violation(f"event {judged.number} is given up while {sibling} is away")

    # --- checks ------------------------------------------------------------------------------------------------------

    def _check_settled(self, message: Message) -> None:
        """The broker forgets a persist event: is it safe where it went?"""
        if message.uid in self.watch.waiting.values() and not self.ingress.holds_copy(message.uid):
            raise Violation(f"I1: waiting event {message.uid} is acked and no copy of it is left")

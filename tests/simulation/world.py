"""One simulated world: a few systems, the people and processes that use them, and what goes wrong.

`run(seed)` lives through it, lets it come to rest, and checks what must hold in the end.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import inf
from zlib import crc32

import orjson

from maestro.events import MASTER, celery_body
from maestro.rules.ledger_book import LatePolicy, Scope
from maestro.rules.state import Rules
from tests.simulation.broker import PREFETCH, Message, parse_celery
from tests.simulation.demanded import LIVES
from tests.simulation.domain import FINISHED, Instance, Place
from tests.simulation.engine import Engine, Violation
from tests.simulation.host import Host
from tests.simulation.imported import imported_documents
from tests.simulation.people import People
from tests.simulation.settled import check_settled
from tests.simulation.siblings import Siblings

INPUTS = ("k0", "k1", "k2")
#: What a process reads and writes again.
TOTAL = "total"
TROUBLE = 120.0
#: The longest that a message takes, and then some.
LATE = 100.0
PATIENCE = 20000.0


class Tenant:
    """One system and all that happens to it."""

    def __init__(
        self,
        engine: Engine,
        system_id: str,
        tune: Callable[[Rules], Rules] = lambda rules: rules,
        *,
        shortsighted: bool = False,
        unlucky: bool = False,
    ) -> None:
        random = engine.random
        self.engine = engine
        self.system_id = system_id
        rules = Rules(
            replay_attempts=random.choice((1, 2)),
            max_replays_per_instance=random.choice((2, 3)),
            auto_approve=random.random() < 0.2,
            two_approvers=random.random() < 0.25,
            dedup_window=random.choice((16, 4096)),
            require_reason=random.random() < 0.1,
            prefetch=PREFETCH,
            hold_copies=random.choice((0.0, 5.0, 600.0)),
            commit_settle=random.choice((20.0, 60.0, 60.0, inf)),
            commit_repeatable=random.random() < 0.1,
            outage_limit=random.choice((30.0, 1800.0)),
            ledger_scope=random.choice((Scope.OFF, Scope.REPLAYS, Scope.ALL, Scope.ALL)),
            ledger_rows=100_000,
            late_policy=random.choice((LatePolicy.REPORT, LatePolicy.ASK, LatePolicy.REPLAY)),
            tag_window=random.choice((60.0, 6000.0)),
        )
        rules = tune(rules)
        if unlucky:  # no ledger says what Discovery does not say a second time, and runs wait for nobody
            rules = replace(rules, ledger_scope=Scope.OFF, auto_approve=True)
        #: Events that one user action becomes.
        self._events_of_a_tag = random.choice((1, 3, 8, 100))
        self.siblings = Siblings(engine, system_id, rules.commit_settle)
        #: Processes start for seconds before they read.
        self.slow_starts = random.random() < 0.5
        # Only a ledger of all makes up for all that the real Discovery does not see.
        self.siblings.data.shortsighted = shortsighted or rules.ledger_scope is Scope.ALL
        trait = crc32(f"{system_id} {engine.seed}".encode())
        if self.siblings.data.shortsighted:
            self.siblings.data.clock_ahead = (0.0, 0.0, -2.0, 2.0)[trait % 4]
        elif trait % 4 == 0:
            self.siblings.falters_from = TROUBLE / 2
        #: Some processes are running totals. With clocks that differ Discovery itself may name these for each other.
        self.has_totals = self.siblings.data.shortsighted and trait % 8 in (0, 1)
        self.siblings.failing = random.choice((0.0, 0.01, 0.08))
        self.host = Host(engine, system_id, rules, self.siblings)
        self.host.policies = list(LIVES[trait // 8 % len(LIVES)])
        if unlucky:
            self.host.syncs_acknowledgements, self.host.worst_moments = 0.01, 2
        self.siblings.publish = self._publish
        self.siblings.report = self.host.tell
        self.siblings.publish_sync = self._persist_result
        self.people = People(engine, self.host, self.siblings)
        self.people.on_recheck = self.change_a_preview
        self.host.ingress.on_error = self._redrive_soon
        #: Messages RabbitMQ accepted, by id, with their instance.
        self.accepted: dict[str, str] = {}
        #: Ids of messages published more than once: a new delivery each time that the last one failed for good.
        self.repeated: set[str] = set()
        #: Instances whose app asks again until it is told.
        self.insisting: set[str] = set()
        self.branches = (MASTER, MASTER, "b1") if random.random() < 0.5 else (MASTER,)
        #: Entities of finished instances that Discovery named late.
        self._late: list[Place] = []
        self._instances = 0
        if self.siblings.data.shortsighted:
            self._fill_inputs()
        if random.random() < 0.1:
            imported_documents(self.host, self.siblings)
        for _ in range(random.choice((0,) * 9 + (4,))):
            self._wait_unknown()

    def _fill_inputs(self) -> None:
        """All inputs have a value before Maestro comes: rows that are inserted later are seen by nobody, for good."""
        for entity in INPUTS:
            first = Instance(
                f"{self.system_id}.{entity}", MASTER, (), entity, self.engine.random.randrange(10**6), b"{}"
            )
            first.asked_at = 0.0
            self.siblings.data.instances[first.id] = first
            self.siblings.data.compute(first)
            self.siblings.data.commit(first, 0.0, "")

    # --- the platform: processes run and persist -------------------------------------------------------------------

    def run_process(self) -> None:
        """A new instance starts, if `proceed` lets it, computes, and asks for its data to be persisted."""
        if self.host.proceed != 200:
            return
        instance = self.new_instance()
        instance.started_at = self.engine.now
        self.engine.after(self.engine.soon(3.0) if self.slow_starts else 0.0, self._compute, instance)

    def _compute(self, instance: Instance) -> None:
        self.siblings.data.compute(instance)
        self.engine.note("computed", self.system_id, instance.id, instance.reads, instance.branch)
        self.engine.after(self.engine.soon(6.0), self._persist, instance)

    def new_instance(self, reads: tuple[str, ...] = (), branch: str = "") -> Instance:
        """Make an input instance, or a derived one that reads what there is, or what it is told to."""
        random, data = self.engine.random, self.siblings.data
        self._instances += 1
        id_ = f"{self.system_id}.{self._instances}"
        branch = branch or random.choice(self.branches)
        known = sorted({entity for entity, _ in data.values if not entity.startswith("k")})
        told = bool(reads)
        if not reads and random.random() < 0.65:
            reads = tuple(random.sample(INPUTS, 1) + random.sample(known, min(len(known), random.choice((0, 1, 1, 2)))))
        writes = f"e{self._instances}" if reads else random.choice(INPUTS)
        if reads and not told and self.has_totals and self._instances % 5 == 0:
            reads, writes = (TOTAL,), TOTAL
        stamp = f"2018-07-20T15:{self._instances // 60:02}:{self._instances % 60:02}"
        origin = orjson.dumps(
            {"name": "p", "systemId": self.system_id, "instanceId": id_, "tag": self._tag(id_), "branch": branch,
             "timestamp": random.choice((stamp, stamp + ".5", "soon"))}
        )  # fmt: skip
        is_fork = branch != MASTER and random.random() < 0.3
        instance = Instance(id_, branch, reads, writes, random.randrange(10**6), origin, is_fork, began=self.engine.now)
        data.instances[id_] = instance
        return instance

    def _tag(self, instance_id: str) -> str:
        """Return the tag of an instance's event: now and then several have one, and a few none."""
        number = int(instance_id.rpartition(".")[2])
        if self._events_of_a_tag == 1:
            return instance_id
        return f"t{number // self._events_of_a_tag}" if number % 7 else ""

    def _event(self, instance: Instance) -> bytes:
        fields = {"systemId": self.system_id, "instanceId": instance.id, "branch": instance.branch}
        fields["tag"] = self._tag(instance.id)
        return orjson.dumps({"name": f"{self.system_id}.persist.request"} | fields)

    def _persist(self, instance: Instance) -> None:
        event = self._event(instance)
        if self.engine.chance(0.1):
            self._persist_sync(event, instance)
            return
        message_id = f"m-{instance.id}"
        if self.siblings.faulty and self.accepted and self.engine.chance(0.03):
            self._persist_by_another_id(event, instance)
            return
        self._publish(message_id, celery_body(message_id, event))
        if self.siblings.faulty and self.engine.chance(0.1):
            self.engine.after(self.engine.soon(30.0), self._publish, message_id, celery_body(message_id, event))
        elif self.siblings.faulty and self.engine.chance(0.1):  # a chain: the instance persists once more
            message_id = f"m-{instance.id}-more"
            self.siblings.commits.chained.add(instance.id)
            self.engine.after(self.engine.soon(10.0), self._publish, message_id, celery_body(message_id, event))

    def _persist_by_another_id(self, event: bytes, instance: Instance) -> None:
        """A client uses the id of another event."""
        used = self.engine.random.choice([uid for uid in self.accepted if " for " not in uid])
        self.accepted[f"{used} for {instance.id}"] = instance.id
        self.host.ingress.publish(Message(used, celery_body(used, event)))

    def _wait_unknown(self) -> None:
        """An event is on the wait queue that no store knows of."""
        instance = self.new_instance()
        self.siblings.data.compute(instance)
        message = Message(f"m-{instance.id}", celery_body(f"m-{instance.id}", self._event(instance)))
        self.accepted[message.uid] = instance.id
        self.host.ingress.wait.append(message)

    def change_a_preview(self) -> None:
        """Discovery comes to name another finished instance that read what a pending event writes, or one no more."""
        pending = self.host.watch.pending()
        if pending is None:
            return
        data = self.siblings.data
        if self._late and self.engine.chance(0.4):
            place = self._late.pop()
            if not any(place[0] in instance.used for instance in data.instances.values()):  # else that one is wronged
                data.values.pop(place, None)
            return
        held = data.instances[pending["held_instance"]]
        instance = self.new_instance(reads=(held.writes,), branch=held.branch)
        instance.started_at, instance.unheard = self.engine.now, True
        data.compute(instance)
        data.commit(instance, self.engine.now, "")
        data.statuses[instance.id] = FINISHED
        self._late.append((instance.writes, instance.branch))

    def purge_wait_queue(self) -> None:
        """Somebody purges the wait queue: what waits is in the store as well."""
        host = self.host
        known = {row["key"] for row in host.watch.deliveries.values()}
        if host.ingress.attached and all(message.uid in known for message in host.ingress.wait):
            self.engine.note("wait queue purged", self.system_id)
            host.ingress.purged.update(message.uid for message in host.ingress.wait)
            host.ingress.wait.clear()

    def _persist_sync(self, event: bytes, instance: Instance) -> None:
        """An app persists; about half of them ask again until they are told that the event is taken."""
        if self.host.up:
            self.host.persist_sync(event, self.people.ticket("sync", instance.id))
            if self.engine.chance(0.2):  # a process persists its instance once more
                self.engine.after(self.engine.soon(40.0), self._persist_once_more, event, instance)
        if instance.seed % 2:
            self.insisting.add(instance.id)
            self.engine.after(15.0, self._insist, event, instance)

    def _persist_result(self, event: bytes, replay: Instance, tries: int = 3) -> None:
        """A replayed process persists synchronously, and asks again when it is not told."""
        if self.host.up:
            self.host.persist_sync(event, self.people.ticket("sync", replay.id))
        if tries and replay.id not in self.people.promised:
            self.repeated.add(f"sync of {replay.id}")
            self.engine.after(15.0, self._persist_result, event, replay, tries - 1)

    def _persist_once_more(self, event: bytes, instance: Instance) -> None:
        if self.host.up and self.siblings.faulty:
            self.repeated.add(f"sync of {instance.id}")
            self.people.expect_another_commit(instance.id)
            self.siblings.commits.chained.add(instance.id)
            self.host.persist_sync(event, self.people.ticket("sync", instance.id))

    def _insist(self, event: bytes, instance: Instance) -> None:
        if instance.id not in self.people.promised:
            self.repeated.add(f"sync of {instance.id}")
            self._persist_sync(event, instance)

    def _publish(self, message_id: str, body: bytes) -> None:
        if message_id in self.accepted:
            self.repeated.add(message_id)
        self.accepted[message_id] = parse_celery(body).event.instance_id
        self.host.ingress.publish(Message(message_id, body))

    def redrive(self) -> None:
        """Somebody moves a message from the error queue back to the persist queue."""
        errors = self.host.ingress.errors
        if errors:
            message, _ = errors.pop(self.engine.random.randrange(len(errors)))
            self.engine.note("redriven", self.system_id, message.uid)
            self.repeated.add(message.uid)
            of = parse_celery(message.body).event.instance_id
            self.repeated.update((f"sync of {of}", *(uid for uid in self.accepted if uid.endswith(f" for {of}"))))
            self.host.ingress.publish(replace(message, redriven=True))

    def _redrive_soon(self) -> None:
        """Somebody who watches the error queue does not wait long."""
        if self.engine.now < TROUBLE and self.engine.chance(0.2):
            self.engine.after(self.engine.soon(8.0), self.redrive)

    def settle(self) -> None:
        """From now on all is decided, sooner or later."""
        if self.engine.now < TROUBLE + LATE or not self.quiet:
            self.people.settle()
            self.engine.after(5.0, self.settle)

    @property
    def quiet(self) -> bool:
        """Nothing is left to do here."""
        host = self.host
        return (
            host.up
            and host.ingress.idle
            and not host.system.live
            and not host.system.owed
            and host.system.judged is None
            and not host.system.inbox
            and not host.system.waiting
            and not host.system.outbox
            and not host.system.ledger.owed
            and not host.system.ledger.late_due
            and not host.system.cases
            and not host.system.open_doubts
            and not host.system.looks
            and not host.system.questions
        )


def run(
    seed: int,
    tune: Callable[[Rules], Rules] = lambda rules: rules,
    look: Callable[[Tenant], None] = check_settled,
    *,
    unlucky: bool = False,
) -> Engine:
    """Live through the world of this seed. Raises `Violation`; its note is in the engine's history.

    The engine is attached to the exception as `engine`. `tune` may change a system's rules; `look` is what is done with
    each system once it is at rest. `unlucky`: power is lost in runs when that does most harm.
    """
    engine = Engine(seed)
    try:
        with _collected_as_a_whole():
            _live(engine, tune, look, unlucky=unlucky)
    except Exception as problem:
        problem.engine = engine  # type: ignore[attr-defined]
        raise
    return engine


@contextmanager
def _collected_as_a_whole() -> Iterator[None]:
    """Look for garbage once a world is over: until then nearly all of it is kept."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _live(engine: Engine, tune: Callable[[Rules], Rules], look: Callable[[Tenant], None], *, unlucky: bool) -> None:
    random = engine.random
    tenants = [
        Tenant(engine, f"s{number}", tune, shortsighted=look is not check_settled, unlucky=unlucky)
        for number in range(random.choice((1, 1, 2)))
    ]
    for tenant in tenants:
        _plan(engine, tenant)
        engine.after(0.0, tenant.host.start)
    engine.run(TROUBLE)
    for tenant in tenants:  # all faults stop
        tenant.siblings.faulty = False
    engine.run(TROUBLE + 300.0)
    while not all(tenant.quiet for tenant in tenants):
        if engine.now > PATIENCE or engine.idle:
            raise Violation(f"I9: it does not come to rest: {[_state(tenant) for tenant in tenants]}")
        engine.run(engine.now + 50.0)
    engine.run(engine.now + 120.0)  # late and doubled messages
    for tenant in tenants:
        if not tenant.quiet:
            raise Violation(f"I9: it does not stay at rest: {_state(tenant)}")
        look(tenant)


def _plan(engine: Engine, tenant: Tenant) -> None:
    random = engine.random
    host = tenant.host
    for _ in range(random.randint(12, 35)):
        engine.after(TROUBLE * random.random(), tenant.run_process)
    for _ in range(random.randint(5, 25)):
        engine.after(TROUBLE * random.random(), tenant.people.decide)
    for _ in range(random.choice((0, 0, 1, 3))):
        engine.after(TROUBLE * random.random(), lambda: host.crash(power_lost=random.random() < 0.4))
    for _ in range(random.choice((0, 0, 0, 1))):
        engine.after(TROUBLE * random.random(), host.stop)
    for _ in range(random.choice((0, 0, 1, 2))):
        engine.after(TROUBLE * random.random(), host.lose_ingress)
    for _ in range(random.choice((0, 1, 2))):
        engine.after(TROUBLE * random.random(), tenant.redrive)
    for _ in range(random.choice((0, 2, 5))):
        engine.after(TROUBLE * random.random(), tenant.change_a_preview)
    _burst(engine, tenant)
    engine.after(TROUBLE * random.choice((0.3, 0.6, 1.0)), tenant.settle)
    _plan_outages(engine, tenant)
    if random.random() < 0.1:
        engine.after(TROUBLE * random.random(), tenant.purge_wait_queue)
    if random.random() < 0.3:
        engine.after(TROUBLE * random.random(), _jump, engine, host)


def _burst(engine: Engine, tenant: Tenant) -> None:
    """Many processes at once, perhaps."""
    begin = TROUBLE * engine.random.random()
    for _ in range(engine.random.choice((0, 0, 20))):
        engine.after(begin + engine.random.random(), tenant.run_process)


def _plan_outages(engine: Engine, tenant: Tenant) -> None:
    random = engine.random
    for _ in range(random.choice((0, 0, 1, 2))):
        away = (random.choice(("apicore", "apicore", "discovery", "process_memory")), random.choice((2.0, 20.0, 90.0)))
        engine.after(TROUBLE * random.random(), tenant.siblings.goes_away, *away)


def _jump(engine: Engine, host: Host) -> None:
    host.skew += engine.random.choice((-300.0, -5.0, 5.0, 300.0))
    engine.note("clock jumps", host.system_id, host.skew)


def _state(tenant: Tenant) -> str:
    if not tenant.host.up:
        return "down"
    system, ingress = tenant.host.system, tenant.host.ingress
    live = [(doc.id, doc.status, doc.stage, doc.current and doc.current.state) for doc in system.live.values()]
    return (
        f"{tenant.system_id}: live {live}, judged {system.judged}, inbox {len(system.inbox)}, waiting "
        f"{len(system.waiting)}, queues {len(ingress.persist)}/{len(ingress.wait)}/{len(ingress.unsettled)}, "
        f"parked {system.parked}, outbox {len(system.outbox)}, owed {list(system.owed)}"
    )

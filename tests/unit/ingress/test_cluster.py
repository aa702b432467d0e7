"""Ingress of a node: only its systems' queues are consumed, one after the other, and nothing is done unbelieved."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from maestro.board.lease import Standing, make_lease
from maestro.board.node_lease import NodeLeaseHolder, boot_time
from maestro.broker.base import Binding, Delivery, Depth, Message
from maestro.broker.topology import SystemQueues
from maestro.ingress import consumer, persist_queue, service
from maestro.ingress.service import EXIT_NOT_OURS, IngressService
from maestro.links.items import SYSTEM, Hello
from maestro.messages.ingress import Ack, Arrived, Park, Parked
from maestro.settings.model import Settings
from maestro.settings.servers import BrokerSettings, ClusterSettings, StoreSettings
from maestro.store.rest_mark import RestMark, RestMarks
from maestro.telemetry.definitions import WAKE_SECONDS, WAKE_UPS
from tests.support.brokers import eventually

PERSIST = SystemQueues("s").persist


class FakeConsumer:
    active = True

    def __init__(self, broker: "FakeBroker", queue: str) -> None:
        self._broker, self._queue = broker, queue

    async def cancel(self) -> None:
        self._broker.consumers.pop(self._queue, None)


class FakeBroker:
    """Remembers who consumes what, and what was settled."""

    def __init__(self) -> None:
        self.consumers: dict[str, Callable[[Delivery], None]] = {}
        self.elsewhere: dict[str, int] = {}
        #: How many looks say yet that nobody consumes anything.
        self.uncounted = 0
        #: Whether the persist queue is there; and for each declaration of it whether it was consumed then.
        self.there = True
        self.declared: list[bool] = []
        #: The queues that are declared again if they vanish.
        self.known: set[str] = set()
        self.acked: list[str] = []
        self.given_back: list[str] = []
        self.published: list[str] = []
        #: Whether publishes are confirmed.
        self.confirms = asyncio.Event()
        self.confirms.set()
        #: Of each that was given back, whether the queue was consumed here then.
        self.consumed_then: list[bool] = []

    async def declare(self, bindings: Sequence[Binding], *_: Any, **__: Any) -> None:
        if PERSIST in [binding.queue for binding in bindings]:
            self.declared.append(PERSIST in self.consumers)
            self.there = True

    async def depth(self, queue: str) -> Depth | None:
        if queue == PERSIST and not self.there:
            return None
        if self.uncounted:
            self.uncounted -= 1
            return Depth(0, 0)
        return Depth(0, self.elsewhere.get(queue, 0) + (queue in self.consumers))

    async def consume(
        self, queue: str, _prefetch: int, on_delivery: Callable[[Delivery], None], _on_lost: Any, *,
        bindings: Sequence[Binding] = (), **_: Any,
    ) -> FakeConsumer:  # fmt: skip
        self.known.update(binding.queue for binding in bindings)
        self.consumers[queue] = on_delivery
        return FakeConsumer(self, queue)

    async def publish(self, _exchange: str, _key: str, message: Message) -> None:
        await self.confirms.wait()
        self.published.append(message.message_id)

    def consumed(self) -> bool:
        return PERSIST in self.consumers

    def deliver(self, *ids: str, again: bool = False) -> None:
        for id_ in ids:
            self.consumers[PERSIST](Delivery(PERSIST, b"{}", id_, {}, redelivered=again, tag=object()))

    def ack(self, delivery: Delivery) -> None:
        self.acked.append(delivery.message_id)

    def requeue(self, delivery: Delivery) -> None:
        self.given_back.append(delivery.message_id)
        self.consumed_then.append(self.consumed())


class FakeSession:
    on_item: Callable[[object], None]
    on_lost: Callable[[], None]

    def __init__(self) -> None:
        self.posted: list[object] = []

    def post(self, item: object, *, lazy: bool = False) -> None:
        del lazy
        self.posted.append(item)

    def got(self, kind: type) -> list[Any]:
        return [item for item in self.posted if isinstance(item, kind)]


class World:
    def __init__(self, folder: Path, **broker: float) -> None:
        settings = Settings(
            data_dir=folder, cluster=ClusterSettings(name="grid"), store=StoreSettings(url=SecretStr("postgresql:///d")),
            broker=BrokerSettings(url=SecretStr("amqp://u:p@127.0.0.1/v")).model_copy(update=broker),
        )  # fmt: skip
        make_lease(folder, Standing.UNKNOWN)
        self.lease = NodeLeaseHolder(folder)
        self.lease.believe(boot_time() + 60)
        self.broker = FakeBroker()
        self.ingress = IngressService(settings, 1)
        self.ingress._broker = self.broker  # type: ignore[assignment]
        self.ingress._owner_known(Standing.SHARED)
        self.following = asyncio.create_task(self.ingress._follow_owned())

    def comes(self) -> FakeSession:
        session = FakeSession()
        self.ingress.met(Hello(SYSTEM, 2, system_id="s"), session)  # type: ignore[arg-type]
        return session

    async def consumed(self) -> None:
        await eventually(lambda: PERSIST in self.broker.consumers, "consumed")


@asynccontextmanager
async def running(folder: Path, **broker: float) -> AsyncIterator[World]:
    world = World(folder, **broker)
    yield world
    world.following.cancel()
    await world.ingress._tasks.close()
    await asyncio.gather(*(line.close() for line in world.ingress._lines.values()))


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    for module in (consumer, persist_queue):
        monkeypatch.setattr(module, "LOOK", 0.01)
    async with running(tmp_path) as world:
        yield world


async def test_only_what_is_owned_is_consumed_and_only_once_the_former_node_is_gone(world: World) -> None:
    world.broker.elsewhere[PERSIST] = 1
    world.lease.own(["s"])
    await eventually(lambda: "s" in world.ingress._lines, "seen")
    await asyncio.sleep(0.1)
    assert world.broker.consumers == {}
    world.broker.elsewhere[PERSIST] = 0
    await world.consumed()


async def test_a_queue_that_is_there_is_declared_once_it_is_consumed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(persist_queue, "DECLARED_AFTER", 0.1)
    world.lease.own(["s"])
    await world.consumed()
    await eventually(lambda: world.broker.declared == [True], "declared, when it was consumed")


async def test_a_queue_that_vanishes_before_it_is_declared_is_known_to_the_broker(world: World) -> None:
    world.lease.own(["s"])
    await world.consumed()
    assert world.broker.declared == []
    assert world.broker.known == {PERSIST}


async def test_a_queue_that_is_not_there_is_declared_before(world: World) -> None:
    world.broker.there = False
    world.lease.own(["s"])
    await world.consumed()
    assert world.broker.declared == [False]


async def test_a_consumer_that_stays_is_waited_for_no_longer_than_one_of_a_node_can_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RabbitMQ counts one that was connected to a lost node of its own until that node is back."""
    for module in (consumer, persist_queue):
        monkeypatch.setattr(module, "LOOK", 0.01)
    monkeypatch.setattr(service, "RELEASED_WITHIN", 0.0)
    monkeypatch.setattr(service, "LOOK_MAX", 0.1)
    async with running(tmp_path, returned_within=0.3, heartbeat=0) as world:
        world.broker.elsewhere[PERSIST] = 1
        world.lease.own(["s"])
        await eventually(lambda: "s" in world.ingress._lines, "seen")
        await asyncio.sleep(0.1)
        assert world.broker.consumers == {}
        await world.consumed()
        session = world.comes()
        world.broker.deliver("a")
        await eventually(lambda: len(session.got(Arrived)) == 1, "handed over")


async def test_a_consumer_that_was_not_counted_at_first_is_waited_for(world: World) -> None:
    """A quorum queue without a leader says that nobody consumes it."""
    world.broker.uncounted = 2
    world.broker.elsewhere[PERSIST] = 1
    session = world.comes()
    world.lease.own(["s"])
    await world.consumed()
    world.broker.deliver("c", "d")
    await asyncio.sleep(0.1)
    assert session.got(Arrived) == []
    world.broker.deliver("a", "b", again=True)
    world.broker.elsewhere[PERSIST] = 0
    await eventually(lambda: len(session.got(Arrived)) == 4, "handed over")
    refs = [arrived.ref for arrived in session.got(Arrived)]
    for ref in refs:
        world.ingress._lines["s"].receive(Ack(ref))
    assert world.broker.acked == ["a", "b", "c", "d"]


async def test_what_is_let_go_is_given_back_in_its_order_once_its_actor_is_gone(world: World) -> None:
    world.lease.own(["s"])
    await world.consumed()
    session = world.comes()
    world.broker.deliver("a", "b", "c")
    refs = [arrived.ref for arrived in session.got(Arrived)]
    world.lease.own([])
    await eventually(lambda: "s" not in world.ingress._lines, "seen")
    session.on_item(Ack(refs[1]))  # what it finishes before it ends is settled
    await asyncio.sleep(0.05)
    assert world.broker.given_back == []
    session.on_lost()
    await eventually(lambda: world.broker.given_back == ["a", "c"], "given back")
    assert world.broker.acked == ["b"]
    assert not world.broker.consumed()


async def let_go_while_a_park_hangs(world: World) -> FakeSession:
    """Two events are in hand, and the first one is on its way to the wait queue."""
    world.lease.own(["s"])
    await world.consumed()
    session = world.comes()
    world.broker.deliver("a", "b")
    (first, _) = (arrived.ref for arrived in session.got(Arrived))
    world.broker.confirms.clear()
    session.on_item(Park("k", b"{}", (first,)))
    world.lease.own([])
    return session


async def test_the_next_node_consumes_nothing_before_what_hangs_is_given_back(world: World) -> None:
    """It waits until the queue is consumed by nobody: what it would be given before is younger."""
    session = await let_go_while_a_park_hangs(world)
    await eventually(lambda: "s" not in world.ingress._lines, "seen")
    session.on_lost()
    await asyncio.sleep(0.1)
    world.broker.deliver("c")
    assert world.broker.consumed()
    assert len(session.got(Arrived)) == 2, "nothing more is handed over"
    world.broker.confirms.set()
    await eventually(lambda: world.broker.given_back == ["b", "c"], "given back")
    assert world.broker.consumed_then == [False, False]
    assert (world.broker.published, world.broker.acked) == (["k"], ["a"])


async def test_what_hangs_is_given_back_at_last(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "RELEASED_WITHIN", 0.2)
    await let_go_while_a_park_hangs(world)
    await eventually(lambda: world.broker.given_back == ["a", "b"], "given back")
    assert world.broker.published == []


async def test_a_system_that_comes_back_at_once_is_heard_from_its_first_word(world: World) -> None:
    world.lease.own(["s"])
    await world.consumed()
    old = world.comes()
    world.broker.deliver("a")
    world.lease.own([])
    await eventually(lambda: "s" not in world.ingress._lines, "let go")
    world.lease.own(["s"])
    new = world.comes()  # while what the former one left is still here
    new.on_item(Park("k", b"{}", ()))
    await asyncio.sleep(0.05)
    assert new.posted == []
    old.on_lost()
    await eventually(lambda: bool(new.got(Parked)), "heard")
    await world.consumed()


async def test_a_system_that_moved_away_before_it_woke_is_no_wake_up_when_it_comes_back(
    world: World, tmp_path: Path
) -> None:
    (tmp_path / "systems").mkdir()
    marks = RestMarks(tmp_path)
    marks.leave("s", RestMark("", "", 0.0))
    woken: list[tuple[str, ...]] = []
    world.ingress._wake = woken.append
    world.lease.own(["s"])
    await world.consumed()
    world.broker.deliver("a")
    await eventually(lambda: woken == [("s",)], "asked for")
    world.lease.own([])
    await eventually(lambda: world.broker.given_back == ["a"], "given back")
    marks.remove("s")
    world.lease.own(["s"])
    await world.consumed()
    world.comes()
    found = world.ingress._registry.snapshot()
    assert not [one for one in found.samples if one.metric == WAKE_UPS.name and one.value]
    assert not [one for one in found.distributions if one.metric == WAKE_SECONDS.name and sum(one.counts)]


async def test_a_lease_that_is_not_believed_settles_and_moves_nothing(world: World) -> None:
    world.lease.own(["s"])
    await world.consumed()
    session = world.comes()
    world.broker.deliver("a", "b")
    first, second = (arrived.ref for arrived in session.got(Arrived))
    world.lease.believe(boot_time() - 1)
    session.on_item(Ack(first))
    session.on_item(Park("k", b"{}", (second,)))
    await asyncio.sleep(0.1)
    assert (world.broker.acked, world.broker.published) == ([], [])
    world.lease.believe(boot_time() + 60)
    await eventually(lambda: world.broker.acked == ["a", "b"], "settled")
    assert world.broker.published == ["k"]


async def test_a_lease_that_is_over_for_a_while_ends_ingress(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr(service, "LET_GO_AFTER", 0.2)
    monkeypatch.setattr(service.os, "_exit", ended.append)
    world.lease.own(["s"])
    await world.consumed()
    world.lease.believe(boot_time() + 0.1)
    await asyncio.sleep(0.15)  # a beat that is a little late
    world.lease.believe(boot_time() + 60)
    await asyncio.sleep(0.2)
    assert ended == []
    world.lease.believe(boot_time())
    await eventually(lambda: ended[:1] == [EXIT_NOT_OURS], "ended")
    world.following.cancel()


async def test_nothing_is_consumed_before_the_lease_is_believed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "LET_GO_AFTER", float("inf"))
    world.lease.believe(0)
    world.lease.own(["s"])
    await eventually(lambda: "s" in world.ingress._lines, "seen")
    await asyncio.sleep(0.1)
    assert world.broker.consumers == {}
    world.lease.believe(boot_time() + 60)
    await world.consumed()


async def test_an_active_system_waits_for_no_turn(world: World) -> None:
    assert world.ingress._turns is not None
    for _ in range(service.TOGETHER):
        await world.ingress._turns.acquire()
    world.lease.own(["s"])
    await eventually(lambda: "s" in world.ingress._lines, "seen")
    await asyncio.sleep(0.05)
    assert world.broker.consumers == {}
    world.comes()
    await world.consumed()
    assert world.ingress._turns.locked(), "it gave no turn back that it had not taken"

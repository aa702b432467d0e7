"""What only a server can do to us: go away, close channels, delete queues, refuse."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import pika
import pytest
from pika.heartbeat import HeartbeatChecker
from pydantic import SecretStr

from maestro.broker import open_broker, topology
from maestro.broker.base import Binding, Broker, BrokerError, BrokerUnavailable, Delivery, Depth, Message, Unroutable
from maestro.broker.rabbitmq import RabbitMQBroker
from maestro.broker.rabbitmq_properties import Properties
from maestro.broker.rabbitmq_publisher import NACKS
from maestro.broker.rabbitmq_session import Session
from maestro.broker.rabbitmq_topology import Declarations
from maestro.broker.topology import SystemQueues
from maestro.ports import free_port
from maestro.settings.servers import BrokerSettings
from tests.support.brokers import Collector, Place, eventually, eventually_equal
from tests.support.rabbitmq import PASSWORD, RabbitMQNode
from tests.support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.rabbitmq
QUEUES = SystemQueues("sysA")


@pytest.fixture
async def broker(rabbitmq_place: Place) -> Broker:
    broker = await rabbitmq_place.open()
    await broker.declare(QUEUES.bindings(), topology.EXCHANGES)
    return broker


async def publish(broker: Broker, count: int, start: int = 0) -> None:
    await asyncio.gather(
        *(broker.publish(topology.PERSIST, "sysA", Message(b"{}", f"m{n}")) for n in range(start, start + count))
    )


async def consume(broker: Broker, *, acking: bool = True) -> Collector:
    collector = Collector(broker, acking)
    await broker.consume(QUEUES.persist, 256, collector.on_delivery, collector.on_lost)
    return collector


@contextlib.contextmanager
def declared_by_the_platform(url: str, queue: str, arguments: dict[str, object]) -> Iterator[None]:
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        connection.channel().queue_declare(queue, durable=True, arguments=arguments)
        yield


@pytest.mark.slow
async def test_a_killed_node_loses_nothing(broker: Broker, rabbitmq_node: RabbitMQNode) -> None:
    collector = await consume(broker)
    publishes = [
        asyncio.ensure_future(broker.publish(topology.PERSIST, "sysA", Message(b"{}", f"m{n}"))) for n in range(2000)
    ]
    await eventually(lambda: sum(each.done() for each in publishes) > 200, "the first confirms")
    await asyncio.to_thread(rabbitmq_node.kill)
    assert not all(each.done() for each in publishes)
    await eventually(lambda: "not reachable" in broker.problem, "a problem in words")
    assert not broker.connected
    await asyncio.to_thread(rabbitmq_node.start)
    await asyncio.gather(*publishes)
    await eventually(lambda: {f"m{n}" for n in range(2000)} <= set(collector.ids), "every message")
    assert collector.lost >= 1
    first_seen = list(dict.fromkeys(each.message_id for each in collector.seen if not each.redelivered))
    assert first_seen[-1] == "m1999"


@pytest.mark.slow
async def test_a_frozen_node_is_noticed_and_found_again(rabbitmq_place: Place, rabbitmq_node: RabbitMQNode) -> None:
    impatient = rabbitmq_place.settings.model_copy(
        update={"heartbeat": 1, "publish_timeout": 1.0, "operation_timeout": 1.0}
    )
    broker = await Place(impatient, rabbitmq_place.data_dir, rabbitmq_place.break_up, rabbitmq_place.brokers).open()
    await broker.declare(QUEUES.bindings())
    rabbitmq_node.freeze()
    try:
        with pytest.raises(BrokerUnavailable, match="no confirm"):
            await publish(broker, 1)
        with pytest.raises(BrokerUnavailable, match="no answer"):
            await broker.depth(QUEUES.persist)
        await eventually(lambda: not broker.connected, "the missing heartbeats are noticed")
    finally:
        rabbitmq_node.thaw()
    await eventually(lambda: broker.connected, "connected again")
    await publish(broker, 1, start=1)


@pytest.mark.slow
async def test_a_connection_that_carries_only_heartbeats_is_kept(
    rabbitmq_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    rabbitmq_place.settings = rabbitmq_place.settings.model_copy(update={"heartbeat": 1})
    looks = []
    look = HeartbeatChecker._check_heartbeat

    def looked(checker: HeartbeatChecker) -> None:
        look(checker)
        looks.append(checker.connection_is_idle)

    monkeypatch.setattr(HeartbeatChecker, "_check_heartbeat", looked)
    broker = await rabbitmq_place.open()
    await broker.declare(QUEUES.bindings(), topology.EXCHANGES)
    collector = await consume(broker)
    await eventually(lambda: bool(looks), "it was looked whether heartbeats come")
    assert looks == [False]
    assert (broker.connected, collector.lost) == (True, 0)


async def test_a_deleted_queue_is_declared_and_consumed_again(
    broker: Broker, rabbitmq_node: RabbitMQNode, vhost: str
) -> None:
    collector = await consume(broker, acking=False)
    await publish(broker, 1)
    await collector.until(1)
    await asyncio.to_thread(rabbitmq_node.delete_queue, vhost, QUEUES.persist)
    await eventually(lambda: collector.lost == 1, "told")
    await eventually_equal(lambda: broker.depth(QUEUES.persist), Depth(0, 1))
    broker.ack(collector.seen[0])
    await publish(broker, 1, start=1)
    await collector.until(2)
    assert collector.ids == ["m0", "m1"]


async def test_a_deleted_queue_that_was_not_declared_here_is_consumed_again(
    broker: Broker, rabbitmq_place: Place, rabbitmq_node: RabbitMQNode, vhost: str
) -> None:
    """It was there, as after a take-over: who consumes it says what it is."""
    other = await rabbitmq_place.open()
    collector = Collector(other, acking=True)
    bindings = QUEUES.persist_bindings()[:1]
    consumer = await other.consume(
        QUEUES.persist, 256, collector.on_delivery, collector.on_lost, ordered=True, bindings=bindings
    )
    await asyncio.to_thread(rabbitmq_node.delete_queue, vhost, QUEUES.persist)
    await eventually(lambda: collector.lost == 1, "told")
    await eventually(lambda: consumer.active, "consumed again")
    await publish(broker, 1)
    await collector.until(1)


async def test_a_second_consumer_is_refused_loudly_until_the_first_is_gone(
    broker: Broker, rabbitmq_place: Place
) -> None:
    first = await consume(broker)
    intruder = await rabbitmq_place.open()
    late = Collector(intruder)
    await intruder.consume(QUEUES.persist, 256, late.on_delivery, late.on_lost)
    assert f"{QUEUES.persist} cannot be consumed, another Maestro may be at it" in intruder.problem
    assert not broker.problem
    await publish(broker, 20)
    await first.until(20)
    assert late.ids == []
    await broker.close()
    await eventually(lambda: not intruder.problem, "the queue is taken over")


async def test_a_deleted_exchange_is_declared_again_under_publishes(
    broker: Broker, rabbitmq_node: RabbitMQNode, vhost: str
) -> None:
    await publish(broker, 1)
    await asyncio.to_thread(rabbitmq_node.delete_exchange, vhost, topology.PERSIST)
    await publish(broker, 10, start=1)
    assert await broker.depth(QUEUES.persist) == Depth(11, 0)


#: Seconds in which nothing came that must not come.
QUIET = 1.5


@dataclass
class Parted:
    """A consumer of a quorum queue that can be parted from the broker, which takes it for living, and a publisher."""

    proxy: TcpProxy
    broker: Broker
    publisher: Broker
    collector: Collector

    async def part(self) -> None:
        self.proxy.part()
        await eventually(lambda: self.collector.lost == 1 and self.broker.connected, "connected again")
        self.collector.seen.clear()


@contextlib.asynccontextmanager
async def parted(node: RabbitMQNode, url: str, prefetch: int, within: float = 30.0) -> AsyncIterator[Parted]:
    with declared_by_the_platform(url, QUEUES.persist, {"x-queue-type": "quorum"}):
        async with TcpProxy(node.port) as proxy:
            near = BrokerSettings(kind="rabbitmq", url=SecretStr(url))
            away = SecretStr(url.replace(f":{node.port}/", f":{proxy.port}/"))
            far = near.model_copy(update={"url": away, "heartbeat": 60, "returned_within": within})
            broker, publisher = RabbitMQBroker(far), RabbitMQBroker(near)
            try:
                await broker.start()
                await publisher.start()
                await publisher.declare(QUEUES.bindings(), topology.EXCHANGES)
                await eventually(lambda: broker.connected, "connected")
                collector = Collector(broker, acking=False)
                await broker.consume(QUEUES.persist, prefetch, collector.on_delivery, collector.on_lost, ordered=True)
                yield Parted(proxy, broker, publisher, collector)
            finally:
                await broker.close()
                await publisher.close()


@pytest.mark.parametrize("end", [TcpProxy.tell, TcpProxy.cut])
@pytest.mark.parametrize("published", [1, 6, 30])
async def test_what_was_out_comes_before_younger_ones_though_the_broker_has_it_back_later(
    vhost_url: str, rabbitmq_node: RabbitMQNode, published: int, end: Callable[[TcpProxy], None]
) -> None:
    """A quorum queue gives what is younger to the next consumer while it takes the last one for living."""
    async with parted(rabbitmq_node, vhost_url, 4) as it:
        await publish(it.publisher, published)
        await it.collector.until(min(published, 4))
        await it.part()
        await publish(it.publisher, 10, start=published)
        await asyncio.sleep(QUIET)
        assert it.collector.ids == []
        it.collector.acking = True
        end(it.proxy)  # the former connection, or the present one as well
        expected = [f"m{n}" for n in range(published + 10)]
        await eventually(lambda: list(dict.fromkeys(it.collector.ids)) == expected, "all of it, in its order")
        assert it.broker.unreturned == 0


async def test_what_does_not_come_again_is_waited_for_no_longer_than_allowed(
    vhost_url: str, rabbitmq_node: RabbitMQNode
) -> None:
    async with parted(rabbitmq_node, vhost_url, 1, within=1.0) as it:
        await publish(it.publisher, 1)
        await it.collector.until(1)
        await it.part()
        it.collector.acking = True
        await publish(it.publisher, 10, start=1)
        await it.collector.until(10)
        assert it.collector.ids == [f"m{n}" for n in range(1, 11)]
        assert it.broker.unreturned == 1


async def test_what_was_given_to_a_lost_connection_later_comes_first(
    vhost_url: str, rabbitmq_node: RabbitMQNode
) -> None:
    """The next consumer gets nothing while the lost one has room: so what that one was given is nowhere passed by."""
    async with parted(rabbitmq_node, vhost_url, 20) as it:
        await it.part()
        it.collector.acking = True
        await publish(it.publisher, 10)
        await asyncio.sleep(QUIET)
        assert it.collector.ids == []
        it.proxy.tell()
        await it.collector.until(10)
        assert it.collector.ids == [f"m{n}" for n in range(10)]


@pytest.mark.slow
async def test_a_consumer_that_timed_out_consumes_again(broker: Broker, rabbitmq_node: RabbitMQNode) -> None:
    before = rabbitmq_node.set_variable("consumer_timeout", "500")
    tick = rabbitmq_node.set_variable("channel_tick_interval", "250")
    try:
        collector = await consume(broker, acking=False)
        other = await broker.get(QUEUES.wait)
        await publish(broker, 1)
        await collector.until(1)
        await eventually(lambda: collector.lost == 1, "told that the channel was closed")
        rabbitmq_node.set_variable("consumer_timeout", before)
        collector.acking = True
        await collector.until(2)
    finally:
        rabbitmq_node.set_variable("consumer_timeout", before)
        rabbitmq_node.set_variable("channel_tick_interval", tick)
    assert other is None
    assert collector.seen[1].redelivered
    assert broker.connected


async def test_a_node_short_of_memory_makes_publishes_wait(rabbitmq_place: Place, rabbitmq_node: RabbitMQNode) -> None:
    impatient = rabbitmq_place.settings.model_copy(update={"publish_timeout": 0.5})
    broker = await Place(impatient, rabbitmq_place.data_dir, rabbitmq_place.break_up, rabbitmq_place.brokers).open()
    await broker.declare(QUEUES.bindings())
    rabbitmq_node.eval("rabbit_alarm:set_alarm({{resource_limit, memory, node()}, []})")
    try:
        with pytest.raises(BrokerUnavailable, match="memory"):
            await publish(broker, 1)
    finally:
        rabbitmq_node.eval("rabbit_alarm:clear_alarm({resource_limit, memory, node()})")
    await publish(broker, 1)


@pytest.mark.slow
async def test_connections_cut_again_and_again_lose_nothing(broker: Broker, rabbitmq_node: RabbitMQNode) -> None:
    collector = await consume(broker)
    publishes = asyncio.ensure_future(publish(broker, 10_000))
    for _ in range(5):
        await collector.until(len(collector.seen) + 200)
        await asyncio.to_thread(rabbitmq_node.close_connections)
    await publishes
    await eventually(lambda: len(set(collector.ids)) == 10_000, "every message")
    assert collector.lost >= 1
    await eventually_equal(lambda: broker.depth(QUEUES.persist), Depth(0, 1))


async def test_an_operation_waiting_for_a_connection_ends_with_the_broker() -> None:
    port = free_port()
    broker = RabbitMQBroker(BrokerSettings(kind="rabbitmq", url=SecretStr(f"amqp://u:p@127.0.0.1:{port}/v")))
    await broker.start()
    waiting = asyncio.ensure_future(broker.depth("queue"))
    await asyncio.sleep(0)
    await broker.close()
    with pytest.raises(BrokerUnavailable, match="closed"):
        await asyncio.wait_for(waiting, 2)


async def test_a_nack_is_an_error(broker: Broker, vhost_url: str) -> None:
    with declared_by_the_platform(vhost_url, "small", {"x-max-length": 1, "x-overflow": "reject-publish"}):
        await broker.declare([Binding(topology.PERSIST, "small", "small")])
    await broker.publish(topology.PERSIST, "small", Message(b"{}", "1"))
    with pytest.raises(Unroutable, match="nack"):
        await broker.publish(topology.PERSIST, "small", Message(b"{}", "2"))


async def test_a_channel_that_is_refused_again_and_again_is_given_up(broker: Broker, vhost_url: str) -> None:
    assert isinstance(broker, RabbitMQBroker)
    with declared_by_the_platform(vhost_url, "small", {"x-max-length": 1, "x-overflow": "reject-publish"}):
        await broker.declare([Binding(topology.PERSIST, "small", "small"), Binding(topology.PERSIST, "large", "large")])
    await broker.publish(topology.PERSIST, "small", Message(b"{}", "0"))

    async def refused(times: int) -> None:
        for number in range(times):
            with pytest.raises(Unroutable, match="nack"):
                await broker.publish(topology.PERSIST, "small", Message(b"{}", str(number)))

    first = broker._publisher._channel
    for _ in range(2):  # what is taken in between shows that the channel is sound
        await refused(NACKS - 1)
        await broker.publish(topology.PERSIST, "large", Message(b"{}", "taken"))
    assert broker._publisher._channel is first
    await refused(NACKS)
    await broker.publish(topology.PERSIST, "large", Message(b"{}", "by another channel"))
    assert broker._publisher._channel is not first
    assert await broker.depth("large") == Depth(3, 0)


async def test_a_queue_with_other_arguments_is_used_as_found(broker: Broker, vhost_url: str) -> None:
    queues = SystemQueues("quorum")
    with declared_by_the_platform(vhost_url, queues.persist, {"x-queue-type": "quorum"}):
        await broker.declare(queues.bindings())
    await broker.publish(topology.PERSIST, "quorum", Message(b"{}", "1"))
    delivery = await broker.get(queues.persist)
    assert delivery is not None
    assert delivery.message_id == "1"


@pytest.mark.parametrize(
    ("part", "replacement", "words"),
    [
        (PASSWORD, "wr0ng-secret", "user name or password"),
        ("/test-", "/missing-", "vhost"),
    ],
)
async def test_the_problem_is_told_in_words(vhost_url: str, part: str, replacement: str, words: str) -> None:
    settings = BrokerSettings(
        kind="rabbitmq", url=SecretStr(vhost_url.replace(part, replacement)), operation_timeout=0.5
    )
    broker = RabbitMQBroker(settings)
    await broker.start()
    try:
        await eventually(lambda: words in broker.problem, "problem told")
        assert not broker.connected
        assert "secret" not in broker.problem
        with pytest.raises(BrokerUnavailable) as caught:
            await broker.declare(QUEUES.bindings())
        assert words in str(caught.value)
        assert "secret" not in str(caught.value)
    finally:
        await broker.close()


async def test_a_vhost_that_comes_later_is_found(rabbitmq_node: RabbitMQNode) -> None:
    url = SecretStr(rabbitmq_node.url("late"))
    broker = RabbitMQBroker(BrokerSettings(kind="rabbitmq", url=url, reconnect_max=0.2, operation_timeout=0.5))
    await broker.start()
    try:
        collector = await consume(broker)
        with pytest.raises(BrokerUnavailable):
            await broker.declare(QUEUES.bindings())
        rabbitmq_node.create_vhost("late")
        await publish(broker, 3)
        await collector.until(3)
    finally:
        await broker.close()
        rabbitmq_node.delete_vhost("late")


@pytest.mark.slow
async def test_declaring_much_may_take_longer_than_one_operation(
    vhost_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare_all = Declarations.declare_all

    async def slowly(self: Declarations, session: Session) -> None:
        await asyncio.sleep(4)
        await declare_all(self, session)

    monkeypatch.setattr(Declarations, "declare_all", slowly)
    broker = RabbitMQBroker(BrokerSettings(kind="rabbitmq", url=SecretStr(vhost_url), operation_timeout=3))
    await broker.start()
    try:
        await eventually(lambda: broker.problem == "declaring queues", "connected")
        await broker.declare(QUEUES.bindings())
        assert await broker.depth(QUEUES.persist) == Depth(0, 0)
    finally:
        await broker.close()


async def test_nobody_listens() -> None:
    port = free_port()
    broker = RabbitMQBroker(BrokerSettings(kind="rabbitmq", url=SecretStr(f"amqp://u:p@127.0.0.1:{port}/v")))
    await broker.start()
    await eventually(lambda: "not reachable" in broker.problem, "problem told")
    await broker.close()


async def test_several_nodes_are_tried_in_turn(vhost_url: str) -> None:
    nobody = f"amqp://u:p@127.0.0.1:{free_port()}/{vhost_url.rpartition('/')[2]}"
    broker = RabbitMQBroker(BrokerSettings(kind="rabbitmq", url=SecretStr(f"{nobody} {vhost_url} {nobody}")))
    await broker.start()
    try:
        await eventually(lambda: broker.connected, "connected to the one that is there")
        await broker.declare(QUEUES.bindings())
    finally:
        await broker.close()


@pytest.mark.parametrize("url", ["", "http://user:hunter2@host/", "amqp://user:hunter2@host:port/v"])
def test_a_url_that_is_none(url: str, tmp_path: object) -> None:
    with pytest.raises(BrokerError, match="no AMQP URL") as caught:
        RabbitMQBroker(BrokerSettings.model_construct(kind="rabbitmq", url=SecretStr(url)))
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_which_broker_is_opened(rabbitmq_place: Place) -> None:
    assert isinstance(open_broker(rabbitmq_place.settings, rabbitmq_place.data_dir), RabbitMQBroker)


def strange(*entries: tuple[bytes, bytes]) -> Delivery:
    """Return a delivery with headers that pika neither encodes nor decodes."""
    table = b"".join(bytes([len(key)]) + key + value for key, value in entries)
    raw = struct.pack(">HI", pika.BasicProperties.FLAG_HEADERS, len(table)) + table
    return Delivery("", b"", "", {}, redelivered=False, tag=None, properties=Properties(raw))


@pytest.mark.parametrize(
    "value",
    [
        b"T" + struct.pack(">q", 1772000000000),
        b"T" + struct.pack(">q", -1),
        b"D\xff\x80\0\0\0",
    ],
)
async def test_a_header_that_pika_cannot_decode_harms_nobody(broker: Broker, value: bytes) -> None:
    collector = await consume(broker)
    await broker.publish(topology.PERSIST, "sysA", Message(b"{}", "odd", original=strange((b"odd", value))))
    await publish(broker, 2)
    await collector.until(3)
    assert collector.ids == ["odd", "m0", "m1"]
    assert collector.lost == 0
    assert not collector.seen[0].problem
    await broker.publish(topology.PERSIST_ERROR, "sysA", Message(b"{}", "again", original=collector.seen[0]))
    found = await broker.get(QUEUES.persist_error)
    assert found is not None
    assert found.properties.entries == [(b"odd", value)]


async def test_a_queue_with_a_single_active_consumer_is_consumed(rabbitmq_place: Place, vhost_url: str) -> None:
    with declared_by_the_platform(vhost_url, QUEUES.persist, {"x-single-active-consumer": True}):
        broker = await rabbitmq_place.open()
        await broker.declare(QUEUES.bindings(), topology.EXCHANGES)
        collector = await consume(broker)
        await publish(broker, 1)
        await collector.until(1)
        assert not broker.problem


async def test_an_alarm_of_the_broker_is_said(broker: Broker, rabbitmq_node: RabbitMQNode) -> None:
    before = rabbitmq_node.eval("vm_memory_monitor:get_vm_memory_high_watermark()")
    rabbitmq_node.eval("vm_memory_monitor:set_vm_memory_high_watermark({absolute, 1})")
    try:
        waiting = asyncio.ensure_future(publish(broker, 1))  # RabbitMQ tells who publishes
        await eventually(lambda: bool(broker.blocked), "blocked")
        assert "memory" in broker.blocked
    finally:
        rabbitmq_node.eval(f"vm_memory_monitor:set_vm_memory_high_watermark({before})")
    await waiting
    await eventually(lambda: not broker.blocked, "open again")


async def test_more_queues_are_consumed_than_there_are_channels(
    rabbitmq_place: Place, rabbitmq_node: RabbitMQNode, vhost_url: str, vhost: str
) -> None:
    settings = rabbitmq_place.settings.model_copy(update={"url": SecretStr(f"{vhost_url}?channel_max=100")})
    place = Place(settings, rabbitmq_place.data_dir, rabbitmq_place.break_up, rabbitmq_place.brokers)
    broker = await place.open()
    systems = [SystemQueues(f"s{number}") for number in range(200)]
    for queues in systems:
        await broker.declare(queues.persist_bindings()[:1])
    collector = Collector(broker, acking=False)
    consumers = {
        queues.system_id: await broker.consume(queues.persist, 2, collector.on_delivery, collector.on_lost)
        for queues in systems
    }
    assert broker.problem == ""

    async def publish_to_all(round_: int) -> None:
        await asyncio.gather(
            *(
                broker.publish(topology.PERSIST, queues.system_id, Message(b"{}", f"{queues.system_id}-{round_}-{n}"))
                for queues in systems
                for n in range(3)
            )
        )

    await publish_to_all(1)
    await collector.until(400)
    await asyncio.sleep(0.2)
    assert len(collector.seen) == 400, "a prefetch is each consumer's own"
    for delivery in list(collector.seen):
        broker.ack(delivery)
    await collector.until(600)
    for delivery in collector.seen[400:]:
        broker.ack(delivery)
    # A queue that goes takes nobody along; one that is given up is nobody's any more.
    await asyncio.to_thread(rabbitmq_node.delete_queue, vhost, systems[-1].persist)
    await eventually(lambda: collector.lost == 1, "told once")
    await consumers.pop(systems[-2].system_id).cancel()
    await eventually_equal(lambda: broker.depth(systems[-1].persist), Depth(0, 1))
    await eventually_equal(lambda: broker.depth(systems[-2].persist), Depth(0, 0))
    await publish_to_all(2)
    await collector.until(600 + 2 * 199)
    assert collector.lost == 1
    # After a reconnect all are consumed again.
    rabbitmq_node.close_connections()
    await eventually(lambda: collector.lost > 1, "told")
    await eventually_equal(lambda: broker.depth(systems[0].persist), Depth(1, 1))
    await eventually(lambda: not broker.problem, "all are consumed")
    await eventually_equal(lambda: broker.depth(systems[150].persist), Depth(1, 1))


async def test_what_cannot_be_consumed_is_said(broker: Broker, rabbitmq_node: RabbitMQNode, vhost: str) -> None:
    collector = Collector(broker)
    await broker.consume("nowhere", 1, collector.on_delivery, collector.on_lost)
    await broker.consume("nowhere.else", 1, collector.on_delivery, collector.on_lost)
    assert "cannot be consumed: NOT_FOUND" in broker.problem
    assert "(and 1 more queues cannot)" in broker.problem

"""What every broker must do (`maestro.broker.base`): the same tests for RabbitMQ and for the embedded one."""

import asyncio
from itertools import pairwise

import pytest

from maestro.broker import open_broker, topology
from maestro.broker.base import (
    Binding,
    Broker,
    BrokerError,
    BrokerUnavailable,
    Delivery,
    Depth,
    Message,
    Unroutable,
)
from maestro.broker.topology import SystemQueues
from maestro.settings.servers import BrokerSettings
from tests.support.brokers import Collector, Place, eventually, eventually_equal

QUEUES = SystemQueues("sysA")


@pytest.fixture
async def broker(place: Place) -> Broker:
    broker = await place.open()
    await broker.declare(QUEUES.bindings(), topology.EXCHANGES)
    return broker


def message(number: int, body: bytes = b"{}") -> Message:
    return Message(body, f"m{number}")


async def publish(broker: Broker, count: int, key: str = "sysA", exchange: str = topology.PERSIST) -> None:
    await asyncio.gather(*(broker.publish(exchange, key, message(number)) for number in range(count)))


async def consume(
    broker: Broker, *, acking: bool = True, prefetch: int = 256, queue: str = QUEUES.persist
) -> Collector:
    collector = Collector(broker, acking)
    await broker.consume(queue, prefetch, collector.on_delivery, collector.on_lost)
    return collector


async def drain(broker: Broker, queue: str) -> list[Delivery]:
    found = []
    while (delivery := await broker.get(queue)) is not None:
        broker.ack(delivery)
        found.append(delivery)
    return found


async def test_what_is_published_is_delivered_and_gone_once_acknowledged(broker: Broker, place: Place) -> None:
    await broker.publish(topology.PERSIST, "sysA", Message(b'{"a": 1}', "one"))
    collector = await consume(broker)
    await collector.until(1)
    delivery = collector.seen[0]
    assert (delivery.queue, delivery.body, delivery.message_id) == (QUEUES.persist, b'{"a": 1}', "one")
    assert not delivery.redelivered
    await broker.close()
    other = await place.open()
    assert await other.get(QUEUES.persist) is None


async def test_order_is_kept_through_a_burst(broker: Broker) -> None:
    collector = await consume(broker, prefetch=100)
    await publish(broker, 2000)
    await collector.until(2000)
    assert collector.ids == [f"m{number}" for number in range(2000)]


@pytest.mark.parametrize(
    ("exchange", "key", "queues"),
    [
        (topology.PERSIST, "sysA", [QUEUES.persist]),
        (topology.PERSIST, "wait_sysA", [QUEUES.wait]),
        (topology.PERSIST_ERROR, "sysA", [QUEUES.persist_error]),
        (topology.REPROCESSING, "sysA", [QUEUES.reprocessings]),
        (topology.REPROCESSING, "error_sysA", [QUEUES.reprocessings_error]),
        (topology.REPROCESSING_EVENTS, "sysA", [QUEUES.events]),
        (topology.REPROCESSING_EVENTS, "control_sysA", [QUEUES.control]),
        (topology.REPROCESSING_EVENTS, QUEUES.events_and_control_key, [QUEUES.events, QUEUES.control]),
    ],
)
async def test_the_topology_routes(broker: Broker, exchange: str, key: str, queues: list[str]) -> None:
    await broker.publish(exchange, key, message(1))
    filled = [each.queue for each in QUEUES.bindings() if await broker.depth(each.queue) == Depth(1, 0)]
    assert filled == queues


@pytest.mark.parametrize(
    ("pattern", "hits", "misses"),
    [
        ("#", ["", "a", "a.b", "."], []),
        ("*", ["a"], ["", "a.b"]),
        ("a.*", ["a.b", "a."], ["a", "a.b.c", "b.a"]),
        ("a.#", ["a", "a.b", "a.b.c"], ["", "b", "ab.c"]),
        ("#.a", ["a", "b.a", "a.a"], ["a.b", "aa"]),
        ("#.a.#", ["a", "b.a", "a.b", "b.a.b", "a.a"], ["b", "aa", "b.c"]),
        ("a.*.#.c", ["a.b.c", "a.b.x.c", "a.c.c"], ["a.c", "a.b", "a.b.c.d"]),
        ("*.*", ["a.b", ".", "a."], ["a", "a.b.c"]),
        ("a.#.*", ["a.b", "a.b.c"], ["a"]),
        ("a.b", ["a.b"], ["a", "a.b.c", "a*b"]),
    ],
)
async def test_topic_patterns(broker: Broker, pattern: str, hits: list[str], misses: list[str]) -> None:
    await broker.declare([Binding("patterns", pattern, "patterns.queue")])
    for key in hits:
        await broker.publish("patterns", key, message(1))
    for key in misses:
        with pytest.raises(Unroutable):
            await broker.publish("patterns", key, message(1))
    assert await broker.depth("patterns.queue") == Depth(len(hits), 0)


async def test_a_message_for_no_queue_is_an_error_and_harms_no_neighbour(broker: Broker) -> None:
    results = await asyncio.gather(
        *(broker.publish(topology.PERSIST, key, message(1)) for key in ("sysA", "nobody", "sysA", "nobody")),
        broker.publish("no-such-exchange", "sysA", message(2)),
        broker.publish(topology.PERSIST, "sysA", message(3)),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [
        type(None), Unroutable, type(None), Unroutable, Unroutable, type(None)
    ]  # fmt: skip
    assert {delivery.message_id for delivery in await drain(broker, QUEUES.persist)} == {"m1", "m3"}


async def test_no_more_than_prefetch_are_out(broker: Broker) -> None:
    await publish(broker, 20)
    collector = await consume(broker, acking=False, prefetch=5)
    await collector.until(5)
    for settled in range(15):
        await eventually_equal(lambda: broker.depth(QUEUES.persist), Depth(15 - settled, 1))
        assert len(collector.seen) == 5 + settled
        broker.ack(collector.seen[settled])
        await collector.until(6 + settled)


async def test_requeued_goes_back_to_its_place(broker: Broker) -> None:
    await publish(broker, 4)
    taken = [await broker.get(QUEUES.persist) for _ in range(3)]
    first, second, third = (delivery for delivery in taken if delivery is not None)
    broker.requeue(second)
    broker.requeue(first)
    broker.ack(third)
    await eventually_equal(lambda: broker.depth(QUEUES.persist), Depth(3, 0))
    again = await drain(broker, QUEUES.persist)
    assert [(each.message_id, each.redelivered) for each in again] == [("m0", True), ("m1", True), ("m3", False)]


async def test_void_deliveries_are_ignored_and_come_again(broker: Broker, place: Place) -> None:
    await publish(broker, 3)
    collector = await consume(broker, acking=False)
    await collector.until(3)
    place.break_up()
    await eventually(lambda: collector.lost == 1, "told that the deliveries are void")
    await collector.until(6)
    for void in collector.seen[:3]:
        broker.ack(void)
        broker.requeue(void)
    broker.ack(collector.seen[3])
    assert [(each.message_id, each.redelivered) for each in collector.seen[3:]] == [
        ("m0", True), ("m1", True), ("m2", True)
    ]  # fmt: skip
    await broker.close()
    left = await drain(await place.open(), QUEUES.persist)
    assert [each.message_id for each in left] == ["m1", "m2"]


async def test_settling_twice_does_nothing(broker: Broker) -> None:
    await publish(broker, 2)
    collector = await consume(broker, acking=False, prefetch=1)
    await collector.until(1)
    for _ in range(2):
        broker.ack(collector.seen[0])
        broker.requeue(collector.seen[0])
    await collector.until(2)
    assert collector.ids == ["m0", "m1"]
    assert collector.lost == 0


async def test_get_purge_and_depth(broker: Broker) -> None:
    assert await broker.get(QUEUES.persist) is None
    await publish(broker, 5)
    taken = await broker.get(QUEUES.persist)
    assert taken is not None
    assert taken.message_id == "m0"
    assert await broker.depth(QUEUES.persist) == Depth(4, 0)
    assert await broker.purge(QUEUES.persist) == 4
    assert await broker.depth(QUEUES.persist) == Depth(0, 0)
    broker.requeue(taken)
    await eventually_equal(lambda: broker.depth(QUEUES.persist), Depth(1, 0))


async def test_a_missing_queue_is_no_error_and_harms_no_held_delivery(broker: Broker) -> None:
    await publish(broker, 1)
    held = await broker.get(QUEUES.persist)
    assert held is not None
    assert await broker.get("missing") is None
    assert await broker.purge("missing") is None
    assert await broker.depth("missing") is None
    broker.ack(held)
    assert await broker.depth(QUEUES.persist) == Depth(0, 0)
    await publish(broker, 1)


async def test_many_gets_at_once(broker: Broker) -> None:
    await publish(broker, 20)
    taken = await asyncio.gather(*(broker.get(QUEUES.persist) for _ in range(25)))
    assert sorted(each.message_id for each in taken if each) == sorted(f"m{number}" for number in range(20))


async def test_some_are_taken_in_one_go(broker: Broker) -> None:
    await publish(broker, 5)
    first = await broker.get_some(QUEUES.persist, 3)
    rest = await broker.get_some(QUEUES.persist, 3)
    assert [[each.message_id for each in taken] for taken in (first, rest)] == [["m0", "m1", "m2"], ["m3", "m4"]]
    assert await broker.get_some(QUEUES.persist, 3) == []
    assert await broker.get_some("missing", 3) == []
    for delivery in first[:2]:
        broker.ack(delivery)
    for delivery in (first[2], *rest):
        broker.requeue(delivery)
    await eventually_equal(lambda: broker.depth(QUEUES.persist), Depth(3, 0))
    assert [each.message_id for each in await drain(broker, QUEUES.persist)] == ["m2", "m3", "m4"]


async def test_some_are_taken_by_many_at_once(broker: Broker) -> None:
    await publish(broker, 20)
    taken = await asyncio.gather(*(broker.get_some(QUEUES.persist, 7) for _ in range(4)))
    assert sorted(map(len, taken)) == [0, 6, 7, 7]
    assert len({each.message_id for some in taken for each in some}) == 20


async def test_headers_and_message_id_survive(broker: Broker) -> None:
    headers = {
        "x-maestro-error": "é falta",
        "n": 3,
        "big": 2**40,
        "b": b"\xff\x00",
        "yes": True,
        "deep": {"l": [1, "a"]},
    }
    await broker.publish(topology.PERSIST_ERROR, "sysA", Message(b"\x00\xff no json", "an id", headers))
    (delivery,) = await drain(broker, QUEUES.persist_error)
    assert (delivery.body, delivery.message_id, dict(delivery.headers)) == (b"\x00\xff no json", "an id", headers)


async def test_a_message_that_cannot_be_sent_is_an_error(broker: Broker) -> None:
    for bad in (
        Message(b"{}", "id", {"object": object()}),
        Message(b"x" * (BrokerSettings().max_event_bytes + 1), "id"),
    ):
        with pytest.raises(BrokerError):
            await broker.publish(topology.PERSIST, "sysA", bad)
    await publish(broker, 1)


async def test_what_came_from_a_queue_is_moved_whatever_its_size(broker: Broker) -> None:
    body = b"x" * (BrokerSettings().max_event_bytes + 1)
    await broker.publish(topology.PERSIST_ERROR, "sysA", Message(body, "id", moved=True))
    (delivery,) = await drain(broker, QUEUES.persist_error)
    assert delivery.body == body


async def test_a_megabyte(broker: Broker) -> None:
    bodies = [bytes([number]) * 1_000_000 for number in range(40)]
    await asyncio.gather(*(broker.publish(topology.PERSIST, "sysA", message(n, body)) for n, body in enumerate(bodies)))
    collector = await consume(broker, prefetch=4)
    await collector.until(40)
    assert [delivery.body for delivery in collector.seen] == bodies


async def test_a_cancelled_consumer_gets_no_more_but_may_settle(broker: Broker) -> None:
    await publish(broker, 2)
    one, two = Collector(broker, acking=False), Collector(broker, acking=False)
    first = await broker.consume(QUEUES.persist, 1, one.on_delivery, one.on_lost)
    await one.until(1)
    await first.cancel()
    await first.cancel()
    second = await broker.consume(QUEUES.persist, 1, two.on_delivery, two.on_lost)
    await two.until(1)
    assert await broker.depth(QUEUES.persist) == Depth(0, 1)
    broker.ack(one.seen[0])
    await publish(broker, 2)
    await eventually_equal(lambda: broker.depth(QUEUES.persist), Depth(2, 1))
    two.acking = True
    broker.ack(two.seen[0])
    await two.until(3)
    await second.cancel()
    await eventually_equal(lambda: broker.depth(QUEUES.persist), Depth(0, 0))
    assert (len(one.seen), one.lost, two.lost) == (1, 0, 0)


async def test_closing_leaves_what_is_unsettled_to_others(broker: Broker, place: Place) -> None:
    await publish(broker, 6)
    collector = await consume(broker, acking=False)
    await collector.until(6)
    for number in (0, 1, 3, 4):
        broker.ack(collector.seen[number])
    await broker.close()
    await broker.close()
    assert not broker.connected
    assert broker.problem
    other = await place.open()
    again = await drain(other, QUEUES.persist)
    assert [(each.message_id, each.redelivered) for each in again] == [("m2", True), ("m5", True)]


async def test_closing_with_publishes_under_way(broker: Broker, place: Place) -> None:
    publishes = [
        asyncio.ensure_future(broker.publish(topology.PERSIST, "sysA", message(number))) for number in range(2000)
    ]
    await eventually(lambda: any(each.done() for each in publishes), "the first confirm")
    await broker.close()
    results = await asyncio.gather(*publishes, return_exceptions=True)
    assert {type(result) for result in results} <= {type(None), BrokerUnavailable}
    confirmed = {f"m{number}" for number, result in enumerate(results) if result is None}
    there = [each.message_id for each in await drain(await place.open(), QUEUES.persist)]
    assert confirmed <= set(there)
    assert all(int(before[1:]) < int(after[1:]) for before, after in pairwise(there))
    with pytest.raises(BrokerUnavailable):
        await broker.publish(topology.PERSIST, "sysA", message(1))
    with pytest.raises(BrokerUnavailable):
        await broker.depth(QUEUES.persist)


async def test_a_cancelled_publish_harms_no_other(broker: Broker) -> None:
    publishes = [
        asyncio.ensure_future(broker.publish(topology.PERSIST, "sysA", message(number))) for number in range(1000)
    ]
    await asyncio.sleep(0)
    for each in publishes[::2]:
        each.cancel()
    results = await asyncio.gather(*publishes, return_exceptions=True)
    assert all(result is None for result in results[1::2])
    there = {each.message_id for each in await drain(broker, QUEUES.persist)}
    assert {f"m{number}" for number in range(1, 1000, 2)} <= there


async def test_a_failing_callback_gets_the_message_again(broker: Broker) -> None:
    collector = Collector(broker)

    def fail_once(delivery: Delivery) -> None:
        if not delivery.redelivered:
            raise RuntimeError("a consumer's own trouble")
        collector.on_delivery(delivery)

    await broker.consume(QUEUES.persist, 10, fail_once, collector.on_lost)
    await publish(broker, 2)
    await collector.until(2)
    assert (sorted(collector.ids), collector.lost) == (["m0", "m1"], 0)


async def test_consuming_a_queue_that_is_declared_later(broker: Broker) -> None:
    later = SystemQueues("later")
    collector = await consume(broker, queue=later.persist)
    await broker.declare(later.bindings())
    await broker.publish(topology.PERSIST, "later", message(1))
    await collector.until(1)


async def test_declaring_again_changes_nothing(broker: Broker, place: Place) -> None:
    await publish(broker, 1)
    other = await place.open()
    await other.declare(QUEUES.bindings(), topology.EXCHANGES)
    await publish(other, 1)
    assert await broker.depth(QUEUES.persist) == Depth(2, 0)
    assert await broker.depth(QUEUES.wait) == Depth(0, 0)


async def test_before_the_start_nothing_is_reachable(place: Place) -> None:
    broker = open_broker(place.settings, place.data_dir)
    assert not broker.connected
    assert broker.problem == "not started"
    await broker.close()

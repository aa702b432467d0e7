"""The wait queue is stopped and started faster than its consumer can be: what was out on delivery comes back."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from maestro.broker.base import Binding, Delivery, Depth, Message, Unpublishable, Unroutable
from maestro.broker.topology import PERSIST_ERROR, SystemQueues
from maestro.ingress import wait_queue
from maestro.ingress.consumer import SystemConsumer
from maestro.messages.ingress import (
    Ack,
    Arrived,
    DeadLetter,
    FeedWaitQueue,
    Park,
    Parked,
    PersistSwept,
    Source,
    SweepPersist,
    WaitQueueDrained,
)
from maestro.messages.leaving import LeaveAnswered, LeaveAsked
from maestro.telemetry.metrics import MetricsRegistry
from tests.support.brokers import eventually

QUEUES = SystemQueues("s")
PATIENCE = 5.0


class FakeConsumer:
    """Gives back what is out, when it is cancelled."""

    def __init__(self, broker: "FakeBroker") -> None:
        self._broker = broker

    @property
    def awaiting(self) -> bool:
        return self._broker.awaiting

    async def cancel(self) -> None:
        await asyncio.sleep(0)
        if self._broker.out:
            self._broker.out, self._broker.ready = False, 1


class FakeBroker:
    """A broker with one message on the wait queue; given back, it is delivered again at once while consumed."""

    def __init__(self) -> None:
        self.ready = 1
        self.given_back = 0
        #: Its message is out on delivery.
        self.out = False
        #: Publishes are confirmed.
        self.confirms = asyncio.Event()
        self.confirms.set()
        #: It can never take a message.
        self.never = False
        self.published: list[Message] = []
        self.dead: list[str] = []
        self.declared: set[str] = set()
        self.consumed: list[str] = []
        self.consumer: Callable[[Delivery], None] | None = None
        self.lost: Callable[[], None] = lambda: None
        #: What was out on a lost connection has not come again.
        self.awaiting = False
        #: Another process consumes the persist queue until this is set.
        self.free = asyncio.Event()
        self.free.set()
        #: Called while the depth is on its way.
        self.meanwhile: Callable[[], None] = lambda: None

    async def declare(self, bindings: Sequence[Binding]) -> None:
        self.declared |= {binding.queue for binding in bindings}

    async def depth(self, _queue: str) -> Depth:
        ready = self.ready
        self.meanwhile()
        await asyncio.sleep(0.02)
        return Depth(ready, 1)

    async def publish(self, exchange: str, _key: str, message: Any) -> None:
        if QUEUES.wait not in self.declared:
            raise Unroutable("no queue")
        await self.confirms.wait()
        if self.never:
            raise Unpublishable("it is too large")
        self.published.append(message)
        if exchange == PERSIST_ERROR:
            self.dead.append(message.message_id)
        else:
            self.ready += 1

    async def consume(
        self, queue: str, _prefetch: int, on_delivery: Callable[[Delivery], None], on_lost: Callable[[], None],
        **_: Any,
    ) -> Any:  # fmt: skip
        self.consumed.append(queue)
        if queue == QUEUES.persist:
            await self.free.wait()
        if queue == QUEUES.wait:
            self.consumer, self.lost = on_delivery, on_lost
            self._deliver()
        return FakeConsumer(self)

    def _deliver(self) -> None:
        if self.ready and self.consumer is not None:
            self.ready, self.out = 0, True
            self.consumer(Delivery(QUEUES.wait, b"body", "id", {}, redelivered=False, tag=object()))

    def ack(self, _delivery: Delivery) -> None:
        self.out = False

    def requeue(self, _delivery: Delivery) -> None:
        self.given_back += 1
        self.ready, self.out = 1, False
        asyncio.get_running_loop().call_soon(self._deliver)


class FakeSession:
    """The system's actor, which remembers."""

    def __init__(self) -> None:
        self._items: asyncio.Queue[object] = asyncio.Queue()

    def post(self, item: object) -> None:
        self._items.put_nowait(item)

    def close(self) -> None:
        return

    def idle(self) -> bool:
        """Whether nothing was posted that was not asked for."""
        return self._items.empty()

    async def got_from(self, source: Source) -> Any:
        """Wait for the next delivery of a queue."""
        while (arrived := await self.got(Arrived)).source is not source:
            pass
        return arrived

    async def got(self, kind: type) -> Any:
        """Wait for the next item of a kind."""
        async with asyncio.timeout(PATIENCE):
            while not isinstance(item := await self._items.get(), kind):
                pass
        return item


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait_queue, "KEPT_FOR", 0.1)


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker()


@pytest.fixture
async def line(broker: FakeBroker) -> AsyncIterator[SystemConsumer]:
    line = SystemConsumer("s", broker, 16, MetricsRegistry())  # type: ignore[arg-type]
    line.open()
    line.declare()
    yield line
    await line.close()


async def test_off_and_on_at_once_delivers_again_what_the_system_has_forgotten(line: SystemConsumer) -> None:
    session = FakeSession()
    line.attach(session)  # type: ignore[arg-type]
    line.receive(FeedWaitQueue(on=True))
    first = await session.got(Arrived)
    assert first.source is Source.WAIT
    line.receive(FeedWaitQueue(on=False))
    line.receive(FeedWaitQueue(on=True))
    again = await session.got(Arrived)
    assert again.ref == first.ref
    assert line._broker.given_back == 0  # type: ignore[attr-defined]  # a broker counts what it gets back
    line.receive(Ack(again.ref))
    await session.got(WaitQueueDrained)


async def test_what_is_consumed_is_declared_first_and_the_rest_when_it_is_time(broker: FakeBroker) -> None:
    line = SystemConsumer("s", broker, 16, MetricsRegistry())  # type: ignore[arg-type]
    line.open()
    await eventually(lambda: broker.consumed == [QUEUES.persist], "consumed")
    assert broker.declared == {QUEUES.persist}
    line.declare()
    await eventually(lambda: broker.declared == {QUEUES.persist, QUEUES.wait, QUEUES.persist_error}, "declared")
    await line.close()


async def test_an_event_that_is_to_wait_does_not_wait_for_its_queue_and_is_consumed_at_once(broker: FakeBroker) -> None:
    broker.ready = 0
    line = SystemConsumer("s", broker, 16, MetricsRegistry())  # type: ignore[arg-type]
    line.open()
    session = FakeSession()
    line.attach(session)  # type: ignore[arg-type]
    line.receive(Park("k", b"body", ()))
    assert (await session.got(Parked)).key == "k"
    assert broker.ready == 1
    looked = False

    def look() -> None:
        nonlocal looked
        looked = True

    broker.meanwhile = look
    line.receive(FeedWaitQueue(on=True))
    await session.got(Arrived)
    assert not looked  # what was parked is there for sure
    await line.close()


async def test_a_wait_queue_with_nothing_on_it_is_drained_without_a_consumer(
    line: SystemConsumer, broker: FakeBroker
) -> None:
    broker.ready = 0
    session = FakeSession()
    line.attach(session)  # type: ignore[arg-type]
    line.receive(FeedWaitQueue(on=True))
    await session.got(WaitQueueDrained)
    assert broker.consumer is None
    broker.ready = 1  # somebody put something there
    line.receive(Ack((await session.got(Arrived)).ref))
    await session.got(WaitQueueDrained)


@pytest.fixture
def held_broker(broker: FakeBroker) -> FakeBroker:
    """A broker with nothing on the wait queue, whose persist queue another process consumes."""
    broker.ready = 0
    broker.free.clear()
    return broker


async def test_the_wait_queue_is_not_drained_while_another_may_hold_messages_of_it(
    held_broker: FakeBroker, line: SystemConsumer
) -> None:
    session = FakeSession()
    line.attach(session)  # type: ignore[arg-type]
    line.receive(FeedWaitQueue(on=True))
    await asyncio.sleep(4 * wait_queue.LOOK)
    assert session.idle()
    held_broker.ready = 1  # it is gone, and what it held is back
    held_broker.free.set()
    line.receive(Ack((await session.got(Arrived)).ref))
    await session.got(WaitQueueDrained)


async def test_once_it_is_not_to_be_fed_nothing_is_taken_off_any_more(line: SystemConsumer, broker: FakeBroker) -> None:
    broker.ready = 0
    session = FakeSession()
    line.attach(session)  # type: ignore[arg-type]
    line.receive(FeedWaitQueue(on=True))
    await session.got(WaitQueueDrained)
    line.receive(FeedWaitQueue(on=False))
    line.receive(Park("k", b"body", ()))
    await session.got(Parked)
    await asyncio.sleep(0.3)
    assert broker.consumed == [QUEUES.persist]
    assert session.idle()


async def test_what_is_parked_while_the_queue_is_looked_at_is_not_drained(
    line: SystemConsumer, broker: FakeBroker
) -> None:
    """The depth that was asked for before says nothing of it."""
    session = FakeSession()
    line.attach(session)  # type: ignore[arg-type]
    line.receive(FeedWaitQueue(on=True))
    first = await session.got(Arrived)

    def park() -> None:
        broker.meanwhile = lambda: None
        line.receive(Park("k", b"body", ()))

    broker.meanwhile = park
    line.receive(Ack(first.ref))
    await session.got(Parked)
    await asyncio.sleep(0.3)  # several looks
    assert session.idle()
    broker._deliver()
    line.receive(Ack((await session.got(Arrived)).ref))
    await session.got(WaitQueueDrained)


async def test_what_was_out_when_the_connection_ended_is_waited_for(
    line: SystemConsumer, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker has not taken it back yet when the queue looks empty over a new connection."""
    monkeypatch.setattr(wait_queue, "TAKEN_BACK_WITHIN", 0.5)
    session = FakeSession()
    line.attach(session)  # type: ignore[arg-type]
    line.receive(FeedWaitQueue(on=True))
    await session.got(Arrived)
    broker.lost()
    await asyncio.sleep(0.3)
    assert session.idle()
    broker.ready = 1
    broker._deliver()
    line.receive(Ack((await session.got(Arrived)).ref))
    await session.got(WaitQueueDrained)


async def ordered_to_the_error_queue(line: SystemConsumer, broker: FakeBroker) -> int:
    """Have the wait queue's message moved by a broker that does not confirm; return its reference."""
    session = FakeSession()
    line.attach(session)  # type: ignore[arg-type]
    line.receive(FeedWaitQueue(on=True))
    ref: int = (await session.got(Arrived)).ref
    broker.confirms.clear()
    line.receive(DeadLetter("", b"body", "bad", no_event=False, refs=(ref,)))
    return ref


@pytest.mark.parametrize("then", [(False,), (False, True), (False, True, False)])
async def test_what_is_on_its_way_to_the_error_queue_is_not_given_back(
    line: SystemConsumer, broker: FakeBroker, then: tuple[bool, ...]
) -> None:
    await ordered_to_the_error_queue(line, broker)
    for on in then:
        line.receive(FeedWaitQueue(on=on))
    await asyncio.sleep(0.1)
    broker.confirms.set()
    await eventually(lambda: not len(line.held), "off the wait queue")
    await asyncio.sleep(0.2)
    assert broker.dead == ["id"]
    assert (broker.ready, broker.out) == (0, False)


async def test_a_broker_that_does_not_confirm_holds_up_no_stop_of_the_feed(
    line: SystemConsumer, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait_queue, "MOVED_WITHIN", 0.1)
    await ordered_to_the_error_queue(line, broker)
    line.receive(FeedWaitQueue(on=False))
    await eventually(lambda: not broker.out, "given back")


async def test_a_delivery_that_cannot_be_decoded_costs_itself_only(line: SystemConsumer, broker: FakeBroker) -> None:
    session = FakeSession()
    line.attach(session)  # type: ignore[arg-type]
    await eventually(lambda: QUEUES.persist_error in broker.declared, "declared")
    bad = Delivery(QUEUES.persist, b"body", "m", {}, redelivered=False, tag=object(), problem="a field is cut")
    line._arrived(bad)
    line._arrived(Delivery(QUEUES.persist, b"fine", "n", {}, redelivered=False, tag=object()))
    assert (await session.got(Arrived)).body == b"fine"
    await eventually(lambda: broker.dead == ["m"], "dead-lettered under its own id")
    assert broker.published[0].headers["x-maestro-error"] == "a field is cut"
    assert broker.published[0].original is bad
    await eventually(lambda: len(line.held) == 1, "taken off")


async def test_what_can_never_be_published_stays_where_it_is_and_is_said(
    line: SystemConsumer, broker: FakeBroker
) -> None:
    await eventually(lambda: QUEUES.wait in broker.declared, "declared")
    broker.never = True
    line._arrived(Delivery(QUEUES.persist, b"body", "m", {}, redelivered=False, tag=object()))
    line.receive(Park("k", b"body", (1,)))
    await eventually(lambda: "an event cannot be moved to its queue: it is too large" in line.unpublishable, "said")
    assert len(line.held) == 1
    assert broker.published == []


async def test_ids_of_bad_input_are_unique_and_its_message_id_is_kept(line: SystemConsumer, broker: FakeBroker) -> None:
    await eventually(lambda: QUEUES.persist_error in broker.declared, "declared")
    for _ in range(2):
        line._arrived(Delivery(QUEUES.persist, b"body", "same", {}, redelivered=False, tag=object()))
    line._arrived(Delivery(QUEUES.persist, b"body", "", {}, redelivered=False, tag=object()))
    for ref in (1, 2, 3):
        line.receive(DeadLetter("", b"body", "bad \ud83d", no_event=False, refs=(ref,)))
    await eventually(lambda: len(broker.published) == 3, "dead-lettered")
    ids = [message.headers["x-maestro-id"] for message in broker.published]
    assert len(set(ids)) == 3
    assert all(re.fullmatch("refused-[0-9a-f]{32}", id_) for id_ in ids)
    assert broker.dead == ["same", "same", ids[2]]
    assert {message.headers["x-maestro-error"] for message in broker.published} == {"bad ?"}


async def test_an_event_with_an_endless_id_is_parked_under_one_made_of_it(
    line: SystemConsumer, broker: FakeBroker
) -> None:
    session = FakeSession()
    line.attach(session)  # type: ignore[arg-type]
    line.receive(Park("k" * 300, b"body", ()))
    assert (await session.got(Parked)).key == "k" * 300
    assert len(broker.published[0].message_id) == 33


# --- what stands before a result ----------------------------------------------------------------------------------


def persisted(line: SystemConsumer) -> None:
    line._persist._arrived(Delivery(QUEUES.persist, b"body", "id", {}, redelivered=False, tag=object()))


async def test_a_sweep_is_over_once_all_that_stood_in_the_queue_was_delivered(
    line: SystemConsumer, broker: FakeBroker
) -> None:
    session = FakeSession()
    line.attach(session)  # type: ignore[arg-type]
    broker.ready = 2
    line.receive(SweepPersist("d1", "d1.0.1"))
    await asyncio.sleep(2 * wait_queue.LOOK)
    assert session.idle()
    persisted(line)
    assert (await session.got(Arrived)).source is Source.PERSIST
    await asyncio.sleep(2 * wait_queue.LOOK)
    assert session.idle()
    persisted(line)
    await session.got(Arrived)
    assert await session.got(PersistSwept) == PersistSwept("d1", "d1.0.1")


async def test_a_sweep_of_a_queue_that_is_purged_is_over(line: SystemConsumer, broker: FakeBroker) -> None:
    session = FakeSession()
    line.attach(session)  # type: ignore[arg-type]
    broker.ready = 5
    line.receive(SweepPersist("d1", "d1.0.1"))
    await asyncio.sleep(2 * wait_queue.LOOK)
    assert session.idle()
    broker.ready = 0
    assert await session.got(PersistSwept) == PersistSwept("d1", "d1.0.1")


async def test_a_sweep_waits_for_what_is_held_back(line: SystemConsumer, broker: FakeBroker) -> None:
    session = FakeSession()
    line.attach(session)  # type: ignore[arg-type]
    await line.begun()
    broker.ready, broker.awaiting = 0, True
    line.receive(SweepPersist("d1", "d1.0.1"))
    await asyncio.sleep(3 * wait_queue.LOOK)
    assert session.idle()
    persisted(line)
    broker.awaiting = False
    await session.got(Arrived)
    assert await session.got(PersistSwept) == PersistSwept("d1", "d1.0.1")


async def test_a_sweep_begins_again_when_the_connection_is_lost(line: SystemConsumer, broker: FakeBroker) -> None:
    """What was handed over before comes again, and is not taken for what stood in the queue behind it."""
    session = FakeSession()
    line.attach(session)  # type: ignore[arg-type]
    persisted(line)
    await session.got(Arrived)
    broker.ready = 1
    line.receive(SweepPersist("d1", "d1.0.1"))
    await asyncio.sleep(wait_queue.LOOK / 2)
    line._persist._void()
    persisted(line)  # again
    await session.got(Arrived)
    await asyncio.sleep(3 * wait_queue.LOOK)
    assert session.idle()
    persisted(line)
    await session.got(Arrived)
    assert await session.got(PersistSwept) == PersistSwept("d1", "d1.0.1")


async def test_what_was_out_or_waited_before_an_adoption_is_marked_until_all_of_it_has_come(
    line: SystemConsumer, broker: FakeBroker
) -> None:
    done: list[bool] = []
    line.held.adopt(lambda: done.append(True))
    session = FakeSession()
    line.attach(session)  # type: ignore[arg-type]

    def arrive(body: bytes, *, redelivered: bool, **headers: str) -> None:
        line._arrived(Delivery(QUEUES.persist, body, "m", headers, redelivered=redelivered, tag=object()))

    arrive(b"was out", redelivered=True)
    arrive(b"given back by a person", redelivered=True, **{"x-maestro-error": "why"})
    arrive(b"new", redelivered=False)
    arrive(b"out of our own hands", redelivered=True)
    came = [await session.got(Arrived) for _ in range(4)]
    assert [one.foreign for one in came] == [True, False, False, False]
    line.receive(FeedWaitQueue(on=True))
    waited = await session.got(Arrived)
    assert waited.foreign
    again = FakeSession()  # the actor is replaced: what is handed over again is marked as it was
    line.attach(again)  # type: ignore[arg-type]
    assert (await again.got(Arrived)).foreign
    assert not done
    line.receive(FeedWaitQueue(on=True))
    line.receive(Ack((await again.got_from(Source.WAIT)).ref))
    await again.got(WaitQueueDrained)
    assert done == [True]


async def test_copies_are_given_back_when_the_system_stays_blocked(line: SystemConsumer, broker: FakeBroker) -> None:
    session = FakeSession()
    line.attach(session)  # type: ignore[arg-type]
    line.receive(FeedWaitQueue(on=True))
    await session.got(Arrived)
    line.receive(FeedWaitQueue(on=False))
    await eventually(lambda: broker.given_back >= 1, "given back")
    assert session.idle()


# --- passivation ----------------------------------------------------------------------------------------------------


def delivered(line: SystemConsumer, body: bytes = b"body", problem: str = "") -> None:
    delivery = Delivery(QUEUES.persist, body, "id", {}, redelivered=False, tag=object(), problem=problem)
    line._arrived(delivery)


async def test_a_system_leaves_once_nothing_is_held_for_it(line: SystemConsumer) -> None:
    session = FakeSession()
    line.attach(session)  # type: ignore[arg-type]
    delivered(line)
    first = await session.got_from(Source.PERSIST)
    line.receive(LeaveAsked(1))
    assert await session.got(LeaveAnswered) == LeaveAnswered(granted=False, number=1)
    assert line.held.hears
    line.receive(Ack(first.ref))
    line.receive(LeaveAsked(2))
    assert await session.got(LeaveAnswered) == LeaveAnswered(granted=True, number=2)
    assert not line.held.hears, "outcomes are of no use to a system at rest"


async def test_what_comes_for_a_system_that_left_is_held_for_its_next_life_and_has_it_woken(broker: FakeBroker) -> None:
    wanted: list[bool] = []
    line = SystemConsumer("s", broker, 16, MetricsRegistry(), wanted=lambda: wanted.append(line.held.needed))  # type: ignore[arg-type]
    first, second = FakeSession(), FakeSession()
    line.attach(first)  # type: ignore[arg-type]
    line.receive(LeaveAsked(7))
    assert await first.got(LeaveAnswered) == LeaveAnswered(granted=True, number=7)
    assert wanted == []
    delivered(line)
    assert wanted == [True]
    assert first.idle(), "nothing is posted into that session any more"
    line.detach()
    line.attach(second)  # type: ignore[arg-type]
    arrived = await second.got_from(Source.PERSIST)
    assert not arrived.redelivered, "the life that left has not seen it"
    assert not line.held.needed
    await line.close()


async def test_an_unreadable_delivery_has_a_system_woken_that_says_how_its_error_queue_is(broker: FakeBroker) -> None:
    line = SystemConsumer("s", broker, 16, MetricsRegistry())  # type: ignore[arg-type]
    delivered(line, problem="headers: cannot be decoded")
    assert line.held.needed
    line.attach(FakeSession())  # type: ignore[arg-type]
    assert not line.held.needed
    await line.close()

"""The wait queue is stopped and started faster than its consumer can be: what was out on delivery comes back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from maestro.broker.base import Delivery, Depth
from maestro.broker.topology import SystemQueues
from maestro.messages import Ack, Arrived, FeedWaitQueue, Source, WaitQueueDrained
from maestro.runtime.ingress_line import IngressLine
from maestro.runtime.measures import Measures

QUEUES = SystemQueues("s")
PATIENCE = 5.0


class FakeConsumer:
    async def cancel(self) -> None:
        await asyncio.sleep(0)


class FakeBroker:
    """A broker with one message on the wait queue; given back, it is delivered again at once while consumed."""

    def __init__(self) -> None:
        self.ready = 1
        self.consumer: Callable[[Delivery], None] | None = None

    async def declare(self, _bindings: Any) -> None:
        return

    async def depth(self, _queue: str) -> Depth:
        return Depth(self.ready, 1)

    async def consume(self, queue: str, _prefetch: int, on_delivery: Callable[[Delivery], None], _: Any) -> Any:
        if queue == QUEUES.wait:
            self.consumer = on_delivery
            self._deliver()
        return FakeConsumer()

    def _deliver(self) -> None:
        if self.ready and self.consumer is not None:
            self.ready = 0
            self.consumer(Delivery(QUEUES.wait, b"body", "id", {}, redelivered=False, tag=object()))

    def ack(self, _delivery: Delivery) -> None:
        return

    def requeue(self, _delivery: Delivery) -> None:
        self.ready = 1
        asyncio.get_running_loop().call_soon(self._deliver)


class FakePeer:
    """The system's actor, which remembers."""

    def __init__(self) -> None:
        self._items: asyncio.Queue[object] = asyncio.Queue()

    def post(self, item: object) -> None:
        self._items.put_nowait(item)

    def close(self) -> None:
        return

    async def got(self, kind: type) -> Any:
        """Wait for the next item of a kind."""
        async with asyncio.timeout(PATIENCE):
            while not isinstance(item := await self._items.get(), kind):
                pass
        return item


@pytest.fixture
async def line() -> AsyncIterator[IngressLine]:
    line = IngressLine("s", FakeBroker(), 16, Measures())  # type: ignore[arg-type]
    line.open()
    yield line
    await line.close()


async def test_off_and_on_at_once_delivers_again_what_the_system_has_forgotten(line: IngressLine) -> None:
    peer = FakePeer()
    line.attach(peer)  # type: ignore[arg-type]
    line.receive(FeedWaitQueue(on=True))
    first = await peer.got(Arrived)
    assert first.source is Source.WAIT
    line.receive(FeedWaitQueue(on=False))
    line.receive(FeedWaitQueue(on=True))
    again = await peer.got(Arrived)
    assert again.ref != first.ref
    line.receive(Ack(again.ref))
    await peer.got(WaitQueueDrained)

"""Sessions that are cut at random while events flow: each commit is made once, and in order; nothing is left behind."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import orjson
import pytest

from maestro.broker import open_broker
from maestro.broker.base import Message
from maestro.broker.topology import PERSIST, SystemQueues
from maestro.cascade.service import CascadeService
from maestro.events import celery_body
from maestro.ingress.service import IngressService
from maestro.links.folder import connect, make_folder
from maestro.settings.model import Settings
from maestro.system.service import SystemService
from tests.support.siblings import RecordingSiblings
from tests.support.stage import SYSTEM, event

EVENTS = 300
pytestmark = pytest.mark.timeout(120)


class House:
    """Ingress, cascade and a system's service in this process, and a way to put events on the persist queue."""

    def __init__(self, settings: Settings) -> None:
        make_folder(settings.data_dir)
        self.ingress, self.cascade = IngressService(settings, 1), CascadeService(settings, 1)
        self.system = SystemService(settings, SYSTEM, 2)
        self.broker = open_broker(settings.broker, settings.data_dir)
        self.cuts = 0

    async def publish(self, numbers: range, *, keyed: bool) -> None:
        await self.broker.declare(SystemQueues(SYSTEM).persist_bindings())
        for number in numbers:
            body = celery_body(f"celery-{number}" if keyed else "", orjson.dumps(event(f"i{number}")))
            await self.broker.publish(PERSIST, SYSTEM, Message(body, f"m{number}"))

    async def cut(self, dice: random.Random) -> None:
        """Cut a session now and then, as the kernel does with those of a process that dies."""
        while True:
            await asyncio.sleep(dice.uniform(0.01, 0.06))
            sessions = [*self.ingress._links._sessions, *self.cascade._links._sessions]
            if sessions:
                victim = dice.choice(sessions)
                if victim._transport is not None:
                    victim._transport.abort()
                    self.cuts += 1

    async def unsettled(self) -> int:
        depths = [await self.broker.depth(queue) for queue in (SystemQueues(SYSTEM).persist, SystemQueues(SYSTEM).wait)]
        held = sum(len(line.held) for line in self.ingress._lines.values())
        return held + sum(depth.ready for depth in depths if depth is not None)


@asynccontextmanager
async def house(folder: Path, siblings: RecordingSiblings) -> AsyncIterator[House]:
    it = House(Settings(data_dir=folder, platform=siblings.settings()))
    await it.broker.start()
    for service in (it.ingress, it.cascade, it.system):
        await service.start()
    try:
        yield it
    finally:
        for service in (it.ingress, it.system, it.cascade):
            await service.stop()
        await it.broker.close()


@pytest.mark.parametrize("keyed", [True, False], ids=["with ids", "without ids"])
async def test_all_is_committed_once_and_in_order(tmp_path: Path, *, keyed: bool) -> None:
    async with RecordingSiblings([SYSTEM]) as siblings, house(tmp_path, siblings) as it:
        siblings.latency = 0.002
        cutting = asyncio.create_task(it.cut(random.Random(7)))
        await it.publish(range(EVENTS), keyed=keyed)
        await siblings.wait_for(lambda: len(siblings.commits) >= EVENTS, 60)
        cutting.cancel()
        with suppress(asyncio.CancelledError):
            await cutting
        async with asyncio.timeout(20):
            while await it.unsettled():  # noqa: ASYNC110 - brokers tell of themselves, they call nobody
                await asyncio.sleep(0.05)
        assert siblings.commits == [f"i{number}" for number in range(EVENTS)]
        assert it.cuts > 10


@pytest.mark.parametrize("role", ["ingress", "cascade"])
async def test_what_cannot_be_read_is_said_in_readiness_and_stops_nobody(tmp_path: Path, role: str) -> None:
    async with RecordingSiblings([SYSTEM]) as siblings, house(tmp_path, siblings) as it:
        service = it.ingress if role == "ingress" else it.cascade
        assert service.problem == ""
        with connect(tmp_path, role) as stranger:
            stranger.send(b"\xff" * 64)
            await siblings.wait_for(lambda: "a frame of -1 bytes" in service.problem, 10)
        await it.publish(range(3), keyed=True)
        await siblings.wait_for(lambda: siblings.commits == ["i0", "i1", "i2"], 10)

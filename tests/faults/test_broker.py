"""RabbitMQ is killed, refuses, loses queues, closes channels and runs out of patience, in the middle of work."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from tests.faults import invariants
from tests.faults.figures import note
from tests.faults.killing import commits_again
from tests.faults.load import Load
from tests.faults.watching import Watcher
from tests.support.rabbitmq import RabbitMQNode
from tests.support.stage import Stage, eventually, stage, unit
from tests.support.tcp_proxy import TcpProxy
from tests.support.tenant import Tenant, new_tenant

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(400)]
SYSTEMS = ("s0", "s1", "s2")
EVENTS = 120
#: Seconds within which a queue is consumed again (promised: 10, on an idle machine).
CONSUMES_AGAIN = 60.0
RECONNECT = {"MAESTRO_BROKER__RECONNECT_MAX": "1"}


@asynccontextmanager
async def behind_a_proxy(
    folder: Path, node: RabbitMQNode, url: str, dice: Random
) -> AsyncIterator[tuple[Stage, TcpProxy, Load]]:
    """A stage under load, of which only Maestro's own connections go through the proxy."""
    load = Load(SYSTEMS, EVENTS, dice, impacting=0.1)
    async with TcpProxy(node.port) as proxy:
        through = url.replace(f":{node.port}/", f":{proxy.port}/")
        environ = load.environ | RECONNECT | {"MAESTRO_BROKER__URL": through, "MAESTRO_LOG__LEVEL": "warning"}
        async with stage(folder, url, SYSTEMS, **environ) as it:
            load.prepare(it)
            it.siblings.latency = 0.02
            async with Watcher(it, list(SYSTEMS)) as watcher:
                deciding = asyncio.create_task(load.decide(it))
                publishing = asyncio.create_task(load.publish(it, EVENTS))
                await it.siblings.wait_for(lambda: len(it.siblings.commits) >= 5 * len(SYSTEMS), 60)
                yield it, proxy, load
                await proxy_is_back(proxy)
                await publishing
                await load.settled(it)
                deciding.cancel()
            figures = await invariants.check(it, load, watcher, crashes=0)
            note("behind a proxy", **figures)


async def proxy_is_back(proxy: TcpProxy) -> None:
    proxy.delay = 0.0


@pytest.mark.parametrize("seconds", [3, 30])
async def test_the_broker_refuses_connections_for_a_while(
    tmp_path: Path, rabbitmq_node: RabbitMQNode, vhost_url: str, dice: Random, seconds: int
) -> None:
    async with behind_a_proxy(tmp_path, rabbitmq_node, vhost_url, dice) as (it, proxy, _):
        await proxy.refuse()
        await asyncio.sleep(seconds)
        before = it.siblings.count("commit")
        await proxy.accept()
        at = time.monotonic()
        await commits_again(it, dice.choice(SYSTEMS), before)
        note(f"broker refused for {seconds} s", working_again=round(time.monotonic() - at, 2))


async def test_connections_are_cut_again_and_again(
    tmp_path: Path, rabbitmq_node: RabbitMQNode, vhost_url: str, dice: Random
) -> None:
    async with behind_a_proxy(tmp_path, rabbitmq_node, vhost_url, dice) as (_, proxy, _):
        for _ in range(8):
            proxy.delay = dice.choice((0.0, 0.02))
            await asyncio.sleep(dice.uniform(0.5, 2.0))
            proxy.cut()


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_the_broker_restarts_under_load(
    tmp_path: Path, rabbitmq_node: RabbitMQNode, vhost_url: str, dice: Random, how: str
) -> None:
    load = Load(SYSTEMS, EVENTS, dice, impacting=0.1)
    environ = load.environ | RECONNECT | {"MAESTRO_LOG__LEVEL": "warning"}
    async with stage(tmp_path, vhost_url, SYSTEMS, **environ) as it:
        load.prepare(it)
        it.siblings.latency = 0.02
        async with Watcher(it, list(SYSTEMS)) as watcher:
            deciding = asyncio.create_task(load.decide(it))
            publishing = asyncio.create_task(load.publish(it, EVENTS))
            await it.siblings.wait_for(lambda: len(it.siblings.commits) >= 5 * len(SYSTEMS), 60)
            await asyncio.to_thread(getattr(rabbitmq_node, how))
            before = it.siblings.count("commit")
            await asyncio.to_thread(rabbitmq_node.start)
            at = time.monotonic()
            await commits_again(it, "s0", before)
            note(f"broker {how}", working_again=round(time.monotonic() - at, 2))
            await publishing
            await load.settled(it)
            deciding.cancel()
        await invariants.check(it, load, watcher, crashes=0)


async def test_queues_are_deleted(tmp_path: Path, rabbitmq_node: RabbitMQNode, vhost_url: str) -> None:
    """Idle, under a pending one, and in a run: consumed again soon, and what Maestro had taken in is not lost."""
    async with stage(tmp_path, vhost_url, **RECONNECT) as it:
        idle, held, running = [await new_tenant(it) for _ in range(3)]
        held.impacts("i", unit("p1"))
        await held.publish_all("i", "w1", "w2")
        pending = await held.pending()
        await held.waits(2)
        it.mute.add(running.system)
        running.impacts("i", unit("p1"), unit("p2"))
        doc = await running.approved("i")
        sent = await running.sent(1)
        at = time.monotonic()
        for tenant in (idle, held, running):
            for queue in (
                tenant.queues.persist, tenant.queues.wait, tenant.queues.persist_error, tenant.queues.events,
                tenant.queues.control,
            ):  # fmt: skip
                await asyncio.to_thread(rabbitmq_node.delete_queue, it.vhost, queue)
        for tenant in (idle, held, running):
            await eventually(lambda tenant=tenant: consumed(tenant), "the queue is consumed again", CONSUMES_AGAIN)
        note("queues deleted", consumed_again=round(time.monotonic() - at, 2))
        await idle.publish("a")
        await idle.commits_are("a")
        await it.answer(sent, "r1")
        await it.answer(await running.sent(2), "r2")
        await it.reaches(doc, "finished")  # the unit queues are declared again when there is something for them
        await it.decide(pending, "approve")
        await held.publish("w3")
        await held.commits_are("i", "re1", "w1", "w2", "w3")
        for tenant in (idle, held, running):
            await tenant.open_again()


async def consumed(tenant: Tenant) -> bool:
    depth = await tenant.it.broker.depth(tenant.queues.persist)
    return depth is not None and depth.consumers == 1


@pytest.fixture
def impatient_node(rabbitmq_node: RabbitMQNode) -> Iterator[RabbitMQNode]:
    """The node closes a channel that leaves a delivery unacknowledged for five seconds; it looks every second."""
    timeout = rabbitmq_node.set_variable("consumer_timeout", "5000")
    tick = rabbitmq_node.set_variable("channel_tick_interval", "1000")
    yield rabbitmq_node
    rabbitmq_node.set_variable("consumer_timeout", timeout)
    rabbitmq_node.set_variable("channel_tick_interval", tick)


async def test_the_broker_loses_patience_with_a_delivery(
    tmp_path: Path, impatient_node: RabbitMQNode, vhost_url: str
) -> None:
    """A delivery in hand for longer than the consumer time-out: the channel is closed, and nothing is poisoned."""
    async with stage(tmp_path, vhost_url, **RECONNECT, MAESTRO_PLATFORM__ANSWER_TIMEOUT="20") as it:
        slow, other = await new_tenant(it), await new_tenant(it)
        slow.fail("discovery", "impacted", 1, "hang", "i0")
        await slow.publish_all(*(f"i{number}" for number in range(5)))
        at = time.monotonic()
        await other.publish("before")
        await other.commits_are("before")
        lost = "consumer_lost"
        await eventually(lambda: logged(it, lost), "the broker lost patience", 40)
        await other.publish("after")
        await other.commits_are("before", "after")
        note("consumer time-out", other_system_works=round(time.monotonic() - at, 2))
        await slow.siblings.wait_for(lambda: "i4" in slow.commits, 90)
        assert slow.commits == [f"i{number}" for number in range(5)]
        await slow.open_again()
        await slow.depth_is(slow.queues.persist, 0)
        await slow.depth_is(slow.queues.persist_error, 0)


async def logged(it: Stage, what: str) -> bool:
    return what in it.log.read_text()


@pytest.mark.quick
async def test_channels_are_closed_by_force(tmp_path: Path, rabbitmq_node: RabbitMQNode, vhost_url: str) -> None:
    """Idle, busy, and while locked; each time it is consumed again, and the lock does not flicker."""
    async with stage(tmp_path, vhost_url, **RECONNECT) as it:
        busy, locked = await new_tenant(it), await new_tenant(it)
        it.mute.add(locked.system)
        locked.impacts("i", unit("p1"))
        doc = await locked.approved("i")
        sent = await locked.sent(1)
        await busy.publish_all(*(f"b{number}" for number in range(40)))
        at = time.monotonic()
        await asyncio.to_thread(rabbitmq_node.close_connections)
        assert (await locked.proceed())["_status"] == 403
        await busy.commits_are(*(f"b{number}" for number in range(40)))
        await eventually(lambda: consumed(busy), "the queue is consumed again", CONSUMES_AGAIN)
        note("channels closed", consumed_again=round(time.monotonic() - at, 2))
        await it.answer(sent, "r1")
        await locked.ended(doc, "finished")
        await busy.depth_is(busy.queues.persist_error, 0)

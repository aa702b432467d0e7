"""What only processes that share a folder can do to each other: publish at once, die, fork, fill the disk."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro.broker import open_broker, topology
from maestro.broker.base import Broker, BrokerError, BrokerUnavailable, Depth, Message
from maestro.broker.embedded import EmbeddedBroker
from maestro.broker.embedded_routing import matches
from maestro.broker.embedded_worker import Job
from maestro.broker.topology import SystemQueues
from maestro.settings.servers import BrokerSettings
from tests.support.brokers import PATIENCE, Collector, Place, eventually, eventually_equal

QUEUES = SystemQueues("sysA")
Spawn = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
async def broker(embedded_place: Place) -> Broker:
    broker = await embedded_place.open()
    await broker.declare(QUEUES.bindings(), topology.EXCHANGES)
    return broker


@pytest.fixture
def spawn(embedded_place: Place) -> Iterator[Spawn]:
    children: list[subprocess.Popen[str]] = []

    def start(task: str, name: str = "") -> "subprocess.Popen[str]":
        command = [
            sys.executable,
            "-m",
            "tests.support.embedded_child",
            embedded_place.settings.embedded_dir,
            task,
            name,
        ]
        root = Path(__file__).parents[2]
        children.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root))
        return children[-1]

    yield start
    for child in children:
        kill(child)


def output(child: "subprocess.Popen[str]") -> IO[str]:
    assert child.stdout is not None
    return child.stdout


def kill(child: "subprocess.Popen[str]") -> list[str]:
    """Kill -9; return the lines that were still to be read."""
    child.kill()
    child.wait()
    if output(child).closed:
        return []
    with output(child):
        return output(child).read().splitlines()


async def read_lines(child: "subprocess.Popen[str]", count: int) -> list[str]:
    return await asyncio.to_thread(lambda: [output(child).readline().strip() for _ in range(count)])


async def publish(broker: Broker, count: int) -> None:
    await asyncio.gather(*(broker.publish(topology.PERSIST, "sysA", Message(b"{}", f"m{n}")) for n in range(count)))


async def drain(broker: Broker) -> list[str]:
    found = []
    while (delivery := await broker.get(QUEUES.persist)) is not None:
        broker.ack(delivery)
        found.append(delivery.message_id)
    return found


async def test_what_a_killed_consumer_held_goes_to_another_process(broker: Broker, spawn: Spawn) -> None:
    await publish(broker, 5)
    child = spawn("hold")
    lines = await read_lines(child, 6)
    lines.remove("consuming")  # may be said before, between or after the deliveries
    assert lines == [f"m{n}" for n in range(5)]
    assert await broker.depth(QUEUES.persist) == Depth(0, 1)
    collector = Collector(broker)
    await broker.consume(QUEUES.persist, 10, collector.on_delivery, collector.on_lost)
    assert collector.seen == []
    killed = time.monotonic()
    kill(child)
    await collector.until(5)
    assert time.monotonic() - killed < 2.0
    assert [(each.message_id, each.redelivered) for each in collector.seen] == [(f"m{n}", True) for n in range(5)]
    await eventually_equal(lambda: broker.depth(QUEUES.persist), Depth(0, 1))


async def test_a_forked_child_that_lives_on_does_not_keep_what_its_parent_held(broker: Broker, spawn: Spawn) -> None:
    child = spawn("fork")
    (grandchild,) = await read_lines(child, 1)
    try:
        await publish(broker, 1)
        assert await read_lines(child, 1) == ["m0"]
        kill(child)
        await eventually_equal(lambda: broker.depth(QUEUES.persist), Depth(1, 0))
    finally:
        os.kill(int(grandchild), signal.SIGKILL)


async def test_two_processes_publish_at_once_and_die(broker: Broker, spawn: Spawn) -> None:
    children = {name: spawn("publish", name) for name in "ab"}
    confirmed = {name: await read_lines(child, 150) for name, child in children.items()}
    for name, child in children.items():
        confirmed[name] += [line for line in kill(child) if line]
    there = await drain(broker)
    for name, ids in confirmed.items():
        of_child = [each for each in there if each.startswith(name)]
        assert of_child[: len(ids)] == ids == [f"{name}{n}" for n in range(len(ids))]
        assert len(of_child) - len(ids) in (0, 1)  # the one that was under way


async def test_a_waiting_consumer_hears_of_other_processes(broker: Broker, spawn: Spawn) -> None:
    collector = Collector(broker)
    await broker.consume(QUEUES.persist, 10, collector.on_delivery, collector.on_lost)
    child = spawn("publish", "c")
    await collector.until(100)
    kill(child)
    assert collector.ids[:100] == [f"c{n}" for n in range(100)]


async def test_a_forked_child_is_refused_and_does_no_harm(broker: Broker, embedded_place: Place) -> None:
    await publish(broker, 10)
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(broker.publish(topology.PERSIST, "sysA", Message(b"{}", "child")))
        except BrokerError as refused:
            os._exit(0 if "another process" in str(refused) else 1)
        except BaseException:  # noqa: BLE001 - a forked test must not go on as a second pytest
            os._exit(2)
        os._exit(3)
    _pid, status = await asyncio.to_thread(os.waitpid, child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    await publish(broker, 10)
    assert len(await drain(await embedded_place.open())) == 20


async def test_a_full_disk_is_an_error_and_over_once_there_is_space(broker: Broker) -> None:
    assert isinstance(broker, EmbeddedBroker)
    worker = broker._worker
    assert worker is not None

    def limit(pages: int) -> None:
        worker.put(Job(lambda file, _member: file._db.execute(f"PRAGMA max_page_count={pages}"), None, durable=False))

    await publish(broker, 3)
    collector = Collector(broker, acking=False)
    await broker.consume(QUEUES.persist, 1, collector.on_delivery, collector.on_lost)
    await collector.until(1)
    limit(1)
    big = Message(b"x" * 1_000_000, "big")
    with pytest.raises(BrokerError, match="full"):
        await broker.publish(topology.PERSIST, "sysA", big)
    assert "full" in broker.problem
    limit(1_000_000)
    await broker.publish(topology.PERSIST, "sysA", big)
    assert broker.connected
    collector.acking = True
    broker.ack(collector.seen[0])
    await collector.until(4)
    assert (collector.ids, collector.lost) == (["m0", "m1", "m2", "big"], 0)


async def test_a_file_locked_for_long_makes_publishes_wait(embedded_place: Place) -> None:
    settings = embedded_place.settings.model_copy(update={"publish_timeout": 0.3})
    broker = await Place(settings, embedded_place.data_dir, embedded_place.break_up, embedded_place.brokers).open()
    await broker.declare(QUEUES.bindings())
    path = Path(settings.embedded_dir) / "queues.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BrokerUnavailable, match="no commit"):
            await broker.publish(topology.PERSIST, "sysA", Message(b"{}", "late"))
        other.execute("ROLLBACK")
    await eventually(lambda: broker.connected, "usable again")
    await publish(broker, 1)
    assert (await drain(broker))[-1] == "m0"


async def test_a_folder_that_cannot_be_made_is_a_problem_until_it_can(tmp_path: Path) -> None:
    blocker = tmp_path / "broker"
    blocker.write_text("a file where the folder should be")
    broker = open_broker(BrokerSettings(publish_timeout=0.2, operation_timeout=0.2), tmp_path)
    assert isinstance(broker, EmbeddedBroker)
    await broker.start()
    await eventually(lambda: "cannot use" in broker.problem, "problem told")
    with pytest.raises(BrokerUnavailable, match="cannot use"):
        await broker.publish(topology.PERSIST, "sysA", Message(b"{}", "1"))
    with pytest.raises(BrokerUnavailable):
        await broker.declare(QUEUES.bindings())
    collector = Collector(broker)
    consumer = await broker.consume(QUEUES.persist, 10, collector.on_delivery, collector.on_lost)
    blocker.unlink()
    await eventually(lambda: broker.connected, "open")
    await publish(broker, 2)
    await collector.until(2)
    assert collector.lost == 0
    await broker.close()
    await consumer.cancel()


# --- what is found for who is gone -----------------------------------------------------------------------------------


class Slow:
    """Holds the commit of a broker up in which the next job is: that one is carried out, and nobody hears of it yet."""

    def __init__(self, broker: Broker) -> None:
        assert isinstance(broker, EmbeddedBroker)
        assert broker._worker is not None
        self._worker = broker._worker
        self._gathered, self._reached, self._done = (threading.Event() for _ in range(3))
        self._worker.put(Job(lambda _file, _member: self._gathered.wait(PATIENCE), None, durable=False))

    async def hold(self) -> None:
        """Have all that was asked meanwhile carried out, but not committed."""
        self._worker.put(Job(self._wait, None, durable=False))
        self._gathered.set()
        assert await asyncio.to_thread(self._reached.wait, PATIENCE)

    def _wait(self, _file: object, _member: int) -> None:
        self._reached.set()
        self._done.wait(PATIENCE)

    def release(self) -> None:
        self._done.set()


async def given_back(broker: Broker) -> list[bool]:
    await eventually_equal(lambda: broker.depth(QUEUES.persist), Depth(2, 0))
    return [one.redelivered for one in await broker.get_some(QUEUES.persist, 9)]


async def test_what_a_look_claimed_that_timed_out_is_given_back(tmp_path: Path) -> None:
    broker = open_broker(BrokerSettings(operation_timeout=0.5), tmp_path)
    await broker.start()
    await broker.declare(QUEUES.bindings(), topology.EXCHANGES)
    await publish(broker, 2)
    slow = Slow(broker)
    looking = asyncio.create_task(broker.get_some(QUEUES.persist, 9))
    await asyncio.sleep(0)
    await slow.hold()
    with pytest.raises(BrokerUnavailable, match="no commit within"):
        await looking
    slow.release()
    assert await given_back(broker) == [True, True]
    await broker.close()


async def test_what_a_look_claimed_that_is_cancelled_with_its_answer_is_given_back(broker: Broker) -> None:
    await publish(broker, 2)
    slow = Slow(broker)
    looking = asyncio.create_task(broker.get_some(QUEUES.persist, 9))
    await asyncio.sleep(0)
    await slow.hold()
    slow.release()
    time.sleep(0.2)  # noqa: ASYNC251 - the answer comes before the loop's next turn
    asyncio.get_running_loop().call_soon(looking.cancel)
    with pytest.raises(asyncio.CancelledError):
        await looking
    assert await given_back(broker) == [True, True]


async def test_a_consumer_that_nobody_waits_for_any_more_gets_nothing(broker: Broker) -> None:
    await publish(broker, 2)
    collector = Collector(broker, acking=False)
    slow = Slow(broker)
    consuming = asyncio.create_task(broker.consume(QUEUES.persist, 9, collector.on_delivery, collector.on_lost))
    await asyncio.sleep(0)
    await slow.hold()
    consuming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consuming
    slow.release()
    await given_back(broker)
    assert collector.seen == []


words = st.sampled_from(["a", "b", "", "*", "#"])


@given(st.lists(words, max_size=6), st.lists(st.sampled_from(["a", "b", ""]), max_size=6))
def test_matching_agrees_with_the_plain_definition(pattern: list[str], key: list[str]) -> None:
    def plain(parts: list[str], rest: list[str]) -> bool:
        if not parts:
            return not rest
        if parts[0] == "#":
            return any(plain(parts[1:], rest[at:]) for at in range(len(rest) + 1))
        return bool(rest) and parts[0] in ("*", rest[0]) and plain(parts[1:], rest[1:])

    joined = [".".join(each) for each in (pattern, key)]
    split = [text.split(".") if text else [] for text in joined]
    assert matches(*joined) == plain(*split)

"""Two Maestros on one broker: the second one keeps its hands off, and says why."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pika
import pytest

from maestro.broker.base import Unroutable
from maestro.broker.topology import OWNER
from tests.support.rabbitmq import RabbitMQNode
from tests.support.stage import START_PATIENCE, SYSTEM, Stage, event, eventually, unit

pytestmark = pytest.mark.rabbitmq
PERSISTED = f"/v1.0.0/gateway/{SYSTEM}/proceed"


@pytest.fixture(params=["classic", "quorum"])
def queues(request: pytest.FixtureRequest, vhost_url: str) -> str:
    """Which type the owner queue and the persist queue have."""
    kind = str(request.param)
    with pika.BlockingConnection(pika.URLParameters(vhost_url)) as connection:
        channel = connection.channel()
        arguments: dict[str, Any] = {"x-queue-type": kind}
        channel.queue_declare(OWNER, durable=True, arguments={**arguments, "x-single-active-consumer": True})
        channel.queue_declare(f"persist.{SYSTEM}.queue", durable=True, arguments=arguments)
    return kind


@asynccontextmanager
async def maestro(folder: Path, url: str, *, ready: bool = True, **environ: str) -> AsyncIterator[Stage]:
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    it = Stage(folder, url, (SYSTEM,), environ)
    it.siblings.on_sendevent = it._execute
    try:
        if ready:
            await it.open()
        else:
            start, it.start = it.start, lambda **_: start(wait=False)  # type: ignore[method-assign]
            await it.open()
            it.start = start  # type: ignore[method-assign]
        yield it
    finally:
        await it.close()


async def says(it: Stage, path: str, status: int, text: str, method: str = "GET", body: Any = None) -> None:
    async def said() -> bool:
        try:
            async with it.http.request(method, it.url + path, json=body) as answer:
                return answer.status == status and text in await answer.text()
        except OSError:
            return False

    await eventually(said, f"{path} says {status} {text}")


async def test_the_second_one_keeps_its_hands_off(tmp_path: Path, vhost_url: str, queues: str) -> None:
    async with maestro(tmp_path / "first", vhost_url) as first:
        first.siblings.impacts["i2"] = [unit("p1")]
        first.siblings.origins["i2"] = event("i2")
        first.siblings.origins["p1"] = event("p1")
        await first.publish(event("i2"))
        doc = await first.pending()
        async with maestro(tmp_path / "second", vhost_url, ready=False) as second:
            await says(second, "/readyz", 503, "another Maestro")
            await says(second, PERSISTED, 503, "another Maestro")
            await says(second, "/v1.0.0/gateway//proceed", 503, "another Maestro")
            await says(second, "/v1.0.0/persist/sync", 503, "another Maestro", "POST", event("i9"))
            for number in range(3):
                await first.publish(event(f"w{number}"))
            await eventually(lambda: waiting(first, 3), "three wait with the first")
            # The first one goes, with what it holds: nothing of it is the second one's.
            await first.kill()
            await asyncio.sleep(4)
            await says(second, PERSISTED, 503, "belong to another Maestro")
            assert second.siblings.commits == []
            assert "hands off" in second.log.read_text()
            await first.start()
            await first.decide(doc, "approve")
            await first.reaches(doc, "finished")
            await eventually(lambda: committed(first, {"i2", "w0", "w1", "w2"}), "all is committed by the first")
            assert second.siblings.commits == []
    assert [instance for instance in first.siblings.commits if not instance.startswith("re")] == [
        "i2",
        "w0",
        "w1",
        "w2",
    ]


async def waiting(it: Stage, count: int) -> bool:
    return bool((await it.get(f"/v1.0.0/systems/{SYSTEM}"))["waiting"] == count)


async def committed(it: Stage, instances: set[str]) -> bool:
    return instances <= set(it.siblings.commits)


async def test_two_that_start_at_once_find_one_owner(
    tmp_path: Path, vhost_url: str, queues: str, rabbitmq_node: RabbitMQNode, vhost: str
) -> None:
    async with (
        maestro(tmp_path / "a", vhost_url, ready=False) as a,
        maestro(tmp_path / "b", vhost_url, ready=False) as b,
    ):

        async def ready() -> list[int]:
            return [(await it.get("/readyz", ok=False))["_status"] for it in (a, b)]

        async def one() -> bool:
            try:
                return sorted(await ready()) == [200, 503]
            except OSError:
                return False

        await eventually(one, "one owner", START_PATIENCE)
        await eventually(lambda: published(a), "published: the queue is bound")
        await eventually(lambda: either(a, b), "committed by one of them")
        await asyncio.sleep(1)
        assert sorted(await ready()) == [200, 503]
        assert len(a.siblings.commits) + len(b.siblings.commits) == 1


async def published(it: Stage) -> bool:
    try:
        await it.publish(event("i1"))
    except Unroutable:
        return False
    return True


async def either(a: Stage, b: Stage) -> bool:
    return bool(a.siblings.commits or b.siblings.commits)


async def test_an_old_copy_of_the_data_folder_is_not_the_owner(tmp_path: Path, vhost_url: str) -> None:
    async with maestro(tmp_path / "new", vhost_url) as new:
        await new.stop()
        installation = new.folder / "data" / "installation.json"
        before = installation.read_bytes()
        await new.start()
        await new.stop()
        await new.start()
        await new.stop()
        installation.write_bytes(before)  # what a restored backup says
        await new.start(wait=False)
        await says(new, "/readyz", 503, "old copy")


async def test_a_restart_of_the_broker_keeps_the_owner(
    tmp_path: Path, vhost_url: str, queues: str, rabbitmq_node: RabbitMQNode
) -> None:
    async with maestro(tmp_path / "one", vhost_url, MAESTRO_BROKER__OWNER_RENEWAL="0.2") as it:
        await asyncio.sleep(1)  # some renewals
        rabbitmq_node.close_connections()
        await it.publish(event("i1"))
        await eventually(lambda: committed(it, {"i1"}), "committed after the reconnect")
        await asyncio.sleep(1)
        assert (await it.get("/readyz", ok=False))["_status"] == 200
    assert rabbitmq_node.list_queues(vhost_url.rpartition("/")[2])[OWNER] <= 2


async def adopted(it: Stage, *options: str) -> tuple[int, str]:
    """Run `maestro adopt` for a stage's data folder; return its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "maestro.cli.main", "adopt", *options, env=it.environ(), cwd=it.folder,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def test_what_another_one_left_is_adopted_and_its_events_are_in_doubt(
    tmp_path: Path, vhost_url: str, queues: str
) -> None:
    async with maestro(tmp_path / "lost", vhost_url) as lost, maestro(tmp_path / "b", vhost_url, ready=False) as heir:
        lost.siblings.impacts["i2"] = [unit("p1")]
        lost.siblings.origins["i2"] = event("i2")
        lost.siblings.origins["p1"] = event("p1")
        await lost.publish(event("i2"))
        await lost.pending()
        for number in range(3):
            await lost.publish(event(f"w{number}"))
        await eventually(lambda: waiting(lost, 3), "three wait")
        await heir.stop()
        status, said = await adopted(heir, "--yes")
        assert (status, "stop it first" in said) == (3, True), said
        await lost.kill()
        await asyncio.sleep(1)
        status, said = await adopted(heir)
        assert (status, f"persist.{SYSTEM}.wait.queue: 3 messages" in said) == (0, True), said
        assert "nothing was changed" in said
        status, said = await adopted(heir, "--yes")
        assert (status, "adopted: the events of this vhost belong to" in said) == (0, True), said
        await heir.start()
        errors = await eventually(lambda: in_doubt(heir, 3), "what waited is in doubt")
        assert all(error["reason"].startswith("commit in doubt") for error in errors)
        assert not [one for one in heir.siblings.commits if one.startswith("w")]
        await heir.publish(event("n1"))
        await lost.start(wait=False)
        await says(lost, "/readyz", 503, "another Maestro")


async def in_doubt(it: Stage, count: int) -> list[dict[str, Any]]:
    found = (await it.get(f"/v1.0.0/systems/{SYSTEM}/errors", ok=False)).get("errors", [])
    return found if len(found) == count else []

"""A system's store cannot be written, is damaged, or is somebody else's: no ack, a clear error, the others serve."""

import asyncio
import fcntl
import os
import resource
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.figures import note
from tests.faults.killing import answers, replaced
from tests.support.procs import kill, processes
from tests.support.stage import Stage, eventually, stage, unit
from tests.support.tenant import Tenant, new_tenant

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(300)]
MEGABYTE = 1024 * 1024
#: What fits on the small disk; the other systems' stores, the broker's connection and the logs are elsewhere.
DISK = 4 * MEGABYTE


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with little space, where the systems' stores will be."""
    folder = tmp_path / "data" / "systems"
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["/bin/mount", "-t", "tmpfs", "-o", f"size={DISK},mode=700", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("a file system may not be mounted here")
    yield folder
    subprocess.run(["/bin/umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Use up the space that is left."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (64 * 1024, 1024):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return filler


async def test_the_disk_is_full_while_running(tmp_path: Path, vhost_url: str, small_disk: Path) -> None:
    """Nothing is committed that is not stored; once there is space all of it goes on by itself."""
    async with stage(tmp_path, vhost_url) as it:
        tenant = await new_tenant(it)
        await tenant.publish("before")
        await tenant.commits_are("before")
        await tenant.depth_is(tenant.queues.persist, 0)
        filler = fill(small_disk)
        payload = "x" * 50_000
        await tenant.publish("big", payload=payload)
        for number in range(20):
            await tenant.publish(f"i{number}", payload=payload)
        await eventually(lambda: says_full(it), "the log says that the disk is full")
        await eventually(lambda: not_served(tenant), "it says that its store has no space")
        assert "i19" not in tenant.commits
        filler.unlink()
        at = time.monotonic()
        await tenant.siblings.wait_for(lambda: "i19" in tenant.commits, 90)
        note("disk full", recovered=round(time.monotonic() - at, 2))
        assert list(dict.fromkeys(tenant.commits)) == ["before", "big", *(f"i{number}" for number in range(20))]
        await tenant.depth_is(tenant.queues.persist, 0)
        await answers(it, [tenant.system])
        await tenant.open_again()


async def says_full(it: Stage) -> bool:
    text = it.log.read_text()
    return "store failed" in text and "full" in text


async def not_served(tenant: Tenant) -> dict[str, str] | None:
    try:
        answer = await tenant.it.get(f"/v1.0.0/systems/{tenant.system}", ok=False)
    except OSError:  # it is not listening yet
        return None
    return answer if answer["_status"] == 503 and "store" in answer.get("message", "") else None


async def test_the_disk_is_full_at_the_start(tmp_path: Path, vhost_url: str, small_disk: Path) -> None:
    async with stage(tmp_path, vhost_url) as it:
        tenant = await new_tenant(it)
        await tenant.publish("before")
        await tenant.commits_are("before")
        await it.stop()
        filler = fill(small_disk)
        await tenant.publish("i")
        await it.start(wait=False)
        answer = await eventually(lambda: not_served(tenant), "it says that its store has no space")
        assert "no space left" in answer["message"]
        assert "i" not in tenant.commits
        filler.unlink()
        await tenant.siblings.wait_for(lambda: "i" in tenant.commits, 60)
        assert list(dict.fromkeys(tenant.commits)) == ["before", "i"]


@pytest.mark.quick
async def test_writes_fail_in_every_kind_of_work(tmp_path: Path, vhost_url: str) -> None:
    """The file may not grow: while judging, while a run is under way, while events wait. Others are not disturbed."""
    async with stage(tmp_path, vhost_url) as it:
        judging, running, waiting, other = [await new_tenant(it) for _ in range(4)]
        it.mute.add(running.system)
        running.impacts("i", unit("p1"), unit("p2"))
        doc = await running.approved("i")
        sent = await running.sent(1)
        waiting.impacts("i", unit("p1"))
        await waiting.publish("i")
        pending = await waiting.pending()
        # A text whose answer cannot be stored counts as unanswered: the run would wait 30 s for it.
        await eventually(lambda: told(waiting), "API core is told that it is pending")
        old = {name: process for name, process in processes(tmp_path / "data").items() if name.startswith("system ")}
        for tenant in (judging, running, waiting):
            resource.prlimit(old[f"system {tenant.system}"].pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        await judging.publish_all("a", "b")
        await it.answer(sent, "r1")
        await waiting.publish_all("w1", "w2")
        await other.publish_all("x", "y")
        await other.commits_are("x", "y")
        await judging.siblings.wait_for(lambda: "b" in judging.commits, 60)
        assert list(dict.fromkeys(judging.commits)) == ["a", "b"]
        await it.answer(await running.sent(2), "r2")
        for tenant in (running, waiting):  # what waits is written a moment after it came
            await replaced(it, f"system {tenant.system}", old[f"system {tenant.system}"])
        await answers(it, [running.system, waiting.system])
        await running.ended(doc, "finished")
        assert list(dict.fromkeys(running.commits)) == ["i", "r1", "r2"]
        await waiting.waits(2)
        await it.decide(pending, "approve")
        await waiting.commits_are("i", "re1", "w1", "w2")


async def told(tenant: Tenant) -> bool:
    """Whether nothing is left in the outbox: that a text was answered is stored at once."""
    return bool(tenant.status_of("i")) and (await tenant.state())["outbox"] == 0


async def test_the_store_is_locked_by_another_process_and_freed(tmp_path: Path, vhost_url: str) -> None:
    async with stage(tmp_path, vhost_url) as it:
        locked, other = await new_tenant(it), await new_tenant(it)
        await locked.publish("before")
        await locked.commits_are("before")
        path = tmp_path / "data" / "systems" / f"{locked.system}.db.lock"
        holder = os.open(path, os.O_RDWR)
        waiting = asyncio.create_task(asyncio.to_thread(fcntl.flock, holder, fcntl.LOCK_EX))
        await asyncio.sleep(0.5)  # in line for the lock before its owner dies
        kill(processes(tmp_path / "data")[f"system {locked.system}"])
        await asyncio.wait_for(waiting, 10)
        await locked.publish("i")
        refused = await eventually(lambda: not_served(locked), "the system says that its store is taken")
        assert "store" in refused["message"]
        await other.publish("x")
        await other.commits_are("x")
        assert "i" not in locked.commits
        assert (await locked.proceed())["_status"] == 503
        os.close(holder)
        await locked.siblings.wait_for(lambda: "i" in locked.commits, 60)
        assert list(dict.fromkeys(locked.commits)) == ["before", "i"]


async def test_a_damaged_page_keeps_its_system_shut(tmp_path: Path, vhost_url: str) -> None:
    """A flipped byte in the middle of the file is noticed when the system is started, and said; the others serve."""
    async with stage(tmp_path, vhost_url) as it:
        damaged, other = await new_tenant(it), await new_tenant(it)
        damaged.impacts("i", unit("p1"))
        await damaged.publish_all("a", "i", *(f"w{number}" for number in range(30)))
        await damaged.pending()
        await damaged.waits(30)
        await it.stop()
        path = tmp_path / "data" / "systems" / f"{damaged.system}.db"
        content = path.read_bytes()
        assert b'"waiting"' in content
        path.write_bytes(content.replace(b'"waiting"', b'"waitimg"'))
        await it.start(wait=False)
        await other.publish("x")
        await other.siblings.wait_for(lambda: "x" in other.commits, 60)
        refused = await eventually(lambda: not_served(damaged), "the system says that its store is damaged")
        assert str(path) in refused["message"]
        assert damaged.commits == ["a"]

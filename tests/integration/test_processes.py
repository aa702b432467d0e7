"""The life of the processes: start, second start, stop, and kills of single actors in the middle of work."""

import asyncio
import resource
import sys
from itertools import groupby
from pathlib import Path

import pytest

from maestro.actors.processes import Process
from tests.support.procs import kill, processes
from tests.support.stage import ROOT, Stage, eventually, stage, unit
from tests.support.tenant import Tenant, new_tenant

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rabbitmq]


async def replaced(it: Stage, name: str, old: Process) -> Process:
    """Wait until an actor's process is another one, and it runs; a system's answers, if only why it cannot."""

    async def there() -> Process | None:
        found = processes(it.folder / "data").get(name)
        if not found or found.pid == old.pid or not found.alive:
            return None
        _, _, system = name.partition("system ")
        answer = await it.get(f"/v1.0.0/reprocessing/{system}/pending", ok=False) if system else {}
        return None if isinstance(answer, dict) and "being started" in answer.get("message", "") else found

    found: Process = await eventually(there, f"{name} is replaced")
    return found


async def test_sigterm_in_the_middle_of_work_leaves_nothing_behind_and_loses_nothing(
    tmp_path: Path, vhost_url: str
) -> None:
    async with stage(tmp_path, vhost_url) as it:
        tenant = await new_tenant(it)
        tenant.siblings.latency = 0.1
        await tenant.publish_all(*(f"i{number}" for number in range(60)))
        await tenant.siblings.wait_for(lambda: len(tenant.commits) >= 3, 10)
        before = processes(tmp_path / "data")
        assert {"main", "supervisor", "ingress", "cascade", f"system {tenant.system}"} <= set(before)
        assert all(process.alive for process in before.values())
        async with asyncio.timeout(10):
            assert await it.stop() == 0
        assert [name for name, process in before.items() if process.alive] == []
        committed = len(tenant.commits)
        tenant.siblings.latency = 0.0
        await it.start()
        assert committed < 10, "what was in hand was finished, nothing else begun"
        await tenant.commits_are(*(f"i{number}" for number in range(60)))


async def test_a_second_start_on_the_same_folder_is_refused_and_harms_nobody(it: Stage, tenant: Tenant) -> None:
    environ = it.environ() | {"PORT": "0"}
    second = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "maestro.cli.main", "serve", env=environ, cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(second.communicate(), 20)
    assert second.returncode == 1
    assert out == b""
    assert len(err.splitlines()) == 1
    assert str(processes(it.folder / "data")["main"].pid).encode() in err
    await tenant.publish("i")
    await tenant.commits_are("i")


async def test_a_port_that_is_taken_is_said_in_one_line(it: Stage, tmp_path: Path) -> None:
    environ = it.environ() | {"MAESTRO_DATA_DIR": str(tmp_path)}
    second = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "maestro.cli.main", "serve", env=environ, cwd=ROOT,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, err = await asyncio.wait_for(second.communicate(), 30)
    assert second.returncode == 1
    wanted = f"maestro: http.host, http.port: cannot listen on 127.0.0.1:{it.port}: Address already in use"
    assert err.decode().splitlines()[-1] == wanted
    assert b"Traceback" not in err


async def test_nobody_but_the_owner_may_read_what_is_stored(it: Stage, tenant: Tenant) -> None:
    await tenant.publish("i")
    await tenant.commits_are("i")
    data = it.folder / "data"
    open_to_others = [path for path in (data, *data.rglob("*")) if path.stat().st_mode & 0o077]
    assert open_to_others == []


async def test_a_system_that_is_announced_twice_has_one_consumer(it: Stage) -> None:
    tenant = await new_tenant(it)
    path = f"/v1.0.0/handler/persist?queue={tenant.queues.persist}"
    await asyncio.gather(*(it.post(path) for _ in range(5)))
    await tenant.publish("i")
    await tenant.commits_are("i")
    depth = await it.broker.depth(tenant.queues.persist)
    assert depth is not None
    assert depth.consumers == 1
    for bad in ("", "queue=x", "queue=persist.a.b.queue", "queue=persist.wait_x.queue", "queue=persist..queue"):
        assert (await it.post(f"/v1.0.0/handler/persist?{bad}", ok=False))["_status"] == 400, bad


async def test_the_system_actor_is_killed_at_work(it: Stage, tenant: Tenant) -> None:
    tenant.impacts("i20", unit("p1"))
    tenant.fail("discovery", "impacted", 1, "hang", "i10")
    await tenant.publish_all(*(f"i{number}" for number in range(40)))
    await tenant.siblings.wait_for(lambda: "i10" in tenant.calls("impacted"), 10)
    name = f"system {tenant.system}"
    old = processes(it.folder / "data")[name]
    kill(old)
    await replaced(it, name, old)
    doc = await tenant.pending()
    await tenant.waits(19)
    await it.decide(doc, "approve")
    await tenant.siblings.wait_for(lambda: "i39" in tenant.commits, 20)
    expected = [*(f"i{number}" for number in range(21)), "re1", *(f"i{number}" for number in range(21, 40))]
    assert list(dict.fromkeys(tenant.commits)) == expected
    again = [one for one in expected if tenant.commits.count(one) > 1]
    assert again in ([], ["i9"]), "only a commit that was not recorded yet may be repeated"
    await tenant.depth_is(tenant.queues.wait, 0)
    await tenant.depth_is(tenant.queues.persist, 0)


async def test_the_system_actor_is_killed_in_a_reprocessing_and_the_lock_stays(it: Stage, tenant: Tenant) -> None:
    it.mute.add(tenant.system)
    tenant.impacts("i", unit("p1"), unit("p2"))
    doc = await tenant.approved("i")
    sent = await tenant.sent(1)

    async def stored() -> bool:
        return (await it.document(doc["id"]))["units"][0]["state"] == "sent"

    await eventually(stored, "the send is stored")
    name = f"system {tenant.system}"
    old = processes(it.folder / "data")[name]
    kill(old)
    await it.answer(sent, "r1")
    seen = set()
    while not processes(it.folder / "data").get(name, old).alive or 403 not in seen:
        seen.add((await tenant.proceed())["_status"])
        await asyncio.sleep(0.005)
    assert seen <= {403, 503}
    await it.answer(await tenant.sent(2), "r2")
    await tenant.ended(doc, "finished")
    assert tenant.commits == ["i", "r1", "r2"]
    assert tenant.replays() == ["p1", "p2"]


async def test_a_store_that_cannot_grow_commits_nothing_and_its_actor_starts_again(it: Stage, tenant: Tenant) -> None:
    """As on a full disk: a write fails. Nothing is done that is not stored, and nothing is lost."""
    await tenant.publish("before")
    await tenant.commits_are("before")
    name = f"system {tenant.system}"
    old = processes(it.folder / "data")[name]
    resource.prlimit(old.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    await tenant.publish_all("i1", "i2")
    await replaced(it, name, old)
    await tenant.siblings.wait_for(lambda: "i2" in tenant.commits, 20)
    # Whether `before` was on record when the disk ran full is open; the others' verdicts could not be stored before.
    assert [one for one in tenant.commits if one != "before"] == ["i1", "i2"]
    await tenant.depth_is(tenant.queues.persist, 0)
    assert (await tenant.state())["state"] == "open"


@pytest.mark.parametrize("name", ["ingress", "cascade", "supervisor", "admin"])
async def test_another_process_is_killed_at_work(it: Stage, tenant: Tenant, name: str) -> None:
    it.mute.add(tenant.system)
    tenant.impacts("held", unit("p1"), unit("p2"))
    tenant.impacts("r1", unit("p3"))
    await tenant.publish_all("a", "held")
    doc = await it.decide(await tenant.pending(), "approve")
    sent = await tenant.sent(1)
    await tenant.publish_all(*(f"w{number}" for number in range(10)))
    old = processes(it.folder / "data")[name]
    kill(old)
    await it.answer(sent, "r1")
    await replaced(it, name, old)
    for number in (2, 3):
        sent = await tenant.sent(number)
        await it.answer(sent, f"r{number}")
    await tenant.siblings.wait_for(lambda: "w9" in tenant.commits, 30)
    # The system's actor ends with the Admin: a commit in hand may be made again.
    once = [one for one, _ in groupby(tenant.commits)]
    assert [one for one in once if not one.startswith("w")] == ["a", "held", "r1", "r2", "r3"]
    assert sorted(one for one in tenant.commits if one.startswith("w")) == [f"w{number}" for number in range(10)]
    await eventually(lambda: finished(tenant, doc["id"]), "the reprocessing is finished")
    await tenant.open_again()
    for queue in (tenant.queues.wait, tenant.queues.persist, tenant.queues.events, tenant.queues.control):
        await tenant.depth_is(queue, 0)
    await tenant.depth_is(tenant.queues.persist_error, 0)


async def finished(tenant: Tenant, id_: str) -> bool:
    found = await tenant.it.get(f"/v1.0.0/reprocessing/{id_}", ok=False)
    return found.get("status") == "finished" and found["_status"] == 200


async def test_systems_appear_once_api_core_is_there(tmp_path: Path, vhost_url: str) -> None:
    async with stage(tmp_path, vhost_url, systems=()) as it:
        await it.stop()
        it.siblings.fail("apicore", "systems", 2, 503)
        it.siblings.systems.append("late")
        await it.start(wait=False)
        tenant = Tenant(it, "late")
        await eventually(lambda: served(it, "late"), "the system is found")
        it.siblings.systems.append("later")
        await eventually(lambda: served(it, "later"), "a system that is installed later is found")
        await tenant.publish("i")
        await tenant.commits_are("i")


async def served(it: Stage, system: str) -> bool:
    try:
        answer = await it.get(f"/v1.0.0/systems/{system}", ok=False)
    except OSError:
        return False
    return answer["_status"] == 200 and bool(answer["queues"])

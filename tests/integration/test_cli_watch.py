"""`maestro watch`: a line or a bar while it runs, an exit code that says how it ended."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
import pytest_asyncio

from tests.support.cli import environ, maestro, on_terminal
from tests.support.stage import Stage, event, stage, unit
from tests.support.tenant import Tenant, new_tenant

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def it(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with stage(tmp_path_factory.mktemp("stage")) as shared:
        yield shared


@pytest_asyncio.fixture(loop_scope="module")
async def tenant(it: Stage) -> Tenant:
    return await new_tenant(it)


async def watching(it: Stage, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "maestro.cli.main", "watch", *words, env=environ(it), cwd=it.folder,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 60)).decode().rstrip()


async def until(process: asyncio.subprocess.Process, text: str) -> str:
    while text not in (shown := await line(process)):
        assert shown, f"it ended without {text!r}"
    return shown


async def test_a_run_is_followed_from_the_decision_to_the_end(it: Stage, tenant: Tenant) -> None:
    it.mute.add(tenant.system)
    tenant.impacts("i1", unit("p1"), unit("p2"))
    tenant.impacts("re1", unit("p3"))
    await tenant.publish("i1")
    doc = await it.pending(tenant.system)
    process = await watching(it, doc["id"][:8])
    assert await line(process) == "pending_approval: waits for a decision; it impacts 2 instances"
    await it.decide(doc, "approve")
    await until(process, "running: replay 0 of at least 2")
    await it.answer(await tenant.sent(1))
    await until(process, "replay 1 of at least 3 (+1 by cascade)")
    await it.answer(await tenant.sent(2))
    await it.answer(await tenant.sent(3))
    await until(process, f"{doc['id']}: finished; replays: 3 done")
    assert await asyncio.wait_for(process.wait(), 60) == 0


async def test_json_is_a_line_for_each_change(it: Stage, tenant: Tenant) -> None:
    tenant.impacts("i1", unit("p1"), unit("p2"), unit("p3"), unit("p4"))
    await tenant.publish("i1")
    doc = await it.pending(tenant.system)
    process = await watching(it, doc["id"], "--json")
    assert orjson.loads(await line(process))["status"] == "pending_approval"
    await it.decide(doc, "approve")
    last = {}
    while text := await line(process):
        last = orjson.loads(text)
        assert last["id"] == doc["id"]
    assert (last["status"], last["progress"]["replayed"]) == ("finished", 4)
    assert await asyncio.wait_for(process.wait(), 60) == 0


async def test_an_estimate_says_what_it_is_based_on(it: Stage, tenant: Tenant) -> None:
    tenant.impacts("i1", *(unit(f"p{n}") for n in range(4)))
    tenant.impacts("i2", unit("p9"))
    await tenant.publish("i1")
    await it.decide(await it.pending(tenant.system), "approve")
    await it.open_again(tenant.system)
    await tenant.publish("i2")
    doc = await it.pending(tenant.system)
    process = await watching(it, doc["id"])
    assert "left (running mean of 4 past replays of this system" in await line(process)
    await it.decide(doc, "skip")
    await until(process, "skipped: replays: none; 1 instance stays as computed")
    assert await asyncio.wait_for(process.wait(), 60) == 1
    assert (await maestro(it, "history", tenant.system, "--status", "skipped")).out.splitlines()[1].split()[-3:] == [
        "0", "1", "-",
    ]  # fmt: skip


async def test_an_end_that_is_no_finish_is_exit_code_1(it: Stage, tenant: Tenant) -> None:
    tenant.fail("domain", "commit", times=9, how=500, instance="i1")
    tenant.impacts("i1", unit("p1"))
    await tenant.publish("i1")
    doc = await it.pending(tenant.system)
    await it.decide(doc, "approve")
    ended = await maestro(it, "watch", doc["id"])
    assert ended.code == 1
    assert "aborted_persist_domain_failure: domain" in ended.out.splitlines()[-1]
    it.siblings.heal()


async def test_on_a_terminal_it_is_a_bar(it: Stage, tenant: Tenant) -> None:
    tenant.impacts("i1", unit("p1"), unit("p2"))
    await tenant.publish("i1")
    doc = await it.pending(tenant.system)
    waiting = asyncio.create_task(on_terminal(it, "watch", doc["id"]))
    await it.decide(doc, "approve")
    shown = await waiting
    assert shown.code == 0
    assert "━" in shown.out
    assert "replays: 2 done, 2 instances" in shown.out


async def test_it_gives_up_when_told(it: Stage, tenant: Tenant) -> None:
    tenant.impacts("i1", unit("p1"))
    await tenant.publish("i1")
    doc = await it.pending(tenant.system)
    ran = await maestro(it, "watch", doc["id"], "--for", "0.5")
    assert ran.code == 1
    assert "it is still pending_approval" in ran.err


async def test_a_restart_of_maestro_is_outlived(tmp_path: Path) -> None:
    async with stage(tmp_path) as own:
        own.siblings.impacts["i1"] = [unit("p1")]
        await own.publish(event("i1"))
        doc = await own.pending()
        process = await watching(own, doc["id"])
        await until(process, "pending_approval")
        await own.kill()
        await own.start()
        await own.decide(doc, "approve")
        await until(process, "finished; replays: 1 done")
        assert await asyncio.wait_for(process.wait(), 60) == 0

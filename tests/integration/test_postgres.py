"""`maestro serve` with the systems' state in PostgreSQL: the whole story, and what it does when something ends."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.web import BaseRequest

from maestro.access.roles import Role
from maestro.access.tokens import TokenFile
from maestro.ports import free_port
from maestro.store.base import Put, StoredSystem
from maestro.store.postgres.lookup import SystemLookup
from tests.support.cli import maestro
from tests.support.platform_state import Call
from tests.support.postgres import PASSWORD, PostgresNode
from tests.support.postgres_store import postgres_stores
from tests.support.procs import processes
from tests.support.stage import SYSTEM, Stage, event, eventually, stage, unit
from tests.support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.postgres


@pytest.fixture
def url(postgres_node: PostgresNode, database: str) -> str:
    return postgres_node.url(database)


@pytest.fixture
async def it(url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path, MAESTRO_STORE__URL=url, MAESTRO_STORE__TIMEOUT="2") as it:
        yield it


def commits(it: Stage) -> list[str]:
    return list(it.siblings.commits)


async def committed(it: Stage, *instances: str) -> None:
    async def all_of_them() -> bool:
        return commits(it) == list(instances)

    await eventually(all_of_them, f"commits are {instances}, and were {commits(it)}", 60.0)


async def not_ready(it: Stage, *words: str) -> dict[str, Any]:
    async def says() -> dict[str, Any] | None:
        answer = await it.get("/readyz", ok=False)
        return answer if answer["_status"] == 503 and all(word in answer["message"] for word in words) else None

    return await eventually(says, f"readyz says {words}", 60.0)


async def ready(it: Stage) -> None:
    await eventually(it._ready, "maestro is ready", 90.0)


async def test_the_whole_story(it: Stage, postgres_node: PostgresNode, database: str) -> None:
    await it.publish(event("a"))
    await committed(it, "a")
    it.siblings.impacts["b"] = [unit("p1"), unit("p2")]
    await it.publish(event("b"))
    doc = await it.pending()
    await it.publish(event("w"))
    await it.stop()
    await it.start()
    assert (await it.pending())["id"] == doc["id"]
    await it.decide(doc, "approve")
    await it.reaches(doc, "finished")
    await committed(it, "a", "b", "re1", "re2", "w")
    await it.open_again()
    assert not list((it.folder / "data" / "systems").glob("*.db"))
    tables = await maestro(it, "store", "tables", SYSTEM)
    assert "documents" in tables.out
    [(id_, run)] = postgres_node.execute("SELECT id, run FROM maestro.installation", database)
    assert id_
    assert run
    shown = await maestro(it, "config", "show")
    assert "postgresql://postgres:***@" in shown.out
    assert PASSWORD not in shown.out + it.log.read_text()
    examined = await maestro(it, "doctor")
    assert f"PostgreSQL, {SYSTEM}" in examined.out
    assert "fsync = off" in examined.out, "as the tests have it"
    assert PASSWORD not in examined.out


async def test_the_stored_lock_is_exact(it: Stage, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sibling that a run has something done by finds the lock stored, as other nodes would."""
    lookup = SystemLookup(url, 10.0)
    seen: list[tuple[str, bool]] = []
    record = it.siblings._record

    async def look_first(request: BaseRequest) -> Call | None:
        call = await record(request)
        if call is not None and call.name in ("send", "commit"):
            found = await lookup.find(SYSTEM)
            assert found is not None
            what = call.json().get("scope", "news") if call.name == "send" else call.name
            seen.append((what, bool(found.lock)))
        return call

    it.siblings.impacts["b"] = [unit("p1"), unit("p2")]
    await it.publish(event("b"))
    doc = await it.pending()
    assert await lookup.find(SYSTEM) == StoredSystem(b"", "")
    monkeypatch.setattr(it.siblings, "_record", look_first)
    await it.decide(doc, "approve")
    await it.reaches(doc, "finished")
    await it.open_again()
    assert await lookup.find(SYSTEM) == StoredSystem(b"", "")
    await lookup.close()
    assert seen == [
        ("news", False), ("commit", True), *[("reprocessing", True), ("commit", True)] * 2, ("news", False),
    ]  # fmt: skip


async def test_tokens_and_the_audit_log_are_there(url: str, tmp_path: Path, database: str) -> None:
    root = TokenFile(tmp_path / "data").add("root", Role.ADMIN)  # it is taken along
    async with stage(tmp_path, token=root, MAESTRO_STORE__URL=url, MAESTRO_ACCESS__ENABLED="true") as it:
        made = await maestro(it, "token", "add", "ana", "--role", "approver")
        token = made.out.strip()
        assert token.startswith("mst_"), made

        async def status() -> int:
            header = {"Authorization": f"Bearer {token}"}
            async with aiohttp.ClientSession(headers=header) as http, http.get(f"{it.url}/v1.0.0/systems") as answer:
                return answer.status

        async def is_(wanted: int) -> bool:
            return await status() == wanted

        await eventually(lambda: is_(200), "the token is known")
        key = {"Authorization": f"Bearer {token}", "Idempotency-Key": "k1"}
        path = f"{it.url}/v1.0.0/systems/{SYSTEM}/errors/redrive"
        async with aiohttp.ClientSession(headers=key) as http:
            answers = []
            for _ in range(2):
                async with http.post(path, json={"ids": ["none"], "reason": "r"}) as answer:
                    answers.append((answer.status, await answer.read(), answer.headers.get("Idempotency-Replayed")))
        assert answers[0][:2] == answers[1][:2]
        assert [replayed for _, _, replayed in answers] == [None, "true"]
        exported = await maestro(it, "audit", "export")
        assert '"who":"ana"' in exported.out
        verified = await maestro(it, "audit", "verify")
        assert "whole" in verified.out
        await maestro(it, "token", "revoke", "ana")
        await eventually(lambda: is_(401), "the token is revoked")
        assert not list((it.folder / "data" / "audit").glob("*.jsonl"))


async def test_maestro_is_killed_in_a_run(it: Stage) -> None:
    it.mute.add(SYSTEM)
    it.siblings.impacts["b"] = [unit("p1"), unit("p2")]
    await it.publish(event("b"))
    doc = await it.pending()
    await it.decide(doc, "approve")
    [first] = await eventually(_value(it.replays), "a replay is sent")
    await it.kill()
    await it.answer(first)
    await it.start()
    it.mute.clear()
    [_, second] = await eventually(_value(lambda: len(it.replays()) > 1 and it.replays()), "the second replay is sent")
    if commits(it) == ["b", "re1"]:
        await it.answer(second)
    await it.reaches(doc, "finished")
    await committed(it, "b", "re1", "re2")


def _value(value: Any) -> Any:
    async def asked() -> Any:
        return value()

    return asked


async def test_postgresql_is_restarted_under_load(it: Stage, postgres_node: PostgresNode) -> None:
    names = [f"i{number}" for number in range(120)]

    async def load() -> None:
        for name in names:
            await it.publish(event(name))
            await asyncio.sleep(0.01)

    loading = asyncio.create_task(load())
    await eventually(_value(lambda: len(commits(it)) > 10), "events are committed")
    pids = processes(it.folder / "data")
    postgres_node.kill()
    try:
        await not_ready(it, "PostgreSQL", "commits wait")
        assert (await it.get(f"/v1.0.0/systems/{SYSTEM}/proceed", ok=False))["_status"] in (200, 404)
        refused = await it.get(f"/v1.0.0/reprocessing/{SYSTEM}/pending", ok=False)
        assert refused["_status"] == 503
        assert "PostgreSQL" in refused["message"]
        await loading
        stalled = len(commits(it))
        await asyncio.sleep(0.5)
        assert len(commits(it)) == stalled < len(names), "nothing is committed while its verdict cannot be stored"
    finally:
        postgres_node.start()
    await committed(it, *names)
    await ready(it)
    assert processes(it.folder / "data") == pids, "it went on by itself"
    await it.open_again()
    assert await it.depth(it.queues.persist) == 0


async def test_a_writer_whose_system_was_taken_over_writes_nothing_more(it: Stage, url: str) -> None:
    await it.publish(event("a"))
    await committed(it, "a")
    await it.open_again()
    before = processes(it.folder / "data")[f"system {SYSTEM}"]
    other = await postgres_stores(url, it.folder / "data").open(SYSTEM)
    try:
        await other.commit([Put("mark", "k", {"by": "the other"})], durable=True)
    finally:
        other.close()
    await it.publish(event("b"))
    await committed(it, "a", "b")
    after = processes(it.folder / "data")[f"system {SYSTEM}"]
    assert after != before, "it ended, and another life loaded what is stored"
    assert "another owner has it" in it.log.read_text()
    found = await postgres_stores(url, it.folder / "data").open(SYSTEM)
    try:
        assert found.get("mark", "k") == {"by": "the other"}
    finally:
        found.close()


async def test_a_system_at_rest_is_woken(url: str, tmp_path: Path) -> None:
    async with stage(tmp_path, MAESTRO_STORE__URL=url, MAESTRO_ACTORS__IDLE_AFTER="0.4") as it:
        for names in ("a", "ab", "abc"):
            await it.publish(event(names[-1]))
            await committed(it, *names)

            async def at_rest(times: int = len(names)) -> bool:
                ended = f"system {SYSTEM}" not in processes(it.folder / "data")
                return ended and it.log.read_text().count('"event": "passivated"') == times

            await eventually(at_rest, "it is passivated")
        await it.stop()
        await it.start(wait=False)

        async def listed() -> bool:
            try:
                answer = await it.get("/v1.0.0/systems", ok=False)
            except aiohttp.ClientError:  # it starts
                return False
            return answer["_status"] == 200 and [one["state"] for one in answer["list"]] == ["passivated"]

        await eventually(listed, "its mark is trusted after a restart", 90.0)
        assert "systems at rest are not started" in it.log.read_text()


async def test_a_start_waits_for_a_database_that_comes_later(
    postgres_node: PostgresNode, url: str, tmp_path: Path
) -> None:
    proxy = TcpProxy(postgres_node.port)
    it = Stage(tmp_path, "", (SYSTEM,), {"MAESTRO_STORE__URL": url.replace(str(postgres_node.port), str(proxy.port))})
    opening = asyncio.create_task(it.open())
    try:

        async def said() -> bool:
            return it.log.exists() and "not started yet: the store is waited for" in it.log.read_text()

        await eventually(said, "it says what it waits for", 60.0)
        await proxy.accept()
        await opening
        await it.publish(event("a"))
        await committed(it, "a")
    finally:
        opening.cancel()
        await it.close()
        await proxy.refuse()


async def test_a_start_that_cannot_use_the_database_says_why(
    postgres_node: PostgresNode, database: str, url: str, tmp_path: Path
) -> None:
    postgres_node.execute("CREATE ROLE poor LOGIN PASSWORD 'poor-secret'")
    try:
        for wrong, said in (
            (postgres_node.url(database, "poor", "poor-secret"), "CREATE SCHEMA maestro AUTHORIZATION"),
            (postgres_node.url(database, "poor", "wrong-secret"), "password authentication failed"),
        ):
            port, folder = str(free_port()), str(tmp_path / "data")
            environ = {"MAESTRO_STORE__URL": wrong, "MAESTRO_DATA_DIR": folder, "PORT": port}
            ended = await maestro(None, "serve", cwd=tmp_path, **environ)
            assert ended.code == 1
            assert said in ended.err
            assert "secret" not in ended.err + ended.out
            examined = await maestro(None, "doctor", cwd=tmp_path, **environ)
            assert "PostgreSQL" in examined.out
    finally:
        postgres_node.execute("DROP ROLE poor")

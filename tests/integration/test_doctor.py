"""`maestro doctor` on a real installation, with one thing after the other broken on purpose."""

import asyncio
import fcntl
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from maestro.actors.processes import process
from tests.support.cli import Ran, maestro
from tests.support.rabbitmq import RabbitMQNode
from tests.support.stage import SYSTEM, Stage, event, eventually, stage, unit
from tests.support.tenant import new_tenant

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def it(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with stage(tmp_path_factory.mktemp("stage")) as shared:
        yield shared


def found(ran: Ran, level: str, check: str = "") -> list[dict[str, Any]]:
    findings = ran.json["findings"]
    return [one for one in findings if one["level"] == level and check in ("", one["check"])]


async def examined(it: Stage, *words: str, **more: str) -> Ran:
    ran = await maestro(it, "doctor", "--json", *words, **more)
    assert ran.err == ""
    problems = found(ran, "problem")
    assert ran.code == bool(problems)
    assert ran.json["ok"] == (not problems)
    assert all(one["mend"] for one in [*problems, *found(ran, "warning")])
    return ran


async def test_all_is_well(it: Stage) -> None:
    ran = await examined(it)
    assert ran.code == 0
    checks = {one["check"] for one in found(ran, "ok")}
    wanted = {"configuration", "gateway", "processes", "store", "broker", "queues", "siblings", "reprocessing", "clock"}
    assert wanted <= checks
    shown = await maestro(it, "doctor")
    assert shown.code == 0
    assert len(shown.out.splitlines()) == len(ran.json["findings"])
    assert shown.out.splitlines()[0].split()[:2] == ["ok", "configuration"]


async def test_a_wrong_setting(it: Stage) -> None:
    ran = await examined(it, MAESTRO_HTTP__PORT="x", MAESTRO_NONSENSE="1")
    problems = found(ran, "problem", "configuration")
    assert len(problems) == 2
    assert "MAESTRO_NONSENSE" in str(problems)
    assert "maestro config check" in problems[0]["mend"]


@pytest.mark.parametrize(
    ("service", "call", "how", "level", "says"),
    [
        ("apicore", "systems", 500, "problem", "answered 500"),
        ("discovery", "impacted", "garbage", "problem", "not the agreed answer"),
        ("process_memory", "origin", "hang", "problem", "no answer within 5 s"),
        ("domain", "entities", 500, "warning", "answered 500"),
    ],
)
async def test_a_sibling_answers_wrongly(it: Stage, service: str, call: str, how: Any, level: str, says: str) -> None:
    it.siblings.fail(service, call, times=99, how=how)
    try:
        wrong = [one for one in found(await examined(it), level, "siblings") if service in one["subject"]]
    finally:
        it.siblings.heal()
    assert [says in one["message"] for one in wrong] == [True]


async def test_the_siblings_are_away(it: Stage) -> None:
    await it.siblings.stop()
    try:
        ran = await examined(it)
    finally:
        await it.siblings.start()
    away = found(ran, "problem", "siblings")
    assert {"apicore", "discovery", "process_memory", "event_manager", f"domain of {SYSTEM}"} == {
        one["subject"] for one in away
    }
    assert "PROCESS_MEMORY_HOST" in str(away)
    assert all("Connection refused" in one["message"] for one in away if one["subject"] != f"domain of {SYSTEM}")


async def test_reprocessings_that_need_somebody(it: Stage) -> None:
    tenant = await new_tenant(it)
    tenant.fail("domain", "commit", times=9, how=500, instance="i0")
    tenant.impacts("i0", unit("p0"))
    await tenant.publish("i0")
    failed = await it.pending(tenant.system)
    await it.decide(failed, "approve")
    await it.reaches(failed, "aborted_persist_domain_failure")
    it.siblings.heal()

    it.mute.add(tenant.system)
    tenant.impacts("i1", unit("p1"))
    await tenant.publish("i1")
    doc = await it.pending(tenant.system)
    pending = found(await examined(it, "--pending-hours", "0"), "warning", "reprocessing")
    assert f"maestro approve {doc['id']} or maestro skip {doc['id']}" in str(pending)
    assert f"maestro retry {failed['id']}" in str(pending)
    assert "domain" in str(pending)

    await it.decide(doc, "approve")
    sent = await tenant.sent(1)
    assert found(await examined(it), "problem") == []
    stuck = await examined(it, MAESTRO_REPROCESSING__REPLAY_TIMEOUT="0.01")
    assert f"maestro cancel {doc['id']}" in str(found(stuck, "problem", "reprocessing"))
    await it.answer(sent)
    await it.reaches(doc, "finished")


async def test_events_that_failed_for_good(it: Stage) -> None:
    tenant = await new_tenant(it)
    await it.publish(b"nonsense", system=tenant.system)
    await tenant.depth_is(tenant.queues.persist_error, 1)
    ran = await examined(it)
    assert ran.code == 0
    (one,) = [one for one in found(ran, "warning", "queues") if tenant.system in one["subject"]]
    assert one["message"] == "1 event(s) failed for good"
    assert f"maestro errors redrive {tenant.system} --group KEY" in one["mend"]


async def test_a_foreign_process_holds_a_store_open(it: Stage) -> None:
    path = it.folder / "data" / "systems" / f"{SYSTEM}.db.lock"
    with path.open("rb") as file:
        sleeper = await asyncio.create_subprocess_exec("sleep", "100", stdin=file)
    try:
        (one,) = [one for one in found(await examined(it), "problem", "processes") if str(sleeper.pid) in str(one)]
        assert f"kill -TERM {sleeper.pid}" in one["mend"]
    finally:
        sleeper.kill()
        await sleeper.wait()


async def test_maestro_is_down_and_its_leftovers(tmp_path: Path) -> None:
    async with stage(tmp_path) as it:
        await it.publish(event("i1"))
        await it.siblings.wait_for(lambda: it.siblings.commits == ["i1"], 30)
        await eventually(lambda: _declared(it), "all queues are declared")
        await it.stop()
        stopped = await examined(it)
        assert [one["check"] for one in found(stopped, "problem")] == ["gateway"]
        assert found(stopped, "problem")[0]["mend"] == "maestro serve"
        (sound,) = [one["message"] for one in found(stopped, "ok", "store")]
        assert sound.startswith("sound: ")
        assert [one["message"] for one in found(stopped, "ok", "queues")] == [
            "7 queues, not consumed, nothing piles up"
        ]

        await _orphans(it)
        await _locked_store(it)
        await _future_store(it)
        await _damaged_store(it)


async def _declared(it: Stage) -> bool:
    return None not in [await it.broker.depth(binding.queue) for binding in it.queues.bindings()]


async def _orphans(it: Stage) -> None:
    sleeper = await asyncio.create_subprocess_exec("sleep", "100")
    record = it.folder / "data" / "run.json"
    actor = process(sleeper.pid)
    actors = {"system sysA": {"pid": actor.pid, "started": actor.started}}
    record.write_text(json.dumps({"run_id": "r1", "main": {"pid": 1, "started": 1}, "actors": actors}))
    try:
        (one,) = found(await examined(it), "problem", "processes")
        assert "these live on: system sysA" in one["message"]
        assert f"kill -KILL {sleeper.pid}" in one["mend"]
    finally:
        sleeper.kill()
        await sleeper.wait()
    crashed = await examined(it)
    assert "ended without stopping" in str(found(crashed, "warning", "processes"))
    record.unlink()


async def _locked_store(it: Stage) -> None:
    path = it.folder / "data" / "systems" / f"{SYSTEM}.db.lock"
    fd = os.open(path, os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        assert "owned by process" in str(found(await examined(it), "problem", "store"))
    finally:
        os.close(fd)


async def _future_store(it: Stage) -> None:
    path = it.folder / "data" / "systems" / f"{SYSTEM}.db"
    later = path.stat().st_mtime + 7200
    os.utime(path, (later, later))
    path.chmod(0o666)
    ran = await examined(it)
    assert "the clock was set back" in str(found(ran, "warning", "clock"))
    assert f"chmod o-w {path}" in str(found(ran, "warning", "disk"))
    path.chmod(0o600)
    os.utime(path)


async def _damaged_store(it: Stage) -> None:
    path = it.folder / "data" / "systems" / f"{SYSTEM}.db"
    content = bytearray(path.read_bytes())
    at = content.rindex(b'"instance"')
    content[at : at + 4] = b"XXXX"
    path.write_bytes(content)
    (one,) = found(await examined(it), "problem", "store")
    assert "checksum" in one["message"]
    assert one["mend"] == f"maestro restore <backup folder> --system {SYSTEM}"

    await it.start(wait=False)

    async def unusable() -> bool:
        try:
            return (await it.get(f"/v1.0.0/systems/{SYSTEM}", ok=False))["_status"] == 503
        except OSError:
            return False

    await eventually(unusable, "its system is not served")
    running = await examined(it)
    assert any("restore" in one["mend"] or "replaced" in one["mend"] for one in found(running, "problem", "gateway"))


@pytest.mark.rabbitmq
async def test_what_can_be_wrong_with_rabbitmq(rabbitmq_node: RabbitMQNode, tmp_path: Path) -> None:
    name = "doctor"
    url = rabbitmq_node.create_vhost(name)
    rabbitmq_node.eval(
        f'rabbit_amqqueue:declare(rabbit_misc:r(<<"{name}">>, queue, <<"persist.{SYSTEM}.queue.error">>), true, false, '
        '[{<<"x-max-length">>, long, 1000000}], none, <<"tests">>)'
    )
    try:
        async with stage(tmp_path, url) as it:
            odd = found(await examined(it), "warning", "queues")
            assert [one["subject"] for one in odd] == [it.queues.persist_error]
            assert "other arguments" in odd[0]["message"]

            async def seen_missing() -> list[Any]:  # Maestro declares it again as soon as it looks at it
                rabbitmq_node.delete_queue(name, it.queues.reprocessings)
                return found(await examined(it), "problem", "queues")

            missing = await eventually(seen_missing, "the queue is missed")
            assert [one["subject"] for one in missing] == [it.queues.reprocessings]

            away = await examined(it, MAESTRO_BROKER__URL=f"amqp://u:hidden@127.0.0.1:{it.siblings.port}/{name}")
            (one,) = found(away, "problem", "broker")
            assert "hidden" not in away.out
            assert "rabbitmq-diagnostics" in one["mend"]
    finally:
        rabbitmq_node.delete_vhost(name)


async def test_without_an_installation(tmp_path: Path) -> None:
    """Before the first start: nothing is made by looking."""
    ran = await maestro(None, "doctor", "--json", cwd=tmp_path, MAESTRO_DATA_DIR=str(tmp_path / "data"), PORT="1")
    assert ran.code == 1
    assert "Maestro does not run" in str(found(ran, "problem", "gateway"))
    assert not (tmp_path / "data").exists()

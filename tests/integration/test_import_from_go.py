"""The take-over from the Go Maestro: what it left in Process Memory and on a real RabbitMQ goes on here."""

import shutil
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio

from maestro.broker.base import Message
from maestro.broker.topology import EXCHANGES, REPROCESSING, REPROCESSING_EVENTS, SystemQueues
from maestro.events import celery_body
from tests.support.cli import Ran, maestro
from tests.support.rabbitmq import RabbitMQNode
from tests.support.stage import Stage, eventually, stage

pytestmark = [pytest.mark.rabbitmq, pytest.mark.asyncio]
IDS = {name: f"{number}1111111-2222-4333-8444-555555555555" for number, name in enumerate(("run", "line", "wait"), 1)}
STAMP = "2018-07-20T15:08:41.884268"


@pytest_asyncio.fixture
async def it(rabbitmq_node: RabbitMQNode, tmp_path: Any) -> AsyncIterator[Stage]:
    url = rabbitmq_node.create_vhost("from-go")
    async with stage(tmp_path, url) as made:
        await made.stop()
        shutil.rmtree(tmp_path / "data" / "systems")  # it is another's system up to now
        yield made
    rabbitmq_node.delete_vhost("from-go")


def event(instance: str, branch: str = "master", **more: Any) -> dict[str, Any]:
    return {"name": "sysA.calculate.request", "systemId": "sysA", "instanceId": instance, "branch": branch,
            "tag": f"tag-{instance}", "scope": "execution", "timestamp": STAMP, **more}  # fmt: skip


def document(name: str, status: str, held: str, *units: str) -> dict[str, Any]:
    history = [{"status": "pending_approval", "timestamp": f"2018-07-20T1{list(IDS).index(name)}:00:00", "user": "go"}]
    if status != "pending_approval":
        history.append({"status": status, "timestamp": STAMP, "user": "ana"})
    return {
        "id": IDS[name], "systemId": "sysA", "tag": f"tag-{held}", "branch": "master", "forking": False,
        "status": status, "pendingEvent": event(held, name="sysA.persist.request"), "origin": event(held),
        "events": [event(unit) for unit in units], "history": history,
    }  # fmt: skip


async def left_by_go(it: Stage, *, celery: bool = False) -> None:
    """The Go Maestro was replaying p2 of p1, p2, p3; another reprocessing is in line, a third one is pending."""
    documents = [
        document("run", "running", "i1", "p1", "p2", "p3"),
        document("line", "approved", "i2", "q1"),
        document("wait", "pending_approval", "i3", "r1", "r2"),
        document("wait", "finished", "i0") | {"id": "01111111-2222-4333-8444-555555555555"},
    ]
    it.siblings.documents.update({one["id"]: one for one in documents})
    queues = SystemQueues("sysA")
    await it.broker.declare(queues.bindings(), EXCHANGES)

    async def put(exchange: str, key: str, body: dict[str, Any]) -> None:
        raw = orjson.dumps(body)
        await it.broker.publish(exchange, key, Message(celery_body("go", raw) if celery else raw, "", moved=True))

    def replay(unit: str) -> dict[str, Any]:
        ref = {"id": IDS["run"], "instance_id": unit, "system_id": "sysA"}
        return event(unit) | {"scope": "reprocessing", "reprocessing": ref}

    await put(REPROCESSING, "sysA", documents[1])
    await put(REPROCESSING_EVENTS, "control_sysA", replay("p2"))
    await put(REPROCESSING_EVENTS, queues.events_and_control_key, replay("p3"))


async def depths(it: Stage) -> list[int]:
    queues = SystemQueues("sysA")
    found = [await it.broker.depth(queue) for queue in (queues.reprocessings, queues.events, queues.control)]
    return [one.ready if one else -1 for one in found]


async def imported(it: Stage, *words: str) -> Ran:
    return await maestro(it, "import", "--from", "go", *words)


@pytest.mark.parametrize("celery", [False, True], ids=["json", "celery"])
async def test_a_take_over_goes_on_where_the_other_one_stood(it: Stage, celery: bool) -> None:  # noqa: FBT001 - a case
    await left_by_go(it, celery=celery)
    warmed_up = await imported(it, "--dry-run")
    assert warmed_up.code == 0, warmed_up.err
    for line in (
        f"sysA: locked by {IDS['run']}",
        f"{IDS['run']}: running, 1 of 3 replays done; imported from the Go Maestro: 1 of 3 replayed, 1 under way",
        f"{IDS['line']}: approved, 1 replay;",
        f"{IDS['wait']}: pending_approval, 2 replays;",
        "reprocessing.sysA.events.control.queue: 2 messages",
        "would be taken off: 4 messages",
        "3 reprocessings would be imported, 0 known already",
        "nothing was changed",
    ):
        assert line in warmed_up.out
    assert await depths(it) == [1, 1, 2]
    assert not (it.folder / "data" / "systems" / "sysA.db").exists()

    done = await imported(it)
    assert (done.code, "3 reprocessings imported, 0 known already" in done.out) == (0, True), done
    assert await depths(it) == [0, 0, 0]
    again = await imported(it)
    assert (again.code, "0 reprocessings imported, 3 known already" in again.out) == (0, True), again

    await it.start()
    assert (await it.get("/v1.0.0/gateway/sysA/proceed", ok=False))["_status"] == 403
    pending = await it.get("/v1.0.0/reprocessing/sysA/pending")
    assert [one["id"] for one in pending] == [IDS["wait"]]
    # The replay that the Go Maestro had sent comes back, with the object it was sent with.
    ref = {"id": IDS["run"], "instance_id": "p2", "system_id": "sysA"}
    await it.publish(event("re2", name="sysA.persist.request", scope="reprocessing", reprocessing=ref), system="sysA")
    run = await it.reaches({"id": IDS["run"]}, "finished")
    assert [entry["user"] for entry in run["history"][:2]] == ["go", "ana"]
    assert run["history"][0]["timestamp"].startswith("2018-07-20T10:00:00")
    await it.reaches({"id": IDS["line"]}, "finished")
    commits = it.siblings.commits
    assert commits[0] == "re2"
    assert "i1" not in commits  # made by the Go Maestro
    assert commits.count("i2") == 1
    sent = [one["reprocessing"]["instance_id"] for one in it.siblings.events if one.get("scope") == "reprocessing"]
    assert sent == ["p3", "q1"]
    decided = await it.decide(pending[0], "approve")
    assert (await it.reaches(decided, "finished"))["heldCommitted"]
    assert await depths(it) == [0, 0, 0]


async def test_nothing_is_taken_from_one_that_still_runs(it: Stage) -> None:
    await left_by_go(it)
    consumer = await it.broker.consume(SystemQueues("sysA").persist, 1, lambda _delivery: None, lambda: None)
    try:
        warmed_up = await imported(it, "--dry-run")
        assert "somebody consumes persist.sysA.queue: messages are counted, not read" in warmed_up.out
        refused = await imported(it)
        assert refused.code == 1
        assert "stop the Go Maestro first; nothing is taken over" in refused.out
    finally:
        await consumer.cancel()
    assert await depths(it) == [1, 1, 2]


async def test_what_cannot_be_read_stays_and_is_named(it: Stage) -> None:
    await left_by_go(it)
    broken = document("wait", "pending_approval", "i9") | {"id": "91111111-2222-4333-8444-555555555555"}
    it.siblings.documents[broken["id"]] = broken | {"pendingEvent": None}
    await it.broker.publish(REPROCESSING, "sysA", Message(b"no JSON", "", moved=True))
    done = await imported(it)
    assert done.code == 1
    assert "problem: a document of status pending_approval in Process Memory: pendingEvent.instanceId" in done.out
    assert "problem: a message of reprocessing.sysA.queue cannot be read and stays there" in done.out
    assert "3 reprocessings imported" in done.out
    assert await depths(it) == [1, 0, 0]


async def test_siblings_and_maestro_that_are_not_as_they_must_be(it: Stage) -> None:
    it.siblings.fail("process_memory", "find_documents", times=99, how=503)
    away = await imported(it)
    assert (away.code, "process_memory" in away.err) == (3, True)
    it.siblings.heal()
    await it.start()
    running = await imported(it)
    assert running.code == 1
    assert "another Maestro is running on this data folder" in running.err
    no_broker = await maestro(it, "import", "--from", "go", MAESTRO_BROKER__URL="", MAESTRO_BROKER__KIND="embedded")
    assert (no_broker.code, "set broker.url, or RABBITMQ_HOST" in no_broker.err) == (2, True)
    await eventually(it._ready, "it serves on")

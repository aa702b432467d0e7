"""What an admin does before, during and after a decision, against `maestro serve` on the embedded broker."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from tests.support.stage import SYSTEM, Stage, event, eventually, stage, unit

V1 = "/v1.0.0/reprocessing"
SYSTEM_PATH = f"/v1.0.0/systems/{SYSTEM}"


async def hold(it: Stage, instance: str, *units: str) -> dict[str, Any]:
    it.siblings.impacts[instance] = [unit(one) for one in units]
    await it.publish(event(instance))
    return await it.pending()


async def test_the_preview_binds_and_is_checked_again(tmp_path: Path) -> None:
    async with stage(tmp_path) as it:
        doc = await hold(it, "i1", "p1", "p2")
        path = f"{V1}/{doc['id']}"
        before = doc["digest"]

        it.siblings.fail("discovery", "impacted", times=9, how=503)
        failed = await it.post(f"{path}/recheck", {"user": "ana"}, ok=False)
        assert failed["_status"] == 502
        assert "discovery" in failed["message"]
        assert (await it.document(doc["id"]))["digest"] == before
        it.siblings.heal()

        it.siblings.impacts["i1"] = [unit("p3"), unit("p2")]
        checked = await it.post(f"{path}/recheck", {"user": "ana"})
        assert checked["added"] == [{"instanceId": "p3", "branch": "master"}]
        assert checked["removed"] == [{"instanceId": "p1", "branch": "master"}]
        assert checked["digest"] != before
        assert [one["instanceId"] for one in checked["events"]] == ["p2", "p3"]  # of one moment: by id
        assert len(checked["history"]) == 1
        await it.siblings.wait_for(lambda: it.siblings.documents[doc["id"]]["digest"] == checked["digest"], 10)

        refused = await it.post(f"{path}/approve", {"user": "ana", "digest": before}, ok=False)
        assert (refused["_status"], refused["status"]) == (409, "409")
        assert refused["digest"] == checked["digest"]
        assert (refused["added"], refused["removed"]) == (checked["added"], checked["removed"])
        unknown = await it.post(f"{path}/approve", {"user": "ana", "digest": "f" * 32}, ok=False)
        assert (unknown["_status"], "added" in unknown) == (409, False)

        body = {"user": "ana", "digest": checked["digest"], "reason": "the quote was wrong"}
        approved = await it.post(f"{path}/approve", body)
        assert approved["history"][-1]["reason"] == "the quote was wrong"
        finished = await it.reaches(doc, "finished")
        assert it.siblings.commits[:1] == ["i1"]
        assert all(one["duration"] >= 0 and one["sentAt"] and one["doneAt"] for one in finished["units"])
        assert finished["estimate"] is None
        late = await it.post(f"{path}/recheck", {"user": "ana"}, ok=False)
        assert late["_status"] == 409


async def test_a_budget_pauses_under_lock_over_a_restart_and_goes_on(tmp_path: Path) -> None:
    async with stage(tmp_path) as it:
        doc = await hold(it, "i1", "p1", "p2", "p3", "p4")
        path = f"{V1}/{doc['id']}"
        await it.post(f"{path}/approve", {"user": "ana", "budget": {"replays": 1}})
        paused = await it.reaches(doc, "paused")
        assert paused["history"][-1]["cause"] == "budget of 1 replay used"
        assert paused["progress"]["replayed"] == 1

        await it.stop()
        await it.start()
        assert (await it.state())["state"] == "paused"
        locked = await it.get(f"/v1.0.0/gateway/{SYSTEM}/proceed", ok=False)
        assert (locked["_status"], locked["reason"]) == (403, "a reprocessing is paused")
        assert len(it.replays()) == 1

        await it.post(f"{path}/resume", {"user": "ben", "budget": {"replays": 2}, "reason": "looks good"})
        paused = await eventually(lambda: _paused_at(it, doc, 3), "paused after three")
        assert [entry["status"] for entry in paused["history"]][-3:] == ["paused", "running", "paused"]
        assert paused["history"][-2]["reason"] == "looks good"
        assert paused["estimate"]["seconds"] >= 0
        assert "of 1 by their event name" in paused["estimate"]["basis"]
        await it.post(f"{path}/cancel", {"user": "ben"})
        await it.reaches(doc, "cancelled")
        await it.open_again()


async def _paused_at(it: Stage, doc: dict[str, Any], replayed: int) -> dict[str, Any] | None:
    found = await it.document(doc["id"])
    return found if found["status"] == "paused" and found["progress"]["replayed"] == replayed else None


async def test_a_pause_by_hand_waits_for_the_replay_in_flight(tmp_path: Path) -> None:
    async with stage(tmp_path) as it:
        it.mute.add(SYSTEM)
        doc = await hold(it, "i1", "p1", "p2")
        await it.decide(doc, "approve")
        await it.siblings.wait_for(lambda: len(it.replays()) == 1, 10)
        asked = await it.decide(doc, "pause")
        assert (asked["status"], asked["pausing"]) == ("running", True)
        it.mute.clear()
        await it.answer(it.replays()[0])
        await it.reaches(doc, "paused")
        await it.decide(doc, "resume")
        await it.reaches(doc, "finished")


async def test_entities_are_passed_through_in_pages(tmp_path: Path) -> None:
    async with stage(tmp_path) as it:
        rows = [{"n": n, "before": {"n": n - 1}, "_metadata": {"type": "t", "changeTrack": "update"}} for n in range(5)]
        it.siblings.entities["i1"] = rows
        doc = await hold(it, "i1", "p1")
        path = f"{V1}/{doc['id']}/entities"
        assert await it.get(path) == {"entities": rows, "total": 5, "next": None}
        assert await it.get(f"{path}?limit=2&after=2") == {"entities": rows[2:4], "total": 5, "next": 4}
        it.siblings.fail("domain", "entities", times=9, how=500)
        failed = await it.get(path, ok=False)
        assert (failed["_status"], "domain" in failed["message"]) == (502, True)
        assert (await it.get(f"{V1}/nobody/entities", ok=False))["_status"] == 404


async def test_a_skipped_commit_is_kept_listed_and_reconsidered_once(tmp_path: Path) -> None:
    async with stage(tmp_path) as it:
        doc = await hold(it, "i1", "p1")
        await it.post(f"{V1}/{doc['id']}/skip", {"user": "ana", "reason": "a duplicate"})
        ledger = await it.get(f"{SYSTEM_PATH}/skipped")
        (entry,) = ledger["skipped"]
        assert (entry["id"], entry["pendingEvent"]["instanceId"], entry["units"]) == (doc["id"], "i1", 1)
        assert entry["skipped"]["reason"] == "a duplicate"
        assert (ledger["total"], ledger["next"], entry["reconsidered"]) == (1, None, None)

        again = await it.post(f"{V1}/{doc['id']}/reconsider", {"user": "ben", "reason": "it was right"})
        assert again["status"] == "reprocessing_request"
        second = again["reprocessing"]
        assert (second["id"] != doc["id"], second["pendingEvent"]["instanceId"]) == (True, "i1")
        old = await it.document(doc["id"])
        assert old["history"][-1]["cause"] == f"reconsidered as event {old['reconsidered']}"
        assert (await it.post(f"{V1}/{doc['id']}/reconsider", {"user": "b"}, ok=False))["_status"] == 409

        await it.decide(second, "skip")
        it.siblings.impacts["i1"] = []
        assert await it.post(f"{V1}/{second['id']}/reconsider", {"user": "ben"}) == {"status": "commited"}
        assert it.siblings.commits == ["i1"]
        assert (await it.get(f"{SYSTEM_PATH}/skipped?limit=1"))["next"] is not None
        await it.open_again()
        await eventually(lambda: _empty(it, it.queues.wait), "its copy left the wait queue")

        third = await hold(it, "i3", "p1")
        await it.decide(third, "skip")
        await hold(it, "i4", "p1")
        waits = await it.post(f"{V1}/{third['id']}/reconsider", {"user": "ben"}, ok=False)
        assert (waits["_status"], waits["status"], waits["position"]) == (202, "waiting", 1)


async def test_a_waiting_event_is_shown_whole(tmp_path: Path) -> None:
    async with stage(tmp_path) as it:
        await hold(it, "i1", "p1")
        await it.publish(event("late", payload={"x": [1.5]}))
        page = await eventually(lambda: _waiting(it), "it waits")
        assert (page["events"][0]["process"], page["events"][0]["about"]) == ("", "")
        number = page["events"][0]["number"]
        shown = await it.get(f"{SYSTEM_PATH}/waiting/{number}")
        assert (shown["instanceId"], shown["event"]["payload"]) == ("late", {"x": [1.5]})
        assert (await it.get(f"{SYSTEM_PATH}/waiting/999", ok=False))["_status"] == 404
        assert (await it.get(f"{SYSTEM_PATH}/waiting/x", ok=False))["_status"] == 400


async def _waiting(it: Stage) -> dict[str, Any] | None:
    page = await it.get(f"{SYSTEM_PATH}/waiting")
    return page if page["events"] else None


async def test_a_reason_can_be_required(tmp_path: Path) -> None:
    async with stage(tmp_path, MAESTRO_REPROCESSING__REQUIRE_REASON="true") as it:
        doc = await hold(it, "i1", "p1")
        refused = await it.post(f"{V1}/{doc['id']}/approve", {"user": "ana"}, ok=False)
        assert (refused["_status"], refused["message"]) == (400, "reason: is missing")
        await it.post(f"{V1}/{doc['id']}/approve", {"user": "ana", "reason": "yes"})
        await it.reaches(doc, "finished")


async def test_errors_are_shown_in_place_and_redriven_in_order(tmp_path: Path) -> None:
    await _errors_are_redriven(tmp_path, "")


@pytest.mark.rabbitmq
async def test_errors_are_redriven_on_rabbitmq(tmp_path: Path, vhost_url: str) -> None:
    await _errors_are_redriven(tmp_path, vhost_url)


async def _errors_are_redriven(tmp_path: Path, broker_url: str) -> None:
    async with stage(tmp_path, broker_url) as it:
        await it.publish(event("before"))
        await it.siblings.wait_for(lambda: it.siblings.commits == ["before"], 10)
        # About others it answers: the fault is each event's own.
        it.siblings.fail("discovery", "impacted", 999, 400, when=lambda call: call.instance_id != "before")
        for number in range(4):
            await it.publish(event(f"i{number}"), celery_id=f"c{number}")
        await it.publish(b"\xff not JSON")
        await eventually(lambda: _depth(it, 5), "five failed")
        shown = await it.get(f"{SYSTEM_PATH}/errors?limit=4")
        assert (shown["total"], len(shown["errors"])) == (5, 4)
        by_id = {one["id"]: one for one in (await it.get(f"{SYSTEM_PATH}/errors"))["errors"]}
        assert {"c0", "c1", "c2", "c3"} < by_id.keys()
        assert by_id["c2"]["body"]["args"][0]["instanceId"] == "i2"
        assert "discovery" in by_id["c2"]["reason"]
        await eventually(lambda: _depth(it, 5), "what was shown is given back")
        assert (await it.state())["lastError"]["reason"]

        it.siblings.heal()
        path = f"{SYSTEM_PATH}/errors/redrive"
        chosen = await it.post(path, {"user": "ana", "ids": ["c2", "c1", "gone"]})
        assert chosen == {"redriven": 2, "missing": ["gone"]}
        await it.siblings.wait_for(lambda: it.siblings.commits[1:] == ["i1", "i2"], 10)
        await eventually(lambda: _depth(it, 3), "the others are given back")
        assert (await it.post(path, {"user": "ana", "all": True}))["redriven"] == 3
        await it.siblings.wait_for(lambda: it.siblings.commits[1:] == ["i1", "i2", "i0", "i3"], 10)
        await eventually(lambda: _depth(it, 1), "the malformed one is back")


async def _empty(it: Stage, queue: str) -> bool:
    return await it.depth(queue) == 0


async def _depth(it: Stage, count: int) -> bool:
    return await it.depth(it.queues.persist_error) == count


async def test_a_stream_shows_a_reprocessing_from_pending_to_finished(tmp_path: Path) -> None:
    async with stage(tmp_path) as it, it.http.get(f"{it.url}{SYSTEM_PATH}/stream") as stream:
        assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert (await _next(stream))["system"]["state"] == "open"
        doc = await hold(it, "i1", "p1", "p2")
        seen = await _until(stream, lambda shown: shown["system"]["state"] == "pending")
        assert seen["document"]["id"] == doc["id"]
        assert seen["document"]["digest"] == doc["digest"]
        assert not {"pendingEvent", "origin", "events"} & seen["document"].keys()
        await it.decide(doc, "approve")
        done = await _until(stream, lambda shown: shown["document"]["status"] == "finished")
        assert done["document"]["progress"]["replayed"] == 2
        assert await it.stop() == 0, "an open stream does not keep Maestro from stopping"


async def _next(stream: aiohttp.ClientResponse) -> dict[str, Any]:
    while not (line := await asyncio.wait_for(stream.content.readline(), 10)).startswith(b"data: "):
        assert line, "the stream ended"
    return orjson.loads(line[6:])


async def _until(stream: aiohttp.ClientResponse, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while not condition(shown := await _next(stream)):
            pass
        return shown

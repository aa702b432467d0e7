"""The platform's recorded run, played against `maestro serve` on RabbitMQ."""

from pathlib import Path

import pytest

from tests.support.stage import SYSTEM, Stage, event, eventually, stage, unit

pytestmark = pytest.mark.rabbitmq


async def test_the_recorded_run_of_the_platform(tmp_path: Path, vhost_url: str) -> None:
    async with stage(tmp_path, vhost_url) as it:
        siblings = it.siblings
        siblings.impacts["i2"] = [unit("p1"), unit("p2"), unit("p3", "b1", forking=True)]
        siblings.impacts["re2"] = [unit("p4"), unit("p2")]
        for instance, second in (("p1", 41), ("p2", 42), ("p3", 43), ("p4", 40)):
            siblings.origins[instance] = {
                "name": f"{SYSTEM}.calculate.request", "systemId": SYSTEM, "instanceId": instance, "tag": "origin",
                "branch": "master", "scope": "execution", "timestamp": f"2018-07-20T15:08:{second}.884268",
                "payload": {"of": instance}, "version": "v1", "unknown": [1.10, None],
            }  # fmt: skip
        await it.publish(event("i1"))
        await it.publish(event("i2"))
        pending = await it.pending()
        await it.publish(event("late"))

        assert [one["instanceId"] for one in pending["events"]] == ["p3", "p1", "p2"]
        assert [one["branch"] for one in pending["events"]] == ["b1", "master", "master"]
        assert pending["pendingEvent"]["instanceId"] == "i2"
        assert pending["origin"]["instanceId"] == "i2"
        await siblings.wait_for(lambda: siblings.statuses.get("i2") == "reprocessing_pending_approval", 10)
        await eventually(lambda: _waits(it, 1), "the late event waits")

        await it.decide(pending, "approve")
        finished = await it.reaches(pending, "finished")
        await siblings.wait_for(lambda: "late" in siblings.commits, 10)

        assert siblings.commits == ["i1", "i2", "re1", "re2", "re3", "re4", "late"]
        assert [one["status"] for one in finished["history"]] == ["pending_approval", "approved", "running", "finished"]
        assert finished["history"][1]["user"] == "ana"
        assert [one["instanceId"] for one in finished["events"]] == ["p3", "p1", "p2", "p4"]

        replays = it.replays()
        assert [one["reprocessing"]["instance_id"] for one in replays] == ["p3", "p1", "p2", "p4"]
        assert [one["branch"] for one in replays] == ["b1", "master", "master", "master"]
        for one in replays:
            assert one["scope"] == "reprocessing"
            assert "instanceId" not in one
            assert "tag" not in one
            assert one["unknown"] == [1.10, None]
            ref = one["reprocessing"]
            assert (ref["id"], ref["system_id"]) == (pending["id"], SYSTEM)
            assert set(ref) == {"id", "instance_id", "system_id", "send"}
        assert len({one["reprocessing"]["send"] for one in replays}) == 4
        assert it.notifications() == ["starting", "finished"]
        names = [call.name for call in siblings.log]
        paths = [call.path for call in siblings.log]
        assert names.index("send") < paths.index("/instance/i2/persist")
        assert siblings.documents[pending["id"]]["status"] in ("running", "finished")

        queues = it.queues
        for name in (queues.wait, queues.events, queues.control, queues.reprocessings, queues.persist_error):
            await eventually(lambda name=name: _empty(it, name), f"{name} is empty")


async def test_an_event_without_impact_costs_exactly_three_calls(tmp_path: Path, vhost_url: str) -> None:
    async with stage(tmp_path, vhost_url) as it:
        await it.publish(event("warm-up"))  # the domain's address is asked for once
        await it.siblings.wait_for(lambda: "is_fork" in [call.name for call in it.siblings.log], 10)
        before = len(it.siblings.log)
        for number in range(20):
            await it.publish(event(f"i{number}"))

        def calls() -> list[str]:
            return [call.name for call in it.siblings.log[before:] if call.name != "systems"]

        await it.siblings.wait_for(lambda: len(calls()) >= 60, 10)
        assert calls() == ["impacted", "commit", "is_fork"] * 20  # asked whether API core calls it finished


async def _waits(it: Stage, count: int) -> bool:
    return (await it.state())["waiting"] == count and await it.depth(it.queues.wait) == count


async def _empty(it: Stage, name: str) -> bool:
    return await it.depth(name) == 0

"""The sandbox over HTTP, driven by the smallest Maestro that obeys the rules."""

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from maestro.platform.bundle import Platform
from maestro.platform.errors import SiblingRefused
from maestro.rules.doubt import CommitEnd
from maestro.sandbox.demo.plan import SCENARIO
from maestro.sandbox.demo.run import perform
from maestro.sandbox.demo.waiting import until
from maestro.sandbox.event_manager import NOTIFICATIONS
from maestro.sandbox.meters import story as meters
from maestro.sandbox.quotes.history import load_history
from maestro.sandbox.quotes.story import make_plan
from maestro.settings.model import PlatformSettings, Sibling
from tests.unit.sandbox.worlds import SYSTEM, Silent, World, new_world

HISTORY = load_history()
#: Conversions and amounts that the story adds.
EXTRA = 6 + 4


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with new_world(tmp_path) as made:
        yield made


async def committed(world: World, entity: str, count: int, branch: str = "master") -> None:
    async def reached() -> bool:
        return await world.services.domain.count(SYSTEM, entity, branch) == count

    await until(reached, f"{count} of {entity}", 10)


async def settled(world: World, documents: int) -> None:
    async def ended() -> bool:
        found = list(world.maestro.documents.values())
        assert world.maestro.broken is None, world.maestro.broken
        return len(found) == documents and all(one["status"] in ("finished", "skipped") for one in found)

    await until(ended, f"{documents} documents to end", 10)


async def until_held(world: World) -> dict[str, Any]:
    async def held() -> dict[str, Any] | None:
        pending = await world.services.maestro.pending(SYSTEM)
        return pending[0] if pending else None

    return await until(held, "a held persist event", 10)


async def build(world: World, days: tuple[str, ...] = ("2008-01-02", "2008-01-03")) -> None:
    """Two quotes, their average, and the rates of that year and the next."""
    for position, day in enumerate(days, 1):
        assert not await world.send("push.quote.request", {"currency": "USD", "date": day, "rate": float(position)})
    await committed(world, "quote", len(days))
    assert not await world.send("monthly.average.request", {"currency": "USD", "month": "2008-01"})
    await committed(world, "average", 1)
    for position, year in enumerate((2008, 2009), 1):
        assert not await world.send("yearly.rate.request", {"currency": "USD", "year": year})
        await committed(world, "rate", position)


async def correct(world: World, rate: float, day: str = "2008-01-03", **payload: Any) -> dict[str, Any]:
    """Correct a quote and approve what is held, unless it forks."""
    before = len(world.maestro.documents)
    assert not await world.send("rectify.quote.request", {"currency": "USD", "date": day, "rate": rate, **payload})
    if not payload.get("branch"):
        document = await until_held(world)
        await world.services.maestro.decide(document["id"], "approve", "ana")
    await settled(world, before + 1)
    return list(world.maestro.documents.values())[-1]


async def seen(world: World, entity: str, branch: str = "master") -> list[float]:
    return [row["value"] for row in await world.services.domain.rows(SYSTEM, entity, branch)]


def replayed(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(event["name"].split(".")[0], event["branch"]) for event in document["events"]]


async def test_a_corrected_quote_cascades_to_average_and_rates(world: World) -> None:
    await build(world)
    assert await seen(world, "average") == [1.5]
    document = await correct(world, 4.0)
    assert replayed(document) == [("monthly", "master"), ("yearly", "master"), ("yearly", "master")]
    assert await seen(world, "average") == [2.5]
    assert await seen(world, "rate") == [2.5, 2.5]
    assert world.maestro.counters["replayed"] == 3
    assert world.maestro.counters["cascaded"] == 2


async def test_a_later_correction_finds_the_originals_again(world: World) -> None:
    await build(world)
    first = await correct(world, 4.0)
    second = await correct(world, 6.0)
    assert [event["instanceId"] for event in first["events"]] == [event["instanceId"] for event in second["events"]]
    assert await seen(world, "rate") == [3.5, 3.5]


async def test_replays_carry_scope_branch_and_the_reprocessing_object_and_are_not_asked_for(world: World) -> None:
    await build(world)
    asked = world.maestro.asked
    await correct(world, 4.0)

    async def told() -> bool:
        return world.maestro.asked >= asked + 4

    await until(told, "the end of the run to be told, which is after its document ends", 10)
    # The rectify event and its persist request, `starting`, and `finished` after the lock.
    assert world.maestro.asked == asked + 4
    for replay in world.maestro.replays:
        assert replay["scope"] == "reprocessing"
        assert "instanceId" not in replay
        assert set(replay["reprocessing"]) == {"id", "instance_id", "system_id", "send"}


async def test_a_fork_computes_copies_and_leaves_the_trunk_alone(world: World) -> None:
    await build(world)
    document = await correct(world, 4.0, branch="b1")
    assert document["forking"] is True
    assert replayed(document) == [("monthly", "b1"), ("yearly", "b1"), ("yearly", "b1")]
    assert (await seen(world, "average"), await seen(world, "average", "b1")) == ([1.5], [2.5])
    assert (await seen(world, "rate"), await seen(world, "rate", "b1")) == ([1.5, 1.5], [2.5, 2.5])


async def test_a_trunk_correction_reaches_copies_that_read_through_to_it(world: World) -> None:
    await build(world)
    await correct(world, 4.0, branch="b1")
    document = await correct(world, 3.0, day="2008-01-02")
    assert set(replayed(document)) == {(what, on) for what in ("monthly", "yearly") for on in ("master", "b1")}
    assert await seen(world, "average") == [2.5]
    assert await seen(world, "average", "b1") == [3.5]
    assert await seen(world, "rate", "b1") == [3.5, 3.5]


async def test_a_trunk_correction_of_a_quote_that_a_branch_hides_leaves_the_branch_alone(world: World) -> None:
    await build(world)
    await correct(world, 4.0, branch="b1")
    document = await correct(world, 9.0)
    assert {on for _, on in replayed(document)} == {"master"}
    assert await seen(world, "rate", "b1") == [2.5, 2.5]


async def test_a_quote_that_comes_late_impacts_its_month(world: World) -> None:
    await build(world)
    assert not await world.send("push.quote.request", {"currency": "USD", "date": "2008-01-04", "rate": 6.0})
    document = await until_held(world)
    await world.services.maestro.decide(document["id"], "approve", "ana")
    await settled(world, 1)
    assert await seen(world, "average") == [3.0]


async def test_a_correction_to_the_same_value_impacts_nobody(world: World) -> None:
    await build(world)
    commits = world.maestro.counters["commit"]
    assert not await world.send("rectify.quote.request", {"currency": "USD", "date": "2008-01-03", "rate": 2.0})

    async def done() -> bool:
        return world.maestro.counters["commit"] == commits + 1

    await until(done, "the commit", 10)
    assert not world.maestro.documents


async def test_entities_show_what_a_commit_would_write(world: World) -> None:
    await build(world)
    assert not await world.send("rectify.quote.request", {"currency": "USD", "date": "2008-01-03", "rate": 4.0})
    await until_held(world)
    [event] = world.maestro.held.values()
    [entity] = await world.get("domain", f"/instance/{event.instance_id}/entities")
    assert entity["rate"] == 4.0
    assert entity["_metadata"].items() >= {"type": "quote", "branch": "master", "changeTrack": "update"}.items()
    assert entity["_metadata"]["before"]["rate"] == 2.0


async def test_a_failing_replay_is_reported_to_maestro(world: World) -> None:
    await build(world)
    world.sandbox.executor.faults.fail["monthly.average.request"] = 1
    reference = {"id": "r1", "instance_id": "i1", "system_id": SYSTEM, "send": "s1"}
    payload = {"currency": "USD", "month": "2008-01"}
    assert not await world.send("monthly.average.request", payload, scope="reprocessing", reprocessing=reference)

    async def told() -> list[dict[str, Any]] | None:
        return world.maestro.failures or None

    [failure] = await until(told, "the failure", 10)
    assert failure["name"] == "monthly.average.error"
    del reference["send"]  # the Event Manager of 2018 does not know it
    assert failure["reprocessing"] == reference


async def test_a_muted_process_is_never_heard_of_again(world: World) -> None:
    world.sandbox.executor.faults.mute["push.quote.request"] = 1
    for rate in (1.0, 2.0):
        assert not await world.send("push.quote.request", {"currency": "USD", "date": "2008-01-02", "rate": rate})
    await committed(world, "quote", 1)
    [row] = await world.services.domain.rows(SYSTEM, "quote", "master")
    assert row["rate"] == 2.0
    assert await world.services.events.published() == 1


async def test_the_event_manager_introduces_a_system_once_asks_and_refuses(world: World) -> None:
    await asyncio.gather(
        *(
            world.send("push.quote.request", {"currency": "USD", "date": f"2008-01-{day:02d}", "rate": 1.0})
            for day in range(1, 20)
        )
    )
    assert world.maestro.handled == [f"persist.{SYSTEM}.queue"]
    await committed(world, "quote", 19)
    # Each event, and each persist request.
    assert world.maestro.asked == 38
    assert "no subscriber" in await world.send("make.coffee.request", {})
    world.maestro.locked = True
    assert "locked" in await world.send("push.quote.request", {"currency": "USD", "date": "2008-01-20", "rate": 1.0})
    assert not await world.send("anything.done", {})
    assert "not installed" in await world.send("push.quote.request", {}, systemId="other")


async def test_a_process_that_fails_ends_in_an_error_event_and_a_wrong_payload_never_starts(world: World) -> None:
    assert "field `date`" in await world.send("push.quote.request", {"currency": "USD"})
    assert not await world.send("rectify.quote.request", {"currency": "USD", "date": "2008-01-03", "rate": 2.0})

    async def reported() -> bool:
        return bool(await world.get("event_manager", "/remembered"))

    await until(reported, "an error event", 10)
    assert [event["name"] for event in await world.get("event_manager", "/remembered")] == ["rectify.quote.error"]
    assert len(await world.get("api_core", "/core/processInstance")) == 1


async def test_a_stale_waiter_is_reported(world: World) -> None:
    await build(world)
    assert not await world.send("rectify.quote.request", {"currency": "USD", "date": "2008-01-03", "rate": 4.0})
    document = await until_held(world)
    assert not await world.send("yearly.rate.request", {"currency": "USD", "year": 2010})

    async def waits() -> bool:
        return len(world.maestro.waiting) == 1

    await until(waits, "the rate to wait", 10)
    await world.services.maestro.decide(document["id"], "approve", "ana")
    await committed(world, "rate", 3)
    assert len(await world.services.domain.stale()) == 1


async def test_process_memory_and_api_core_answer_as_the_contract_says(world: World) -> None:
    await build(world)
    assert await world.get("process_memory", "/nobody/event") == []
    assert await world.get("api_core", "/core/system?filter=") == [{"id": SYSTEM, "name": SYSTEM}]
    [app] = await world.get("api_core", f"/core/installedApp?filter=bySystemIdAndType&systemId={SYSTEM}&type=domain")
    assert app["port"] == world.addresses.domain.port
    document = {"id": "r1", "systemId": SYSTEM, "status": "running"}
    url = world.addresses.process_memory.url + "/reprocessing"
    async with world.session.post(url, json=document) as answer:
        assert answer.status < 300
    async with world.session.put(url + "?id=r1", json={**document, "status": "finished"}) as answer:
        assert answer.status == 200
    assert await world.get("process_memory", "/reprocessing?status=running") == []
    [found] = await world.get("process_memory", "/reprocessing?status=finished")
    assert found["id"] == "r1"
    instance = next(iter(world.sandbox.rows.committed()))
    update = [{"_metadata": {"type": "processInstance", "changeTrack": "update"}, "id": instance, "status": "held"}]
    async with world.session.post(world.addresses.api_core.url + "/core/persist", json=update) as answer:
        assert answer.status == 200
    [shown] = await world.get("api_core", f"/core/processInstance?filter=byId&id={instance}")
    assert (shown["status"], shown["isFork"]) == ("held", False)


async def test_maestros_own_clients_understand_the_sandbox(world: World) -> None:
    await build(world)
    at = world.addresses
    settings = PlatformSettings(
        apicore=Sibling(host=at.api_core.host, port=at.api_core.port),
        discovery=Sibling(host=at.discovery.host, port=at.discovery.port),
        process_memory=Sibling(host=at.process_memory.host, port=at.process_memory.port),
        event_manager=Sibling(host=at.event_manager.host, port=at.event_manager.port),
        tries=1,
    )
    assert not await world.send("rectify.quote.request", {"currency": "USD", "date": "2008-01-03", "rate": 4.0})
    await until_held(world)
    [held] = world.maestro.held.values()
    async with await Platform.open(settings) as platform:
        assert await platform.apicore.systems() == (SYSTEM,)
        [unit] = await platform.discovery.impacted(SYSTEM, held.instance_id)
        assert (unit.branch, unit.forking) == ("master", False)
        origin = await platform.process_memory.origin(unit.instance_id)
        assert origin is not None
        assert await platform.process_memory.origin("nobody") is None
        known = await platform.apicore.instance(held.instance_id)
        assert known is not None
        assert known.is_fork is False
        assert await platform.apicore.instance("nobody") is None
        [entity] = await platform.domain.entities(SYSTEM, held.instance_id)
        assert entity["rate"] == 4.0
        assert (await platform.domain.commit(SYSTEM, held.instance_id)).end is CommitEnd.MADE
        await platform.apicore.set_instance_status(held.instance_id, "reprocessing_pending_approval")
        assert world.sandbox.core.status(held.instance_id) == "reprocessing_pending_approval"
        await platform.process_memory.save_document("r1", b'{"id": "r1"}')
        await platform.process_memory.save_document("r1", b'{"id": "r1", "status": "running"}')
        assert world.sandbox.memory.documents["r1"]["status"] == "running"
        assert world.sandbox.memory.doubled_documents == []
        world.sandbox.events.subscribed.update(NOTIFICATIONS)
        notification = {"name": f"{SYSTEM}.reprocessing.finished", "systemId": SYSTEM}
        await platform.event_manager.send(orjson.dumps(notification))
        assert world.sandbox.events.remembered[-1] == notification
        world.sandbox.events.subscribed.clear()
        with pytest.raises(SiblingRefused, match="has no subscribers"):
            await platform.event_manager.send(orjson.dumps(notification))
        world.maestro.locked = True
        with pytest.raises(SiblingRefused, match="locked"):
            await platform.event_manager.send(orjson.dumps(notification))


async def test_the_story_ends_equal_on_trunk_and_branch(world: World) -> None:
    plan = make_plan(HISTORY, ("BRL", "USD", "CHF"), (2008, 2009))
    report = await perform(plan, SYSTEM, world.services, Silent(), finds_late=False)
    assert report.differences == ()
    assert report.equal
    assert report.stale == ()
    shown = report.as_json()
    assert shown["waited"] >= len(plan.late) > 0
    assert shown["replayed"] > shown["cascaded"] > 0
    assert (
        shown["events"]
        == len(plan.inputs) + 72 + 6 + len(plan.corrections) + len(plan.late) + shown["replayed"] + EXTRA
    )
    assert [one["decision"] for one in shown["corrections"]] == [
        "approved", "approved", "approved", "approved", "skipped", "approved",
    ]  # fmt: skip
    assert sum(one["branch"] == SCENARIO for one in shown["corrections"]) == 1
    januaries = [one.value for one in HISTORY.quotes("CHF", "2009-01-01", "2009-01-31")]
    assert shown["averages"]["CHF"]["2009-01"] == math.fsum(januaries) / len(januaries)


async def test_the_second_story_ends_equal_on_trunk_and_branch(world: World) -> None:
    plan = meters.make_plan(2, 1)
    report = await perform(plan, SYSTEM, world.services, Silent(), finds_late=False)
    assert (report.differences, report.misfires, report.stale, report.doubled) == ((), (), (), ())
    assert report.equal
    shown = report.as_json()
    assert shown["waited"] >= len(plan.late) > 0
    assert shown["replayed"] > shown["cascaded"] > 0
    computed = 2 * 24 + 2 + 1
    assert shown["events"] == (
        len(plan.inputs) + computed + len(plan.corrections) + len(plan.late) + shown["replayed"] + EXTRA
    )
    assert {one.branch for one in plan.corrections} == {"master", SCENARIO}
    twice = plan.corrections[-1]
    hour = twice.input.at[:13]
    of_hour = {one.at: one.value for one in plan.inputs if (one.subject, one.at[:13]) == (twice.input.subject, hour)}
    assert shown["hourly_totals"][twice.input.subject][hour] == math.fsum(
        {**of_hour, twice.input.at: twice.new}.values()
    )
    assert shown["settlements"]["north"]["2024-03"] == pytest.approx(
        0.31 * sum(value for days in shown["daily_totals"].values() for value in days.values())
    )


@pytest.mark.parametrize("forgets", ["hourly.total.request", "daily.total.request", "settle.month.request"])
async def test_the_second_storys_check_fails_when_replays_are_left_out(tmp_path: Path, forgets: str) -> None:
    async with new_world(tmp_path, forgets=forgets) as world:
        report = await perform(meters.make_plan(1, 1), SYSTEM, world.services, Silent(), finds_late=False)
        assert not report.equal
        assert {one.kind for one in report.differences} >= {"settlement"}


@pytest.mark.parametrize("forgets", ["monthly.average.request", "yearly.rate.request"])
async def test_the_check_fails_when_replays_are_left_out(tmp_path: Path, forgets: str) -> None:
    async with new_world(tmp_path, forgets=forgets) as world:
        report = await perform(
            make_plan(HISTORY, ("USD",), (2008,)), SYSTEM, world.services, Silent(), finds_late=False
        )
        assert not report.equal
        assert {one.kind for one in report.differences} >= {"rate"}

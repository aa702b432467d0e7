"""What the services answer over HTTP, where the platform's real ones do damage."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from maestro.broker.base import Binding
from maestro.sandbox.demo.waiting import until
from maestro.sandbox.outcomes import Outcomes
from maestro.sandbox.sandbox import Sandbox
from maestro.sandbox.traits import KIND, BadTrait, Generation, Traits
from tests.unit.sandbox.doubles import MemoryBroker
from tests.unit.sandbox.worlds import SYSTEM, World, new_world

QUOTE = {"currency": "USD", "date": "2008-01-02", "rate": 1.0}
DAY = {"currency": "USD", "date": "2008-01-02"}
MAP = [{"_metadata": {"type": "map", "changeTrack": "create"}, "name": "maestro", "systemId": SYSTEM, "version": "1"}]
#: As unkind as it comes, but that nothing is left to chance.
SURE = Traits(
    finished_lost=0.0, finished_burst_share=0.0, domain_slow_share=0.0, domain_fails_after_store=0.0, start_delay=0.0,
    finished_after=0.05, finished_window=0.0, map_usable_after=0.2,
)  # fmt: skip


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with new_world(tmp_path, traits=SURE) as made:
        yield made


async def call(world: World, service: str, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    url = getattr(world.addresses, service).url + path
    async with world.session.request(method, url, json=body, headers=headers) as answer:
        return answer.status, orjson.loads(await answer.read())


async def quoted(world: World) -> str:
    """Have a quote committed; return the instance that wrote it."""
    assert not await world.send("push.quote.request", QUOTE)

    async def there() -> list[dict[str, Any]] | None:
        return await world.services.domain.rows(SYSTEM, "quote", "master") or None

    [row] = await until(there, "the quote", 10)
    return row["_metadata"]["instance_id"]


async def published(world: World, key: str) -> list[dict[str, Any]]:
    """Have outcomes of a key heard from now on; return what is heard, as it grows."""
    heard: list[dict[str, Any]] = []
    await world.broker.declare([Binding(Outcomes.EXCHANGE, key, key)])
    await world.broker.consume(
        key, 1, lambda delivery: heard.append(orjson.loads(delivery.body)["args"][0]), lambda: None
    )  # fmt: skip
    return heard


async def heard(outcomes: list[dict[str, Any]], count: int) -> None:
    async def there() -> bool:
        return len(outcomes) >= count

    await until(there, f"{count} outcomes", 10)


@pytest.mark.parametrize(
    ("service", "method", "path"),
    [
        ("api_core", "GET", "/core/nothing"),
        ("api_core", "GET", "/core/processInstance?filter=byId"),
        ("api_core", "GET", "/core/processInstance?filter=byId&id=a,b"),
        ("api_core", "POST", "/core/persist"),
        ("discovery", "GET", f"/v1.0.0/discovery/entities?systemID={SYSTEM}&instanceID=nobody"),
        ("domain", "POST", "/instance/nobody/persist"),
        ("domain", "GET", "/instance/nobody/entities"),
        ("process_memory", "GET", "/nobody/head"),
        ("process_memory", "PUT", "/reprocessing"),
        ("event_manager", "PUT", "/sendevent"),
    ],
)
async def test_every_error_is_a_400(world: World, service: str, method: str, path: str) -> None:
    status, answer = await call(world, service, method, path)
    assert status == 400
    assert set(answer) == {"status", "message"}
    assert answer["status"] == "400"


@pytest.mark.parametrize("service", ["api_core", "discovery", "domain", "process_memory", "event_manager"])
async def test_a_service_that_is_away_drops_connections(world: World, service: str) -> None:
    one = {
        "api_core": world.sandbox.core, "discovery": world.sandbox.discovery, "domain": world.sandbox.domain,
        "process_memory": world.sandbox.memory, "event_manager": world.sandbox.events,
    }[service]  # fmt: skip
    one.away = True
    with pytest.raises(aiohttp.ClientError):
        await call(world, service, "GET", "/")
    one.away = False
    assert (await call(world, service, "GET", "/"))[0] == 400


async def test_a_second_persist_doubles_rows_and_is_told(world: World) -> None:
    instance = await quoted(world)
    assert await world.services.domain.doubled() == []
    assert (await call(world, "domain", "POST", f"/instance/{instance}/persist"))[0] == 200
    assert len(await world.services.domain.rows(SYSTEM, "quote", "master")) == 2
    assert await world.services.domain.doubled() == [instance]


async def test_domain_stores_and_fails_then(world: World) -> None:
    failures = await published(world, Outcomes.FAILED_KEY)
    await quoted(world)
    world.sandbox.domain.fails_after_store = 1
    assert not await world.send("convert.amount.request", {**DAY, "amount": 2.0, "name": "c"})
    await heard(failures, 1)
    [row] = await world.services.domain.rows(SYSTEM, "conversion", "master")
    [failure] = failures
    assert failure["name"] == "system.process.persist.error"
    assert failure["payload"]["instance_id"] == row["_metadata"]["instance_id"]
    assert (failure["scope"], "systemId" in failure) == ("execution", False)
    world.maestro.broken = None  # it takes no 500


async def test_domain_fails_after_it_stored_while_api_core_is_away(world: World) -> None:
    instance = await quoted(world)
    world.sandbox.core.away = True
    assert (await call(world, "domain", "POST", f"/instance/{instance}/persist"))[0] == 500
    assert await world.services.domain.doubled() == [instance]


async def test_domain_fails_before_it_stores(world: World) -> None:
    instance = await quoted(world)
    world.sandbox.domain.fails_before_store = 1
    assert (await call(world, "domain", "POST", f"/instance/{instance}/persist"))[0] == 500
    assert await world.services.domain.doubled() == []


async def test_a_caller_that_goes_away_does_not_stop_a_commit(tmp_path: Path) -> None:
    async with new_world(tmp_path, traits=KIND.but(["domain_slow_share=1", "domain_slow=0.3"])) as world:
        instance = await quoted(world)
        before = list(world.sandbox.rows.committed())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call(world, "domain", "POST", f"/instance/{instance}/persist"), 0.05)
        sandbox = world.sandbox
        sandbox.rows._creates_anew = True

        async def again() -> bool:
            return list(sandbox.rows.committed()) == [*before, instance]

        await until(again, "the commit nobody waits for", 10)


async def test_the_rows_of_an_instance_through_a_map(world: World) -> None:
    instance = await quoted(world)
    asked = f"/maestro/quote?filter=byInstance&instance={instance}"
    assert (await call(world, "domain", "GET", asked))[0] == 400
    assert (await call(world, "api_core", "POST", "/core/persist", MAP))[0] == 200

    async def usable() -> list[dict[str, Any]] | None:
        status, answer = await call(world, "domain", "GET", asked)
        return answer if status == 200 else None

    [row] = await until(usable, "the map", 10)
    assert (row["rate"], row["_metadata"]["instance_id"]) == (1.0, instance)
    assert (await call(world, "domain", "GET", "/maestro/quote?filter=byInstance&instance=nobody"))[1] == []
    assert not await world.send("rectify.quote.request", {**QUOTE, "rate": 2.0, "branch": "b"})

    async def copied() -> bool:
        return bool(await world.services.domain.count(SYSTEM, "quote", "b"))

    await until(copied, "the scenario's copy", 10)
    [copy] = [one for one in await world.services.domain.rows(SYSTEM, "quote", "b") if one["rate"] == 2.0]
    asked = f"/maestro/quote?filter=byInstance&instance={copy['_metadata']['instance_id']}"
    assert (await call(world, "domain", "GET", asked))[1] == []
    assert (await call(world, "domain", "GET", asked, Branch="all"))[1] == [copy]


async def test_head_and_history_show_the_version_of_each_row_read(world: World) -> None:
    writer = await quoted(world)
    assert not await world.send("rectify.quote.request", {**QUOTE, "rate": 2.0}, referenceDate="2008-01-02T00:00:00")

    async def corrected() -> str | None:
        [row] = await world.services.domain.rows(SYSTEM, "quote", "master")
        return row["_metadata"]["instance_id"] if row["rate"] == 2.0 else None

    instance = await until(corrected, "the correction", 10)
    event, read, computed = (await call(world, "process_memory", "GET", f"/{instance}/history"))[1]
    assert (event["reference_date"], "referenceDate" in event) == ("2008-01-02T00:00:00", False)
    [before], [after] = (dataset["dataset"]["entities"]["quote"] for dataset in (read, computed))
    assert (before["rate"], after["rate"]) == (1.0, 2.0)
    assert [row["_metadata"]["changeTrack"] for row in (before, after)] == ["none", "update"]
    assert {row["_metadata"]["instance_id"] for row in (before, after)} == {writer}
    assert before["_metadata"]["rid"] == after["_metadata"]["rid"]
    assert len(before["_metadata"]["modified_at"]) == len("2008-01-02T00:00:00")
    assert (await call(world, "process_memory", "GET", f"/{instance}/head"))[1] == computed


async def test_documents_are_inserted_every_time(world: World) -> None:
    document = {"id": "r1", "status": "running"}
    assert (await call(world, "process_memory", "PUT", "/reprocessing?id=r1", document))[1]["result"]["n"] == 0
    for _ in range(2):
        await call(world, "process_memory", "POST", "/reprocessing", document)
    assert world.sandbox.memory.doubled_documents == ["r1"]
    ended = {**document, "status": "finished"}
    assert (await call(world, "process_memory", "PUT", "/reprocessing?id=r1", ended))[1]["result"]["n"] == 1
    assert len((await call(world, "process_memory", "GET", "/reprocessing?id=r1"))[1]) == 2


async def test_api_core_shows_instances_by_its_filters(world: World) -> None:
    instance = await quoted(world)
    asked = "/core/processInstance?filter="

    async def finished() -> bool:
        return (await call(world, "api_core", "GET", f"{asked}byId&id={instance}"))[1][0]["status"] == "finished"

    await until(finished, "the instance to be finished", 10)
    many = (
        "executedAfter&instanceId=any&systemId=" + SYSTEM,
        f"bySystemIdOrdered&systemId={SYSTEM}&page=1&page_size=5",
    )
    for query in (*many, "misspelt"):
        [found] = (await call(world, "api_core", "GET", asked + query))[1]
        assert found["id"] == instance
    assert (await call(world, "api_core", "GET", f"{asked}byId&id=nobody")) == (200, [])
    update = [{"_metadata": {"type": "processInstance", "changeTrack": "update"}, "id": "nobody", "status": "x"}]
    assert (await call(world, "api_core", "POST", "/core/persist", update))[0] == 400
    [answer] = (await call(world, "api_core", "POST", "/core/persist", [update[0] | {"id": instance}]))[1]
    assert answer["isFork"] is None
    operation = "/core/operation?filter=byEventAndVersion&version=1&event="
    assert (await call(world, "api_core", "GET", operation + "push.quote.done"))[1] == []
    [shown] = (await call(world, "api_core", "GET", operation + "chain.average.done"))[1]
    assert shown["event_in"] == "chain.average.done"


async def test_outcomes_tell_of_every_end(world: World) -> None:
    done, failed = await published(world, Outcomes.DONE_KEY), await published(world, Outcomes.FAILED_KEY)
    instance = await quoted(world)
    await heard(done, 1)
    assert (done[0]["name"], done[0]["instanceId"]) == ("push.quote.done", instance)
    assert done[0]["payload"] == {"instance_id": instance}
    reference = {"id": "r1", "instance_id": "i1", "system_id": SYSTEM}
    replay = {"scope": "reprocessing", "reprocessing": {**reference, "send": "r1.0.1"}}
    assert not await world.send("look.quote.request", DAY, **replay)
    await heard(done, 2)
    assert (done[1]["name"], done[1]["scope"]) == ("look.quote.done", "reprocessing")
    assert done[1]["reprocessing"] == reference
    assert done[1]["payload"] == {"instanceId": done[1]["instanceId"]}
    assert not await world.send("check.quote.request", {**DAY, "limit": 0.5}, **replay)
    await heard(failed, 1)
    assert (failed[0]["name"], failed[0]["reprocessing"]) == ("check.quote.error", reference)

    async def told() -> bool:
        return world.maestro.failures == failed

    await until(told, "Maestro to be told", 10)


async def test_a_chain_goes_on_with_the_same_reprocessing_object(world: World) -> None:
    done = await published(world, Outcomes.DONE_KEY)
    await quoted(world)
    await heard(done, 1)
    reference = {"id": "r1", "instance_id": "i1", "system_id": SYSTEM}
    month = {"currency": "USD", "month": "2008-01"}
    assert not await world.send("chain.average.request", month, scope="reprocessing", reprocessing=reference)
    await heard(done, 2)
    assert done[1]["name"] == "chain.average.done"
    result = await asyncio.wait_for(world.maestro._results.get(), 10)
    assert (result.reprocessing.id, result.scope) == ("r1", "reprocessing")
    assert result.instance_id != done[1]["instanceId"]


async def test_an_event_manager_of_2020_never_calls_maestro(tmp_path: Path) -> None:
    traits = SURE.but(["event_manager=2020"])
    async with new_world(tmp_path, traits=traits) as world:
        failed = await published(world, Outcomes.FAILED_KEY)
        world.maestro.locked = True
        assert not await world.send("push.quote.request", QUOTE)
        reference = {"id": "r1", "instance_id": "i1", "system_id": SYSTEM, "send": "r1.0.1"}
        for image in ("sandbox/check.quote:1", "another"):
            replay = {"scope": "reprocessing", "reprocessing": reference, "image": image}
            assert not await world.send("check.quote.request", {**DAY, "limit": 0.5}, **replay)
        await heard(failed, 1)
        assert failed[0]["reprocessing"] == reference
        assert (world.maestro.asked, world.maestro.handled, world.maestro.failures) == (0, [], [])
        assert len(failed) == 1  # the one of another image never ran


async def test_persist_requests_wait_for_the_lock(world: World) -> None:
    await quoted(world)
    world.sandbox.executor._start_delay = 0.2
    assert not await world.send("convert.amount.request", {**DAY, "amount": 2.0, "name": "c"})
    world.maestro.locked = True
    asked = world.maestro.asked

    async def refused() -> bool:
        return world.maestro.asked >= asked + 2

    await until(refused, "the persist request to be refused", 10)
    assert await world.services.domain.count(SYSTEM, "conversion") == 0
    world.maestro.locked = False

    async def committed() -> bool:
        return await world.services.domain.count(SYSTEM, "conversion") == 1

    await until(committed, "the conversion", 10)


async def test_the_event_manager_of_2018_has_no_subscribers_for_notifications(world: World) -> None:
    notification = {"name": f"{SYSTEM}.reprocessing.finished", "systemId": SYSTEM}
    status, answer = await call(world, "event_manager", "PUT", "/sendevent", notification)
    assert status == 400
    assert "has no subscribers" in answer["message"]


def test_traits_are_changed_by_name(tmp_path: Path) -> None:
    traits = Traits().but(["finished_after=2.5", "discovery_shuffled=false", "event_manager=2020"])
    assert (traits.finished_after, traits.discovery_shuffled) == (2.5, False)
    assert traits.event_manager is Generation.Y2020
    assert Traits().but([]) == Traits()
    for wrong in ("finished", "finished_after=soon", "event_manager=2019", "=1"):
        with pytest.raises(BadTrait, match="trait"):
            Traits().but([wrong])
    sandbox = Sandbox(("s",), MemoryBroker(), tmp_path)
    assert sandbox.rows._creates_anew
    sandbox.rows.close()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"payload": {**QUOTE, "rate": "one"}}, "payload.rate: Expected `float`, got `str` (push.quote.request)"),
        ({"payload": {**QUOTE, "date": "soon"}}, "payload.date: 'soon' is no day, such as 2024-01-31"),
        ({"payload": None}, "payload: Expected `object`, got `null`"),
        ({"branch": ["b"]}, "branch: ['b'] is no text"),
    ],
)
async def test_a_wrong_event_is_refused_when_it_is_sent(world: World, wrong: dict[str, Any], told: str) -> None:
    event = {"name": "push.quote.request", "systemId": SYSTEM, "payload": QUOTE}
    status, answer = await call(world, "event_manager", "PUT", "/sendevent", event | wrong)
    assert (status, answer["status"]) == (400, "400")
    assert answer["message"].startswith(told)
    assert await world.get("api_core", "/core/processInstance") == []


async def test_an_unknown_scope_is_taken_as_nothing_says_that_the_platform_refuses_it(world: World) -> None:
    event = {"name": "push.quote.request", "systemId": SYSTEM, "payload": QUOTE, "scope": "foo"}
    status, _ = await call(world, "event_manager", "PUT", "/sendevent", event)
    assert status == 200


@pytest.mark.parametrize("times", ["0", "1001", "-1", "many", ""])
async def test_times_out_of_bounds_are_named(world: World, times: str) -> None:
    event = {"name": "push.quote.request", "systemId": SYSTEM, "payload": QUOTE}
    status, answer = await call(world, "event_manager", "PUT", f"/sendevent?times={times}", event)
    assert (status, answer["message"]) == (400, f"times: {times!r} is no number from 1 to 1000")


async def test_one_call_makes_a_value_impact_hundreds(world: World) -> None:
    """The command that the README has: 300 conversions of one quote, whose correction then impacts them all."""
    await quoted(world)
    payload = {**DAY, "amount": 1.0, "name": "c{number}"}
    event = {
        "name": "convert.amount.request",
        "systemId": SYSTEM,
        "payload": payload,
        "timestamp": "2020-01-01T00:00:00",
    }
    status, _ = await call(world, "event_manager", "PUT", "/sendevent?times=300", event)
    assert status == 200

    async def finished() -> bool:
        every = await world.get("api_core", "/core/processInstance")
        return sum(one["status"] == "finished" for one in every) == 301

    await until(finished, "300 conversions", 30)
    names = {row["name"] for row in await world.services.domain.rows(SYSTEM, "conversion", "master")}
    assert names == {f"c{number}" for number in range(1, 301)}
    # As typed at a terminal: without a tag.
    assert not await world.send("rectify.quote.request", {**QUOTE, "rate": 2.0}, tag="")

    async def held() -> list[dict[str, Any]] | None:
        return await world.services.maestro.pending(SYSTEM) or None

    [document] = await until(held, "the correction to be held", 10)
    assert len(document["events"]) == 300

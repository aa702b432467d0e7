"""Maestro ends, in good order or not, in the middle of everything; the next one carries on where the store says.

A scenario is a generator: it sets its system up and yields (Maestro ends then), does what happens while Maestro is
down and yields (Maestro starts then), and checks what became of it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from tests.support.stage import Stage, eventually, stage, unit
from tests.support.tenant import JSON, Tenant, new_tenant

Scenario = AsyncIterator[None]
SCENARIOS: list[Callable[[Tenant], Scenario]] = []


def scenario(function: Callable[[Tenant], Scenario]) -> Callable[[Tenant], Scenario]:
    SCENARIOS.append(function)
    return function


async def stored_state(tenant: Tenant, doc: JSON, state: str) -> None:
    """Wait until a document's current unit is stored in a state."""

    async def there() -> bool:
        return state in [one["state"] for one in (await tenant.it.document(doc["id"]))["units"]]

    await eventually(there, f"a unit is {state}")


@scenario
async def pending_with_others_waiting(tenant: Tenant) -> Scenario:
    tenant.impacts("i", unit("p1"))
    await tenant.publish_all("i", "w1", "w2")
    before = await tenant.pending()
    await tenant.waits(2)
    yield
    await tenant.publish("w3")
    yield
    waiting = await tenant.waits(3)
    assert [tenant.short(one["instanceId"]) for one in waiting["events"]] == ["w1", "w2", "w3"]
    doc = await tenant.pending()
    assert doc == before
    await tenant.it.decide(doc, "approve")
    await tenant.commits_are("i", "re1", "w1", "w2", "w3")
    await tenant.depth_is(tenant.queues.wait, 0)


@scenario
async def replay_in_flight_answered_while_down(tenant: Tenant) -> Scenario:
    tenant.it.mute.add(tenant.system)
    tenant.impacts("i", unit("p1"), unit("p2"))
    doc = await tenant.approved("i")
    sent = await tenant.sent(1)
    await stored_state(tenant, doc, "sent")
    yield
    await tenant.it.answer(sent, "r1")
    yield
    await tenant.it.answer(await tenant.sent(2), "r2")
    await tenant.ended(doc, "finished")
    assert tenant.commits == ["i", "r1", "r2"]
    assert tenant.replays() == ["p1", "p2"]


@scenario
async def replay_in_flight_answered_later(tenant: Tenant) -> Scenario:
    tenant.it.mute.add(tenant.system)
    tenant.impacts("i", unit("p1"))
    doc = await tenant.approved("i")
    sent = await tenant.sent(1)
    await stored_state(tenant, doc, "sent")
    yield
    yield
    assert (await tenant.proceed())["_status"] == 403
    await tenant.it.answer(sent, "r1")
    await tenant.ended(doc, "finished")
    assert tenant.commits == ["i", "r1"]
    assert tenant.replays() == ["p1"]


@scenario
async def held_commit_under_way(tenant: Tenant) -> Scenario:
    tenant.fail("domain", "commit", 1, "hang", "i")
    tenant.impacts("i", unit("p1"))
    doc = await tenant.approved("i")
    await tenant.siblings.wait_for(lambda: tenant.calls("commit") == ["i"], 10)
    yield
    yield
    await tenant.ended(doc, "finished")
    assert tenant.commits == ["i", "re1"]


@scenario
async def result_being_assessed(tenant: Tenant) -> Scenario:
    tenant.fail("discovery", "impacted", 1, "hang", "re1")
    tenant.impacts("i", unit("p1"))
    tenant.impacts("re1", unit("p2"))
    doc = await tenant.approved("i")
    await tenant.siblings.wait_for(lambda: "re1" in tenant.calls("impacted"), 10)
    yield
    yield
    await tenant.ended(doc, "finished")
    assert tenant.commits == ["i", "re1", "re2"]
    assert tenant.replays() == ["p1", "p2"]


@scenario
async def result_being_committed(tenant: Tenant) -> Scenario:
    tenant.fail("domain", "commit", 1, "hang", "re1")
    tenant.impacts("i", unit("p1"))
    tenant.impacts("re1", unit("p2"))
    doc = await tenant.approved("i")
    await tenant.siblings.wait_for(lambda: "re1" in tenant.calls("commit"), 10)
    yield
    yield
    await tenant.ended(doc, "finished")
    assert tenant.commits == ["i", "re1", "re2"]
    assert tenant.replays() == ["p1", "p2"]


@scenario
async def fork_with_another_approved_behind(tenant: Tenant) -> Scenario:
    tenant.it.mute.add(tenant.system)
    tenant.siblings.forks.add(tenant.id("fork"))
    tenant.impacts("fork", unit("p1"))
    tenant.impacts("i", unit("p2"))
    await tenant.publish("fork")
    sent = await tenant.sent(1)
    doc = await tenant.approved("i")
    await tenant.depth_is(tenant.queues.reprocessings, 1)
    yield
    yield
    await tenant.depth_is(tenant.queues.reprocessings, 1)
    assert (await tenant.proceed())["_status"] == 200
    await tenant.it.answer(sent, "r1")
    await tenant.it.answer(await tenant.sent(2), "r2")
    await tenant.ended(doc, "finished")
    assert tenant.commits == ["fork", "r1", "i", "r2"]


@scenario
async def being_cancelled(tenant: Tenant) -> Scenario:
    tenant.it.mute.add(tenant.system)
    tenant.impacts("i", unit("p1"), unit("p2"))
    doc = await tenant.approved("i")
    sent = await tenant.sent(1)
    await stored_state(tenant, doc, "sent")
    await tenant.it.decide(doc, "cancel", "carla")
    yield
    yield
    assert (await tenant.it.document(doc["id"]))["cancelling"] is True
    await tenant.it.answer(sent, "r1")
    ended = await tenant.ended(doc, "cancelled")
    assert ended["history"][-1]["user"] == "carla"
    assert tenant.commits == ["i", "r1"]


@scenario
async def failed_and_taken_up_again(tenant: Tenant) -> Scenario:
    tenant.fail("domain", "commit", 3, 422, "i")
    tenant.impacts("i", unit("p1"))
    doc = await tenant.approved("i")
    before = await tenant.ended(doc, "aborted_persist_domain_failure")
    yield
    yield
    assert await tenant.it.document(doc["id"]) == before
    await tenant.it.decide(doc, "retry")
    await tenant.ended(doc, "finished")
    assert tenant.commits == ["i", "re1"]


@scenario
async def event_being_judged(tenant: Tenant) -> Scenario:
    tenant.fail("discovery", "impacted", 1, "hang", "i1")
    await tenant.publish_all("i1", "i2", "i3")
    await tenant.siblings.wait_for(lambda: tenant.calls("impacted") == ["i1"], 10)
    yield
    yield
    await tenant.commits_are("i1", "i2", "i3")


@scenario
async def event_being_committed(tenant: Tenant) -> Scenario:
    tenant.fail("domain", "commit", 1, "hang", "i1")
    await tenant.publish_all("i1", "i2", "i3")
    await tenant.siblings.wait_for(lambda: tenant.calls("commit") == ["i1"], 10)
    yield
    yield
    await tenant.commits_are("i1", "i2", "i3")
    # A stored verdict is continued. What the former life was told of i1 is asked again once its commit is made.
    assert [one for one in tenant.calls("impacted") if one != "i1"] == ["i2", "i3"]
    assert tenant.calls("commit") == ["i1", "i1", "i2", "i3"], "it creates no rows: it is made again, once it has ended"


@scenario
async def nothing_but_events_while_down(tenant: Tenant) -> Scenario:
    id_ = await tenant.publish("before")
    await tenant.commits_are("before")
    yield
    await tenant.publish("before", celery_id=id_)
    await tenant.publish_all(*(f"i{number}" for number in range(20)))
    yield
    await tenant.siblings.wait_for(lambda: "i19" in tenant.commits, 30)
    # The last commit before a kill may be in doubt; this one creates no rows, so it is made again.
    once = tenant.commits[1:] if tenant.commits[:2] == ["before", "before"] else tenant.commits
    assert once == ["before", *(f"i{number}" for number in range(20))]
    await tenant.depth_is(tenant.queues.persist, 0)


async def watch_proceed(it: Stage, system: str, seen: list[int]) -> None:
    """Ask `proceed` again and again, also while nobody is there to answer."""
    while True:
        with suppress(aiohttp.ClientError, TimeoutError):
            seen.append((await it.get(f"/v1.0.0/gateway/{system}/proceed", ok=False))["_status"])
        await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("broker", "end"),
    [pytest.param("rabbitmq", "SIGTERM", marks=pytest.mark.rabbitmq),
     pytest.param("rabbitmq", "SIGKILL", marks=pytest.mark.rabbitmq), ("embedded", "SIGKILL")],
)  # fmt: skip
async def test_the_next_one_carries_on(request: pytest.FixtureRequest, tmp_path: Path, broker: str, end: str) -> None:
    url = request.getfixturevalue("vhost_url") if broker == "rabbitmq" else ""
    async with stage(tmp_path, url) as it:
        tenants = await asyncio.gather(*(new_tenant(it) for _ in SCENARIOS))
        under_way = [begin(tenant) for begin, tenant in zip(SCENARIOS, tenants, strict=True)]
        await asyncio.gather(*(anext(one) for one in under_way))
        seen: list[int] = []
        locked = tenants[SCENARIOS.index(replay_in_flight_answered_later)]
        watch = asyncio.create_task(watch_proceed(it, locked.system, seen))
        if end == "SIGTERM":
            assert await it.stop() == 0
        else:
            await it.kill()
        await asyncio.gather(*(anext(one) for one in under_way))
        await it.start()
        assert (await locked.proceed())["_status"] == 403
        watch.cancel()
        assert seen
        assert 200 not in seen
        outcomes = await asyncio.gather(*(anext(one, None) for one in under_way), return_exceptions=True)
        problems = {begin.__name__: what for begin, what in zip(SCENARIOS, outcomes, strict=True) if what}
        assert problems == {}


async def refusal(tenant: Tenant) -> JSON | None:
    """Return the answer to a lock check that is no answer; None while nobody listens. Nothing else is answered."""
    try:
        answer = await tenant.proceed()
    except aiohttp.ClientConnectionError:
        return None
    assert answer["_status"] == 503, answer
    return answer


@pytest.mark.rabbitmq
async def test_a_lost_store_is_not_taken_for_an_empty_one(tmp_path: Path, vhost_url: str) -> None:
    """A damaged store keeps its system shut, and says so; the others are served."""
    async with stage(tmp_path, vhost_url) as it:
        damaged, sound = await new_tenant(it), await new_tenant(it)
        damaged.impacts("i", unit("p1"))
        await damaged.publish("i")
        await damaged.pending()
        await it.stop()
        path = tmp_path / "data" / "systems" / f"{damaged.system}.db"
        path.write_bytes(b"x" * 4096 + path.read_bytes()[4096:])
        it.siblings.systems.remove(damaged.system)
        await it.start(wait=False)
        await sound.publish("i")
        await sound.siblings.wait_for(lambda: sound.commits == ["i"], 30)
        refused = await eventually(lambda: refusal(damaged), "the gateway listens, and refuses")
        assert "store" in refused["message"]
        await damaged.publish("w")
        assert damaged.commits == []

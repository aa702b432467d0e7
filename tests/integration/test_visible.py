"""What was committed a moment ago is seen by the next question, however late the platform calls it finished."""

import asyncio
import os
from zlib import crc32

import pytest

from tests.support.stage import PATIENCE, Stage, eventually, unit
from tests.support.tenant import Tenant, new_tenant

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rabbitmq]

#: Seconds until an instance is finished; None: the platform forgets it.
DELAYS = (0.0, 0.0, 0.02, 0.06, 0.3, 0.9, 2.0, 5.0, None)
SYSTEMS = 6
#: Corrections per system; more of them with MAESTRO_TEST_CORRECTIONS.
ROUNDS = int(os.environ.get("MAESTRO_TEST_CORRECTIONS", "60")) // SYSTEMS


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    return {"MAESTRO_LOG__LEVEL": "info"}


@pytest.fixture(autouse=True)
def changes(it: Stage) -> None:
    """Every commit changes a row: one that only creates rows waits for nobody."""
    metadata = {"type": "row", "rid": "r1", "branch": "master", "changeTrack": "update"}
    it.siblings.default_entities = [{"id": "r1", "_metadata": metadata}]


async def correct(tenant: Tenant) -> None:
    """Publish a result and its correction in the same moment, again and again: each correction is held."""
    for number in range(ROUNDS):
        result, correction = f"a{number}", f"c{number}"
        tenant.impacts(correction, unit(result))
        await tenant.publish_all(result, correction)
        doc = await tenant.pending()
        assert [one["instanceId"] for one in doc["units"]] == [tenant.id(result)]
        assert doc["pendingEvent"]["instanceId"] == tenant.id(correction)
        await tenant.it.decide(doc, "skip")
        assert correction not in tenant.commits


async def test_a_correction_in_the_same_moment_is_held_at_any_delay(it: Stage) -> None:
    it.siblings.finished_after = lambda instance: DELAYS[crc32(instance.encode()) % len(DELAYS)]
    tenants = [await new_tenant(it) for _ in range(SYSTEMS)]
    try:
        async with asyncio.timeout(60 + 3 * ROUNDS):
            await asyncio.gather(*map(correct, tenants))
    finally:
        it.siblings.finished_after = 0.0
    statuses = [it.siblings.status_of(tenant.id(f"a{number}")) for tenant in tenants for number in range(ROUNDS)]
    assert set(statuses) == {"finished"}


async def test_a_quick_platform_is_asked_once_for_each_event(it: Stage) -> None:
    tenant = await new_tenant(it)
    await tenant.publish_all(*(f"i{number}" for number in range(50)))
    await tenant.commits_are(*(f"i{number}" for number in range(50)))
    await eventually(lambda: nothing_owed(tenant), "all is seen")
    for call in ("impacted", "commit", "is_fork"):
        assert len(tenant.calls(call)) == 50, call
    assert tenant.calls("set_instance_status") == []


async def nothing_owed(tenant: Tenant) -> bool:
    return len(tenant.calls("is_fork")) >= len(tenant.commits)


async def test_what_is_owed_outlasts_a_kill(it: Stage) -> None:
    tenant = await new_tenant(it)
    it.siblings.finished_after = None
    it.siblings.fail("apicore", "is_fork", 9999, "hang", when=tenant.owns)
    tenant.impacts("c", unit("a"))
    await tenant.publish("a")
    await tenant.commits_are("a")
    await asyncio.sleep(0.6)  # the commit is acknowledged, the look is under way
    await it.kill()
    it.siblings.heal()
    await tenant.publish("c")
    await it.start()
    doc = await tenant.pending()
    it.siblings.finished_after = 0.0
    assert [one["instanceId"] for one in doc["units"]] == [tenant.id("a")]
    assert tenant.status_of("a") == "finished"
    await it.decide(doc, "skip")


async def test_an_instance_that_api_core_does_not_know_holds_nothing_up(it: Stage) -> None:
    tenant = await new_tenant(it)
    it.siblings.unknown.add(tenant.id("a"))
    await tenant.publish_all("a", "b")
    await tenant.siblings.wait_for(lambda: tenant.commits == ["a", "b"], PATIENCE)


async def test_a_status_text_is_never_sent_after_the_decision(it: Stage) -> None:
    tenant = await new_tenant(it)
    tenant.fail("apicore", "set_instance_status", 9999, 400)
    tenant.impacts("i", unit("p1"))
    doc = await tenant.approved("i")
    await tenant.siblings.wait_for(lambda: tenant.commits[:1] == ["i"], PATIENCE)
    it.siblings.heal()
    await tenant.ended(doc, "finished")
    await asyncio.sleep(1.5)  # the outbox would try again by now
    assert tenant.status_of("i") in (None, "finished")
    [held, *_] = [call for call in it.siblings.calls("commit") if tenant.owns(call)]
    texts = [call for call in it.siblings.calls("set_instance_status") if tenant.owns(call)]
    late = [call for call in texts if call.at > held.at and b'"finished"' not in call.body]
    assert late == []


async def test_what_is_named_before_its_own_commit_is_listed_and_judged_late(it: Stage) -> None:
    """Discovery names all who ever read the rows when the others are on closed branches, unfinished ones too."""
    tenant = await new_tenant(it)
    it.siblings.running.add(tenant.id("w"))
    tenant.impacts("c", unit("p1"), unit("w"))
    doc = await tenant.approved("c")
    shown = await tenant.ended(doc, "finished")
    assert tenant.replays() == ["p1"]
    assert shown["notFinished"] == [{"instanceId": tenant.id("w"), "branch": "master"}]
    it.siblings.running.discard(tenant.id("w"))
    await tenant.publish("w")
    late = await tenant.pending()
    assert late["late"]
    assert [one["instanceId"] for one in late["units"]] == [tenant.id("w")]

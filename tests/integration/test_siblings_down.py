"""Failing closed: a sibling that is away is never an answer, and one system's trouble is not another's."""

import asyncio

import orjson
import pytest

from maestro.broker.topology import ERROR_HEADER
from tests.support.stage import Stage, eventually, unit
from tests.support.tenant import Tenant, new_tenant

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rabbitmq]


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    return {"MAESTRO_PLATFORM__ANSWER_TIMEOUT": "4", "MAESTRO_PLATFORM__MIRROR_INTERVAL": "0.1"}


async def failed(tenant: Tenant, short: str, cause: str) -> None:
    """Check that an event went to the error queue, the platform was told, and the next one is judged."""
    [(body, headers)] = await tenant.errors(1)
    assert orjson.loads(body)["args"] == [tenant.event(short, version="7", owner="x")]
    assert cause in headers[ERROR_HEADER]
    await tenant.siblings.wait_for(lambda: len(tenant.error_events()) == 1, 10)
    [told] = tenant.error_events()
    assert told["name"] == f"{tenant.system}.persist.error"
    assert (told["instanceId"], told["branch"], told["version"]) == (tenant.id(short), "master", "7")
    assert told["tag"] == tenant.event(short)["tag"]
    assert told["payload"]["instance_id"] == tenant.id(short)
    assert told["payload"]["origin"] == tenant.event(short, version="7", owner="x")
    assert cause in told["payload"]["message"]
    await tenant.publish("next")
    await tenant.siblings.wait_for(lambda: "next" in tenant.commits, 10)
    assert short not in tenant.commits


@pytest.mark.parametrize("how", [503, "garbage", "reset", 404])
async def test_discovery_away_is_not_none_impacted(tenant: Tenant, how: int | str) -> None:
    await tenant.publish("before")
    await tenant.commits_are("before")
    tenant.fail("discovery", "impacted", 99, how, "i")
    await tenant.publish("i", version="7", owner="x")
    await failed(tenant, "i", "discovery")  # it answers about others: the fault is the event's


async def test_a_commit_that_domain_refuses_again_and_again(tenant: Tenant) -> None:
    tenant.fail("domain", "commit", 3, 500)
    await tenant.publish("i", version="7", owner="x")
    await failed(tenant, "i", "domain")
    assert await tenant.it.get(f"/v1.0.0/reprocessing/{tenant.system}/find") == []


async def test_a_commit_that_cannot_be_begun_is_tried_until_it_can(tenant: Tenant) -> None:
    tenant.fail("apicore", "domain_address", 6, 503)
    await tenant.publish_all("i", "next")
    await tenant.commits_are("i", "next")
    await tenant.depth_is(tenant.queues.persist_error, 0)


@pytest.mark.parametrize(("service", "call", "times"), [("process_memory", "origin", 8), ("apicore", "is_fork", 3)])
async def test_an_outage_while_a_document_is_made_is_waited_out(
    tenant: Tenant, service: str, call: str, times: int
) -> None:
    tenant.impacts("i", unit("p1"))
    tenant.fail(service, call, times, 400)
    await tenant.publish_all("i", "behind")
    await tenant.it.decide(await tenant.pending(), "skip")
    await tenant.commits_are("behind")
    await tenant.depth_is(tenant.queues.persist_error, 0)


async def test_api_core_away_while_a_document_is_made_is_waited_out(tenant: Tenant) -> None:
    tenant.impacts("i", unit("p1"))
    tenant.siblings.fail("apicore", "systems", 9999, 503)
    tenant.fail("apicore", "is_fork", 9999, 400)
    await tenant.publish_all("i", "behind")
    await tenant.siblings.wait_for(lambda: len(tenant.calls("is_fork")) >= 6, 30)
    tenant.siblings.heal()
    await tenant.it.decide(await tenant.pending(), "skip")
    await tenant.commits_are("behind")
    await tenant.depth_is(tenant.queues.persist_error, 0)


async def test_an_instance_that_api_core_alone_refuses(tenant: Tenant) -> None:
    tenant.impacts("i", unit("p1"))
    tenant.fail("apicore", "is_fork", 99, 400, "i")
    await tenant.publish("i", version="7", owner="x")
    await failed(tenant, "i", "apicore")  # it answers which systems there are: the fault is the event's


async def test_a_unit_without_an_origin_is_shown_as_set_aside_and_held_all_the_same(tenant: Tenant) -> None:
    tenant.impacts("i", unit("p1"))
    tenant.siblings.origins[tenant.id("p1")] = None
    await tenant.publish("i", version="7", owner="x")
    document = await tenant.pending()
    assert [one["problem"] for one in document["setAside"]] == ["no origin event"]
    assert "i" not in tenant.commits


async def test_a_short_outage_is_waited_out(tenant: Tenant) -> None:
    tenant.fail("discovery", "impacted", 2, 503)
    tenant.fail("domain", "commit", 2, "reset")
    await tenant.publish("i")
    await tenant.commits_are("i")
    await tenant.depth_is(tenant.queues.persist_error, 0)


async def test_an_error_event_that_cannot_be_sent_is_sent_later(tenant: Tenant) -> None:
    tenant.fail("event_manager", "send", 4, 503)
    tenant.fail("domain", "commit", 3, 422, "i")
    await tenant.publish("i", version="7", owner="x")
    await failed(tenant, "i", "422")


async def test_a_hanging_discovery_of_one_system_holds_up_no_other(it: Stage) -> None:
    stuck, free = await new_tenant(it), await new_tenant(it)
    stuck.fail("discovery", "impacted", 1, "hang", "i0")
    await stuck.publish_all(*(f"i{number}" for number in range(5)))
    await stuck.siblings.wait_for(lambda: stuck.calls("impacted") == ["i0"], 10)
    async with asyncio.timeout(3):
        await free.publish_all(*(f"i{number}" for number in range(50)))
        await free.siblings.wait_for(lambda: len(free.commits) == 50, 3)
    assert (await stuck.proceed())["_status"] == 200
    assert stuck.calls("impacted") == ["i0"]
    await stuck.commits_are(*(f"i{number}" for number in range(5)))


async def test_documents_are_mirrored_created_once_then_replaced(tenant: Tenant) -> None:
    tenant.impacts("i", unit("p1"), unit("p2"))
    doc = await tenant.approved("i")
    finished = await tenant.ended(doc, "finished")
    await eventually(lambda: mirrored(tenant, finished), "the last state is mirrored")
    calls = [call for call in tenant.siblings.calls("save_document") if tenant.owns(call)]
    assert [call.method for call in calls] == ["PUT", "POST", *["PUT"] * (len(calls) - 2)]
    assert tenant.siblings.inserted[doc["id"]] == 1


async def test_process_memory_that_takes_no_documents_blocks_nothing(tenant: Tenant) -> None:
    tenant.fail("process_memory", "save_document", 9999, "hang")
    tenant.impacts("i", unit("p1"))
    doc = await tenant.approved("i")
    finished = await tenant.ended(doc, "finished")
    await tenant.publish("next")
    await tenant.commits_are("i", "re1", "next")
    tenant.siblings.heal()
    await eventually(lambda: mirrored(tenant, finished), "the last state is mirrored in the end")


async def mirrored(tenant: Tenant, doc: dict[str, object]) -> bool:
    """Whether Process Memory has the document; what is to come is said to whoever asks Maestro, and not mirrored."""
    there = tenant.siblings.documents.get(str(doc["id"]))
    return there == {key: value for key, value in doc.items() if key not in ("estimate", "likely")}

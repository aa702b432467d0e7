"""Flow 3 gone wrong: each kind of failure ends clean, loses nothing, and can be taken up again where it broke off."""

import asyncio

import orjson
import pytest

from maestro.broker.topology import ERROR_HEADER
from tests.support.platform_state import Call
from tests.support.rabbitmq import RabbitMQNode
from tests.support.stage import Stage, eventually, unit
from tests.support.tenant import JSON, Tenant

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rabbitmq]


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    return {
        "MAESTRO_REPROCESSING__REPLAY_TIMEOUT": "1.5",
        "MAESTRO_REPROCESSING__OUTAGE_LIMIT": "2",
        "MAESTRO_REPROCESSING__REPLAY_ATTEMPTS": "2",
        "MAESTRO_PLATFORM__ANSWER_TIMEOUT": "2",
        "MAESTRO_PLATFORM__COMMIT_TIMEOUT": "3",
    }


async def failed(tenant: Tenant, doc: JSON, status: str, cause: str) -> JSON:
    """Wait for a failure, and check all that must come with it. One event waited behind the reprocessing."""
    found = await tenant.ended(doc, status)
    last = found["history"][-1]
    assert last["status"] == status
    assert cause in last.get("cause", "")
    *_, document = await tenant.failed_documents(sum(entry["status"] == status for entry in found["history"]))
    assert document["id"] == doc["id"]
    assert document["status"] == status
    assert document["history"] == found["history"]
    assert document["events"] == found["events"]
    assert document["pendingEvent"] == found["pendingEvent"]
    await tenant.siblings.wait_for(lambda: "waits" in tenant.commits, 10)
    await tenant.open_again()
    return found


async def running(tenant: Tenant, *units: JSON) -> JSON:
    """Let a reprocessing begin that nobody answers, and an event wait behind it."""
    tenant.it.mute.add(tenant.system)
    tenant.impacts("i", *units or (unit("p1"), unit("p2"), unit("p3")))
    doc = await tenant.approved("i")
    await tenant.publish("waits")
    return doc


async def report(tenant: Tenant, sent: JSON, **fields: object) -> JSON:
    """Report the failure of a replay as the Event Manager does."""
    error = {"name": f"{tenant.system}.calculate.error", "systemId": tenant.system, "instanceId": "re9",
             "branch": sent["branch"], "scope": "reprocessing", "reprocessing": sent["reprocessing"],
             "payload": {"message": "division by zero"}}  # fmt: skip
    return await tenant.it.post("/v1.0.0/reprocessing/failure", error | fields)


async def retried(tenant: Tenant, doc: JSON) -> JSON:
    tenant.it.mute.discard(tenant.system)
    again = await tenant.it.decide(doc, "retry", "bea")
    assert again["status"] == "approved"
    assert again["history"][-1]["user"] == "bea"
    return await tenant.ended(doc, "finished")


async def superseded(tenant: Tenant, short: str) -> None:
    """Check that an accepted result no longer counts: another event was committed before the retry."""
    [(body, headers)] = await tenant.errors(1)
    assert orjson.loads(body)["args"][0]["instanceId"] == tenant.id(short)
    assert headers[ERROR_HEADER] == "superseded"


async def test_a_reported_failure_and_its_retry(tenant: Tenant) -> None:
    doc = await running(tenant)
    await tenant.it.answer(await tenant.sent(1), "r1")
    second = await tenant.sent(2)
    assert await report(tenant, second) == {"message": "ok"}
    found = await failed(tenant, doc, "failure", "division by zero")
    assert [one["state"] for one in found["units"]] == ["done", "outstanding", "outstanding"]
    await tenant.it.answer(second, "too-late")
    await tenant.errors(1)
    await retried(tenant, doc)
    assert tenant.replays() == ["p1", "p2", "p2", "p3"]
    await tenant.commits_are("i", "r1", "waits", "re1", "re2")
    assert tenant.notifications() == ["starting", "droping", "starting", "finished"]


async def test_a_report_that_matches_nothing_changes_nothing(tenant: Tenant) -> None:
    doc = await running(tenant, unit("p1"))
    sent = await tenant.sent(1)
    ref = sent["reprocessing"]
    await report(tenant, sent, reprocessing=ref | {"send": "another"})
    await report(tenant, sent, reprocessing=ref | {"instance_id": "another"})
    await report(tenant, sent, reprocessing=ref | {"id": "another"})
    await report(tenant, sent, reprocessing=ref | {"system_id": "nobody"})
    await report(tenant, sent, reprocessing=None)
    await tenant.it.answer(sent, "r1")
    await tenant.ended(doc, "finished")


@pytest.mark.parametrize(("how", "times", "cause"), [("garbage", 3, "proxy"), (409, 3, "409"), (503, 3, "503")])
async def test_the_held_commit_fails(tenant: Tenant, how: int | str, times: int, cause: str) -> None:
    tenant.fail("domain", "commit", times, how, "i")
    doc = await running(tenant)
    found = await failed(tenant, doc, "aborted_persist_domain_failure", cause)
    assert found["heldCommitted"] is False
    assert tenant.replays() == []
    await retried(tenant, doc)
    await tenant.commits_are("waits", "i", "re1", "re2", "re3")


async def test_the_event_manager_refuses_a_replay(tenant: Tenant) -> None:
    def is_replay(call: Call) -> bool:
        return tenant.owns(call) and call.json().get("scope") == "reprocessing"

    tenant.siblings.fail("event_manager", "send", 99, 400, when=is_replay)
    doc = await running(tenant)
    await failed(tenant, doc, "failure", "made to fail with 400")
    tenant.siblings.heal()
    assert tenant.replays() == []
    await retried(tenant, doc)
    await tenant.commits_are("i", "waits", "re1", "re2", "re3")
    assert tenant.commits.count("i") == 1


async def test_no_answer_in_time(tenant: Tenant) -> None:
    doc = await running(tenant, unit("p1"))
    found = await failed(tenant, doc, "failure", "after 2 sends")
    assert tenant.replays() == ["p1", "p1"]
    first, second = (sent["reprocessing"]["send"] for sent in tenant.it.replays(tenant.system))
    assert first != second
    assert found["units"][0]["sends"] == 2
    await retried(tenant, doc)
    await tenant.commits_are("i", "waits", "re1")


async def test_an_answer_to_the_first_of_two_sends_counts(tenant: Tenant) -> None:
    doc = await running(tenant, unit("p1"))
    first = await tenant.sent(1)
    second = await tenant.sent(2)
    await tenant.it.answer(first, "r1")
    await tenant.ended(doc, "finished")
    await tenant.it.answer(second, "r2")
    await tenant.errors(1)
    await tenant.commits_are("i", "r1", "waits")


async def test_discovery_is_out_of_reach_for_a_result(tenant: Tenant) -> None:
    tenant.fail("discovery", "impacted", 99, 503, "r1")
    doc = await running(tenant)
    await tenant.it.answer(await tenant.sent(1), "r1")
    await failed(tenant, doc, "failure", "discovery")
    tenant.siblings.heal()
    assert tenant.commits == ["i", "waits"], "a result is never committed unless Discovery was asked"
    await retried(tenant, doc)
    await tenant.commits_are("i", "waits", "re1", "re2", "re3")
    await superseded(tenant, "r1")
    assert tenant.replays() == ["p1", "p1", "p2", "p3"], "another was committed since: it is computed again"


async def test_origins_of_a_cascade_are_out_of_reach(tenant: Tenant) -> None:
    tenant.impacts("r1", unit("p9"))
    tenant.impacts("re1", unit("p9"))
    tenant.siblings.fail("process_memory", "origin", 99, 503, when=lambda call: call.instance_id == tenant.id("p9"))
    doc = await running(tenant, unit("p1"))
    await tenant.it.answer(await tenant.sent(1), "r1")
    await failed(tenant, doc, "failure", "process_memory")
    tenant.siblings.heal()
    await retried(tenant, doc)
    await tenant.commits_are("i", "waits", "re1", "re2")
    await superseded(tenant, "r1")
    assert tenant.replays() == ["p1", "p1", "p9"]


async def test_domain_refuses_a_result(tenant: Tenant) -> None:
    tenant.fail("domain", "commit", 3, 422, "r1")
    doc = await running(tenant, unit("p1"))
    await tenant.it.answer(await tenant.sent(1), "r1")
    await failed(tenant, doc, "failure", "422")
    await retried(tenant, doc)
    await tenant.commits_are("i", "waits", "re1")


async def test_a_refused_notification_changes_nothing(tenant: Tenant) -> None:
    tenant.siblings.fail(
        "event_manager", "send", 99, 400, when=lambda call: tenant.owns(call) and b".reprocessing." in call.body[:200]
    )  # fmt: skip
    tenant.impacts("i", unit("p1"))
    doc = await tenant.approved("i")
    await tenant.it.reaches(doc, "finished")
    await tenant.publish("next")
    await tenant.commits_are("i", "re1", "next")
    tenant.siblings.heal()


async def test_cancel_of_a_running_one_waits_for_the_replay_in_hand(tenant: Tenant) -> None:
    doc = await running(tenant)
    sent = await tenant.sent(1)
    asked = await tenant.it.decide(doc, "cancel", "carla")
    assert (asked["status"], asked["cancelling"]) == ("running", True)
    assert (await tenant.it.post(f"/v1.0.0/reprocessing/{doc['id']}/cancel", {"user": "x"}, ok=False))["_status"] == 409
    assert (await tenant.proceed())["_status"] == 403
    await tenant.it.answer(sent, "r1")
    found = await failed(tenant, doc, "cancelled", "")
    assert found["history"][-1]["user"] == "carla"
    await tenant.commits_are("i", "r1", "waits")
    await retried(tenant, doc)
    await tenant.commits_are("i", "r1", "waits", "re1", "re2")


@pytest.mark.parametrize("end", ["failure", "time-out"])
async def test_cancel_of_a_running_one_whose_replay_fails_is_a_cancel(tenant: Tenant, end: str) -> None:
    doc = await running(tenant)
    sent = await tenant.sent(1)
    await tenant.it.decide(doc, "cancel", "carla")
    if end == "failure":
        await report(tenant, sent)
    found = await failed(tenant, doc, "cancelled", "division by zero" if end == "failure" else "in time")
    assert found["history"][-1]["user"] == "carla"
    assert tenant.replays() == ["p1"]


async def test_cancel_of_an_approved_one_is_at_once(tenant: Tenant) -> None:
    tenant.it.mute.add(tenant.system)
    tenant.siblings.forks.add(tenant.id("fork"))
    tenant.impacts("fork", unit("p1"))
    await tenant.publish("fork")
    sent = await tenant.sent(1)
    doc = await running(tenant)
    await tenant.depth_is(tenant.queues.reprocessings, 1)
    assert (await tenant.it.decide(doc, "cancel"))["status"] == "cancelled"
    await tenant.depth_is(tenant.queues.reprocessings, 0)
    await tenant.failed_documents(1)
    await tenant.siblings.wait_for(lambda: "waits" in tenant.commits, 10)
    await tenant.it.answer(sent, "r1")
    await tenant.commits_are("fork", "waits", "r1")

    async def told() -> bool:
        return sorted(tenant.notifications()) == ["droping", "finished", "starting"]

    await eventually(told, "both ends are told")
    await retried(tenant, doc)
    await tenant.commits_are("fork", "waits", "r1", "i", "re1", "re2", "re3")


@pytest.mark.parametrize("status", ["failure", "finished"])
async def test_set_status_of_a_running_one_stops_it_now(tenant: Tenant, status: str) -> None:
    doc = await running(tenant)
    sent = await tenant.sent(1)
    path = f"/v1.0.0/reprocessing/set_status?id={doc['id']}&status="
    for illegal in ("approved", "skipped", "cancelled", "pending_approval"):
        assert (await tenant.it.post(path + illegal, ok=False))["_status"] == 409, illegal
    assert (await tenant.it.post(f"{path}{status}&user=dora"))["status"] == status
    found = await tenant.ended(doc, status)
    assert found["history"][-1]["user"] == "dora"
    await tenant.it.answer(sent, "late")
    await tenant.errors(1)
    await tenant.commits_are("i", "waits")
    await tenant.depth_is(tenant.queues.reprocessings_error, 0 if status == "finished" else 1)
    assert (await tenant.it.post(path + "finished", ok=False))["_status"] == 409
    if status == "failure":
        await retried(tenant, doc)
        await tenant.commits_are("i", "waits", "re1", "re2", "re3")
    else:
        assert (await tenant.it.post(f"/v1.0.0/reprocessing/{doc['id']}/retry", {"user": "x"}, ok=False))[
            "_status"
        ] == 409


async def test_set_status_overrules_a_result_that_was_accepted(tenant: Tenant) -> None:
    """Finished by hand while the result's commit hangs and then fails: it is on the error queue, nothing lost."""
    tenant.fail("domain", "commit", 9, "hang", "r1")
    doc = await running(tenant, unit("p1"))
    await tenant.it.answer(await tenant.sent(1), "r1")
    await tenant.siblings.wait_for(lambda: "r1" in tenant.calls("commit"), 10)
    await tenant.it.post(f"/v1.0.0/reprocessing/set_status?id={doc['id']}&status=finished")
    await tenant.ended(doc, "finished")
    await tenant.errors(1)
    await tenant.commits_are("i", "waits")


async def test_set_status_waits_for_the_commit_in_flight(tenant: Tenant) -> None:
    """It cannot be taken back: its answer is awaited under the lock, and what it did is on record."""
    doc = await running(tenant, unit("p1"), unit("p2"))
    tenant.siblings.slow["commit"] = 1.0
    await tenant.it.answer(await tenant.sent(1), "r1")
    await tenant.siblings.wait_for(lambda: "r1" in tenant.calls("commit"), 10)
    path = f"/v1.0.0/reprocessing/set_status?id={doc['id']}&status=finished"
    override = asyncio.create_task(tenant.it.post(path))
    assert (await tenant.proceed())["_status"] == 403
    assert (await override)["id"] == doc["id"]
    found = await tenant.ended(doc, "finished")
    tenant.siblings.slow.clear()
    assert [one["state"] for one in found["units"]] == ["done", "outstanding"]
    await tenant.commits_are("i", "r1", "waits")
    await tenant.depth_is(tenant.queues.persist_error, 0)


async def test_the_broker_refuses_the_units(tenant: Tenant, rabbitmq_node: RabbitMQNode) -> None:
    """A queue that takes no more (a policy of the operator's) nacks: nothing was committed, so nothing is half done."""
    set_limit(rabbitmq_node, tenant, limited=True)
    doc = await running(tenant)
    found = await failed(tenant, doc, "aborted_split_events_failure", "nack")
    assert found["heldCommitted"] is False
    assert tenant.commits == ["waits"]
    set_limit(rabbitmq_node, tenant, limited=False)
    await retried(tenant, doc)
    await tenant.commits_are("waits", "i", "re1", "re2", "re3")


def set_limit(node: RabbitMQNode, tenant: Tenant, *, limited: bool) -> None:
    vhost, name = f'<<"{tenant.it.vhost}">>', f'<<"limit-{tenant.system}">>'
    definition = r'<<"{\"max-length\":0,\"overflow\":\"reject-publish\"}">>'
    pattern = f'<<"^{tenant.queues.events}$">>'
    if limited:
        node.eval(f'rabbit_policy:parse_set({vhost}, {name}, {pattern}, {definition}, 0, <<"queues">>, <<"tests">>)')
    else:
        node.eval(f'rabbit_policy:delete({vhost}, {name}, <<"tests">>)')


@pytest.mark.parametrize("deleted", [("events", "control"), ("events",), ("control",)], ids="+".join)
async def test_a_queue_that_was_deleted_is_declared_again(
    tenant: Tenant, it: Stage, rabbitmq_node: RabbitMQNode, deleted: tuple[str, ...]
) -> None:
    tenant.it.mute.add(tenant.system)
    queues = [getattr(tenant.queues, name) for name in deleted]
    for queue in queues:  # a new system's are declared in a debounce
        await tenant.depth_is(queue, 0)
    for queue in queues:
        rabbitmq_node.delete_queue(it.vhost, queue)
    tenant.impacts("i", unit("p1"))
    doc = await tenant.approved("i")
    await tenant.it.answer(await tenant.sent(1), "r1")
    await tenant.ended(doc, "finished")

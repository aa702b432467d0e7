"""Flow 2 and the decision of flow 3: approve, skip, who may decide what, forks and auto-approval."""

import asyncio

import pytest
import pytest_asyncio

from tests.support.stage import Stage, eventually, unit
from tests.support.tenant import JSON, Tenant, new_tenant

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    return {"AUTO_REPROCESSING_auto": "yes", "AUTO_REPROCESSING_autofork": "1", "AUTO_REPROCESSING_off": ""}


@pytest_asyncio.fixture(loop_scope="module")
async def tenant(on_both: Stage) -> Tenant:
    return await new_tenant(on_both)


async def decide(tenant: Tenant, doc: JSON, how: str, user: str = "ana") -> JSON:
    return await tenant.it.post(f"/v1.0.0/reprocessing/{doc['id']}/{how}", {"user": user}, ok=False)


async def held(tenant: Tenant, short: str = "i") -> JSON:
    tenant.impacts(short, unit("p1"))
    await tenant.publish(short)
    return await tenant.pending()


async def test_nothing_pending_is_an_empty_list(tenant: Tenant) -> None:
    assert await tenant.it.get(f"/v1.0.0/reprocessing/{tenant.system}/pending") == []
    assert await tenant.it.get(f"/v1.0.0/reprocessing/{tenant.system}/find") == []
    assert await tenant.it.get("/v1.0.0/reprocessing/no-such-system/pending") == []


async def test_skip_drops_the_commit_tells_and_drains(tenant: Tenant) -> None:
    doc = await held(tenant)
    await tenant.siblings.wait_for(lambda: tenant.status_of("i") == "reprocessing_pending_approval", 10)
    await tenant.publish("later")
    await tenant.waits(1)
    skipped = await tenant.it.decide(doc, "skip", "bea")
    assert skipped["status"] == "skipped"
    assert skipped["history"][-1]["user"] == "bea"
    await tenant.commits_are("later")
    await tenant.siblings.wait_for(lambda: tenant.status_of("i") == "reprocessing_skipped", 10)
    await tenant.open_again()
    assert tenant.commits == ["later"]
    assert tenant.notifications() == []
    assert tenant.replays() == []


async def test_a_status_text_that_cannot_be_told_blocks_nothing_and_is_told_later(tenant: Tenant) -> None:
    tenant.fail("apicore", "set_instance_status", 4, 503)
    doc = await held(tenant)
    await tenant.it.decide(doc, "skip")
    await tenant.publish("later")
    await tenant.commits_are("later")
    await tenant.siblings.wait_for(lambda: tenant.status_of("i") == "reprocessing_skipped", 20)


async def test_refused_decisions_say_why(tenant: Tenant) -> None:
    unknown = {"id": "0d5f2f0e-7a3b-8c00-9000-000000000000"}
    assert (await decide(tenant, unknown, "approve"))["_status"] == 404
    assert (await decide(tenant, {"id": "x"}, "skip"))["_status"] == 404
    doc = await held(tenant)
    path = f"/v1.0.0/reprocessing/{doc['id']}/approve"
    for body in ({}, {"user": ""}, {"user": 7}, {"user": "  "}, None, []):
        refused = await tenant.it.post(path, body, ok=False)
        assert refused["_status"] == 400, body
        assert refused["status"] == "400"
        assert refused["message"]
    assert (await decide(tenant, doc, "cancel"))["_status"] == 409
    assert (await decide(tenant, doc, "retry"))["_status"] == 409
    assert (await decide(tenant, doc, "skip", "bea"))["_status"] == 200
    late = await decide(tenant, doc, "approve", "carla")
    assert late["_status"] == 409
    when = (await tenant.it.document(doc["id"]))["history"][-1]["timestamp"]
    for fact in ("skipped", "bea", when):
        assert fact in late["message"]


async def test_of_many_decisions_at_once_one_wins(tenant: Tenant) -> None:
    doc = await held(tenant)
    users = [f"user{number}" for number in range(8)]
    answers = await asyncio.gather(
        *(decide(tenant, doc, "approve" if number % 2 else "skip", user) for number, user in enumerate(users))
    )
    won = [(user, answer) for user, answer in zip(users, answers, strict=True) if answer["_status"] == 200]
    assert len(won) == 1
    assert {answer["_status"] for answer in answers} == {200, 409}
    assert (await tenant.it.document(doc["id"]))["history"][1]["user"] == won[0][0]


async def test_find_lists_by_status(tenant: Tenant) -> None:
    first = await held(tenant, "i1")
    await tenant.it.decide(first, "skip")
    second = await held(tenant, "i2")
    find = f"/v1.0.0/reprocessing/{tenant.system}/find"
    assert [one["id"] for one in await tenant.it.get(find)] == [first["id"], second["id"]]
    assert [one["id"] for one in await tenant.it.get(f"{find}?status=skipped")] == [first["id"]]
    assert await tenant.it.get(f"{find}?status=failure") == []
    assert (await tenant.it.get(f"{find}?status=nonsense", ok=False))["_status"] == 400


async def test_auto_approval_runs_with_lock(on_both: Stage) -> None:
    tenant = await new_tenant(on_both, "auto")
    tenant.it.mute.add("auto")
    tenant.impacts("i", unit("p1"))
    await tenant.publish("i")
    sent = await tenant.sent(1)
    locked = await tenant.proceed()
    assert locked["_status"] == 403
    assert locked["owner"] == "platform"
    await tenant.it.answer(sent, "r1")
    await tenant.commits_are("i", "r1")
    [doc] = await tenant.it.get("/v1.0.0/reprocessing/auto/find")
    finished = await tenant.ended(doc, "finished")
    assert [(one["status"], one["user"]) for one in finished["history"]] == [
        ("pending_approval", "maestro"), ("approved", "platform"), ("running", "maestro"), ("finished", "maestro"),
    ]  # fmt: skip
    assert finished["forking"] is False


async def test_an_empty_auto_approval_is_none(on_both: Stage) -> None:
    assert (await held(await new_tenant(on_both, "off")))["status"] == "pending_approval"


@pytest.mark.parametrize("system", ["", "autofork"])
async def test_a_fork_runs_without_lock_and_others_are_judged_meanwhile(on_both: Stage, system: str) -> None:
    tenant = await new_tenant(on_both, system)
    tenant.it.mute.add(tenant.system)
    tenant.siblings.forks.add(tenant.id("i"))
    tenant.impacts("i", unit("p1"))
    await tenant.publish("i")
    sent = await tenant.sent(1)
    assert (await tenant.proceed())["_status"] == 200
    await tenant.publish("other")
    await tenant.commits_are("i", "other")
    [doc] = await tenant.it.get(f"/v1.0.0/reprocessing/{tenant.system}/find")
    assert (doc["status"], doc["forking"]) == ("running_without_lock", True)
    await tenant.it.answer(sent, "r1")
    finished = await tenant.ended(doc, "finished")
    assert [(one["status"], one["user"]) for one in finished["history"]] == [
        ("pending_approval", "maestro"), ("approved", "platform:open_branch"),
        ("running_without_lock", "maestro"), ("finished", "maestro"),
    ]  # fmt: skip
    assert tenant.notifications() == ["starting", "finished"]


async def test_what_is_approved_behind_a_fork_starts_when_the_fork_is_over(tenant: Tenant) -> None:
    tenant.it.mute.add(tenant.system)
    tenant.siblings.forks.add(tenant.id("fork"))
    tenant.impacts("fork", unit("p1"))
    await tenant.publish("fork")
    sent = await tenant.sent(1)
    doc = await held(tenant, "i")
    await tenant.it.decide(doc, "approve")
    await tenant.publish("later")
    await tenant.waits(1)
    await tenant.depth_is(tenant.queues.reprocessings, 1)
    assert tenant.commits == ["fork"]
    await tenant.it.answer(sent, "r1")
    second = await tenant.sent(2)
    assert (await tenant.proceed())["_status"] == 403
    await tenant.it.answer(second, "r2")
    await tenant.commits_are("fork", "r1", "i", "r2", "later")
    await tenant.ended(doc, "finished")


async def test_set_status_of_a_pending_one_decides_it(tenant: Tenant) -> None:
    doc = await held(tenant)
    path = f"/v1.0.0/reprocessing/set_status?id={doc['id']}"
    for status, code in (("finished", 409), ("failure", 409), ("running", 409), ("nonsense", 400)):
        assert (await tenant.it.post(f"{path}&status={status}", ok=False))["_status"] == code, status
    assert (await tenant.it.post(f"{path}&status=skipped&user=bea"))["status"] == "skipped"
    assert (await tenant.it.post(f"{path}&status=approved", ok=False))["_status"] == 409
    again = await held(tenant, "i2")
    await tenant.it.post(f"/v1.0.0/reprocessing/set_status?id={again['id']}&status=approved")
    await tenant.ended(again, "finished")
    await tenant.commits_are("i2", "re1")
    assert (await tenant.it.post("/v1.0.0/reprocessing/set_status?id=none&status=skipped", ok=False))["_status"] == 404


async def test_a_set_status_of_an_approved_one_takes_it_out_of_the_line(tenant: Tenant) -> None:
    tenant.it.mute.add(tenant.system)
    tenant.siblings.forks.add(tenant.id("fork"))
    tenant.impacts("fork", unit("p1"))
    await tenant.publish("fork")
    sent = await tenant.sent(1)
    doc = await held(tenant, "i")
    await tenant.it.decide(doc, "approve")
    await tenant.depth_is(tenant.queues.reprocessings, 1)
    path = f"/v1.0.0/reprocessing/set_status?id={doc['id']}"
    assert (await tenant.it.post(f"{path}&status=failure"))["status"] == "failure"
    await tenant.depth_is(tenant.queues.reprocessings, 0)
    await tenant.failed_documents(1)
    await tenant.it.answer(sent, "r1")

    async def told() -> bool:
        return sorted(tenant.notifications()) == ["droping", "finished", "starting"]

    await eventually(told, "both ends are told")
    await tenant.open_again()
    assert tenant.commits == ["fork", "r1"]

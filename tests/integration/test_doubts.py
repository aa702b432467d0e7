"""Commits that nothing proves, at the gateway and on the command line: shown, not made again, resolved by a person."""

import pytest

from maestro.broker.topology import DOUBT_HEADER, ERROR_HEADER
from tests.support.cli import maestro
from tests.support.stage import unit
from tests.support.tenant import JSON, Tenant

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rabbitmq]


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    return {"MAESTRO_PLATFORM__PROOF_MAP": "false"}


def creates(tenant: Tenant, short: str) -> None:
    metadata = {"type": "conta", "changeTrack": "create", "branch": "master"}
    tenant.siblings.entities[tenant.id(short)] = [{"id": short, "_metadata": metadata}]


async def doubts(tenant: Tenant) -> list[JSON]:
    found: list[JSON] = (await tenant.it.get(f"/v1.0.0/systems/{tenant.system}/doubts"))["doubts"]
    return found


async def resolve(tenant: Tenant, key: str, verdict: str) -> JSON:
    body = {"user": "ana", "reason": "looked into the domain", "verdict": verdict}
    return await tenant.it.post(f"/v1.0.0/systems/{tenant.system}/doubts/{key}", body)


async def left_in_doubt(tenant: Tenant) -> tuple[str, JSON]:
    """Domain stores an event's data and fails then; nothing proves that. Return the event's id, and the doubt."""
    creates(tenant, "i")
    tenant.fail("domain", "commit", 1, "applied_then_fail", "i")
    id_ = await tenant.publish("i")
    [(_, headers)] = await tenant.errors(1)
    assert headers[ERROR_HEADER].startswith("commit in doubt: domain.commit: answered 500")
    [doubt] = await doubts(tenant)
    assert headers[DOUBT_HEADER] == doubt["key"]
    assert (doubt["use"], doubt["instanceId"], doubt["state"]) == ("event", tenant.id("i"), "open")
    return id_, doubt


async def redrive(tenant: Tenant, **which: object) -> JSON:
    return await tenant.it.post(f"/v1.0.0/systems/{tenant.system}/errors/redrive", {"user": "ana", **which})


async def test_it_is_never_made_again_and_others_go_on(tenant: Tenant) -> None:
    id_, doubt = await left_in_doubt(tenant)
    await tenant.publish("next")
    await tenant.commits_are("i", "next")
    assert (await redrive(tenant, all=True))["redriven"] == 0
    assert (await redrive(tenant, ids=[id_]))["redriven"] == 1
    [(_, headers)] = await tenant.errors(1)
    assert headers[DOUBT_HEADER] == doubt["key"]
    assert tenant.commits == ["i", "next"]


async def test_what_was_made_is_dropped_when_it_is_given_back(tenant: Tenant) -> None:
    id_, doubt = await left_in_doubt(tenant)
    said = await resolve(tenant, doubt["key"], "made")
    assert (said["verdict"], said["user"]) == ("made", "ana")
    assert await doubts(tenant) == []
    await redrive(tenant, ids=[id_])
    await tenant.depth_is(tenant.queues.persist_error, 0)
    await tenant.publish("next")
    await tenant.commits_are("i", "next")


async def test_on_the_command_line(tenant: Tenant) -> None:
    _, doubt = await left_in_doubt(tenant)
    listed = await maestro(tenant.it, "doubts", "list", tenant.system)
    assert (listed.code, tenant.id("i") in listed.out, "open" in listed.out) == (0, True, True)
    command = ("doubts", "resolve", tenant.system, doubt["key"])
    assert (await maestro(tenant.it, *command, "--made", "--yes")).code == 2
    assert (await maestro(tenant.it, *command, "--reason", "looked", "--yes")).code == 2
    said = await maestro(tenant.it, *command, "--made", "--reason", "looked", "--user", "ana", "--yes")
    assert (said.code, "made, by ana" in said.out) == (0, True)
    again = await maestro(tenant.it, *command, "--made", "--reason", "looked", "--user", "ana", "--yes")
    assert (again.code, "already resolved: made by ana" in again.err) == (5, True)


async def test_what_is_to_be_made_again_is_judged_when_it_is_given_back(tenant: Tenant) -> None:
    id_, doubt = await left_in_doubt(tenant)
    await resolve(tenant, doubt["key"], "make_again")
    await redrive(tenant, ids=[id_])
    await tenant.commits_are("i", "i")


async def test_a_document_is_not_retried_before_its_doubt_is_resolved(tenant: Tenant) -> None:
    creates(tenant, "i")
    tenant.impacts("i", unit("p1"))
    tenant.fail("domain", "commit", 1, "applied_then_fail", "i")
    doc = await tenant.approved("i")
    found = await tenant.ended(doc, "aborted_persist_domain_failure")
    assert found["history"][-1]["cause"].startswith("commit in doubt: ")
    refused = await tenant.it.post(f"/v1.0.0/reprocessing/{doc['id']}/retry", {"user": "ana"}, ok=False)
    assert refused["_status"] == 409
    assert "commit in doubt" in refused["message"]
    await resolve(tenant, doc["id"], "made")
    await tenant.it.decide(doc, "retry")
    await tenant.ended(doc, "finished")
    assert tenant.commits[0] == "i"
    assert tenant.commits.count("i") == 1

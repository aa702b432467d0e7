"""The ledger: what Discovery never names again is found by the rows."""

from typing import Any

import pytest
import pytest_asyncio

from tests.support.stage import Stage, unit
from tests.support.tenant import Tenant, new_tenant

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def tenant(on_both: Stage) -> Tenant:
    return await new_tenant(on_both)


def row(id_: str, writer: str = "", track: str | None = None) -> dict[str, Any]:
    metadata = {"type": "conta", "rid": f"r-{id_}", "branch": "master", "instance_id": writer, "changeTrack": track}
    return {"id": id_, "saldo": 1, "_metadata": metadata}


def changes(tenant: Tenant, instance: str, *ids: str) -> None:
    tenant.it.siblings.entities[tenant.id(instance)] = [row(id_, track="update") for id_ in ids]


def reads(tenant: Tenant, instance: str, **versions: str) -> None:
    rows = [row(id_, tenant.id(writer)) for id_, writer in versions.items()]
    tenant.it.siblings.heads[tenant.id(instance)] = {"dataset": {"entities": {"conta": rows}}}


async def test_the_same_value_corrected_again_and_again_names_its_reader_each_time(tenant: Tenant) -> None:
    """Discovery names p1 for the first correction, and nobody for the others, as the real one does."""
    tenant.impacts("c1", unit("p1"))
    for number in range(1, 6):
        changes(tenant, f"c{number}", "c7")
        reads(tenant, f"re{number}", c7=f"c{number}")
        finished = await tenant.ended(await tenant.approved(f"c{number}"), "finished")
        [one] = finished["units"]
        assert one["instanceId"] == tenant.id("p1")
        assert one["named"] == ("discovery" if number == 1 else "ledger")
    assert tenant.replays() == ["p1"] * 5


async def test_a_reader_that_writes_the_row_itself_is_not_held(tenant: Tenant) -> None:
    tenant.impacts("c1", unit("p1"))
    changes(tenant, "c1", "total")
    written = row("total", tenant.id("c1"), "update")
    tenant.it.siblings.heads[tenant.id("re1")] = {"dataset": {"entities": {"conta": [written]}}}
    await tenant.ended(await tenant.approved("c1"), "finished")
    changes(tenant, "c2", "total")
    await tenant.publish("c2")
    await tenant.commits_are("c1", "re1", "c2")


async def test_before_the_first_run_nobody_is_asked_for_rows(tenant: Tenant) -> None:
    for number in range(3):
        await tenant.publish(f"i{number}")
    await tenant.commits_are("i0", "i1", "i2")
    assert not [call for call in tenant.it.siblings.calls("entities") if tenant.system in call.instance_id]


async def test_a_result_that_missed_a_correction_is_listed_and_replayed_late(tenant: Tenant) -> None:
    """w computed before the correction that was being decided, and waited for it."""
    tenant.impacts("c1", unit("p1"))
    changes(tenant, "c1", "c7")
    reads(tenant, "re1", c7="c1")
    reads(tenant, "w", c7="before")
    reads(tenant, "re2", c7="c1")
    await tenant.publish("c1")
    doc = await tenant.pending()
    await tenant.publish("w")
    await tenant.waits(1)
    await tenant.it.decide(doc, "approve")
    await tenant.ended(doc, "finished")
    await tenant.commits_are("c1", "re1", "w")

    late = await tenant.pending()
    assert late["late"] is True
    assert [(one["instanceId"], one["missed"]) for one in late["units"]] == [(tenant.id("w"), [tenant.id("c1")])]
    listed = await tenant.it.get(f"/v1.0.0/systems/{tenant.system}/stale?state=stale")
    assert [one["reprocessing"] for one in listed["stale"]] == [late["id"]]
    await tenant.it.decide(late, "approve")
    await tenant.ended(late, "finished")
    await tenant.commits_are("c1", "re1", "w", "re2")
    assert (await tenant.it.get(f"/v1.0.0/systems/{tenant.system}/stale?state=stale"))["total"] == 0

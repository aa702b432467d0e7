"""What a reprocessing changed, told over HTTP and on the command line."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.cli import maestro
from tests.support.stage import Stage, eventually, stage, unit
from tests.support.tenant import Tenant, new_tenant

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def it(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with stage(tmp_path_factory.mktemp("stage")) as shared:
        yield shared


def dataset(*rows: tuple[str, float, str | None]) -> dict[str, Any]:
    told = [
        {"id": id_, "nome": f"Conta {id_}", "saldo": saldo, "_metadata": {"type": "conta", "changeTrack": track}}
        for id_, saldo, track in rows
    ]
    return {"dataset": {"entities": {"conta": told}}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def finished(it: Stage) -> tuple[Tenant, dict[str, Any]]:
    """A run of three replays: one changed a value and left another, one added a row, of one there is no history."""
    tenant = await new_tenant(it, "sysO")
    tenant.impacts("c1", unit("p1"), unit("p2"), unit("p3"))
    known = it.siblings
    known.read[tenant.id("re1")] = dataset(("a", 100, None), ("b", 7, None))
    known.heads[tenant.id("re1")] = dataset(("a", 112.4, "update"), ("b", 7, "update"))
    known.read[tenant.id("re2")], known.heads[tenant.id("re2")] = dataset(), dataset(("new", 3, "create"))
    return tenant, await tenant.ended(await tenant.approved("c1"), "finished")


async def test_over_http(it: Stage, finished: tuple[Tenant, dict[str, Any]]) -> None:
    _, doc = finished
    told = await it.get(f"/v1.0.0/reprocessing/{doc['id']}/outcome")
    summary = told["summary"]
    assert (summary["replayed"], summary["compared"], summary["failed"], summary["pending"]) == (3, 2, 1, 0)
    assert (summary["changed"], summary["added"], summary["largest"]["percent"]) == (1, 1, 12.4)
    first, second, third = told["units"]
    assert (first["changed"], first["same"], second["added"]) == (1, 1, 1)
    assert third["problem"] == "Process Memory has no history of its replay"
    page = await it.get(f"/v1.0.0/reprocessing/{doc['id']}/outcome?after=1&limit=1")
    assert ([one["instanceId"] for one in page["units"]], page["next"]) == ([second["instanceId"]], 2)


async def test_on_the_command_line(it: Stage, finished: tuple[Tenant, dict[str, Any]]) -> None:
    tenant, doc = finished
    ran = await maestro(it, "outcome", doc["id"][:12])
    assert ran.code == 0, ran
    assert ran.out.splitlines()[0] == "1 value changed, largest +12.4 %, 1 row added (2 results compared)"
    assert "1 result cannot be compared: Process Memory has no history" in ran.out
    assert "added, replaces nothing" in ran.out
    [line] = [one for one in ran.out.splitlines() if one.startswith("conta") and "112.4" in one]
    assert line.split() == ["conta", "Conta", "a", "saldo", "100", "112.4", "+12.4", "+12.4", "%"]

    ran = await maestro(it, "outcome", doc["id"], "--json", "--limit", "1")
    assert ran.json["summary"]["changed"] == 1
    assert len(ran.json["units"]) == 1

    ran = await maestro(it, "outcome", doc["id"], "--csv")
    lines = list(csv.DictReader(io.StringIO(ran.out)))
    assert [one["instance_id"] for one in lines[:1]] == [tenant.id("p1")]
    assert [(one["before"], one["after"], one["percent"]) for one in lines if one["change"] == "changed"] == [
        ("100", "112.4", "12.4")
    ]
    assert lines[-1]["problem"] == "Process Memory has no history of its replay"
    assert (await maestro(it, "outcome", doc["id"], "--csv", "--json")).code == 2


async def test_what_was_overwritten_is_listed_with_both_values(it: Stage) -> None:
    """w computed a row before a correction of it was decided, waited, and replaced the corrected value."""
    tenant = await new_tenant(it, "sysW")
    tenant.impacts("c1", unit("p1"))
    known = it.siblings

    def written(instance: str, saldo: float, writer: str) -> None:
        about = {"type": "conta", "branch": "master", "changeTrack": "update", "instance_id": tenant.id(writer)}
        row = {"id": "c7", "nome": "Caixa", "saldo": saldo, "_metadata": about}
        known.read[tenant.id(instance)] = {"dataset": {"entities": {"conta": [row]}}}
        known.heads[tenant.id(instance)] = {"dataset": {"entities": {"conta": [row]}}}
        known.entities[tenant.id(instance)] = [row]

    written("c1", 200, "before")
    written("w", 150, "before")
    await tenant.publish("c1")
    doc = await tenant.pending()
    await tenant.publish("w")
    await tenant.waits(1)
    await it.decide(doc, "approve")
    await tenant.ended(doc, "finished")
    await tenant.commits_are("c1", "re1", "w")

    async def listed() -> Any:
        return (await it.get("/v1.0.0/systems/sysW/stale?state=overwrite&values=true"))["stale"]

    [one] = await eventually(listed, "the overwrite is listed")
    assert one["instanceId"] == tenant.id("w")
    [value] = one["overwrite"]["values"]
    assert [value[name] for name in ("field", "before", "after", "percent", "by")] == [
        "saldo", 200, 150, -25.0, tenant.id("c1"),
    ]  # fmt: skip
    ran = await maestro(it, "stale", "sysW", "--state", "overwrite", "--values")
    [line] = [one for one in ran.out.splitlines() if "Caixa" in one]
    assert line.split() == ["conta", "Caixa", "saldo", "200", "150", "-50", "-25.0", "%", tenant.id("c1")]
    assert "replaced what it had not seen" in ran.out

"""The decision report of a run, made over HTTP and on the command line."""

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.support.cli import maestro
from tests.support.stage import Stage, stage, unit
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
    """An approved run of two replays: one changed a value, the other brought in a third by a cascade."""
    tenant = await new_tenant(it, "sysR")
    tenant.impacts("c1", unit("p1"), unit("p2"))
    tenant.impacts("re2", unit("p3"))
    known = it.siblings
    known.entities[tenant.id("c1")] = [
        {"id": "a", "saldo": 5, "before": {"saldo": 5}, "_metadata": {"type": "conta", "changeTrack": "update"}}
    ]
    known.read[tenant.id("c1")] = dataset(("a", 4, None))
    known.heads[tenant.id("c1")] = dataset(("a", 5, "update"))
    known.read[tenant.id("re1")] = dataset(("a", 100, None))
    known.heads[tenant.id("re1")] = dataset(("a", 1012.4, "update"))
    for replay in ("re2", "re3"):
        known.read[tenant.id(replay)] = known.heads[tenant.id(replay)] = dataset(("b", 7, None))
    await tenant.publish("c1")
    doc = await tenant.pending()
    await it.post(f"/v1.0.0/reprocessing/{doc['id']}/approve", {"user": "ana", "reason": "<b>mistyped</b>"})
    return tenant, await tenant.ended(doc, "finished")


async def page(it: Stage, doc: dict[str, Any], language: str = "", **query: str) -> tuple[str, dict[str, str]]:
    path = f"{it.url}/v1.0.0/reprocessing/{doc['id']}/report"
    async with it.http.get(path, params=query, headers={"Accept-Language": language}) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.text(), dict(answer.headers)


async def test_the_page_tells_the_whole_story_in_both_languages(
    it: Stage, finished: tuple[Tenant, dict[str, Any]]
) -> None:
    tenant, doc = finished
    english, headers = await page(it, doc)
    assert "&lt;b&gt;mistyped&lt;/b&gt;" in english
    assert "<script" not in english
    assert "<b>" not in english
    for said in (tenant.system, doc["id"], "approved", "ana", "1,012.4", "+912.4%", "3 replays were made",
                 "result 2", headers["X-Report-Digest"]):  # fmt: skip
        assert said in english, said
    assert "would have made 2 results wrong" in english, "the third one came by the cascade"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert (headers["Content-Language"], headers["Cache-Control"]) == ("en", "no-store")
    for portuguese, told in (await page(it, doc, "fr, pt;q=0.9, en;q=0.5"), await page(it, doc, language="pt-BR")):
        assert told["Content-Language"] == "pt-BR"
        assert "1.012,4" in portuguese
        assert "3 reexecuções foram feitas" in portuguese
        assert told["X-Report-Digest"] == headers["X-Report-Digest"], "the same facts"


async def test_the_digest_is_that_of_the_form_and_stands_in_the_audit_log(
    it: Stage, finished: tuple[Tenant, dict[str, Any]]
) -> None:
    _, doc = finished
    _, headers = await page(it, doc)
    async with it.http.get(f"{it.url}/v1.0.0/reprocessing/{doc['id']}/report.json") as answer:
        form = await answer.read()
    facts = json.loads(form)
    assert hashlib.sha256(form).hexdigest() == headers["X-Report-Digest"]
    assert json.dumps(facts, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode() == form
    assert [one["status"] for one in facts["decided"]["entries"]] == [entry["status"] for entry in doc["history"]]
    assert (facts["ran"]["states"], facts["shown"]["units"], facts["ran"]["cascaded"]) == ({"done": 3}, 2, 1)
    assert facts["shown"]["digest"] != doc["digest"], "the preview was of two units"
    assert facts["asked"]["writes"]["rows"] == [
        {"type": "conta", "id": "a", "change": "changed", "is": "5", "was": "Conta a · 4"}
    ], "what the domain has now is what the commit wrote"
    log = (await it.get("/v1.0.0/audit?limit=1000"))["entries"]
    made = [one for one in log if one["what"].startswith("report") and one["target"] == doc["id"]]
    assert {one["what"] for one in made} == {"report", "report_json"}
    for one in made:
        assert (one["system"], one["outcome"]) == ("sysR", "done")
        assert one["facts"]["digest"] == headers["X-Report-Digest"]


async def test_what_is_not_decided_yet_is_reported_as_it_is_shown(it: Stage) -> None:
    tenant = await new_tenant(it, "sysP")
    tenant.impacts("c1", unit("p1"))
    await tenant.publish("c1")
    doc = await tenant.pending()
    told, _ = await page(it, doc)
    assert "it would make 1 result wrong. Nobody has decided yet." in told
    facts = await it.get(f"/v1.0.0/reprocessing/{doc['id']}/report.json")
    assert (facts["shown"]["digest"], facts["ran"]["committed"]) == (doc["digest"], False)
    [one] = facts["units"]["first"]
    assert one["read"] is not None
    await it.post(f"/v1.0.0/reprocessing/{doc['id']}/skip", {"user": "ana", "reason": "a duplicate"})
    told, _ = await page(it, doc)
    assert "ana: skipped" in told
    assert "Reason: a duplicate" in told


async def test_on_the_command_line(it: Stage, finished: tuple[Tenant, dict[str, Any]], tmp_path: Path) -> None:
    tenant, doc = finished
    path = tmp_path / "report.html"
    ran = await maestro(it, "report", tenant.system, doc["id"][:12], "--output", str(path), "--language", "pt-BR")
    assert ran.code == 0, ran
    text = path.read_text("utf-8")
    assert '<html lang="pt-BR">' in text
    digest = ran.out.split()[-1]
    assert digest in text
    assert path.stat().st_mode & 0o077 == 0, "its owner's alone"

    form = await maestro(it, "report", tenant.system, doc["id"], "--json")
    assert hashlib.sha256(form.out.encode()).hexdigest() == digest
    page = await maestro(it, "report", tenant.system, doc["id"])
    assert page.out.startswith("<!DOCTYPE html>")
    assert '<html lang="en">' in page.out
    spoken = await maestro(it, "report", tenant.system, doc["id"], MAESTRO_LANGUAGE="pt_BR.UTF-8")
    assert '<html lang="pt-BR">' in spoken.out, "the caller's language is the page's, where none is named"
    named = await maestro(it, "report", tenant.system, doc["id"], "--language", "en", MAESTRO_LANGUAGE="pt_BR.UTF-8")
    assert '<html lang="en">' in named.out
    assert (await maestro(it, "report", "sysO", doc["id"])).code == 4
    assert (await maestro(it, "report", tenant.system, "nothing")).code == 4
    assert (await maestro(it, "report", tenant.system, doc["id"], "--json", "-o", str(path))).code == 2
    assert (await maestro(it, "report", tenant.system, doc["id"], "--language", "fr")).code == 2
    nowhere = await maestro(it, "report", tenant.system, doc["id"], "-o", str(tmp_path / "no" / "where.html"))
    assert (nowhere.code, "No such file or directory" in nowhere.err) == (1, True)

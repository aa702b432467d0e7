"""What there is, on the command line: tables for people, the API's own bytes for scripts."""

import re
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio

from tests.support.cli import maestro, on_terminal
from tests.support.stage import Stage, eventually, stage, unit
from tests.support.tenant import Tenant, new_tenant

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: What the origin of an instance says that no test says more of.
WHAT = ["sysA", "calculate", "sysB.i1"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def it(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with stage(tmp_path_factory.mktemp("stage")) as shared:
        yield shared


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tenant(it: Stage) -> Tenant:
    """A system with a pending reprocessing of two units, and two events that wait."""
    tenant = await new_tenant(it, "sysB")
    tenant.impacts("i1", unit("p1"), unit("p2", "b1", forking=True))
    await tenant.publish("i1")
    await it.pending(tenant.system)
    await tenant.publish_all("i2", "i3")

    async def both_wait() -> bool:
        return (await it.state(tenant.system))["waiting"] == 2

    await eventually(both_wait, "two wait")
    return tenant


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doc(it: Stage, tenant: Tenant) -> dict[str, Any]:
    return await it.pending(tenant.system)


async def body(it: Stage, path: str) -> bytes:
    async with it.http.get(it.url + path) as answer:
        return await answer.read()


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (("systems",), "/v1.0.0/systems"),
        (("pending", "sysB"), "/v1.0.0/reprocessing/sysB/pending"),
        (("history", "sysB"), "/v1.0.0/reprocessing/sysB/find"),
        (("skipped", "sysB"), "/v1.0.0/systems/sysB/skipped"),
        (("stale", "sysB"), "/v1.0.0/systems/sysB/stale"),
        (("doubts", "list", "sysB"), "/v1.0.0/systems/sysB/doubts"),
        (("errors", "list", "sysB"), "/v1.0.0/systems/sysB/errors"),
    ],
)
async def test_json_is_the_apis_own(it: Stage, doc: dict[str, Any], words: tuple[str, ...], path: str) -> None:
    ran = await maestro(it, *words, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.encode() == await body(it, path) + b"\n"


async def test_json_of_one_document_and_of_the_waiting(it: Stage, doc: dict[str, Any]) -> None:
    shown = await maestro(it, "show", doc["id"][:8], "--json")
    assert shown.out.encode() == await body(it, f"/v1.0.0/reprocessing/{doc['id']}") + b"\n"
    waiting = (await maestro(it, "waiting", "sysB", "--json", "--limit", "1")).json
    assert [one["instanceId"] for one in waiting["events"]] == ["sysB.i2"]
    assert waiting["next"] is not None


async def test_pending_of_all_systems_is_one_list(it: Stage, doc: dict[str, Any]) -> None:
    assert [one["id"] for one in (await maestro(it, "pending", "--json")).json] == [doc["id"]]


async def test_tables(it: Stage, doc: dict[str, Any]) -> None:
    systems = (await maestro(it, "systems")).out.splitlines()
    assert systems[0].split()[:3] == ["SYSTEM", "STATE", "LOCKED"]
    assert [line.split()[:2] for line in systems[1:]] == [["sysA", "open"], ["sysB", "pending"]]
    pending = (await maestro(it, "pending")).out.splitlines()
    assert pending[1].split()[:9] == [doc["id"][:8], "sysB", "master", *WHAT, "sysB.i1", "2", "2"]
    waiting = (await maestro(it, "waiting", "sysB", "--limit", "1")).out
    assert "sysB.i2" in waiting
    assert "of 2; more: --after" in waiting
    shown = (await maestro(it, "show", doc["id"])).out
    for text in (doc["id"], doc["digest"], "b1 (forking)", "0 done, 2 left, 2 instances", "pending_approval"):
        assert text in shown
    assert doc["id"][:8] in (await maestro(it, "history", "--status", "pending_approval")).out
    assert (await maestro(it, "history", "sysA")).out == "there are no reprocessings\n"
    assert (await maestro(it, "errors", "list", "sysA")).out == "the error queue is empty\n"


async def test_the_store_of_a_running_system(it: Stage, doc: dict[str, Any]) -> None:
    tables = (await maestro(it, "store", "tables", "sysB", "--json")).json
    assert (tables["documents"], tables["units"]) == (1, 2)
    found = await maestro(it, "store", "query", "sysB", "documents", "status=pending_approval")
    assert (found.code, orjson.loads(found.out)["key"]) == (0, doc["id"])
    assert (await maestro(it, "store", "query", "sysB", "documents", "status=finished")).out == ""
    one = await maestro(it, "store", "get", "sysB", "documents", doc["id"])
    assert orjson.loads(one.out)["status"] == "pending_approval"
    assert (await maestro(it, "store", "get", "sysB", "documents", "none")).code == 1


async def test_without_a_system_all_are_meant(it: Stage, doc: dict[str, Any]) -> None:
    waiting = (await maestro(it, "waiting")).out.splitlines()
    assert [line.split()[0] for line in waiting[1:]] == ["sysB", "sysB"]
    assert set((await maestro(it, "waiting", "--json")).json) >= {"sysA", "sysB"}
    assert (await maestro(it, "errors", "list")).out == "the error queue is empty\n"
    assert (await maestro(it, "skipped")).out == "nothing was skipped\n"
    assert set((await maestro(it, "errors", "list", "--json")).json) >= {"sysA", "sysB"}


async def test_what_waits_for_a_person(it: Stage, doc: dict[str, Any]) -> None:
    listed = (await maestro(it, "todo")).out
    head, first, *_, counts = listed.splitlines()
    assert head.split() == ["KIND", "SYSTEM", "FOR", "HOLDS", "UP", "WHAT", "NEXT"]
    for part in ("pending", "sysB", "2 events", " ".join(WHAT), "replay 2", f"maestro approve {doc['id'][:8]}"):
        assert part in first
    assert counts == "1 pending"
    assert (await maestro(it, "todo", "--json", "sysB")).json["items"][0]["reprocessing"] == doc["id"]
    assert (await maestro(it, "todo", "sysA")).out == "nothing waits for a person\n"


async def test_on_eighty_columns_no_word_is_broken(it: Stage, doc: dict[str, Any]) -> None:
    for words in (("systems",), ("pending",), ("todo",), ("history",), ("waiting", "sysB"), ("show", doc["id"])):
        narrow = await on_terminal(it, *words, columns=80)
        plain = re.sub(r"\x1b\[[0-9;]*m", "", narrow.out).replace("\r", "")
        assert narrow.code == 0
        wide = (await maestro(it, *words)).out
        # A name of a column may be left out with its empty values; times go on meanwhile.
        kept = {word for word in re.findall(r"[^\d\s]{4,}", wide) if re.search("[a-z]", word)}
        broken = {word for word in kept if word not in plain}
        assert broken == set(), (words, plain)


async def test_a_pending_one_shows_what_would_be_committed(it: Stage, tenant: Tenant, doc: dict[str, Any]) -> None:
    rows = [
        {"day": n, "rate": 2, "before": {"day": n, "rate": 1}, "_metadata": {"type": "quote", "changeTrack": "update"}}
        for n in range(12)
    ]
    assert "the commit would write 0 rows\n" in (await maestro(it, "show", doc["id"])).out
    it.siblings.entities["sysB.i1"] = rows
    shown = (await maestro(it, "show", doc["id"])).out.splitlines()
    start = shown.index("the commit would write 12 rows:")
    assert shown[start + 1].split() == ["CHANGE", "TYPE", "SAME", "BEFORE", "AFTER"]
    assert shown[start + 2].split() == ["update", "quote", "day=0", "rate=1", "rate=2"]
    assert shown[start + 12] == "and 2 more"
    assert shown[-1] == "no number is changed that was read; not known: Process Memory has no history of sysB.i1"
    tenant.fail("domain", "entities", times=9, how=500)
    assert "what the commit would write is not known: domain" in (await maestro(it, "show", doc["id"])).out
    it.siblings.heal()


async def test_no_terminal_no_colours(it: Stage, doc: dict[str, Any]) -> None:
    for words in (("systems",), ("show", doc["id"]), ("doctor",)):
        ran = await maestro(it, *words)
        assert "\x1b" not in ran.out + ran.err
    assert "\x1b[" in (await on_terminal(it, "systems")).out


async def test_what_comes_from_outside_cannot_steer_the_terminal(it: Stage, doc: dict[str, Any]) -> None:
    tenant = await new_tenant(it)
    tenant.impacts("e1", unit("p1"))
    await tenant.publish("e1", name="evil \x1b]0;title\x07 [red]name", tag="a\nb")
    evil = await it.pending(tenant.system)
    shown = await on_terminal(it, "show", evil["id"])
    assert shown.code == 0
    assert "\x1b]0;" not in shown.out
    assert "\x07" not in shown.out
    assert "[red]name" in shown.out
    await it.decide(evil, "skip")


async def test_completion_knows_systems_and_ids(it: Stage, doc: dict[str, Any]) -> None:
    async def completed(words: str, index: int, **more: str) -> list[str]:
        env = {"_MAESTRO_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(index), **more}
        return (await maestro(it, **env)).out.split()

    assert await completed("maestro waiting sys", 2) == ["sysA", "sysB"]
    assert await completed(f"maestro show {doc['id'][:3]}", 2) == [doc["id"]]
    assert await completed("maestro wai", 1) == ["waiting"]
    assert await completed("maestro waiting ", 2, MAESTRO_URL="http://127.0.0.1:1") == []
    assert await completed("maestro errors red", 2) == ["redrive"]


async def test_a_reader_that_is_gone_is_no_error(it: Stage, doc: dict[str, Any]) -> None:
    import asyncio  # noqa: PLC0415 - only here
    import sys  # noqa: PLC0415 - as above

    from tests.support.cli import environ  # noqa: PLC0415 - as above

    process = await asyncio.create_subprocess_shell(
        f"{sys.executable} -m maestro.cli.main history --json | head -c 1",
        env=environ(it), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert (out, err) == (b"[", b"")


async def test_the_token_is_sent_and_names_who_decides(it: Stage, tmp_path: Any) -> None:
    from aiohttp import web  # noqa: PLC0415 - only here

    seen: list[tuple[str, bytes]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.headers.get("Authorization", ""), await request.read()))
        status = 401 if request.path.endswith("/systems") else 200
        document = {"id": "d1", "systemId": "s", "status": "running"}
        refusal = {"status": "401", "message": "a bearer token is needed"}
        return web.Response(status=status, body=orjson.dumps(refusal if status == 401 else document))

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        refused = await maestro(None, "systems", "--url", url)
        assert refused.code == 1
        assert refused.err == "maestro: a bearer token is needed; give one by MAESTRO_TOKEN or --token-file\n"
        file = tmp_path / "token"
        file.write_text("s3cret\n")
        file.chmod(0o644)
        assert (await maestro(None, "pause", "d1", "--url", url, "--token-file", str(file))).code == 2
        file.chmod(0o600)
        assert (await maestro(None, "pause", "d1", "--url", url, MAESTRO_TOKEN_FILE=str(file))).code == 0
        assert seen[-1] == ("Bearer s3cret", b"{}")
        await maestro(None, "pause", "d1", "--url", url, "--user", "ana", MAESTRO_TOKEN="s4cret")
        assert seen[-1] == ("Bearer s4cret", b'{"user":"ana"}')
        await maestro(None, "pause", "d1", "--url", url)
        assert seen[-1][0] == ""
        assert orjson.loads(seen[-1][1])["user"]
    finally:
        await runner.cleanup()


async def test_history_says_who_decided_what_and_why_with_the_zone(it: Stage) -> None:
    tenant = await new_tenant(it)
    tenant.impacts("h1", unit("p1"))
    await tenant.publish("h1")
    held = await it.pending(tenant.system)
    await it.post(f"/v1.0.0/reprocessing/{held['id']}/approve", {"user": "carla", "reason": "the load was mistyped"})
    await it.reaches(held, "finished")
    line = (await maestro(it, "history", tenant.system, TZ="America/Sao_Paulo")).out.splitlines()[1]
    for part in ("carla (approved) at 2", "-03:00", "the load was mistyped", "finished", "sysA calculate"):
        assert part in line, part
    entries = (await maestro(it, "history", tenant.system, "--json")).json[0]["history"]
    assert all(entry["at"] == entry["timestamp"] + "Z" for entry in entries)

"""What a stranger, a page in a browser, or a careless client tries at the door of the running service.

With access control and without: what is the same in both is tried in both.
"""

import asyncio
import resource
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from maestro.access.roles import Role
from maestro.access.tokens import TokenFile
from maestro.http.usage import usage_of
from tests.integration.test_attacks import Guarded, audit
from tests.support.procs import processes
from tests.support.stage import SYSTEM, event, eventually, stage, unit

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
PROCEED = f"/v1.0.0/gateway/{SYSTEM}/proceed"
PENDING = f"/v1.0.0/reprocessing/{SYSTEM}/pending"


@pytest.fixture(params=["access control", "open"])
async def at(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Guarded]:
    people = {"root": (Role.ADMIN, ()), "ana": (Role.APPROVER, ()), "ben": (Role.APPROVER, ("other",)),
              "eve": (Role.VIEWER, (SYSTEM,)), "events": (Role.PLATFORM, ())}  # fmt: skip
    tokens: dict[str, str] = {}
    # A large answer takes as long as this process, which makes it, is kept from the cores.
    environ: dict[str, str] = {"MAESTRO_HTTP__ASK_TIMEOUT": "60"}
    if request.param == "access control":
        file = TokenFile(tmp_path / "data")
        tokens = {name: file.add(name, role, systems) for name, (role, systems) in people.items()}
        environ["MAESTRO_ACCESS__ENABLED"] = "true"
    async with stage(tmp_path, token=tokens.get("root", ""), **environ) as it:
        guarded = Guarded(it, tokens)
        it.siblings.impacts["i1"] = [unit("p1")]
        await it.publish(event("i1"))
        guarded.doc = await it.pending()
        yield guarded


async def test_names_and_pages_of_foreign_sites(at: Guarded) -> None:
    """DNS rebinding: the page's name leads here, and its browser sends what the page likes, with that name."""
    line = at.credential("ana")
    body = orjson.dumps(event("i9"))
    for host in ("evil.example", "evil.example:6971", "127.0.0.1.evil.example"):
        for method, path in (
            ("GET", PENDING), ("GET", PROCEED), ("GET", "/v1.0.0/systems"), ("GET", "/"), ("GET", "/v1.0.0/stream"),
            ("GET", f"/v1.0.0/reprocessing/{at.doc['id']}"), ("POST", at.approve), ("POST", "/v1.0.0/persist/sync"),
        ):  # fmt: skip
            sent = body if method == "POST" else b""
            head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n{line}"
            head += f"Content-Length: {len(sent)}"
            assert (await at.raw(f"{head}\r\n\r\n".encode() + sent))[0] == 421, (host, path)
    for origin in ("http://evil.example", "null", "https://maestro"):
        assert await at.call("POST", at.approve, at.one("ana"), f"Origin: {origin}", body=b'{"user":"ana"}') == 403
    for host in ("localhost", f"127.0.0.1:{at.it.port}", "[::1]", "maestro"):
        assert (await at.raw(f"GET {PENDING} HTTP/1.1\r\nHost: {host}\r\n{line}\r\n".encode()))[0] == 200
    assert (await at.it.document(at.doc["id"]))["status"] == "pending_approval"
    assert at.it.siblings.commits == []


async def test_invented_systems(at: Guarded) -> None:
    running = set(processes(at.it.folder / "data"))
    who = at.one("events")
    calls = [at.call("POST", f"/v1.0.0/handler/persist?queue=persist.invented{n}.queue", who) for n in range(60)]
    assert set(await asyncio.gather(*calls)) == {200}
    body = orjson.dumps(event("i9", "invented0"))
    assert await at.call("POST", "/v1.0.0/persist/sync", who, body=body) == 404
    await asyncio.sleep(3)  # API core is looked at once a second
    assert [one["id"] for one in await at.it.get("/v1.0.0/systems")] == [SYSTEM]
    assert set(processes(at.it.folder / "data")) == running
    assert not list((at.it.folder / "data" / "systems").glob("invented*"))
    at.it.siblings.systems.append("installed")
    assert await at.call("POST", "/v1.0.0/handler/persist?queue=persist.installed.queue", who) == 200

    async def served() -> bool:
        return "installed" in {one["id"] for one in await at.it.get("/v1.0.0/systems")}

    await eventually(served, "a system that API core knows is served")


async def test_a_flood_of_refusals(at: Guarded) -> None:
    """Thousands of refused requests with long paths: the log stays small, and who may is answered as before."""
    before, path = at.it.log.stat().st_size, f"/v1.0.0/reprocessing/{'x' * 6000}/approve"
    request = f"POST {path} HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\n\r\n".encode()

    async def flood() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", at.it.port)
        for _ in range(10):
            writer.write(request * 50)
            await writer.drain()
            for _ in range(50):
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
        writer.close()

    flooding = asyncio.gather(*(flood() for _ in range(4)))
    while not flooding.done():
        if at.tokens:  # without, an address is all there is to tell callers apart
            assert await at.call("GET", PENDING, "eve") == 200
            assert await at.call("POST", at.approve, "nonsense") in (401, 429)
        assert await at.call("GET", PROCEED, at.one("events")) == 200
        await asyncio.sleep(0.05)
    await flooding
    await asyncio.sleep(0.5)
    assert at.it.log.stat().st_size - before < 1_000_000
    if at.tokens:
        assert [line for line in audit(at.it) if line["outcome"] == "refused"] == []
        assert max(len(orjson.dumps(line)) for line in audit(at.it, "refused")) < 1500


async def test_valid_callers_with_nobody_attacking_and_with_somebody(at: Guarded) -> None:
    if not at.tokens:
        pytest.skip("nobody is asked who it is")
    assert set(await asyncio.gather(*(at.call("GET", PROCEED, "events") for _ in range(40)))) == {200}
    for number in range(30):
        assert await at.call("GET", PROCEED, f"guess{number}") in (401, 429)
    TokenFile(at.it.folder / "data").add("new", Role.VIEWER)
    await asyncio.sleep(1.5)
    assert set(await asyncio.gather(*(at.call("GET", PROCEED, "events") for _ in range(40)))) == {200}
    assert await at.call("GET", PENDING, "eve") == 200  # at first sight
    # A document of another system is as good as none.
    nobodys = at.doc["id"][:-12] + "0" * 12
    for id_ in (at.doc["id"], nobodys):
        assert await at.call("GET", f"/v1.0.0/reprocessing/{id_}", "ben") == 404


async def test_streams_of_one_caller(at: Guarded) -> None:
    bound = 8 if at.tokens else 32
    request = f"GET /v1.0.0/systems/{SYSTEM}/stream HTTP/1.1\r\nHost: x\r\n{at.credential('eve')}\r\n".encode()
    opened = []
    for _ in range(bound):
        reader, writer = await asyncio.open_connection("127.0.0.1", at.it.port)
        writer.write(request)
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).startswith(b"HTTP/1.1 200")
        opened.append(writer)
    assert (await at.raw(request))[0] == 429
    assert await at.call("GET", PENDING, at.one("eve")) == 200
    for writer in opened:
        writer.close()

    async def again() -> bool:
        return (await at.raw(request))[0] == 200

    await eventually(again, "a stream may be opened once others are closed")


async def test_more_connections_than_files_may_be_open(at: Guarded) -> None:
    """Opened and left alone, by a stranger: whoever asks something is answered all the same, and Maestro goes on."""
    assert at.it.process is not None
    resource.prlimit(at.it.process.pid, resource.RLIMIT_NOFILE, (400, 400))
    opened = []
    try:
        for number in range(600):
            _, writer = await asyncio.open_connection("127.0.0.1", at.it.port, local_addr=("127.0.0.2", 0))
            writer.write((b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ")[number % 2])
            opened.append(writer)
        for _ in range(10):
            assert await at.call("GET", PROCEED, at.one("events")) == 200
            assert await at.call("GET", PENDING, at.one("eve")) == 200
        await at.it.publish(event("i2"))

        async def waits() -> bool:
            return bool((await at.it.state())["waiting"])

        await eventually(waits, "an event is taken")
    finally:
        for writer in opened:
            writer.close()


async def test_a_large_answer_stalls_nobody(at: Guarded) -> None:
    """What a held commit would write is of 45 MB, and four viewers look at its first row at once."""
    row = {"id": "x" * 36, "valor": 10.5, "_metadata": {"type": "conta", "rid": "r" * 36, "changeTrack": "update"}}
    at.it.siblings.entities["i1"] = [row] * 350_000
    path = f"/v1.0.0/reprocessing/{at.doc['id']}/entities?limit=1&after="
    assert at.it.process is not None
    main, actor = at.it.process.pid, processes(at.it.folder / "data")[f"system {SYSTEM}"].pid
    before = [usage_of(pid) for pid in (main, actor)]
    looking = asyncio.gather(*(_page(at, f"{path}{number}") for number in range(4)))
    slowest = 0.0
    while not looking.done():
        started = time.monotonic()
        assert await at.call("GET", f"/v1.0.0/systems/{SYSTEM}", at.one("eve")) == 200
        slowest = max(slowest, time.monotonic() - started)
        await asyncio.sleep(0.05)
    for page in await looking:
        assert page["total"] == 350_000
        assert page["entities"] == [row]
    after = [usage_of(pid) for pid in (main, actor)]
    grown = [(now.resident - then.resident) / 1e6 for now, then in zip(after, before, strict=True) if now and then]
    assert grown[0] < 80, grown  # the gateway: a page and a few parts
    assert grown[1] < 10, grown
    assert after[1] is not None
    assert before[1] is not None
    assert after[1].cpu - before[1].cpu < 1, "the actor has nothing to do with it"
    assert slowest < 5, "generous: this process, which makes the answers, shares two cores with all"


async def _page(at: Guarded, path: str) -> dict[str, Any]:
    return await at.it.get(path)

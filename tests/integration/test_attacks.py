"""What an attacker tries, against the service as it runs, with access control and without.

Each is refused with the right status, on record, and nobody else is slowed. And nothing secret leaves it.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest

from maestro.access import audit_reader
from maestro.access.roles import Role
from maestro.access.tokens import TokenFile
from maestro.webhooks.signature import BadSignature, sign, verify
from tests.support.api_fuzz import fuzz
from tests.support.stage import SYSTEM, Stage, event, eventually, stage, unit

SECRET = "a webhook secret that must not show"
PASSWORD = "a-broker-password"


TRICKS = (
    "/v1.0.0/systems/../audit",
    "/v1.0.0//audit",
    "/%76%31.0.0/../audit",
    "/v1.0.0/audit/",
    "/v1.0.0/audit;x",
    "/docs/../../etc/passwd",
    "/docs/%2e%2e/%2e%2e/etc/passwd",
    "/docs/reference.js/..%2f..%2fsetup.py",
)
#: Other names of a path that a viewer may not have.
OTHER_NAMES = ("http://maestro/v1.0.0/audit", "/v1.0.0/%61udit")


class Guarded:
    """The stage, a pending document, and a raw client. Without access control there are no tokens."""

    def __init__(self, it: Stage, tokens: dict[str, str]) -> None:
        self.it = it
        self.tokens = tokens
        self.doc: dict[str, Any] = {}

    async def raw(self, request: bytes, patience: float = 10) -> tuple[int, bytes]:
        """Send exactly these bytes; return the status (0: cut off without one) and all that came."""
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.it.port)
            try:
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                return int(head.split(b" ", 2)[1]), head
            except (asyncio.IncompleteReadError, ConnectionError):
                return 0, b""
            finally:
                writer.close()

    async def call(self, method: str, path: str, who: str | None, *more: str, body: bytes = b"") -> int:
        lines = [f"{method} {path} HTTP/1.1", "Host: maestro", f"Content-Length: {len(body)}", *more]
        if who is not None:
            lines.append(f"Authorization: Bearer {self.tokens.get(who, who)}")
        return (await self.raw("\r\n".join([*lines, "", ""]).encode("latin-1") + body))[0]

    def one(self, who: str) -> str | None:
        """Return the name as `call` takes it; None where nobody is asked who it is."""
        return who if self.tokens else None

    def credential(self, who: str) -> str:
        """Return the head's line with somebody's credential; empty where nobody is asked who it is."""
        return f"Authorization: Bearer {self.tokens[who]}\r\n" if self.tokens else ""

    @property
    def approve(self) -> str:
        return f"/v1.0.0/reprocessing/{self.doc['id']}/approve"


ACCESS, OPEN = "access control", "open"
#: For what has no meaning where nobody is asked who it is.
with_access_control = pytest.mark.parametrize("at", [ACCESS], indirect=True)


@pytest.fixture(params=[ACCESS, OPEN])
async def at(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Guarded]:
    people = {"root": (Role.ADMIN, ()), "ana": (Role.APPROVER, ()), "ben": (Role.APPROVER, ("other",)),
              "eve": (Role.VIEWER, ()), "events": (Role.PLATFORM, ())}  # fmt: skip
    tokens: dict[str, str] = {}
    environ = {
        "MAESTRO_WEBHOOKS__SECRET": SECRET,
        "MAESTRO_WEBHOOKS__URLS": "http://127.0.0.1:9/path-secret",
        "MAESTRO_LOG__LEVEL": "debug",
    }
    if request.param == ACCESS:
        file = TokenFile(tmp_path / "data")
        tokens = {name: file.add(name, role, systems) for name, (role, systems) in people.items()}
        tokens["late"] = file.add("late", Role.ADMIN, (), 0.001)
        environ |= {"MAESTRO_ACCESS__ENABLED": "true", "MAESTRO_ACCESS__FAILURES": "1000"}
    async with stage(tmp_path, token=tokens.get("root", ""), **environ) as it:
        guarded = Guarded(it, tokens)
        it.siblings.impacts["i1"] = [unit("p1")]
        await it.publish(event("i1"))
        guarded.doc = await it.pending()
        yield guarded


def audit(it: Stage, log: str = ".") -> list[dict[str, Any]]:
    folder = it.folder / "data" / "audit" / log
    audit_reader.verify(folder)
    return list(audit_reader.lines(folder))


@with_access_control
@pytest.mark.slow
async def test_who_may_not(at: Guarded) -> None:
    """Who: none, wrong role, wrong system, expired, unknown, a foreign name, twice, another scheme; then revoked."""
    it, approve = at.it, at.approve
    assert await at.call("POST", approve, None) == 401
    assert await at.call("POST", approve, "eve") == 403
    assert await at.call("POST", approve, "events") == 403
    assert await at.call("POST", approve, "ben") == 404
    assert await at.call("POST", approve, "late") == 401
    assert await at.call("POST", approve, "mst_" + "a" * 12 + "_" + "b" * 43) == 401
    assert await at.call("POST", approve, "ana", body=b'{"user":"root"}') == 403
    assert await at.call("POST", approve, "ana", f"Authorization: Bearer {at.tokens['root']}") == 400
    assert await at.call("POST", approve, None, "Authorization: Basic cm9vdDpyb290") == 401
    assert await at.call("POST", approve, "x" * 7000) == 401
    assert await at.call("GET", f"/v1.0.0/gateway/{SYSTEM}/proceed", None) == 401
    assert await at.call("GET", f"/v1.0.0/gateway/{SYSTEM}/proceed", "eve") == 401
    assert await at.call("GET", f"/v1.0.0/gateway/{SYSTEM}/proceed", "events") == 200
    for path in (*TRICKS, *OTHER_NAMES):
        assert await at.call("GET", path, "eve") in (400, 403, 404), path
    assert (await it.document(at.doc["id"]))["status"] == "pending_approval"
    assert await at.call("POST", approve, "ana") == 200
    TokenFile(it.folder / "data").revoke("ana")

    async def ended() -> bool:
        return await at.call("POST", approve, "ana") == 401

    await eventually(ended, "the revoked token is refused", patience=5)
    refused = [(line["who"], line["status"]) for line in audit(it, "refused")]
    assert {("", 401), ("eve", 403), ("ben", 404), ("ana", 403), ("", 400)} <= set(refused)
    _on_record(at)


@pytest.mark.slow
async def test_what_is_no_plain_request(at: Guarded) -> None:
    """Foreign pages, tricks with paths, heads and bodies decide nothing; what is sent twice counts once."""
    it, approve = at.it, at.approve
    decision = orjson.dumps({"user": "ana"})
    # A web page of another origin, even with a credential.
    for origin in ("https://evil.example", "null", "http://maestro.evil.example", "https://maestro"):
        assert await at.call("POST", approve, at.one("ana"), f"Origin: {origin}", body=decision) == 403
    # Paths that mean another one: nothing is resolved, and no file is read.
    for path in TRICKS:
        assert await at.call("GET", path, at.one("eve")) in (403, 404), path
    # Headers that are to be read two ways, too large, or no headers.
    line = f"POST {approve} HTTP/1.1\r\nHost: x\r\n{at.credential('ana')}".encode()
    smuggled = b"0\r\n\r\nPOST " + approve.encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    for head in (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + smuggled,
                 b"Content-Length: 5\r\nContent-Length: 50\r\n\r\n" + smuggled,
                 b"Content-Length: +5\r\n\r\n12345", b"Transfer-Encoding: xchunked\r\n\r\n" + smuggled,
                 b"X: " + b"y" * 50_000 + b"\r\n\r\n", b"X: y\r\n" * 2000 + b"\r\n", b"No colon\r\n\r\n",
                 b"X : y\r\n\r\n", b"X: a\x00b\r\n\r\n", b"Authorization\n: x\r\n\r\n"):  # fmt: skip
        status, _ = await at.raw(line + head)
        assert status in (0, 400), (head[:60], status)
    # Bodies: announced too large, without an end, bombs.
    assert (await at.raw(line + b"Content-Length: 99999999999\r\n\r\n"))[0] == 413
    assert await _endless(at, line + b"Transfer-Encoding: chunked\r\n\r\n") == 413
    assert await at.call("POST", approve, at.one("ana"), body=b"[" * 100_000) == 400
    # None of it decided anything.
    assert (await it.document(at.doc["id"]))["status"] == "pending_approval"
    # Replayed: the same key again is the same answer, another body under it is refused.
    key = "Idempotency-Key: k1"
    assert await at.call("POST", approve, at.one("ana"), key, body=decision) == 200
    assert await at.call("POST", approve, at.one("ana"), key, body=decision) == 200
    assert await at.call("POST", approve, at.one("ana"), key, body=b'{"user":"ana","reason":"other"}') == 422
    assert await at.call("POST", approve, at.one("ana"), body=decision) == 409
    assert ("", 403) in {(line["who"], line["status"]) for line in audit(it, "refused")}
    _on_record(at)


async def _endless(at: Guarded, head: bytes) -> int:
    """Send a body that has no end until the answer comes."""
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_connection("127.0.0.1", at.it.port)
        answer = asyncio.ensure_future(reader.readuntil(b"\r\n\r\n"))
        writer.write(head)
        while not answer.done():
            writer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
            try:
                await writer.drain()
            except ConnectionError:
                break
            await asyncio.sleep(0)
        writer.close()
        return int((await answer).split(b" ", 2)[1])


def _on_record(at: Guarded) -> None:
    """The decision is in the audit log, the refused attempts are not beside it, and nothing secret is anywhere."""
    lines = audit(at.it)
    assert not [line for line in lines if line["outcome"] == "refused"]
    (done,) = [line for line in lines if line["what"] == "approve" and line["outcome"] == "done"][:1]
    via = "token" if at.tokens else "open"
    assert (done["who"], done["via"], done["system"], done["target"]) == ("ana", via, SYSTEM, at.doc["id"])
    written = at.it.log.read_bytes() + b"".join(
        path.read_bytes() for path in (at.it.folder / "data" / "audit").rglob("*.jsonl")
    )
    for name, token in at.tokens.items():
        assert token.encode() not in written, name
        assert token.split("_", 2)[2].encode() not in written, name
    assert SECRET.encode() not in written
    assert b"path-secret" not in written


@pytest.mark.slow
async def test_slow_clients_slow_nobody(at: Guarded) -> None:
    """Hundreds that never finish their head or body, or never read: others are answered as before."""
    open_ones = []
    head = f"POST {at.approve} HTTP/1.1\r\nHost: x\r\n{at.credential('ana')}"
    partial = head + "Content-Length: 9\r\n\r\n{"
    for number in range(200):
        _, writer = await asyncio.open_connection("127.0.0.1", at.it.port)
        writer.write(partial.encode() if number % 2 else b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ")
        open_ones.append(writer)
    started = time.monotonic()
    for _ in range(20):
        assert await at.call("GET", "/v1.0.0/systems", at.one("eve")) == 200
        assert await at.call("GET", f"/v1.0.0/gateway/{SYSTEM}/proceed", at.one("events")) == 200
    assert time.monotonic() - started < 10  # generous: 40 answers, 2 cores shared by all
    for writer in open_ones:
        writer.close()


@pytest.mark.slow
async def test_the_running_service_is_as_described(at: Guarded) -> None:
    described = await at.it.get("/openapi.json")
    seen = await asyncio.to_thread(fuzz, at.it.url, described, at.tokens.get("root", ""), 3)
    assert all(500 not in statuses for statuses in seen.values())
    assert (await at.it.get("/readyz", ok=False))["_status"] == 200


@pytest.mark.slow
async def test_no_secret_in_the_process_list_or_the_configuration(at: Guarded) -> None:
    assert at.it.process is not None
    shown = _command_lines()
    assert b"maestro.cli.main" in shown
    assert SECRET.encode() not in shown
    assert not any(token.encode() in shown for token in at.tokens.values())
    environ = at.it.environ() | {"RABBITMQ_HOST": "mq", "RABBITMQ_PASSWORD": PASSWORD}
    environ = {key: value for key, value in environ.items() if not key.startswith("MAESTRO_BROKER")}
    for command in ("show", "check"):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "maestro.cli.main", "config", command, env=environ, cwd=at.it.folder,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode == 0, err
        assert SECRET.encode() not in out + err
        assert PASSWORD.encode() not in out + err


def _command_lines() -> bytes:
    """Return what the process list shows of every process."""
    shown = b""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            shown += path.read_bytes()
    return shown


def test_a_forged_webhook_is_not_taken() -> None:
    body, now = orjson.dumps({"id": "d1.0"}), 1_700_000_000.0
    header = sign(SECRET, body, now)
    verify(SECRET, body, header, now=now)
    verify(SECRET, body, header, now=now + 299)
    for secret, content, sent, at in (
        ("another secret", body, header, now),
        (SECRET, body + b" ", header, now),
        (SECRET, body, header.replace("t=1", "t=2"), now),
        (SECRET, body, header, now + 301),
        (SECRET, body, header, now - 301),
        (SECRET, body, "", now),
        (SECRET, body, header[:-1], now),
        (SECRET, body, header + ",v1=" + "0" * 64, now),
        (SECRET, body, "t=1,v1=" + "é" * 64, now),
    ):
        with pytest.raises(BadSignature) as refused:
            verify(secret, content, sent, now=at)
        assert secret not in str(refused.value)

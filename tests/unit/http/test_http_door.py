"""Who is let in to what: every operation against every role, and what a refusal looks like."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from maestro.access.roles import Role
from maestro.access.throttle import Buckets
from maestro.access.tokens import TokenFile
from maestro.access.verifier import Verifier
from maestro.http import streams
from maestro.http.edge import unmatched
from maestro.http.routes import operations
from maestro.messages import Answer, Approve, AwaitChange, CheckLock, Code, FindDocuments
from maestro.reprocessing.ids import document_id
from tests.unit.http.conftest import SETTINGS
from tests.unit.http.door_kit import PEOPLE, House, house

OF_A, OF_B = document_id("sysA", b"0123456789"), document_id("sysB", b"0123456789")
PROCEED = "/v1.0.0/gateway/sysA/proceed"
APPROVE = f"/v1.0.0/reprocessing/{OF_A}/approve"
OPERATIONS = operations(unmatched, unmatched)


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as it:
        yield it


def filled(path: str) -> str:
    return path.replace("{systemId}", "sysA").replace("{id}", OF_A).replace("{number}", "1")


def call_of(name: str) -> tuple[str, str, bytes]:
    (operation,) = [one for one in OPERATIONS if one.name == name]
    query = {
        "handler_persist": "?queue=persist.sysA.queue",
        "deliveries": "?systemId=sysA",
        "set_status": f"?id={OF_A}&status=skipped",
    }.get(name, "")
    body = b'{"instanceId":"i1","systemId":"sysA"}' if name in ("persist_sync", "failure") else b""
    if name == "redrive":
        body = b'{"all":true}'
    return operation.method, filled(operation.path) + query, body


@pytest.mark.parametrize("name", [one.name for one in OPERATIONS if not one.endless])
async def test_every_operation_against_every_role(at: House, name: str) -> None:
    (operation,) = [one for one in OPERATIONS if one.name == name]
    method, target, body = call_of(name)
    at.bridge.answers[FindDocuments] = Answer(Code.OK, b"[]")
    for who in ("root", "ana", "eve", "events"):
        role = PEOPLE[who][0]
        allowed = operation.role is None or role is Role.ADMIN or role is operation.role or (
            role is Role.APPROVER and operation.role is Role.VIEWER
        )  # fmt: skip
        if name == "metrics" and PEOPLE[who][1]:
            allowed = False  # it is about all systems
        reply = await at.call(who, method, target, body)
        assert reply.status == 200 if allowed else reply.is_error(operation.refusal, "not allowed"), (who, reply)
    reply = await at.call(None, method, target, body)
    assert reply.status == 200 if operation.role is None else reply.is_error(401, "a bearer token is needed")
    if operation.role is not None:
        assert reply.headers["www-authenticate"] == 'Bearer realm="maestro"'


@pytest.mark.parametrize("name", [one.name for one in OPERATIONS if one.role is not None and one.name != "streams"])
async def test_every_operation_of_a_foreign_system(at: House, name: str) -> None:
    """Restricted to sysB, asked of sysA: refused, and the system is asked nothing."""
    (operation,) = [one for one in OPERATIONS if one.name == name]
    method, target, body = call_of(name)
    reply = await at.call("restricted", method, target, body)
    if name in ("systems", "audit"):  # they show what its caller may touch
        assert reply.status == 200
    elif name == "metrics":
        assert reply.is_error(403, "restricted is not allowed on every system")
    else:
        assert reply.is_error(operation.refusal, "restricted is not allowed on system 'sysA'")
    assert {system for system, _, _ in at.bridge.asked} <= {"sysB"}


async def test_a_locked_system_is_403_to_who_may_ask_and_else_401(at: House) -> None:
    at.bridge.answers[CheckLock] = Answer(Code.LOCKED, b'{"reprocessing":"r1"}')
    for _ in range(2):  # first sight, then known
        assert (await at.call("events", "GET", PROCEED)).status == 403
        for who in (None, "nonsense", "eve", "events-b"):
            reply = await at.call(who, "GET", PROCEED)
            assert reply.is_error(401)
            assert reply.headers["www-authenticate"].startswith("Bearer")


async def test_a_known_token_goes_the_fast_path(at: House, monkeypatch: pytest.MonkeyPatch) -> None:
    at.bridge.answers[CheckLock] = Answer(Code.OK)
    assert (await at.call("events", "GET", PROCEED)).status == 200
    with capture_logs() as lines:
        assert set((await at.call("events", "GET", PROCEED)).headers) == {"content-length", "date", "server"}
    assert not lines  # the edge, which logs, was not asked


async def test_the_deciding_user_is_the_credentials(at: House) -> None:
    for body in (b"", b"{}", b'{"user":"ana"}', b'{"user":null}'):
        assert (await at.call("ana", "POST", APPROVE, body)).status == 200
        asked = at.bridge.asked[-1][1]
        assert asked.token, "which credential it was given with"
        assert asked == Approve(OF_A, "ana", token=asked.token)
    count = len(at.bridge.asked)
    assert (await at.call("ana", "POST", APPROVE, b'{"user":"root"}')).is_error(403, "cannot decide for another")
    target = f"/v1.0.0/reprocessing/set_status?id={OF_A}&status=skipped"
    assert (await at.call("root", "POST", target + "&user=ana")).is_error(403, "cannot decide for another")
    assert len(at.bridge.asked) == count
    assert (await at.call("root", "POST", target)).status == 200
    assert at.bridge.asked[-1][1].user == "root"


async def test_streams_are_guarded_and_end_with_the_token(at: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT", 0.05)
    at.bridge.answers[AwaitChange] = Answer(Code.OK, b"{}", "1")
    for path in ("/v1.0.0/stream", "/v1.0.0/systems/sysA/stream"):
        assert (await at.call(None, "GET", path)).is_error(401)
        assert (await at.call("events", "GET", path)).is_error(403)
    assert (await at.call("ben", "GET", "/v1.0.0/systems/sysA/stream")).is_error(403, "sysA")
    reader, writer = await asyncio.open_connection(*at.client.address)
    writer.write(f"GET /v1.0.0/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {at.tokens['ben']}\r\n\r\n".encode())
    async with asyncio.timeout(10):
        await reader.readuntil(b"event: system")
        assert {system for system, _, _ in at.bridge.asked} == {"sysB"}
        at.file.revoke("ben")
        await reader.readuntil(b"0\r\n\r\n")  # its end
    writer.close()


async def test_lists_show_the_callers_systems_only(at: House) -> None:
    await at.call("eve", "GET", "/v1.0.0/systems")
    assert [system for system, _, _ in at.bridge.asked] == ["sysA"]


async def test_not_ready_tells_strangers_no_details(at: House) -> None:
    at.bridge.problems = {"sysSecret": "broken"}
    reply = await at.call(None, "GET", "/readyz")
    assert (reply.status, b"sysSecret" in reply.body) == (503, False)
    await at.call("eve", "GET", "/v1.0.0/systems")
    assert b"sysSecret" in (await at.call("eve", "GET", "/readyz")).body


async def test_a_platform_network_needs_no_token(tmp_path: Path) -> None:
    async with house(tmp_path, platform_networks=("127.0.0.0/8",)) as at:
        at.bridge.answers[CheckLock] = Answer(Code.OK)
        assert (await at.call(None, "GET", PROCEED)).status == 200
        assert (await at.call(None, "POST", APPROVE)).is_error(403, "platform is not allowed")
        assert (await at.call("nonsense", "GET", PROCEED)).is_error(401)


async def test_a_role_for_each_network(tmp_path: Path) -> None:
    here = ("127.0.0.0/8",)
    body = b'{"user": "ana", "reason": "seen"}'
    async with house(tmp_path / "v", viewer_networks=here) as at:
        assert (await at.call(None, "GET", "/v1.0.0/reprocessing/sysA/pending")).status == 200
        assert (await at.call(None, "POST", APPROVE, body)).is_error(403, "it takes the role approver")
        assert (await at.call(None, "GET", PROCEED)).is_error(401)
        assert (await at.call("nonsense", "GET", "/v1.0.0/systems")).is_error(401)
    async with house(tmp_path / "a", approver_networks=here, platform_networks=here) as at:
        at.bridge.answers[CheckLock] = Answer(Code.OK)
        assert (await at.call(None, "GET", "/v1.0.0/reprocessing/sysA/pending")).status == 200
        assert (await at.call(None, "GET", PROCEED)).status == 200
        assert (await at.call(None, "POST", APPROVE)).is_error(400, "user: is missing")
        assert (await at.call(None, "POST", APPROVE, body)).status == 200
        assert at.bridge.asked[-1][1].user == "ana"
        override = f"/v1.0.0/reprocessing/set_status?id={OF_A}&status=skipped"
        assert (await at.call(None, "POST", override)).is_error(403, "it takes the role admin")
        shown = [(line["who"], line["via"], line["what"], line["outcome"]) for line in at.audit()]
        assert ("ana", "network", "approve", "done") in shown
    async with house(tmp_path / "n", viewer_networks=("10.1.0.0/16",), approver_networks=("::/64",)) as at:
        assert (await at.call(None, "GET", "/v1.0.0/systems")).is_error(401)


@pytest.mark.parametrize("header", ["Origin", "origin", "Sec-Fetch-Site", "sec-fetch-mode", "Sec-Fetch-Dest"])
async def test_a_page_in_a_browser_never_has_the_role_of_its_network(tmp_path: Path, header: str) -> None:
    here = ("127.0.0.0/8",)
    async with house(tmp_path, platform_networks=here, viewer_networks=here, approver_networks=here) as at:
        at.bridge.answers[CheckLock] = Answer(Code.OK)
        for method, path in (("GET", PROCEED), ("GET", "/v1.0.0/systems"), ("POST", APPROVE)):
            reply = await at.call(None, method, path, **{header: "null"})
            assert reply.is_error(403 if method == "POST" and header.lower() == "origin" else 401)
        assert (await at.call("ana", "GET", "/v1.0.0/systems", **{header: "null"})).status == 200


async def test_guessing_is_limited_and_does_not_shut_out_who_is_known(tmp_path: Path) -> None:
    async with house(tmp_path, failures=3) as at:
        assert (await at.call("ana", "POST", APPROVE)).status == 200
        statuses = [(await at.call(f"guess{n}", "POST", APPROVE)).status for n in range(5)]
        assert statuses == [401, 401, 401, 429, 429]
        reply = await at.call("guess", "POST", APPROVE)
        assert reply.is_error(429, "too many failed credentials")
        assert 1 <= int(reply.headers["retry-after"]) <= 20
        assert (await at.call("ana", "POST", APPROVE)).status == 200


async def test_too_many_requests_of_one_client_slow_nobody_else(tmp_path: Path) -> None:
    http = SETTINGS.model_copy(update={"rate": 0.01, "burst": 3})
    async with house(tmp_path, http) as at:
        at.bridge.answers[CheckLock] = Answer(Code.OK)
        statuses = [(await at.call("eve", "GET", "/v1.0.0/systems")).status for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]
        reply = await at.call("eve", "GET", "/v1.0.0/systems")
        assert reply.is_error(429, "too many requests")
        assert reply.headers["retry-after"] == "100"
        assert (await at.call("root", "GET", "/v1.0.0/systems")).status == 200
        assert {(await at.call("events", "GET", PROCEED)).status for _ in range(20)} == {200}
        sync = [(await at.call("events", "POST", *call_of("persist_sync")[1:])).status for _ in range(20)]
        assert sync == [200] * 20


async def test_refused_attempts_are_on_record(at: House) -> None:
    with capture_logs() as lines:
        await at.call("eve", "POST", APPROVE)
        await at.call("ben", "POST", APPROVE)
        await at.call("nonsense", "POST", APPROVE)
        await at.call(None, "POST", APPROVE)
    shown = [(line["who"], line["via"], line["what"], line["target"], line["outcome"], line["status"])
             for line in at.audit()]  # fmt: skip
    assert shown == [
        ("eve", "token", "approve", OF_A, "refused", 403),
        ("ben", "token", "approve", OF_A, "refused", 403),
        ("", "nobody", "approve", OF_A, "refused", 401),
        ("", "nobody", "approve", OF_A, "refused", 401),
    ]
    assert [line["status"] for line in lines if line["event"] == "http.approve"] == [403, 403, 401, 401]
    assert all(line["origin"] == "127.0.0.1" for line in at.audit())
    assert "eve is not allowed to do this: it takes the role approver" in {line["message"] for line in at.audit()}


def test_the_check_of_a_known_token_costs_microseconds(tmp_path: Path) -> None:
    """Bounded generously: what it must not do is hash with argon2 or read a file each time."""
    made = Verifier(TokenFile(tmp_path), recheck=60)
    started = time.perf_counter()
    for _ in range(10_000):
        made.known("mst_" + "a" * 56)
    assert (time.perf_counter() - started) / 10_000 < 50e-6


def test_buckets_are_cheap_enough_for_every_request() -> None:
    made = Buckets(1e9, 1e9)
    started = time.perf_counter()
    for number in range(10_000):
        made.take(number)
    assert (time.perf_counter() - started) / 10_000 < 50e-6

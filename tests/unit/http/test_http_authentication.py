"""Who is let in to what: every operation against every role, and what a refusal looks like."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from maestro.access.roles import Principal, Role
from maestro.access.throttle import Buckets
from maestro.access.tokens import TokenFile
from maestro.access.verifier import Undecided, Verifier
from maestro.http import live, log_limits, streams
from maestro.http.middleware import unmatched
from maestro.http.routes import operations
from maestro.messages.answers import Answer, Code
from maestro.messages.decisions import Approve, Covers
from maestro.messages.questions import (
    AwaitChange,
    CheckLock,
    FindDocuments,
    GetDocument,
    GetHeldInstance,
    GetReplays,
    GetUnits,
    ListRecords,
    ListTodo,
)
from maestro.rules.ids import document_id
from tests.unit.http.authentication_kit import PEOPLE, House, house
from tests.unit.http.conftest import SETTINGS
from tests.unit.http.report_kit import System, unit

OF_A, OF_B = document_id("sysA", b"0123456789"), document_id("sysB", b"0123456789")
PROCEED = "/v1.0.0/gateway/sysA/proceed"
APPROVE = f"/v1.0.0/reprocessing/{OF_A}/approve"
OPERATIONS = operations(unmatched, unmatched)


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as it:
        yield it


def filled(path: str) -> str:
    return path.replace("{systemId}", "sysA").replace("{id}", OF_A).replace("{number}", "1").replace("{key}", "7")


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
    elif name == "resolve_doubt":
        body = b'{"verdict":"made","reason":"looked"}'
    elif name == "leave_out":
        body = b'{"units":[{"instanceId":"p1"}]}'
    elif name == "decide_many":
        body = b'{"action":"approve","reason":"looked","items":[{"id":"%s","digest":"d"}]}' % OF_A.encode()
    return operation.method, filled(operation.path) + query, body


NOTHING_TO_DO = Answer(
    Code.OK, b'{"total":0,"counts":{},"items":[],"errors":0,"failed":0,"lastFailure":""}'
)  # fmt: skip


@pytest.mark.parametrize("name", [one.name for one in OPERATIONS if not one.endless])
async def test_every_operation_against_every_role(at: House, name: str) -> None:
    (operation,) = [one for one in OPERATIONS if one.name == name]
    method, target, body = call_of(name)
    at.actor_client.answers[FindDocuments] = at.actor_client.answers[ListRecords] = Answer(Code.OK, b"[]")
    at.actor_client.answers[ListTodo] = NOTHING_TO_DO
    at.actor_client.answers[GetHeldInstance] = Answer(
        Code.OK, b'{"systemId":"sysA","instanceId":"i1","branch":"master"}'
    )
    units = b'{"systemId":"sysA","heldInstance":"i1","branch":"master","total":0,"units":[],"next":null}'
    at.actor_client.answers[GetUnits] = Answer(Code.OK, units)
    replays = b'{"systemId":"sysA","status":"finished","total":0,"units":[],"next":null}'
    at.actor_client.answers[GetReplays] = Answer(Code.OK, replays)
    if name.startswith("report"):
        at.actor_client.answers |= System(unit(1)).answers()
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
    at.actor_client.answers[GetDocument] = Answer(Code.NOT_FOUND)
    at.actor_client.answers[ListRecords] = Answer(Code.OK, b"[]")
    at.actor_client.answers[ListTodo] = NOTHING_TO_DO
    reply = await at.call("restricted", method, target, body)
    if name in ("systems", "audit", "todo", "history", "nodes"):  # they show what its caller may touch
        assert reply.status == 200
    elif name in ("metrics", "notices", "test_notice"):
        assert reply.is_error(403, "restricted is not allowed on every system")
    elif "{id}" in operation.path or name == "set_status":
        assert reply.is_error(404, f"reprocessing {OF_A} is not known")
        assert [(line["outcome"], line["status"]) for line in at.refused()] == [("refused", 404)]
    elif name == "decide_many":  # each of them has an answer of its own
        assert [(one["status"], one["message"]) for one in reply.json["items"]] == [
            (404, f"reprocessing {OF_A} is not known")
        ]
    else:
        assert reply.is_error(operation.refusal, "restricted is not allowed on system 'sysA'")
    assert {system for system, _, _ in at.actor_client.asked} <= {"sysB"}


async def test_a_foreign_document_is_as_good_as_none(at: House) -> None:
    """The same answer, and the same questions asked for it: neither text nor time tells whether it exists."""
    foreign, nobodys, imported = OF_A, document_id("sysZ", b"0123456789"), "imported-1"
    asked = {}
    at.actor_client.answers[GetDocument] = lambda system, question: (
        Answer(Code.OK, b"{}")
        if system == "sysA" and question.id in (foreign, imported)
        else Answer(Code.NOT_FOUND, message=f"no reprocessing {question.id}")
    )
    assert (await at.call("root", "GET", f"/v1.0.0/reprocessing/{imported}")).status == 200  # where it is, is known now
    for id_ in (foreign, nobodys, imported):
        at.actor_client.asked.clear()
        reply = await at.call("ben", "GET", f"/v1.0.0/reprocessing/{id_}")
        assert reply.is_error(404)
        assert reply.json["message"] == f"reprocessing {id_} is not known"
        asked[id_] = [(system, type(question)) for system, question, _ in at.actor_client.asked]
    assert asked[foreign] == asked[nobodys] == asked[imported] == [("sysB", GetDocument)]


async def test_a_locked_system_is_403_to_who_may_ask_and_else_401(at: House) -> None:
    at.actor_client.answers[CheckLock] = Answer(Code.LOCKED, b'{"reprocessing":"r1"}')
    for _ in range(2):  # first sight, then known
        assert (await at.call("events", "GET", PROCEED)).status == 403
        for who in (None, "nonsense", "eve", "events-b"):
            reply = await at.call(who, "GET", PROCEED)
            assert reply.is_error(401)
            assert reply.headers["www-authenticate"].startswith("Bearer")


async def test_a_known_token_goes_the_fast_path(at: House, monkeypatch: pytest.MonkeyPatch) -> None:
    at.actor_client.answers[CheckLock] = Answer(Code.OK)
    assert (await at.call("events", "GET", PROCEED)).status == 200
    with capture_logs() as lines:
        reply = await at.call("events", "GET", PROCEED)
    assert set(reply.headers) == {"content-length", "date", "server", "cache-control"}
    assert not lines  # the edge, which logs, was not asked


async def test_the_deciding_user_is_the_credentials(at: House) -> None:
    for body in (b"", b"{}", b'{"user":"ana"}', b'{"user":null}'):
        assert (await at.call("ana", "POST", APPROVE, body)).status == 200
        asked = at.actor_client.asked[-1][1]
        assert asked.token, "which credential it was given with"
        assert asked == Approve(OF_A, "ana", token=asked.token)
    count = len(at.actor_client.asked)
    assert (await at.call("ana", "POST", APPROVE, b'{"user":"root"}')).is_error(403, "cannot decide for another")
    target = f"/v1.0.0/reprocessing/set_status?id={OF_A}&status=skipped"
    assert (await at.call("root", "POST", target + "&user=ana")).is_error(403, "cannot decide for another")
    assert len(at.actor_client.asked) == count
    assert (await at.call("root", "POST", target)).status == 200
    assert at.actor_client.asked[-1][1].user == "root"


async def test_streams_are_guarded_and_end_with_the_token(at: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT", 0.05)
    at.actor_client.answers[AwaitChange] = Answer(Code.OK, b"{}", "1")
    for path in ("/v1.0.0/stream", "/v1.0.0/systems/sysA/stream"):
        assert (await at.call(None, "GET", path)).is_error(401)
        assert (await at.call("events", "GET", path)).is_error(403)
    assert (await at.call("ben", "GET", "/v1.0.0/systems/sysA/stream")).is_error(403, "sysA")
    reader, writer = await asyncio.open_connection(*at.client.address)
    writer.write(f"GET /v1.0.0/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {at.tokens['ben']}\r\n\r\n".encode())
    async with asyncio.timeout(10):
        await reader.readuntil(b"event: system")
        assert {system for system, _, _ in at.actor_client.asked} == {"sysB"}
        at.file.revoke("ben")
        await reader.readuntil(b"0\r\n\r\n")  # its end
    writer.close()


async def test_one_caller_does_not_take_all_streams(at: House) -> None:
    at.actor_client.answers[AwaitChange] = Answer(Code.OK, b"{}", "1")

    async def opened(who: str) -> tuple[asyncio.StreamWriter, bytes]:
        reader, writer = await asyncio.open_connection(*at.client.address)
        head = f"GET /v1.0.0/systems/sysA/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {at.tokens[who]}\r\n\r\n"
        writer.write(head.encode())
        return writer, await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)

    streams_ = [await opened("eve") for _ in range(live.PER_HOLDER)]
    assert all(head.startswith(b"HTTP/1.1 200") for _, head in streams_)
    more = await at.call("eve", "GET", "/v1.0.0/systems/sysA/stream")
    assert more.is_error(429, "8 streams of this caller")
    assert more.headers["retry-after"]
    streams_.append(await opened("ana"))
    assert streams_[-1][1].startswith(b"HTTP/1.1 200")
    for writer, _ in streams_:
        writer.close()


async def test_lists_show_the_callers_systems_only(at: House) -> None:
    await at.call("eve", "GET", "/v1.0.0/systems")
    assert [system for system, _, _ in at.actor_client.asked] == ["sysA"]


async def test_not_ready_tells_strangers_no_details(at: House) -> None:
    at.actor_client.problems = {"sysSecret": "broken"}
    reply = await at.call(None, "GET", "/readyz")
    assert (reply.status, b"sysSecret" in reply.body) == (503, False)
    await at.call("eve", "GET", "/v1.0.0/systems")
    assert b"sysSecret" in (await at.call("eve", "GET", "/readyz")).body


async def test_a_platform_network_needs_no_token(tmp_path: Path) -> None:
    async with house(tmp_path, platform_networks=("127.0.0.0/8",)) as at:
        at.actor_client.answers[CheckLock] = Answer(Code.OK)
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
        at.actor_client.answers[CheckLock] = Answer(Code.OK)
        assert (await at.call(None, "GET", "/v1.0.0/reprocessing/sysA/pending")).status == 200
        assert (await at.call(None, "GET", PROCEED)).status == 200
        assert (await at.call(None, "POST", APPROVE)).is_error(400, "user: is missing")
        assert (await at.call(None, "POST", APPROVE, body)).status == 200
        assert at.actor_client.asked[-1][1].user == "ana"
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
        at.actor_client.answers[CheckLock] = Answer(Code.OK)
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


async def test_many_first_requests_of_one_valid_token(tmp_path: Path) -> None:
    """Nobody attacks: a service with 40 connections starts, or comes back after the token file changed."""
    async with house(tmp_path, failures=3) as at:
        at.actor_client.answers[CheckLock] = Answer(Code.OK)
        for _ in range(2):
            replies = await asyncio.gather(*(at.call("events", "GET", PROCEED) for _ in range(40)))
            assert {reply.status for reply in replies} == {200}
            at.file.add(f"another{len(at.file.entries())}", Role.VIEWER)
            await asyncio.sleep(1.1)  # the file is looked at once a second


async def test_guessing_from_a_shared_address_locks_out_no_valid_token(tmp_path: Path) -> None:
    async with house(tmp_path, failures=3) as at:
        at.actor_client.answers[CheckLock] = Answer(Code.OK)
        known_id = at.tokens["events"][:-4] + "0000"
        for guess in ("guess", known_id) * 5:
            assert (await at.call(guess, "GET", PROCEED)).status in (401, 429)
        assert (await at.call("guess", "GET", PROCEED)).status == 429
        assert (await at.call("events", "GET", PROCEED)).status == 200  # at first sight
        assert (await at.call("ana", "POST", APPROVE)).status == 200


async def test_an_issuer_out_of_reach_is_503_and_counts_as_no_failure(tmp_path: Path) -> None:
    class Away:
        async def verify(self, credential: str) -> Principal:
            raise Undecided("the issuer's keys are out of reach")

    async with house(tmp_path, failures=3) as at:
        at.verifier._people = Away()
        for _ in range(10):
            reply = await at.call("a.b.c", "POST", APPROVE)
            assert reply.is_error(503, "out of reach")
            assert int(reply.headers["retry-after"]) > 0
        assert at.refused() == []
        at.verifier._people = None
        assert (await at.call("a.b.c", "POST", APPROVE)).status == 401


async def test_what_is_refused_is_rate_limited(tmp_path: Path) -> None:
    http = SETTINGS.model_copy(update={"rate": 0.01, "burst": 3})
    async with house(tmp_path, http) as at:
        no_credential = [(await at.call(None, "POST", APPROVE)).status for _ in range(5)]
        assert no_credential == [401, 401, 401, 429, 429]
        assert (await at.call("ana", "POST", APPROVE)).status == 200  # its caller is known, and has a count of its own
    async with house(tmp_path / "other", http) as at:
        foreign = [(await at.call("ana", "POST", APPROVE, Origin="http://evil.example")).status for _ in range(5)]
        assert foreign == [403, 403, 403, 429, 429]
    async with house(tmp_path / "third", http) as at:
        request = b"GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n"
        assert [(await at.client.raw(request)).status for _ in range(5)] == [421, 421, 421, 429, 429]


async def test_log_and_audit_of_refusals_are_bounded(at: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_limits, "TOLD_AFTER", 0.05)
    long = "x" * 7000
    with capture_logs() as lines:
        for number in range(120):
            assert (await at.call(None, "POST", f"/v1.0.0/reprocessing/{number}{long}/approve")).status == 401
            assert (await at.client.raw(b"NONSENSE\r\n\r\n")).status == 400
        async with asyncio.timeout(5):
            while not [line for line in lines if line["event"] == "http.lines_left_out"]:  # noqa: ASYNC110 - a log
                await asyncio.sleep(0.01)
    events = ("http.approve", "http.malformed")
    told = [line for line in lines if line["event"] in events and line["log_level"] == "info"]
    assert 1 <= len(told) <= 60
    assert max(len(str(line)) for line in lines) < 2000
    left_out = sum(line["count"] for line in lines if line["event"] == "http.lines_left_out")
    assert len(told) + left_out <= 240
    assert left_out >= 100
    refused = at.refused()
    assert refused
    assert max(len(str(line)) for line in refused) < 1500
    assert at.audit() == []


async def test_too_many_requests_of_one_client_slow_nobody_else(tmp_path: Path) -> None:
    http = SETTINGS.model_copy(update={"rate": 0.01, "burst": 3})
    async with house(tmp_path, http) as at:
        at.actor_client.answers[CheckLock] = Answer(Code.OK)
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
    at.actor_client.answers[GetDocument] = Answer(Code.NOT_FOUND)
    with capture_logs() as lines:
        await at.call("eve", "POST", APPROVE)
        await at.call("ben", "POST", APPROVE)
        await at.call("nonsense", "POST", APPROVE)
        await at.call(None, "POST", APPROVE)
    shown = [(line["who"], line["via"], line["what"], line["target"], line["outcome"], line["status"])
             for line in at.refused()]  # fmt: skip
    assert shown == [
        ("eve", "token", "approve", OF_A, "refused", 403),
        ("ben", "token", "approve", OF_A, "refused", 404),
        ("", "nobody", "approve", OF_A, "refused", 401),
        ("", "nobody", "approve", OF_A, "refused", 401),
    ]
    assert [line["status"] for line in lines if line["event"] == "http.approve"] == [403, 404, 401, 401]
    assert all(line["origin"] == "127.0.0.1" for line in at.refused())
    assert at.audit() == []
    assert "eve is not allowed to do this: it takes the role approver" in {line["message"] for line in at.refused()}


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


async def test_who_covers_a_tag_is_told_with_how_it_was_told(at: House) -> None:
    body = b'{"covers": "tag"}'
    token_id = next(entry.id for entry in at.file.entries() if entry.name == "ana")
    assert (await at.call("ana", "POST", APPROVE, body)).status == 200
    assert at.actor_client.asked[-1][1] == Approve(OF_A, "ana", token=token_id, covers=Covers("token", token=token_id))
    at.tokens["bea"] = at.file.add("bea", Role.APPROVER, lifetime=3600.0)
    await asyncio.sleep(1.1)  # the token file is looked at once a second
    assert (await at.call("bea", "POST", APPROVE, body)).status == 200
    covers = at.actor_client.asked[-1][1].covers
    assert abs(covers.expires - time.time() - 3600) < 60
    assert [line["facts"]["covers"] for line in at.audit()] == ["tag", "tag"]

"""What the gateways of several nodes share in PostgreSQL: tokens, answers under an idempotency key, the audit log."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from maestro.access import shared_audit
from maestro.access.audit import AuditError, Entry
from maestro.access.roles import Role
from maestro.access.shared_audit import DECISIONS, SharedAuditLog, shared_lines, verify_shared
from maestro.access.shared_tokens import SharedTokens
from maestro.access.tokens import TokenError, TokenFile, decoded
from maestro.access.verifier import Refused, Verifier
from maestro.http import shared_replays
from maestro.http.idempotency import Ticket
from maestro.http.replies import Problem
from maestro.http.shared_replays import SharedReplays
from maestro.store.base import StoreAway
from maestro.store.postgres.gateway import GatewayTables
from tests.support.postgres import PostgresNode
from tests.unit.http.conftest import eventually

pytestmark = pytest.mark.postgres


@pytest.fixture
async def one(url: str) -> AsyncIterator[GatewayTables]:
    tables = GatewayTables(url, 10.0)
    await tables.make()
    yield tables
    await tables.close()


@pytest.fixture
async def two(one: GatewayTables, url: str) -> AsyncIterator[GatewayTables]:
    """The tables as another node sees them."""
    tables = GatewayTables(url, 10.0)
    yield tables
    await tables.close()


# --- tokens -----------------------------------------------------------------------------------------------------------


async def test_a_token_made_on_one_node_is_known_on_the_other(
    one: GatewayTables, two: GatewayTables, tmp_path: Path
) -> None:
    here, there = SharedTokens(one), SharedTokens(two)
    await there.begin(tmp_path)
    following = asyncio.create_task(there.follow(tmp_path))
    token = await here.add("ana", Role.APPROVER, ("sysA",))
    now = [0.0]

    def clock() -> float:
        now[0] += 10.0  # so that the file is looked at each time
        return now[0]

    verifier = Verifier(TokenFile(tmp_path), 60.0, clock=clock)
    await eventually(lambda: [one.name for one in TokenFile(tmp_path).entries()] == ["ana"])
    assert (await verifier.verify(token)).name == "ana"
    with pytest.raises(TokenError, match="already"):
        await there.add("ana", Role.VIEWER)
    with pytest.raises(TokenError, match="NAME"):
        await there.add("a b", Role.VIEWER)
    await there.revoke("ana")
    with pytest.raises(TokenError, match="no token"):
        await here.revoke("ana")
    await eventually(lambda: TokenFile(tmp_path).entries() == [])
    with pytest.raises(Refused):
        await verifier.verify(token)
    following.cancel()


async def test_changes_at_the_same_time_are_all_made(one: GatewayTables, two: GatewayTables) -> None:
    nodes = SharedTokens(one), SharedTokens(two)
    await asyncio.gather(*(nodes[n % 2].add(f"t{n}", Role.VIEWER) for n in range(8)))
    assert {entry.name for entry in await nodes[0].entries()} == {f"t{n}" for n in range(8)}


async def test_tokens_of_the_data_folder_are_taken_along_once(
    one: GatewayTables, two: GatewayTables, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    TokenFile(first).add("ana", Role.ADMIN)
    TokenFile(second).add("rui", Role.ADMIN)
    await SharedTokens(one).begin(first)
    await SharedTokens(two).begin(second)
    for folder in (first, second):
        assert [entry.name for entry in TokenFile(folder).entries()] == ["ana"]
    (first / "access" / "tokens.json").write_text("damaged")
    await SharedTokens(one).begin(first)
    assert [entry.name for entry in TokenFile(first).entries()] == ["ana"]


async def test_tokens_of_a_folder_that_comes_later_are_set_aside_and_named(one: GatewayTables, tmp_path: Path) -> None:
    shared = SharedTokens(one)
    await shared.add("ana", Role.ADMIN)
    own = TokenFile(tmp_path)
    own.add("rui", Role.ADMIN)
    with capture_logs() as lines:
        await shared.begin(tmp_path)
        await shared.add("eva", Role.VIEWER)
        await shared.revoke("ana")
        await shared.begin(tmp_path)  # what was copied is no token of the folder's own
    said = [line for line in lines if line["event"] == "access.tokens_set_aside"]
    assert [(line["log_level"], line["tokens"]) for line in said] == [("warning", ["rui"])]
    aside = tmp_path / "access" / "tokens.own.json"
    assert [entry.name for entry in decoded(aside.read_bytes())] == ["rui"]
    assert aside.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in own.entries()] == ["eva"]
    own.add("rui", Role.ADMIN)  # as a Maestro alone in this folder
    with capture_logs() as lines:
        await shared.begin(tmp_path)
    assert [line["tokens"] for line in lines if line["event"] == "access.tokens_set_aside"] == [["rui"]]


# --- the audit log ----------------------------------------------------------------------------------------------------


def decided(n: int, system: str = "sysA") -> Entry:
    return Entry(who=f"user{n}", via="token", what="approve", system=system, origin="", outcome="done", status=200)


async def test_nodes_write_one_chain(one: GatewayTables, two: GatewayTables) -> None:
    logs = [SharedAuditLog(tables, DECISIONS, 10**6) for tables in (one, two)]
    await asyncio.gather(*(logs[n % 2].record(decided(n)) for n in range(40)))
    for n in range(10):
        await logs[n % 2].record(decided(100 + n, "sysB"))
    lines = [line async for line in shared_lines(one, DECISIONS)]
    assert [line["number"] for line in lines] == list(range(1, 51))
    assert {line["who"] for line in lines} == {f"user{n}" for n in [*range(40), *range(100, 110)]}
    number, head = await verify_shared(two, DECISIONS)
    assert (number, head) == (50, lines[-1]["hash"])
    found, following = await logs[0].page(38, 1, lambda system: system == "sysB")
    assert [entry["who"] for entry in found] == ["user100"]
    assert following == found[-1]["number"]
    assert (await logs[1].page(49, 10, lambda _system: True))[1] is None


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE maestro.audit SET line = replace(convert_from(line, 'UTF8'), 'user2', 'user9')::bytea WHERE number = 3",
        "DELETE FROM maestro.audit WHERE number = 2",
        "DELETE FROM maestro.audit WHERE number = 1",
    ],
)
async def test_what_was_changed_shows(
    one: GatewayTables, postgres_node: PostgresNode, database: str, damage: str
) -> None:
    log = SharedAuditLog(one, DECISIONS, 10**6)
    for n in range(5):
        await log.record(decided(n))
    await verify_shared(one, DECISIONS)
    postgres_node.execute(damage, database)
    with pytest.raises(AuditError):
        await verify_shared(one, DECISIONS)


async def test_a_bounded_log_forgets_the_oldest_and_says_so(one: GatewayTables, two: GatewayTables) -> None:
    logs = [SharedAuditLog(tables, "refused", 1000, keep=3) for tables in (one, two)]
    for n in range(60):
        await logs[n % 2].record(decided(n))
    lines = [line async for line in shared_lines(one, "refused")]
    size = (await one.head("refused", "")).bytes
    assert 1000 < size < 5000
    assert lines[0]["number"] > 1
    assert lines[-1]["who"] == "user59"
    assert "audit_rotated" in {line["what"] for line in lines}
    assert (await verify_shared(two, "refused"))[0] == lines[-1]["number"]


async def test_a_log_that_cannot_be_written_says_so_until_it_can(
    one: GatewayTables, postgres_node: PostgresNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = SharedAuditLog(one, DECISIONS, 10**6)
    await log.record(decided(1))
    append = GatewayTables.append

    async def away(*_args: object) -> bool:
        raise StoreAway("PostgreSQL: away")

    monkeypatch.setattr(GatewayTables, "append", away)
    with pytest.raises(AuditError, match="away"):
        await log.record(decided(2))
    with pytest.raises(AuditError, match="away"):
        await log.check()
    monkeypatch.setattr(GatewayTables, "append", append)
    await log.check()
    await log.record(decided(3))
    assert [line["who"] async for line in shared_lines(one, DECISIONS)] == ["user1", "maestro", "user3"]
    assert (await verify_shared(one, DECISIONS))[0] == 3
    monkeypatch.setattr(shared_audit, "_TRIES", 0)
    with pytest.raises(AuditError, match="other nodes"):
        await log.record(decided(4))


# --- answers ----------------------------------------------------------------------------------------------------------


def done(text: str = "{}", status: int = 200) -> web.Response:
    return web.Response(status=status, body=text.encode(), headers={"Content-Type": "application/json"})


async def test_another_node_repeats_the_answer(one: GatewayTables, two: GatewayTables) -> None:
    here, there = SharedReplays(one), SharedReplays(two)
    ticket = Ticket("ana", "key", "print")
    assert await here.begin(ticket) is None
    for node in (here, there):
        with pytest.raises(Problem) as under_way:
            await node.begin(ticket)
        assert under_way.value.status == 409
    await here.end(ticket, done('{"id":"\\u0000 é"}', 202), "sysA")
    again = await there.begin(ticket)
    assert again is not None
    assert (again.status, again.body) == (202, '{"id":"\\u0000 é"}'.encode())
    assert again.headers["Idempotency-Replayed"] == "true"
    assert await there.begin(ticket, lambda system: system != "sysA") is None, "it is carried out, and refused"
    await there.end(ticket, done("other"))
    assert (await here.begin(ticket)).body == again.body
    with pytest.raises(Problem) as other:
        await there.begin(Ticket("ana", "key", "another print"))
    assert other.value.status == 422
    assert await there.begin(Ticket("rui", "key", "another print")) is None


@pytest.mark.parametrize("response", [None, done(status=503)])
async def test_what_leaves_open_whether_it_was_done_is_not_kept(
    one: GatewayTables, two: GatewayTables, response: web.Response | None
) -> None:
    here, there = SharedReplays(one), SharedReplays(two)
    ticket = Ticket("ana", "key", "print")
    assert await here.begin(ticket) is None
    await here.end(ticket, response)
    assert await there.begin(ticket) is None


async def test_a_request_whose_node_is_gone_is_given_up_after_a_while(
    one: GatewayTables, two: GatewayTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = SharedReplays(one), SharedReplays(two)
    ticket = Ticket("ana", "key", "print")
    assert await here.begin(ticket) is None
    monkeypatch.setattr(shared_replays, "ABANDONED", 0.0)
    assert await there.begin(ticket) is None
    await here.end(ticket, done("late"))
    await there.end(ticket, done("kept"))
    assert (await here.begin(ticket)).body == b"kept"


async def test_a_request_that_was_given_up_takes_nothing_from_the_next_one_of_its_node(
    one: GatewayTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = SharedReplays(one)
    first, second = Ticket("ana", "key", "print"), Ticket("ana", "key", "print")
    assert await node.begin(first) is None
    monkeypatch.setattr(shared_replays, "ABANDONED", 0.0)
    assert await node.begin(second) is None
    monkeypatch.undo()
    await node.end(first, done("late"))
    with pytest.raises(Problem) as under_way:
        await node.begin(Ticket("ana", "key", "print"))
    assert under_way.value.status == 409
    await node.end(second, done("kept"))
    assert (await node.begin(Ticket("ana", "key", "print"))).body == b"kept"


async def test_answers_are_bounded(one: GatewayTables, monkeypatch: pytest.MonkeyPatch) -> None:
    replays = SharedReplays(one)
    monkeypatch.setattr(shared_replays, "PER_CALLER", 3)
    monkeypatch.setattr(shared_replays, "_TRIM_EVERY", 5)
    tickets = [Ticket("ana", f"key{n}", "print") for n in range(5)]
    for ticket in tickets:
        await replays.begin(ticket)
        await replays.end(ticket, done())
    assert [await replays.begin(ticket) is None for ticket in tickets] == [True, True, False, False, False]


async def test_an_answer_that_cannot_be_kept_harms_nobody(one: GatewayTables, monkeypatch: pytest.MonkeyPatch) -> None:
    replays = SharedReplays(one)
    ticket = Ticket("ana", "key", "print")
    await replays.begin(ticket)

    async def away(*_args: object) -> None:
        raise StoreAway("away")

    monkeypatch.setattr(GatewayTables, "keep_answer", away)
    await replays.end(ticket, done())

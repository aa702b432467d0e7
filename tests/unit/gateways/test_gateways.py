"""Two nodes' gateways in one process: each answers about the systems of both."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import orjson
import pytest
from aiohttp import web

from maestro.actors.errors import Unavailable, UnknownSystem
from maestro.gateways import items
from maestro.gateways.dialer import Elsewhere
from maestro.gateways.items import OF_ASKED, OF_BEGINNING, PATH, NodeHello, NotOwned, SystemAsked, packed, unpacked
from maestro.http import live
from maestro.links.items import Refused
from maestro.messages.answers import Answer, Code
from maestro.messages.decisions import Approve
from maestro.messages.questions import AwaitChange, CheckLock, GetDocument, ListRecords, ListTodo, Question
from tests.unit.gateways.nodes_kit import Node, a_node, acquaint
from tests.unit.http.conftest import eventually
from tests.unit.http.test_http_live import data, opened

SECRET = "a secret of the cluster"


@pytest.fixture
async def one() -> AsyncIterator[Node]:
    async with a_node("one", "sysA", secret=SECRET) as node:
        yield node


@pytest.fixture
async def two() -> AsyncIterator[Node]:
    async with a_node("two", "sysB", secret=SECRET) as node:
        yield node


@pytest.fixture
def both(one: Node, two: Node) -> tuple[Node, Node]:
    acquaint(None, one, two)
    return one, two


async def ask(node: Node, system: str, question: Question, timeout: float = 5) -> Answer:  # noqa: ASYNC109
    return await node.cluster.ask(system, question, timeout=timeout)


async def test_a_decision_goes_to_the_owner_with_who_decides(both: tuple[Node, Node]) -> None:
    one, two = both
    two.own.answers[Approve] = Answer(Code.OK, b'{"id":"d"}')
    two.own.answers[GetDocument] = Answer(Code.OK, b'{"id":"d"}')
    one.own.answers[GetDocument] = Answer(Code.NOT_FOUND)
    body = orjson.dumps({"user": "ana", "reason": "seen \ud83d".encode("utf-8", "replace").decode()})
    reply = await one.gateway.post("/v1.0.0/reprocessing/d/approve", body)
    assert (reply.status, reply.json) == (200, {"id": "d"})
    system, question, _ = two.own.asked[-1]
    assert (system, question.user) == ("sysB", "ana")
    assert one.own.asked == [("sysA", GetDocument("d"), pytest.approx(0.5, abs=0.5))]


async def test_text_that_utf8_cannot_hold_goes_there_and_back(both: tuple[Node, Node]) -> None:
    one, two = both
    two.own.answers[Approve] = lambda _system, question: Answer(Code.INVALID, message=question.reason)
    cut = "an emoji cut in two: \ud83d"
    assert (await ask(one, "sysB", Approve("d", "ana", cut))).message == cut


async def test_own_systems_are_asked_here(both: tuple[Node, Node]) -> None:
    one, two = both
    assert (await ask(one, "sysA", ListTodo())).code is Code.OK
    assert (len(one.own.asked), len(two.own.asked)) == (1, 0)


async def test_both_gateways_list_the_systems_of_both(both: tuple[Node, Node]) -> None:
    for node in both:
        listed = (await node.gateway.get("/v1.0.0/systems")).json
        assert len(listed) == 2
        assert node.cluster.systems() == ("sysA", "sysB")


async def test_many_questions_share_a_session_and_are_answered_in_any_order(both: tuple[Node, Node]) -> None:
    one, two = both
    two.own.gate = asyncio.Event()
    slow = [asyncio.create_task(ask(one, "sysB", AwaitChange(str(number), 4))) for number in range(200)]
    await eventually(lambda: two.own.waiting == 200)
    gate, two.own.gate = two.own.gate, None
    assert (await ask(one, "sysB", ListTodo())).code is Code.OK
    gate.set()
    assert {answer.code for answer in await asyncio.gather(*slow)} == {Code.OK}


async def test_a_stream_follows_a_system_of_the_other_node(
    both: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "COALESCE", 0.02)
    one, two = both
    numbers = iter(range(1, 1000))

    def changing(_system: str, _question: Question) -> Answer:
        number = next(numbers)
        return Answer(Code.OK, b'{"n":%d}' % number, str(number))

    two.own.answers[AwaitChange] = changing
    async with opened(one.gateway, "/v1.0.0/systems/sysB/stream") as reader:
        seen = [(await data(reader))["n"] for _ in range(3)]
    assert seen == sorted(set(seen))


async def test_a_node_that_does_not_own_a_system_says_so_and_asks_nobody(both: tuple[Node, Node]) -> None:
    one, two = both
    two.own.known.clear()
    # Each takes the other for the owner: the question goes there, and no further.
    two.owners.see({"sysA": "one", "sysB": "one"})
    one.lookup.owned("sysB", "two")
    with pytest.raises(Unavailable, match="moving") as problem:
        await ask(one, "sysB", ListTodo())
    assert problem.value.retry_after == 1
    assert one.own.asked == two.own.asked == []


async def test_a_system_that_moved_meanwhile_is_asked_at_its_new_owner_once(one: Node, two: Node) -> None:
    async with a_node("three", "sysB", secret=SECRET) as three:
        acquaint(None, one, two, three)
        two.own.known.clear()
        one.owners.see({"sysA": "one", "sysB": "two"})
        one.lookup.owned("sysB", "three")
        assert (await ask(one, "sysB", ListTodo())).code is Code.OK
        three.own.known.clear()
        with pytest.raises(Unavailable, match="does not own"):
            await ask(one, "sysB", ListTodo())
        assert len(three.own.asked) == 1


async def test_a_system_without_an_owner_is_503_with_retry_after(both: tuple[Node, Node]) -> None:
    one, _ = both
    one.owners.see({"sysA": "one", "sysB": ""})
    for node in ("", "gone", "one"):  # nobody's; of a node that is gone; this node's, which does not serve it yet
        one.lookup.owned("sysB", node)
        reply = await one.gateway.get("/v1.0.0/systems/sysB")
        assert reply.is_error(503, "no node owns")
        assert reply.headers["retry-after"] == "1"


async def test_only_the_store_can_say_that_there_is_no_such_system(both: tuple[Node, Node]) -> None:
    one, two = both
    assert (await one.gateway.get("/v1.0.0/systems/new")).is_error(404)
    two.own.known.add("new")
    one.lookup.owned("new", "two")  # since the owners were read
    assert (await one.gateway.get("/v1.0.0/systems/new")).status == 200
    one.lookup.away = True
    assert (await one.gateway.get("/v1.0.0/systems/other")).is_error(503, "store")


async def test_what_the_owner_cannot_do_is_said_here(both: tuple[Node, Node]) -> None:
    one, two = both
    two.own.answers[ListTodo] = Unavailable("the actors are being started")
    with pytest.raises(Unavailable, match="being started"):
        await ask(one, "sysB", ListTodo())
    two.own.answers[ListTodo] = KeyError("a bug")
    with pytest.raises(Unavailable, match="internal"):
        await ask(one, "sysB", ListTodo())


async def test_a_slow_owner_is_waited_for_no_longer_than_asked(both: tuple[Node, Node]) -> None:
    one, two = both
    await ask(one, "sysB", ListTodo())
    two.own.gate = asyncio.Event()
    with pytest.raises(TimeoutError):
        await ask(one, "sysB", ListTodo(), timeout=0.2)
    await eventually(lambda: two.own.waiting == 0)  # its time is over there as well
    two.own.gate = None
    assert (await ask(one, "sysB", ListTodo())).code is Code.OK


async def test_a_node_that_is_gone_is_unavailable_and_found_again(one: Node) -> None:
    async with a_node("two", "sysB", secret=SECRET) as two:
        acquaint(None, one, two)
        two.own.gate = asyncio.Event()
        waiting = asyncio.create_task(ask(one, "sysB", ListTodo(), timeout=30))
        await eventually(lambda: two.own.waiting == 1)
    with pytest.raises(Unavailable, match="whether it was carried out is not known"):
        await waiting
    with pytest.raises(Unavailable, match="cannot be reached"):
        await ask(one, "sysB", ListTodo())
    async with a_node("two", "sysB", secret=SECRET) as again:
        acquaint(None, one, again)
        assert (await ask(one, "sysB", ListTodo())).code is Code.OK


async def test_a_node_whose_lease_is_over_answers_nobody(both: tuple[Node, Node]) -> None:
    one, two = both
    two.lease["believed"] = False
    with pytest.raises(Unavailable, match="lease"):
        await ask(one, "sysB", ListTodo())
    assert two.own.asked == []
    with pytest.raises(Unavailable, match="lease"):
        await ask(two, "sysB", ListTodo())

    def ends_meanwhile(_system: str, _question: Question) -> Answer:
        two.lease["believed"] = False
        return Answer(Code.OK)

    two.lease["believed"] = True
    two.own.answers[ListTodo] = ends_meanwhile
    with pytest.raises(Unavailable, match="lease"):
        await ask(one, "sysB", ListTodo())


async def test_a_new_system_is_made_known_to_the_cluster(both: tuple[Node, Node]) -> None:
    one, _ = both
    await one.cluster.install("sysB")
    assert one.lookup.added == []
    await one.cluster.install("sysC")
    assert (one.lookup.added, one.own.installed) == (["sysC"], [])
    one.lookup.away = True
    with pytest.raises(Unavailable, match="store"):
        await one.cluster.install("sysD")


async def test_the_history_asks_each_node_once_what_is_at_rest_and_wakes_little(both: tuple[Node, Node]) -> None:
    one, two = both
    # "9.b" is newer than the others; what has no record is not woken at all.
    two.own.resting = {"sysB": "9.b", "empty": ""} | {f"s{n}": f"1.{n}" for n in range(40)}
    two.own.known |= two.own.resting.keys()
    acquaint(None, one, two)

    def records(system: str, _question: Question) -> Answer:
        cursor = two.own.resting.get(system, "8.a")
        return Answer(Code.OK, orjson.dumps([{"id": system, "cursor": cursor}, {"id": system, "cursor": "0.x"}]))

    one.own.answers[ListRecords] = two.own.answers[ListRecords] = records
    assert await one.cluster.at_rest(["sysA", "sysB", "empty"]) == {"sysB": "9.b", "empty": ""}
    page = (await one.gateway.get("/v1.0.0/history?limit=1")).json
    assert [record["id"] for record in page["records"]] == ["sysB"]
    asked = {system for system, question, _ in two.own.asked if isinstance(question, ListRecords)}
    assert "sysB" in asked
    assert len(asked) <= 16, "and not those behind the page"
    two.lease["believed"] = False
    assert await one.cluster.at_rest(["sysB"]) == {}


# --- lock checks --------------------------------------------------------------------------------------------------


async def test_a_lock_check_is_answered_by_what_is_stored(both: tuple[Node, Node]) -> None:
    one, two = both
    one.lookup.lock("sysA", b"")
    one.lookup.lock("sysB", b'{"reprocessing":"d"}')
    assert (await one.gateway.get("/v1.0.0/gateway/sysA/proceed")).status == 200
    for _ in range(2):  # from no cache
        reply = await one.gateway.get("/v1.0.0/gateway/sysB/proceed")
        assert (reply.status, reply.json) == (403, {"reprocessing": "d"})
    assert one.lookup.asked == ["sysA", "sysB", "sysB"]
    assert (await one.gateway.get("/v1.0.0/gateway/nobody/proceed")).status == 200
    assert one.own.asked == two.own.asked == []


async def test_a_lock_that_the_store_does_not_say_is_asked_of_the_owner(both: tuple[Node, Node]) -> None:
    one, two = both
    one.lookup.lock("sysB", None)
    two.own.answers[CheckLock] = Answer(Code.LOCKED, b"{}")
    assert (await one.gateway.get("/v1.0.0/gateway/sysB/proceed")).status == 403
    two.lease["believed"] = False
    assert (await one.gateway.get("/v1.0.0/gateway/sysB/proceed")).status == 503
    one.lookup.lock("sysX", None)
    assert (await one.gateway.get("/v1.0.0/gateway/sysX/proceed")).status == 503


async def test_without_the_store_own_locks_are_known_while_the_lease_is_believed(both: tuple[Node, Node]) -> None:
    one, _ = both
    one.lookup.away = True
    one.own.answers[CheckLock] = Answer(Code.OK)
    assert (await one.gateway.get("/v1.0.0/gateway/sysA/proceed")).status == 200
    assert (await one.gateway.get("/v1.0.0/gateway/sysB/proceed")).status == 503
    # To this node it is no system: that is no reason to say that it may proceed.
    assert (await one.gateway.get("/v1.0.0/gateway/nobody/proceed")).status == 503
    one.lease["believed"] = False
    assert (await one.gateway.get("/v1.0.0/gateway/sysA/proceed")).status == 503


async def test_a_store_that_gives_no_answer_is_waited_for_no_longer_than_asked(both: tuple[Node, Node]) -> None:
    one, _ = both
    one.lookup.silent = True
    assert (await ask(one, "sysA", CheckLock(), timeout=0.2)).code is Code.OK, "an own system's"
    with pytest.raises(Unavailable):
        await ask(one, "sysB", CheckLock(), timeout=0.2)
    with pytest.raises(TimeoutError):
        await ask(one, "new", ListTodo(), timeout=0.2)


# --- who may ask --------------------------------------------------------------------------------------------------


async def begun(node: Node, hello: object = None, **headers: str) -> list[object]:
    """Begin a session by hand; return what the node says first."""
    async with aiohttp.ClientSession() as http:
        session = await http.ws_connect(node.url + PATH, headers=headers)
        await session.send_bytes(packed(hello or NodeHello("c", "stranger")))
        return list(unpacked(OF_BEGINNING, (await session.receive(timeout=5)).data))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Maestro-Node another secret"},
        {"Authorization": SECRET + "x"},
        {"Authorization": "Maestro-Node " + SECRET, "Origin": "http://localhost"},
    ],
)
async def test_who_does_not_know_the_secret_and_every_browser_is_refused(one: Node, headers: dict[str, str]) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as problem:
        await begun(one, **headers)
    assert problem.value.status == 403


async def test_without_a_secret_only_this_machine_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_node("one", "sysA") as one:
        assert await begun(one) == [NodeHello("c", "one")]
        for name in ("Forwarded", "X-Forwarded-For", "Via"):  # of whom a proxy of this machine speaks is anybody
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await begun(one, **{name: "10.1.0.5"})
        monkeypatch.setattr(web.BaseRequest, "remote", property(lambda _request: "10.1.0.5"))
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await begun(one)


async def test_another_cluster_and_another_version_are_refused(one: Node) -> None:
    secret = {"Authorization": "Maestro-Node " + SECRET}
    for hello in (NodeHello("other", "two"), NodeHello("c", "two", version=1)):
        (said,) = await begun(one, hello, **secret)
        assert isinstance(said, Refused)


async def test_at_an_address_another_node_may_be_by_now(both: tuple[Node, Node]) -> None:
    one, two = both
    acquaint({"two": one.url}, one, two)
    with pytest.raises(Unavailable, match="there is node 'one'"):
        await ask(one, "sysB", ListTodo())


async def test_a_wrong_secret_is_told_apart(one: Node) -> None:
    async with a_node("two", "sysB", secret="another") as two:
        acquaint(None, one, two)
        with pytest.raises(Unavailable, match="403"):
            await ask(one, "sysB", ListTodo())


async def test_what_is_no_question_ends_the_session_and_nothing_else(both: tuple[Node, Node]) -> None:
    one, two = both
    async with aiohttp.ClientSession(headers={"Authorization": "Maestro-Node " + SECRET}) as http:
        for message in (b"\xc1", packed(NodeHello("c", "x")), packed("text"), b"x" * 200_000):
            session = await http.ws_connect(two.url + PATH)
            await session.send_bytes(packed(NodeHello("c", "stranger")))
            await session.receive(timeout=5)
            await session.send_bytes(message)
            assert (await session.receive(timeout=5)).type in {
                aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING,
            }  # fmt: skip
    assert (await ask(one, "sysB", ListTodo())).code is Code.OK


async def test_a_session_has_a_bound_of_open_questions(
    both: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = both
    for module in ("dialer", "listener"):
        monkeypatch.setattr(f"maestro.gateways.{module}.MOST_OPEN", 3)
    two.own.gate = asyncio.Event()
    waiting = [asyncio.create_task(ask(one, "sysB", ListTodo())) for _ in range(3)]
    await eventually(lambda: two.own.waiting == 3)
    with pytest.raises(Unavailable, match="3 questions"):
        await ask(one, "sysB", ListTodo())
    async with aiohttp.ClientSession(headers={"Authorization": "Maestro-Node " + SECRET}) as http:
        session = await http.ws_connect(two.url + PATH)
        await session.send_bytes(packed(NodeHello("c", "stranger")))
        await session.receive(timeout=5)
        await session.send_bytes(packed(*(SystemAsked(number, "sysB", 5.0, ListTodo()) for number in range(4))))
        (refused,) = unpacked(OF_ASKED, (await session.receive(timeout=5)).data)
        assert (refused.correlation, refused.message) == (3, "too many questions are open")
        await session.send_bytes(packed(SystemAsked(5, "other", 5.0, ListTodo())))
    two.own.gate.set()
    await asyncio.gather(*waiting)


async def test_questions_of_a_broken_session_are_given_up_by_the_owner(both: tuple[Node, Node]) -> None:
    one, two = both
    two.own.gate = asyncio.Event()
    waiting = asyncio.create_task(ask(one, "sysB", ListTodo(), timeout=60))
    await eventually(lambda: two.own.waiting == 1)
    await one.dialers.close()
    with pytest.raises(Unavailable):
        await waiting
    await eventually(lambda: two.own.waiting == 0)


async def test_a_node_that_is_frozen_is_noticed(one: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maestro.gateways.dialer.HEARTBEAT", 0.2)
    ends = asyncio.Event()

    async def frozen(request: web.Request) -> web.StreamResponse:
        session = web.WebSocketResponse(autoping=False)
        await session.prepare(request)
        await session.receive()
        await session.send_bytes(packed(NodeHello("c", "two")))
        await ends.wait()
        return session

    app = web.Application()
    app.router.add_get(PATH, frozen)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    one.urls["two"] = f"http://127.0.0.1:{runner.addresses[0][1]}"
    one.owners.see({"sysB": "two"})
    with pytest.raises(Unavailable, match="not known"):
        await ask(one, "sysB", ListTodo(), timeout=60)
    ends.set()
    await runner.cleanup()


def test_what_is_not_owned_is_told_apart_from_what_is_unavailable() -> None:
    assert issubclass(Elsewhere, Unavailable)
    assert list(unpacked(OF_ASKED, packed(NotOwned(7)))) == [NotOwned(7)]
    with pytest.raises(ValueError, match="no frame"):
        items.unpacked(OF_ASKED, "text")
    assert not issubclass(UnknownSystem, Unavailable)

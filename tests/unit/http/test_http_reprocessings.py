import asyncio

import orjson
import pytest
from structlog.testing import capture_logs

from maestro.http import documents
from maestro.http.actor_client import Unavailable
from maestro.http.entities import Entities
from maestro.http.replies import Problem
from maestro.messages.answers import Answer, Code
from maestro.messages.decisions import Approve, Cancel, Retry, SetStatus, Skip
from maestro.messages.questions import FindDocuments, GetDocument, GetHeldInstance, Question
from maestro.platform import Platform
from maestro.rules.ids import document_id
from tests.support.siblings import RecordingSiblings
from tests.unit.http.conftest import Client
from tests.unit.http.fake_actor_client import FakeActorClient, FakePages

V1 = "/v1.0.0/reprocessing"
OF_B = document_id("sysB", b"0123456789")
DECISIONS = {"approve": Approve, "skip": Skip, "retry": Retry, "cancel": Cancel}
decisions = pytest.mark.parametrize("action", DECISIONS)


def only_in(owner: str, document: bytes = b'{"id":"old"}') -> object:
    def answer(system_id: str, _: Question) -> Answer:
        return Answer(Code.OK, document) if system_id == owner else Answer(Code.NOT_FOUND, message="not here")

    return answer


async def test_pending_and_find_list_documents(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.answers[FindDocuments] = Answer(Code.OK, b'[{"id":"r1"}]')
    for target in ("sysA/pending", "sysA/find", "sysA/find?status=", "sysA/find?status=finished"):
        reply = await client.get(f"{V1}/{target}")
        assert (reply.status, reply.body) == (200, b'[{"id":"r1"}]')
    asked = [question.status for _, question, _ in actor_client.asked]
    assert asked == ["pending_approval", "", "", "finished"]


async def test_system_without_documents_lists_none(client: Client) -> None:
    for target in ("other/pending", "other/find"):
        reply = await client.get(f"{V1}/{target}")
        assert (reply.status, reply.body) == (200, b"[]")


@pytest.mark.parametrize("system", ["wait_sysA", "a.b", "%2F", "x" * 129, "%00", "..", "%F0%9F%98%80"])
async def test_what_cannot_name_a_system_is_refused(client: Client, system: str) -> None:
    assert (await client.get(f"{V1}/{system}/pending")).is_error(400, "systemId: ")


async def test_status_to_find_is_checked(client: Client) -> None:
    assert (await client.get(f"{V1}/sysA/find?status={'x' * 65}")).is_error(400, "status: ")
    assert (await client.get(f"{V1}/sysA/find?status=%0A")).is_error(400, "status: ")


@decisions
async def test_decision_reaches_the_documents_system(
    client: Client, actor_client: FakeActorClient, action: str
) -> None:
    with capture_logs() as lines:
        reply = await client.post(f"{V1}/{OF_B}/{action}", '{"user":"Zoë"}'.encode())
    assert (reply.status, reply.json) == (200, {"canned": True})
    assert actor_client.asked == [("sysB", DECISIONS[action](OF_B, "Zoë"), 0.5)]
    (line,) = [line for line in lines if line["log_level"] == "info"]
    assert (line["event"], line["id"], line["user"], line["status"]) == (f"http.{action}", OF_B, "Zoë", 200)


@decisions
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "user: is missing"),
        (b"{}", "user: is missing"),
        (b'{"user":""}', "user: is missing"),
        (b'{"user":"  "}', "user: is missing"),
        (b'{"user":null}', "user: is missing"),
        (b'{"user":7}', "user: must be a string"),
        (b'{"user":"' + b"x" * 201 + b'"}', "user: must be at most 200"),
        (b'{"user":"a\\nb"}', "user: must be at most 200 printable"),
        (b'["user"]', "body: must be a JSON object"),
        (b"{", "body: is no JSON"),
        (b'{"user":"\xff"}', "body: is no JSON"),
        (b'{"user":"\\ud800"}', "body: is no JSON"),
        (b"[" * 5000, "body: is no JSON"),
        (b'{"a":' * 1500 + b"1" + b"}" * 1500, "body: is no JSON"),
    ],
)
async def test_decision_needs_its_user(
    client: Client, actor_client: FakeActorClient, action: str, body: bytes, message: str
) -> None:
    assert (await client.post(f"{V1}/{OF_B}/{action}", body)).is_error(400, message)
    assert not actor_client.asked


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (Code.INVALID, 400),
        (Code.NOT_FOUND, 404),
        (Code.CONFLICT, 409),
        (Code.FAILED, 502),
        (Code.UNAVAILABLE, 503),
    ],
)
async def test_refused_decision(client: Client, actor_client: FakeActorClient, code: Code, status: int) -> None:
    actor_client.answers[Approve] = Answer(code, message="r0 comes first")
    assert (await client.post(f"{V1}/{OF_B}/approve", b'{"user":"u"}')).is_error(status, "r0 comes first")


async def test_slow_system_is_a_503(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.gate = asyncio.Event()
    assert (await client.post(f"{V1}/{OF_B}/approve", b'{"user":"u"}')).is_error(503, "no answer in time")


async def test_document_is_found_by_its_id(client: Client, actor_client: FakeActorClient) -> None:
    reply = await client.get(f"{V1}/{OF_B}")
    assert (reply.status, reply.json) == (200, {"canned": True})
    assert [(system, question) for system, question, _ in actor_client.asked] == [("sysB", GetDocument(OF_B))]


async def test_foreign_id_is_searched_once_and_remembered(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.answers[GetDocument] = only_in("sysB")
    assert (await client.post(f"{V1}/old/approve", b'{"user":"u"}')).status == 200
    assert actor_client.asked[-1][:2] == ("sysB", Approve("old", "u"))
    actor_client.asked.clear()
    assert (await client.get(f"{V1}/old")).json == {"id": "old"}
    assert len(actor_client.asked) == 1


async def test_forgets_where_a_document_was(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.answers[GetDocument] = only_in("sysB")
    assert (await client.get(f"{V1}/old")).status == 200
    actor_client.answers[GetDocument] = only_in("sysA")
    assert (await client.get(f"{V1}/old")).is_error(404)
    assert (await client.get(f"{V1}/old")).status == 200


async def test_memory_of_finds_is_bounded(
    client: Client, actor_client: FakeActorClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "REMEMBERED", 2)

    class Everybody:
        def may_touch(self, system_id: str) -> bool:
            return True

        def about(self, system_id: str) -> None:
            pass

    finder = documents.Documents(actor_client, 1, Everybody())
    for name in ("a", "b", "c"):
        await finder.ask(name, GetDocument(name))
    assert list(finder._found) == ["b", "c"]


async def test_document_nobody_has(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.answers[GetDocument] = Answer(Code.NOT_FOUND, message="no")
    assert (await client.get(f"{V1}/old")).is_error(404, "old is not known")
    assert (await client.post(f"{V1}/a%2Fb/skip", b'{"user":"u"}')).is_error(404, "a/b is not known")


@pytest.mark.parametrize(
    "silence", [Unavailable("gone"), TimeoutError(), Answer(Code.UNAVAILABLE, message="store is full")]
)
async def test_not_found_is_only_said_when_all_answered(
    client: Client, actor_client: FakeActorClient, silence: Answer | Exception
) -> None:
    def answer(system_id: str, _: Question) -> Answer:
        if system_id == "sysA":
            return Answer(Code.NOT_FOUND)
        if isinstance(silence, Exception):
            raise silence
        return silence

    actor_client.answers[GetDocument] = answer
    assert (await client.get(f"{V1}/old")).is_error(503, "no answer from sysB")


async def test_search_is_narrow_and_short(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.known = {f"s{number}" for number in range(100)}
    actor_client.gate = asyncio.Event()
    assert (await client.get(f"{V1}/old")).is_error(503, "old")
    assert actor_client.most_waiting == documents.SEARCH_WIDTH
    assert actor_client.waiting == 0


@pytest.mark.parametrize("bad", ["x" * 201, "a%0Ab"])
async def test_what_cannot_be_an_id_is_refused(client: Client, bad: str) -> None:
    assert (await client.get(f"{V1}/{bad}")).is_error(400, "id: ")


async def test_set_status(client: Client, actor_client: FakeActorClient) -> None:
    for query, user in (("", "operator"), ("&user=ann", "ann")):
        with capture_logs() as lines:
            assert (await client.post(f"{V1}/set_status?id={OF_B}&status=skipped{query}")).status == 200
        assert actor_client.asked[-1][:2] == ("sysB", SetStatus(OF_B, "skipped", user))
        (line,) = [line for line in lines if line["event"] == "http.set_status"]
        assert (line["to"], line["user"], line["id"]) == ("skipped", user, OF_B)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "id: is missing"),
        ("?id=&status=x", "id: is missing"),
        ("?id=r1", "status: is missing"),
        ("?id=r1&status=" + "x" * 65, "status: "),
        ("?id=r1&status=x&user=", "user: is missing"),
        ("?id=" + "r" * 201 + "&status=x", "id: "),
    ],
)
async def test_set_status_needs_all_its_query(client: Client, query: str, field: str) -> None:
    assert (await client.post(f"{V1}/set_status{query}")).is_error(400, field)


async def test_a_page_of_what_is_held_is_asked_of_the_domain(
    client: Client, actor_client: FakeActorClient, pages: FakePages
) -> None:
    """The system says which instance it is, and has nothing else to do with the answer."""
    actor_client.answers[GetHeldInstance] = Answer(Code.OK, b'{"systemId":"sysA","instanceId":"i/1"}')
    id_ = document_id("sysA", b"0123456789")
    reply = await client.get(f"{V1}/{id_}/entities?after=3&limit=2")
    assert reply.json == {"total": 0, "entities": [], "next": None}
    assert pages.asked == [("sysA", "i/1", 3, 2)]
    assert [question for _, question, _ in actor_client.asked] == [GetHeldInstance(id_)]
    actor_client.answers[GetHeldInstance] = Answer(Code.NOT_FOUND, message="no reprocessing")
    assert (await client.get(f"{V1}/{id_}/entities")).is_error(404)
    assert (await client.get(f"{V1}/{id_}/entities?limit=0")).is_error(400, "limit")
    assert (await client.get(f"{V1}/{id_}/entities?replaced=yes")).is_error(400, "replaced")


async def test_a_page_tells_what_was_read_of_each_row_where_asked_for(
    client: Client, actor_client: FakeActorClient, pages: FakePages
) -> None:
    """Once a commit is made, the domain has what it wrote, or what others wrote since."""
    actor_client.answers[GetHeldInstance] = Answer(Code.OK, b'{"systemId":"sysA","instanceId":"i/1"}')
    about = {"type": "conta", "changeTrack": "update"}
    pages.rows = [{"id": name, "value": 2, "_metadata": about} for name in ("r1", "r2", "r3")]
    pages.read["i/1"] = {("conta", "r1"): {"id": "r1", "value": 1}, ("conta", "r3"): {"value": 1 << 70}}
    path = f"{V1}/{document_id('sysA', b'0123456789')}/entities"
    reply = await client.get(f"{path}?replaced=true")
    assert reply.json["entities"] == pages.rows
    assert reply.json["replaced"] == [{"id": "r1", "value": 1}, None, None]
    assert "replaced" not in (await client.get(path)).json


async def test_pages_are_shared_bounded_and_end() -> None:
    async with RecordingSiblings() as siblings, await Platform.open(siblings.settings(tries=1)) as platform:
        siblings.entities["i1"] = [{"id": str(number)} for number in range(5)]
        made = Entities(platform, 5.0)
        answers = await asyncio.gather(*(made.page("sysA", "i1", 1, 2) for _ in range(10)))
        assert {bytes(answer.body) for answer in answers} == {
            b'{"total":5,"entities":[{"id":"1"},{"id":"2"}],"next":3}'
        }
        assert siblings.count("entities") == 1
        late = await made.page("sysA", "", 0, 2)
        assert orjson.loads(late.body) == {"total": 0, "entities": [], "next": None}
        assert siblings.count("entities") == 1, "nothing is held: nobody is asked"
        last = await made.page("sysA", "i1", 3, 2)
        assert orjson.loads(last.body)["next"] is None
        siblings.fail("domain", "entities", times=2, how=500)
        with pytest.raises(Problem) as refused:
            await made.page("sysA", "i1", 0, 1)
        assert refused.value.status == 502
        siblings.fail("domain", "entities", times=2, how="hang")
        with pytest.raises(Problem, match="no answer within"):
            await Entities(platform, 0.2).page("sysA", "i1", 0, 1)
        await made.close()


async def test_a_page_of_documents_says_where_the_next_begins(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.answers[FindDocuments] = Answer(Code.OK, b'[{"id":"r2"}]', "r2")
    reply = await client.get(f"{V1}/sysA/find?status=finished&after=r1&limit=1")
    assert (reply.body, reply.headers["x-next-after"]) == (b'[{"id":"r2"}]', "r2")
    assert actor_client.asked[-1][1] == FindDocuments("finished", "r1", 1)
    actor_client.answers[FindDocuments] = Answer(Code.OK, b"[]")
    assert "x-next-after" not in (await client.get(f"{V1}/sysA/find?limit=1")).headers
    for wrong in ("limit=-1", "limit=1001", "limit=x", "after=%00"):
        assert (await client.get(f"{V1}/sysA/find?{wrong}")).is_error(400, wrong.partition("=")[0])

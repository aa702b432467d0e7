import asyncio
import time

import orjson
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from maestro.http.actor_client import Unavailable
from maestro.http.app import create_app
from maestro.http.server import serve_http
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import PersistSync, Question, ReportReplayFailure
from maestro.rules.ids import document_id
from tests.unit.http.conftest import SETTINGS, Client
from tests.unit.http.fake_actor_client import FakeActorClient

HANDLER = "/v1.0.0/handler/persist"
SYNC = "/v1.0.0/persist/sync"
FAILURE = "/v1.0.0/reprocessing/failure"
EVENT = b'{"instanceId":"i1", "systemId":"sysA", "payload":{"n":1.50}}'


async def test_handler_persist_installs(client: Client, actor_client: FakeActorClient) -> None:
    for _ in range(2):
        reply = await client.post(f"{HANDLER}?queue=persist.new-1.queue")
        assert (reply.status, reply.json) == (200, {"message": "ok"})
    assert actor_client.installed == ["new-1", "new-1"]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?queue=",
        "?queue=persist..queue",
        "?queue=persist.a.b.queue",
        "?queue=persist.wait_a.queue",
        "?queue=persist.a.queue.error",
        "?queue=persist.a.wait.queue",
        "?queue=persist.a%0A.queue",
        "?queue=persist.%FF.queue",
        "?queue=persist." + "x" * 129 + ".queue",
        "?queue=" + "x" * 5000,
        "?other=persist.a.queue",
    ],
)
async def test_handler_persist_refuses_other_queues(client: Client, actor_client: FakeActorClient, query: str) -> None:
    assert (await client.post(f"{HANDLER}{query}")).is_error(400, "queue: ")
    assert not actor_client.installed


async def test_handler_persist_when_it_cannot(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.install_error = Unavailable("the broker is out of reach")
    assert (await client.post(f"{HANDLER}?queue=persist.a.queue")).is_error(503, "out of reach")


async def test_sync_persist_passes_bytes_and_answer_through(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.answers[PersistSync] = Answer(Code.OK, b'{"status":"commited"}')
    with capture_logs() as lines:
        reply = await client.post(SYNC, EVENT)
    assert (reply.status, reply.body) == (200, b'{"status":"commited"}')
    ((system, question, timeout),) = actor_client.asked
    assert isinstance(question, PersistSync)
    assert (system, question, timeout) == ("sysA", PersistSync(EVENT, call=question.call), 0.7)
    (line,) = lines
    assert (line["event"], line["system"], line["instance"]) == ("http.persist_sync", "sysA", "i1")


@pytest.mark.parametrize(
    ("answer", "status", "expected"),
    [
        (Answer(Code.ACCEPTED, b'{"status":"waiting","position":2}'), 202, {"status": "waiting", "position": 2}),
        (Answer(Code.FAILED, message="domain: refused"), 502, {"status": "502", "message": "domain: refused"}),
        (Answer(Code.UNAVAILABLE), 503, {"status": "503", "message": "unavailable"}),
    ],
)
async def test_sync_persist_otherwise(
    client: Client, actor_client: FakeActorClient, answer: Answer, status: int, expected: object
) -> None:
    actor_client.answers[PersistSync] = answer
    reply = await client.post(SYNC, EVENT)
    assert (reply.status, reply.json) == (status, expected)


async def test_sync_persist_that_takes_too_long_waits(client: Client, actor_client: FakeActorClient) -> None:
    def answer(_system: str, question: Question) -> Answer:
        assert isinstance(question, PersistSync)
        if not question.impatient:
            raise TimeoutError
        return Answer(Code.ACCEPTED, b'{"status":"waiting","position":2}')

    actor_client.answers[PersistSync] = answer
    reply = await client.post(SYNC, EVENT)
    assert (reply.status, reply.json) == (202, {"status": "waiting", "position": 2})
    (_, first, _), (_, second, _) = actor_client.asked
    assert isinstance(first, PersistSync)
    assert first.call
    assert second == replace(first, impatient=True), "the same call asks, so that it is the same event"


async def test_sync_persist_that_nobody_answers_goes_on(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.gate = asyncio.Event()
    assert (await client.post(SYNC, EVENT)).is_error(504, "being processed", "0.7 s")


async def test_a_key_of_the_callers_tells_what_is_asked_again(client: Client, actor_client: FakeActorClient) -> None:
    await client.call("POST", SYNC, EVENT, **{"Idempotency-Key": "k1"})
    question = actor_client.asked[-1][1]
    assert isinstance(question, PersistSync)
    assert question.key == "k1"
    reply = await client.call("POST", SYNC, EVENT, **{"Idempotency-Key": "k" * 201})
    assert reply.is_error(400, "Idempotency-Key: must be sent once")


async def test_sync_persist_of_a_new_system_installs_it(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.answers[PersistSync] = Answer(Code.OK, b'{"status":"commited"}')
    assert (await client.post(SYNC, EVENT.replace(b"sysA", b"sysNew"))).status == 200
    assert actor_client.installed == ["sysNew"]


async def test_sync_persist_of_a_system_that_cannot_be_installed(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.install_error = Unavailable("no room")
    assert (await client.post(SYNC, EVENT.replace(b"sysA", b"sysNew"))).is_error(503, "no room")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body: is no JSON"),
        (b"[]", "body: must be a JSON object"),
        (b"[" * 9000, "body: is no JSON"),
        (b'{"systemId":"sysA"}', "instanceId: is missing"),
        (b'{"systemId":"wait_a","instanceId":"i"}', "systemId: "),
        (b'{"systemId":"sysA","instanceId":"i","scope":"reproduction"}', "scope: "),
        (b'{"systemId":"sysA","instanceId":"i","branch":1}', "branch: "),
        (b'{"systemId":"sysA","instanceId":"\xc3\x28"}', "body: is no JSON"),
    ],
)
async def test_sync_persist_checks_the_event(
    client: Client, actor_client: FakeActorClient, body: bytes, field: str
) -> None:
    assert (await client.post(SYNC, body)).is_error(400, field)
    assert not actor_client.asked


#: What takes seconds to make objects of, and what only some decoders take.
LARGE = b'"payload":[' + b"{}," * 2_000_000 + rb'{}],"a":1e400,"b":"\ud83d"}'


async def test_large_events_are_passed_on_without_being_decoded_whole() -> None:
    actor_client, settings = FakeActorClient("sysA"), SETTINGS.model_copy(update={"max_body_bytes": 10**7})
    async with serve_http(create_app(actor_client, settings), settings) as address:
        client = Client(address)
        for path, kind in ((SYNC, PersistSync), (FAILURE, ReportReplayFailure)):
            body = b'{"instanceId":"i1","systemId":"sysA",' + LARGE
            probe, began = asyncio.create_task(client.post(path, body)), time.process_time()
            assert (await probe).status == 200
            assert time.process_time() - began < 1, "all lock checks wait meanwhile"
            question = actor_client.asked[-1][1]
            assert isinstance(question, kind)
            assert question.event == body
            for wrong, said in (
                (b'{"instanceId":"i1",' + LARGE, "systemId: "),
                (b'{"instanceId":"i1","systemId":"sysA",' + LARGE[:-1], "body: is no JSON"),
                (b'{"instanceId":"i1","systemId":["' + b"x" * 100_000 + b'"],"a":0}', "systemId: is larger than"),
                (b"[" + b"0," * 100_000 + b"0]", "body: must be a JSON object"),
            ):
                assert (await client.post(path, wrong)).is_error(400, said)


FAILED = {"name": "x.error", "systemId": "sysB", "reprocessing": {"id": "r1", "system_id": "sysA"}}


@pytest.mark.parametrize(
    ("event", "system"),
    [(FAILED, "sysA"), ({"systemId": "sysB"}, "sysB"), ({"systemId": "sysB", "reprocessing": None}, "sysB")],
)
async def test_failure_is_reported_to_its_system(
    client: Client, actor_client: FakeActorClient, event: dict[str, object], system: str
) -> None:
    body = orjson.dumps(event)
    reply = await client.post(FAILURE, body)
    assert (reply.status, reply.json) == (200, {"message": "ok"})
    assert actor_client.asked == [(system, ReportReplayFailure(body), 0.5)]


#: What a version of the platform to come may send besides, each like a name that Maestro knows.
ALIKE = ("instancId", "InstanceID", "systemID", "system_id", "names", "tags", "branchs", "scopes", "timestmp",
         "reprocesing", "queues", "Queue", "statuss", "limits", "users", "reasons", "digst", "budgets")  # fmt: skip


@pytest.mark.parametrize("left_out", ["", "name", "tag", "branch", "scope", "timestamp", "reprocessing"])
async def test_no_call_of_the_platforms_services_is_refused_for_a_name_like_ours(
    client: Client, actor_client: FakeActorClient, left_out: str
) -> None:
    """They cannot ask anybody what was meant; a person's call is refused."""
    actor_client.answers[PersistSync] = Answer(Code.OK, b'{"status":"commited"}')
    known = {"name": "x", "tag": "t", "branch": "b", "scope": "execution", "timestamp": None, "reprocessing": None}
    event = {"systemId": "sysA", "instanceId": "i1", **dict.fromkeys(ALIKE, "x"), **known}
    event.pop(left_out, None)
    more = "&".join(f"{name}=x" for name in ALIKE)
    assert (await client.get(f"/v1.0.0/gateway/sysA/proceed?{more}")).status == 200
    assert (await client.post(f"{HANDLER}?queue=persist.sysA.queue&{more}")).status == 200
    assert (await client.post(f"{SYNC}?{more}", orjson.dumps(event))).status == 200
    assert (await client.post(f"{FAILURE}?{more}", orjson.dumps(event))).status == 200
    assert (await client.get(f"/v1.0.0/reprocessing/sysA/pending?{more}")).status == 200


#: All names that the platform has for its own things: an event's, and a document's.
NAMES = ("name", "systemId", "instanceId", "tag", "branch", "scope", "timestamp", "reprocessing", "referenceDate",
         "reference_date", "payload", "version", "image", "idempotencyKey", "appOrigin", "owner", "reproduction",
         "processId", "operationId", "processChainId", "instance_id", "system_id", "forking", "pendingEvent", "origin",
         "events", "history", "userId", "userName", "token", "client")  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
async def test_no_call_of_the_platforms_ui_is_refused_for_a_name_of_the_platforms(client: Client, name: str) -> None:
    """One at a time: of many names of one request only the first are compared."""
    id_ = document_id("sysA", b"0123456789")
    body = orjson.dumps({"user": "ana", name: "x"})
    for action in ("approve", "skip"):
        assert (await client.post(f"/v1.0.0/reprocessing/{id_}/{action}?{name}=x", body)).status == 200
    assert (await client.post(f"/v1.0.0/reprocessing/set_status?id={id_}&status=finished&{name}=x")).status == 200
    for query in ("", "status=&", "status=finished&"):
        assert (await client.get(f"/v1.0.0/reprocessing/sysA/find?{query}{name}=x")).status == 200


@pytest.mark.parametrize("code", [Code.NOT_FOUND, Code.CONFLICT])
async def test_failure_that_matches_nothing_is_ok(client: Client, actor_client: FakeActorClient, code: Code) -> None:
    actor_client.answers[ReportReplayFailure] = Answer(code, message="no such replay")
    with capture_logs() as lines:
        reply = await client.post(FAILURE, orjson.dumps(FAILED))
    assert (reply.status, reply.json) == (200, {"message": "ok"})
    assert ("http.failure_unmatched", "no such replay") in [(line["event"], line.get("reason")) for line in lines]


async def test_failure_of_an_unknown_system_is_ok(client: Client, actor_client: FakeActorClient) -> None:
    reply = await client.post(FAILURE, b'{"systemId":"never-seen"}')
    assert (reply.status, reply.json) == (200, {"message": "ok"})
    assert not actor_client.installed


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body: "),
        (b"null", "body: "),
        (b"{}", "systemId: is missing"),
        (b'{"systemId":5}', "systemId: must be a string"),
        (b'{"systemId":"a.b"}', "systemId: "),
        (b'{"systemId":"a","reprocessing":"r"}', "reprocessing: must be an object"),
        (b'{"reprocessing":{"system_id":["a"]}}', "reprocessing.system_id: "),
    ],
)
async def test_malformed_failure_is_refused(
    client: Client, actor_client: FakeActorClient, body: bytes, field: str
) -> None:
    assert (await client.post(FAILURE, body)).is_error(400, field)
    assert not actor_client.asked


@pytest.mark.parametrize("canned", [Answer(Code.UNAVAILABLE, message="later"), Unavailable("later"), TimeoutError()])
async def test_failure_that_was_not_stored_is_not_ok(
    client: Client, actor_client: FakeActorClient, canned: Answer | Exception
) -> None:
    actor_client.answers[ReportReplayFailure] = canned
    assert (await client.post(FAILURE, orjson.dumps(FAILED))).is_error(503)

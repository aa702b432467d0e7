"""Answers in the caller's language: what Maestro says, and nothing else; in English not a byte is another."""

import time
from pathlib import Path

import orjson
import pytest

from maestro.http.saying import texts_in
from maestro.http.shapes.documents import DocumentShape, EntitiesPage
from maestro.http.shapes.error_queue import ErrorsPage
from maestro.http.shapes.events import EventShape
from maestro.http.shapes.systems import StorePage
from maestro.language import PORTUGUESE, speaking, told
from maestro.messages.answers import Answer, Code
from maestro.messages.decisions import Approve, Cancel
from maestro.messages.questions import DescribeSystem, GetDocument, ListTodo
from maestro.rules.ids import document_id
from tests.unit.http.authentication_kit import house
from tests.unit.http.conftest import Client
from tests.unit.http.fake_actor_client import FakeActorClient

A = document_id("sysA", b"0123456789")
#: An event with what is the platform's: a half surrogate pair, long numbers, spaces, and texts that Maestro says, too.
EVENT = (
    rb'{"cause": "no answer in time" , "payload":{"message":"is missing","n":12345678901234567890123,"x":1e400,'
    rb'"cut":"\ud83d"}}'
)
DOCUMENT = (
    b'{"id":"' + A.encode() + b'","events":[' + EVENT + b'],"pendingEvent":' + EVENT + b',"history":['
    b'{"status":"paused","user":"maestro","cause":"budget of 1 replay used"},'
    b'{"status":"approved","user":"no answer in time","reason":"budget of 1 replay used"}],'
    b'"estimate":{"seconds":1.50,"basis":"running mean of 12 past replays of this system"},"policies":null}'
)


async def test_a_refusal_is_said_in_the_language_that_is_asked_for(client: Client) -> None:
    url = "/v1.0.0/systems/sysA/waiting?limit=0"
    english = await client.get(url)
    assert english.json == {"status": "400", "message": "limit: must be a whole number from 1 to 1000"}
    for wanted in ("en", "de", "en,pt;q=0.5", "*", ""):
        other = await client.call("GET", url, Accept_Language=wanted)
        assert (other.body, set(other.headers)) == (english.body, set(english.headers))
    said = await client.call("GET", url, Accept_Language="pt-BR,pt;q=0.9,en;q=0.8")
    assert said.json == {"status": "400", "message": "limit: deve ser um número inteiro de 1 a 1000"}
    assert (said.headers["content-language"], said.headers["vary"]) == ("pt-BR", "Accept-Language")
    assert said.headers["content-type"] == english.headers["content-type"]


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("GET", "/v1.0.0/systems/none", b"", "o sistema 'none' não é conhecido"),
        ("GET", "/nowhere", b"", "não existe tal recurso"),
        ("DELETE", "/v1.0.0/systems", b"", "o recurso não aceita DELETE"),
        ("POST", f"/v1.0.0/reprocessing/{A}/approve", b"[]", "body: deve ser um objeto JSON"),
        ("POST", f"/v1.0.0/reprocessing/{A}/approve", b'{"user":7}', "user: deve ser um texto"),
        ("POST", f"/v1.0.0/reprocessing/{A}/approve", b"{}", "user: falta"),
        ("POST", "/v1.0.0/decisions", b'{"action":"x","items":[]}', "action: não está entre os valores possíveis: 'x'"),
    ],
)
async def test_refusals_of_every_kind(client: Client, method: str, path: str, body: bytes, message: str) -> None:
    assert (await client.call(method, path, body, Accept_Language="pt")).json["message"] == message


async def test_what_a_system_refuses(client: Client, actor_client: FakeActorClient) -> None:
    since = "by ana at 2026-11-29T10:00:00 UTC; approved by ben at 2026-11-28T10:00:00 UTC"
    said = f"reprocessing {A} is skipped ({since})"
    actor_client.answers[Cancel] = Answer(Code.CONFLICT, message=said)
    url = f"/v1.0.0/reprocessing/{A}/cancel"
    assert (await client.post(url, b'{"user":"ana"}')).json["message"] == said
    reply = await client.call("POST", url, b'{"user":"ana"}', Accept_Language="pt-BR")
    assert reply.status == 409
    assert reply.json["message"] == (
        f"o reprocessamento {A} está descartado (por ana em 2026-11-29T10:00:00 UTC; "
        "aprovado por ben em 2026-11-28T10:00:00 UTC)"
    )


async def test_of_a_document_only_what_maestro_says_is_said_again(
    client: Client, actor_client: FakeActorClient
) -> None:
    actor_client.answers[GetDocument] = Answer(Code.OK, DOCUMENT)
    url = f"/v1.0.0/reprocessing/{A}"
    english = await client.get(url)
    assert english.body == DOCUMENT
    said = await client.call("GET", url, Accept_Language="pt-BR")
    assert said.headers["etag"] != english.headers["etag"]
    # The events, the people's words and the numbers are as they came, byte for byte.
    expected = (
        DOCUMENT.replace(b'"cause":"budget of 1 replay used"', '"cause":"limite de 1 reexecução atingido"'.encode())
        .replace(b"running mean of 12 past replays of this system",
                 "média móvel de 12 reexecuções anteriores deste sistema".encode())
    )  # fmt: skip
    assert said.body == expected


async def test_what_waits_for_a_person(client: Client, actor_client: FakeActorClient) -> None:
    items = [
        {"kind": "pending", "system": "sysA", "since": "", "event": "is missing", "units": 3,
         "says": "approve or skip: commit, and replay 3; ana approved already, a second person must"},
        {"kind": "stalled", "system": "sysA", "since": "", "cause": "discovery.impacted: no connection within 2 s",
         "says": "waits for discovery: nothing of it is judged, committed or replayed"},
    ]  # fmt: skip
    body = {"total": 2, "counts": {"pending": 1, "stalled": 1}, "items": items, "errors": 0, "failed": 0,
            "lastFailure": ""}  # fmt: skip
    actor_client.answers[ListTodo] = Answer(Code.OK, orjson.dumps(body))
    found = (await client.call("GET", "/v1.0.0/todo?system=sysA", Accept_Language="pt")).json["items"]
    asked = "fazer o commit e reexecutar 3; ana já aprovou, falta uma segunda pessoa"
    assert [one["says"] for one in found] == [
        f"aprovar ou descartar (approve ou skip): {asked}",
        "espera por discovery: nada dele é julgado, gravado ou reexecutado",
    ]
    assert found[1]["cause"] == "discovery.impacted: nenhuma conexão em 2 s"
    assert found[0]["event"] == "is missing"


async def test_audit_log_and_remembered_answers_stay_english(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        at.actor_client.answers[GetDocument] = Answer(Code.NOT_FOUND)
        at.actor_client.answers[Approve] = Answer(Code.CONFLICT, message="reason: is missing")
        url, body = f"/v1.0.0/reprocessing/{A}/approve", b'{"user":"ana","reason":"because"}'
        sent = {"Accept_Language": "pt", "Idempotency_Key": "k1"}
        first = await at.call("ana", "POST", url, body, **sent)
        assert first.json["message"] == "reason: falta"
        assert at.audit()[-1]["message"] == "reason: is missing"
        again = await at.call("ana", "POST", url, body, Idempotency_Key="k1")
        assert (again.headers["idempotency-replayed"], again.json["message"]) == ("true", "reason: is missing")
        denied = await at.call(None, "GET", "/v1.0.0/systems", Accept_Language="pt")
        assert denied.json["message"] == "é preciso um bearer token"
        assert denied.headers["www-authenticate"]
        assert at.refused()[-1]["message"] == "a bearer token is needed"


async def test_a_large_answer(client: Client, actor_client: FakeActorClient) -> None:
    many = b",".join([b'{"status":"running","user":"maestro","cause":"budget of 2 replays used"}'] * 3000)
    actor_client.answers[GetDocument] = Answer(Code.OK, b'{"history":[' + many + b"]}")
    said = await client.call("GET", f"/v1.0.0/reprocessing/{A}", Accept_Language="pt")
    assert {one["cause"] for one in said.json["history"]} == {"limite de 2 reexecuções atingido"}


async def test_what_is_not_as_its_type_says_is_passed_on(client: Client, actor_client: FakeActorClient) -> None:
    for body in (b'{"id":"sysA","stalled":null,"message":7}', b'{"id":"sysA","stalled":[1]}'):
        actor_client.answers[DescribeSystem] = Answer(Code.OK, body)
        assert (await client.call("GET", "/v1.0.0/systems/sysA", Accept_Language="pt")).body == body


def test_events_are_never_on_the_way_to_a_text() -> None:
    for kind in (DocumentShape, ErrorsPage, EventShape, EntitiesPage, StorePage):
        assert not {"events", "pendingEvent", "origin", "entities", "body", "headers", "event"} & names(texts_in(kind))


def names(texts: object) -> set[str]:
    of = getattr(texts, "of", None)
    if isinstance(of, dict):
        return set(of).union(*map(names, of.values()))
    return names(of) if of is not None else set()


def test_a_text_made_to_be_slow_is_not() -> None:
    """Texts that callers write are compared, too: the time must not grow with more than their length."""
    with speaking(PORTUGUESE):
        told("warm")
        hostile = ["PostgreSQL: role ", ": table x, key ", ": ; : ; ", "reprocessing  is  ("]
        began = time.process_time()
        for piece in hostile:
            told((piece * 4000)[:4000])
        # Seconds of this process alone: quadratic comparing of each takes minutes.
        assert time.process_time() - began < 5

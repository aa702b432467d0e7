"""`Idempotency-Key`: sent again, answered as the first time."""

import asyncio
from pathlib import Path

import orjson
import pytest

from maestro.access.roles import Role
from maestro.http import idempotency
from maestro.http.actor_client import Unavailable
from maestro.messages.answers import Answer, Code
from maestro.messages.decisions import Approve, Skip
from maestro.messages.questions import GetDocument
from maestro.rules.ids import document_id
from tests.unit.http.authentication_kit import house
from tests.unit.http.conftest import Client, eventually
from tests.unit.http.fake_actor_client import FakeActorClient

ID = document_id("sysA", b"0123456789")
APPROVE, SKIP = f"/v1.0.0/reprocessing/{ID}/approve", f"/v1.0.0/reprocessing/{ID}/skip"
ANA = b'{"user":"ana"}'


async def test_a_repeated_decision_is_not_carried_out_again(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.answers[Approve] = Answer(Code.OK, '{"id":"ü"}'.encode())
    first = await client.call("POST", APPROVE, ANA, Idempotency_Key="k1")
    actor_client.answers[Approve] = Answer(Code.CONFLICT, message="approved already")
    again = await client.call("POST", APPROVE, ANA, Idempotency_Key="k1")
    assert (again.status, again.body) == (first.status, first.body) == (200, '{"id":"ü"}'.encode())
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["idempotency-replayed"] == "true"
    assert len(actor_client.asked) == 1
    assert (await client.call("POST", APPROVE, ANA, Idempotency_Key="k2")).status == 409
    assert (await client.call("POST", APPROVE, ANA)).status == 409


async def test_a_refusal_is_repeated_too(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.answers[Approve] = Answer(Code.CONFLICT, message="r0 comes first")
    first = await client.call("POST", APPROVE, ANA, Idempotency_Key="k1")
    actor_client.answers[Approve] = Answer(Code.OK, b"{}")
    assert (await client.call("POST", APPROVE, ANA, Idempotency_Key="k1")).body == first.body
    assert len(actor_client.asked) == 1


async def test_what_may_not_have_been_done_is_tried_again(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.answers[Approve] = TimeoutError()
    assert (await client.call("POST", APPROVE, ANA, Idempotency_Key="k1")).status == 503
    actor_client.answers[Approve] = Answer(Code.OK, b"{}")
    assert (await client.call("POST", APPROVE, ANA, Idempotency_Key="k1")).status == 200


async def test_several_of_which_one_is_not_known_are_tried_again(client: Client, actor_client: FakeActorClient) -> None:
    many = orjson.dumps({"user": "ana", "action": "approve", "reason": "r", "items": [{"id": ID, "digest": "d"}]})
    actor_client.answers[Approve] = Unavailable("the system is being restarted")
    first = await client.call("POST", "/v1.0.0/decisions", many, Idempotency_Key="k1")
    assert (first.status, first.json["unknown"]) == (200, 1)
    actor_client.answers[Approve] = Answer(Code.OK, b"{}")
    again = await client.call("POST", "/v1.0.0/decisions", many, Idempotency_Key="k1")
    assert (again.json["decided"], "idempotency-replayed" in again.headers) == (1, False)
    third = await client.call("POST", "/v1.0.0/decisions", many, Idempotency_Key="k1")
    assert (third.body, third.headers["idempotency-replayed"]) == (again.body, "true")


async def test_a_repeated_answer_is_no_second_decision_on_record(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        for _ in range(2):
            reply = await at.call("ana", "POST", APPROVE, b'{"reason":"why"}', Idempotency_Key="k1")
        assert reply.headers["idempotency-replayed"] == "true"
        assert [(line["who"], line["system"], line["why"]) for line in at.audit()] == [("ana", "sysA", "why")]


async def test_another_request_under_the_same_key(client: Client, actor_client: FakeActorClient) -> None:
    await client.call("POST", APPROVE, ANA, Idempotency_Key="k1")
    for target, body in ((APPROVE, b'{"user":"ben"}'), (SKIP, ANA)):
        reply = await client.call("POST", target, body, Idempotency_Key="k1")
        assert reply.is_error(422, "was used for another request")
    assert not any(isinstance(question, Skip) for _, question, _ in actor_client.asked)


async def test_the_first_one_is_still_under_way(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.gate = asyncio.Event()
    first = asyncio.create_task(client.call("POST", APPROVE, ANA, Idempotency_Key="k1"))
    await eventually(lambda: actor_client.waiting == 1)
    reply = await client.call("POST", APPROVE, ANA, Idempotency_Key="k1")
    assert reply.is_error(409, "still under way")
    assert reply.headers["retry-after"] == "1"
    assert (await client.call("POST", APPROVE, b"{}", Idempotency_Key="k1")).status == 422
    actor_client.gate.set()
    assert (await first).status == 200
    assert (await client.call("POST", APPROVE, ANA, Idempotency_Key="k1")).status == 200


@pytest.mark.parametrize("key", ["", "x" * 201, "a b", "ü"])
async def test_keys_are_checked(client: Client, actor_client: FakeActorClient, key: str) -> None:
    assert (await client.call("POST", APPROVE, ANA, Idempotency_Key=key)).is_error(400, "Idempotency-Key")
    assert not actor_client.asked


async def test_it_survives_a_restart_and_is_each_callers_own(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        at.actor_client.answers[Approve] = Answer(Code.OK, b'{"first":1}')
        assert (await at.call("ana", "POST", APPROVE, Idempotency_Key="k1")).status == 200
    async with house(tmp_path) as at:
        at.actor_client.answers[Approve] = Answer(Code.CONFLICT, message="approved already")
        assert (await at.call("ana", "POST", APPROVE, Idempotency_Key="k1")).body == b'{"first":1}'
        assert not at.actor_client.asked
        assert (await at.call("root", "POST", APPROVE, Idempotency_Key="k1")).status == 409
        assert [line["outcome"] for line in at.audit()] == ["done", "failed"]


async def test_a_caller_whose_rights_were_narrowed_gets_no_earlier_answer(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        at.actor_client.answers[Approve] = Answer(Code.OK, b'{"secret":1}')
        assert (await at.call("ana", "POST", APPROVE, Idempotency_Key="k1")).status == 200
        at.file.revoke("ana")
        at.actor_client.answers[GetDocument] = Answer(Code.NOT_FOUND)
        narrowed = at.file.add("ana", Role.APPROVER, ("sysB",))
        at.verifier._next_look = 0.0  # the file is looked at once a second
        asked = len(at.actor_client.asked)
        reply = await at.call(narrowed, "POST", APPROVE, Idempotency_Key="k1")
        assert reply.is_error(404, "is not known")
        assert not [one for one in at.actor_client.asked[asked:] if one[0] == "sysA"]
        at.file.revoke("ana")
        again = at.file.add("ana", Role.APPROVER, ("sysA",))
        at.verifier._next_look = 0.0
        assert (await at.call(again, "POST", APPROVE, Idempotency_Key="k1")).body == b'{"secret":1}'


async def test_memory_is_bounded(
    client: Client, actor_client: FakeActorClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "PER_CALLER", 3)
    for number in range(5):
        await client.call("POST", APPROVE, ANA, Idempotency_Key=f"k{number}")
    asked = len(actor_client.asked)
    await client.call("POST", APPROVE, ANA, Idempotency_Key="k4")
    assert len(actor_client.asked) == asked
    await client.call("POST", APPROVE, ANA, Idempotency_Key="k0")
    assert len(actor_client.asked) == asked + 1


async def test_bytes_are_bounded_and_old_ones_end(
    client: Client, actor_client: FakeActorClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "BYTES", 1000)
    actor_client.answers[Approve] = Answer(Code.OK, b'{"text":"' + b"x" * 400 + b'"}')
    for number in range(3):
        await client.call("POST", APPROVE, ANA, Idempotency_Key=f"k{number}")
    asked = len(actor_client.asked)
    await client.call("POST", APPROVE, ANA, Idempotency_Key="k2")
    assert len(actor_client.asked) == asked
    monkeypatch.setattr(idempotency, "KEPT_FOR", -1.0)
    await client.call("POST", APPROVE, ANA, Idempotency_Key="k2")
    assert len(actor_client.asked) == asked + 1

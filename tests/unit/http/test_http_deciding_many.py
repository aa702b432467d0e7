"""Several pending reprocessings decided together: each on its digest, each with an outcome and an audit line."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from maestro.http.actor_client import Unavailable
from maestro.messages.answers import Answer, Code
from maestro.messages.decisions import Approve, Skip
from maestro.messages.questions import GetDocument, Question
from maestro.rules.ids import document_id
from tests.unit.http.authentication_kit import house
from tests.unit.http.conftest import Client
from tests.unit.http.fake_actor_client import FakeActorClient

A = document_id("sysA", b"0123456789")
B = document_id("sysB", b"0123456789")
OTHER = document_id("sysB", b"9876543210")
URL = "/v1.0.0/decisions"


def body(*ids: str, action: str = "approve", **more: Any) -> bytes:
    items = [{"id": id_, "digest": f"d-{id_[:4]}"} for id_ in ids]
    return orjson.dumps({"action": action, "user": "ana", "reason": "mistyped", "items": items} | more)


async def test_each_is_decided_on_the_digest_that_was_shown(client: Client, actor_client: FakeActorClient) -> None:
    found = (await client.post(URL, body(A, B))).json
    assert {name: found[name] for name in ("decided", "noted", "refused", "unknown")} == {
        "decided": 2, "noted": 0, "refused": 0, "unknown": 0,
    }  # fmt: skip
    assert [(one["id"], one["system"], one["outcome"]) for one in found["items"]] == [
        (A, "sysA", "decided"), (B, "sysB", "decided"),
    ]  # fmt: skip
    assert {(system, question) for system, question, _ in actor_client.asked} == {
        ("sysA", Approve(A, "ana", "mistyped", f"d-{A[:4]}")), ("sysB", Approve(B, "ana", "mistyped", f"d-{B[:4]}")),
    }  # fmt: skip
    await client.post(URL, body(A, action="skip"))
    assert actor_client.asked[-1][1] == Skip(A, "ana", "mistyped", digest=f"d-{A[:4]}")


async def test_a_partial_failure_says_which_and_why(client: Client, actor_client: FakeActorClient) -> None:
    def decide(system: str, question: Question) -> Answer:
        assert isinstance(question, Approve)
        if system == "sysA":
            return Answer(Code.ACCEPTED, b"{}")
        if question.id == OTHER:
            raise TimeoutError
        return Answer(Code.CONFLICT, b'{"digest":"x"}', "digest: it is not what was previewed")

    actor_client.answers[GetDocument] = Answer(Code.NOT_FOUND)
    actor_client.answers[Approve] = decide
    found = (await client.post(URL, body(B, A, OTHER, "nobody"))).json
    assert [(one["outcome"], one["status"], one["message"]) for one in found["items"]] == [
        ("refused", 409, "digest: it is not what was previewed"),
        ("noted", 202, ""),
        ("unknown", 503, "no answer in time; it may still be decided"),
        ("refused", 404, "reprocessing nobody is not known"),
    ]
    assert [found[name] for name in ("decided", "noted", "refused", "unknown")] == [0, 1, 2, 1]
    actor_client.answers[Approve] = Unavailable("system sysA is being restarted")
    (one,) = (await client.post(URL, body(A))).json["items"]
    assert (one["outcome"], one["message"]) == ("unknown", "system sysA is being restarted; it may still be decided")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"action": "retry"}, "action"),
        ({"reason": " "}, "reason: is missing"),
        ({"reason": None}, "reason: must be"),
        ({"items": []}, "items: must be a list of 1 to 200"),
        ({"items": [{"id": A}]}, "digest: is missing"),
        ({"items": [{"id": A, "digest": ""}]}, "items[0].digest"),
        ({"items": [{"id": A, "digest": "1"}, {"id": A, "digest": "2"}]}, "items: one is named twice"),
        ({"user": None}, "user: is missing"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_is_decided(
    client: Client, actor_client: FakeActorClient, fields: dict[str, Any], message: str
) -> None:
    assert (await client.post(URL, body(A, **fields))).is_error(400, message)
    assert not actor_client.asked


async def test_each_has_a_line_in_the_audit_log_and_nobody_decides_what_is_not_theirs(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        at.actor_client.answers[GetDocument] = Answer(Code.NOT_FOUND)
        at.actor_client.answers[Approve] = lambda _system, question: (
            Answer(Code.OK, b"{}") if question.id == B else Answer(Code.CONFLICT, message="it changed")
        )
        reply = await at.call("ben", "POST", URL, body(A, B, OTHER, user="ben"))
        assert [(one["outcome"], one["status"], one["system"]) for one in reply.json["items"]] == [
            ("refused", 404, ""), ("decided", 200, "sysB"), ("refused", 409, "sysB"),
        ]  # fmt: skip
        told = [(one["what"], one["target"], one["outcome"], one["who"], one["why"]) for one in at.audit()]
        assert sorted(told) == sorted([
            ("approve", A, "failed", "ben", "mistyped"),
            ("approve", B, "done", "ben", "mistyped"),
            ("approve", OTHER, "failed", "ben", "mistyped"),
        ])  # fmt: skip
        assert {system for system, _, _ in at.actor_client.asked} == {"sysB"}
        assert (await at.call("ben", "POST", URL, body(A, user="ben", reason=""))).status == 400
        assert at.audit()[-1]["what"] == "decide_many"
        assert (await at.call("eve", "POST", URL, body(A))).status == 403
        assert (await at.call(None, "POST", URL, body(A))).status == 401

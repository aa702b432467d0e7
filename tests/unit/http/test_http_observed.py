"""The request's id: in, made up, out, in the log; and nothing that would spoil a log line."""

import re

import pytest
from structlog.testing import capture_logs

from maestro.logs import with_ids
from maestro.messages.answers import Answer, Code
from maestro.messages.decisions import Approve
from maestro.messages.questions import CheckLock
from tests.unit.http.conftest import Client
from tests.unit.http.fake_actor_client import FakeActorClient

APPROVE = "/v1.0.0/reprocessing/d1/approve"


async def test_a_given_id_is_in_the_log_and_the_answer(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.answers[Approve] = Answer(Code.OK, b"{}")
    with capture_logs(processors=[with_ids]) as lines:
        answer = await client.call("POST", APPROVE, b'{"user":"ana"}', x_request_id="abc-1")
    assert answer.headers["x-request-id"] == "abc-1"
    assert [line["request"] for line in lines if line["event"] == "http.approve"] == ["abc-1"]


async def test_without_one_it_is_made_up(client: Client) -> None:
    first, second = [(await client.get("/healthz")).headers["x-request-id"] for _ in range(2)]
    assert re.fullmatch(r"[0-9a-f]{32}", first)
    assert first != second


@pytest.mark.parametrize("given", ["two words", "x" * 129, 'quo"te', "ü", "\x1b[31m"])
async def test_what_is_no_plain_id_is_not_taken_over(client: Client, given: str) -> None:
    answer = await client.call("GET", "/healthz", x_request_id=given)
    if answer.status == 200:  # else aiohttp refused the header itself
        assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])


async def test_errors_carry_it_as_well(client: Client) -> None:
    for path in ("/nowhere", "/v1.0.0/systems/none"):
        assert (await client.call("GET", path, x_request_id="e1")).headers["x-request-id"] == "e1"


async def test_a_lock_check_gives_it_back_when_there_is_one(client: Client, actor_client: FakeActorClient) -> None:
    path = "/v1.0.0/gateway/sysA/proceed"
    actor_client.answers[CheckLock] = Answer(Code.OK)
    assert (await client.call("GET", path, x_request_id="p1")).headers["x-request-id"] == "p1"
    assert "x-request-id" not in (await client.get(path)).headers
    actor_client.answers[CheckLock] = Answer(Code.LOCKED, b"{}")
    assert (await client.call("GET", path, x_request_id="p2")).headers["x-request-id"] == "p2"

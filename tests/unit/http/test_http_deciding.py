from typing import Any

import orjson
import pytest

from maestro.http.app import create_app
from maestro.http.deciding import check_reason
from maestro.http.inputs import MAX_OBJECT
from maestro.http.server import serve_http
from maestro.messages.answers import Answer, Code
from maestro.messages.decisions import (
    Approve,
    Budget,
    Cancel,
    Covers,
    LeaveOut,
    Pause,
    Recheck,
    Reconsider,
    Resume,
    Retry,
    SetStatus,
    Skip,
)
from maestro.messages.error_queue import ShownGroup
from maestro.messages.questions import (
    GetWaiting,
    ListErrors,
    ListPolicies,
    ListSkipped,
    ListStale,
    ReadStore,
    Redrive,
    SetAside,
)
from maestro.rules.ids import document_id
from tests.unit.http.conftest import SETTINGS, Client
from tests.unit.http.fake_actor_client import FakeActorClient

ID = document_id("sysB", b"0123456789")
V1 = f"/v1.0.0/reprocessing/{ID}"
SYSTEM = "/v1.0.0/systems/sysA"


def body(**fields: Any) -> bytes:
    return orjson.dumps({"user": "ana", **fields})


@pytest.mark.parametrize(
    ("action", "fields", "question"),
    [
        ("approve", {"reason": " ok\n so "}, Approve(ID, "ana", "ok\n so")),
        ("approve", {"digest": "ab", "budget": {"replays": 5}}, Approve(ID, "ana", "", "ab", Budget(5))),
        ("approve", {"budget": {"minutes": 2, "replays": None}}, Approve(ID, "ana", budget=Budget(None, 2.0))),
        ("approve", {"reason": None, "digest": None, "budget": None, "more": 1}, Approve(ID, "ana")),
        ("retry", {"budget": {"replays": 1}, "reason": "r"}, Retry(ID, "ana", "r", Budget(1))),
        ("resume", {"budget": {"minutes": 0.5}}, Resume(ID, "ana", "", Budget(None, 0.5))),
        ("skip", {"reason": "r"}, Skip(ID, "ana", "r")),
        ("skip", {"covers": "tag", "covers_limit": 3}, Skip(ID, "ana", "", Covers("open", None, 3))),
        ("approve", {"covers": "tag"}, Approve(ID, "ana", covers=Covers("open"))),
        ("cancel", {"reason": "r"}, Cancel(ID, "ana", "r")),
        ("pause", {"reason": "r"}, Pause(ID, "ana", "r")),
        ("recheck", {}, Recheck(ID, "ana")),
        ("reconsider", {"reason": "r"}, Reconsider(ID, "ana", "r")),
        (
            "units/leave_out",
            {"reason": "r", "units": [{"instanceId": "p1"}, {"instanceId": "p2", "branch": "b"}]},
            LeaveOut(ID, "ana", (("p1", "master"), ("p2", "b")), "r"),
        ),
    ],
)
async def test_a_decision_says_all_of_its_body(
    client: Client, actor_client: FakeActorClient, action: str, fields: dict[str, Any], question: object
) -> None:
    assert (await client.post(f"{V1}/{action}", body(**fields))).status == 200
    assert actor_client.asked[-1][1] == question


@pytest.mark.parametrize(
    ("action", "field", "meant"),
    [
        ("approve", "digst", "digest"),
        ("approve", "Digest", "digest"),
        ("approve", "coversLimit", "covers_limit"),
        ("skip", "resaon", "reason"),
        ("retry", "budgets", "budget"),
        ("cancel", "reasn", "reason"),
    ],
)
async def test_a_misspelt_field_decides_nothing(
    client: Client, actor_client: FakeActorClient, action: str, field: str, meant: str
) -> None:
    """An approval with a `digst` was bound to no preview."""
    reply = await client.post(f"{V1}/{action}", body(**{field: "x"}))
    assert reply.is_error(400, f"{field}: is not known; did you mean {meant}?")
    assert not actor_client.asked


@pytest.mark.parametrize("field", ["userId", "client", "comment", "state", "id", "users"])
async def test_a_field_that_resembles_none_that_is_missing_is_the_platforms(
    client: Client, actor_client: FakeActorClient, field: str
) -> None:
    assert (await client.post(f"{V1}/approve", body(**{field: "x"}))).status == 200
    assert actor_client.asked[-1][1] == Approve(ID, "ana")


@pytest.mark.parametrize(
    ("path", "parameter", "meant"),
    [
        ("/v1.0.0/reprocessing/sysA/find?stauts=pending_approval", "stauts", "status"),
        (f"{V1}/units?limt=1", "limt", "limit"),
        ("/v1.0.0/todo?systemId=sysA", "systemId", "system"),
        (f"{SYSTEM}/stale?Values=true", "Values", "values"),
    ],
)
async def test_a_misspelt_parameter_chooses_nothing(client: Client, path: str, parameter: str, meant: str) -> None:
    """`find?stauts=pending_approval` answered everything."""
    assert (await client.get(path)).is_error(400, f"{parameter}: is not known; did you mean {meant}?")


async def test_a_reconsideration_has_the_patience_of_a_sync_persist(
    client: Client, actor_client: FakeActorClient
) -> None:
    await client.post(f"{V1}/reconsider", body())
    assert actor_client.asked[-1][2] == 0.7


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"reason": 7}, "reason: must be a string"),
        ({"reason": "x" * 1001}, "reason: must be at most 1000"),
        ({"reason": "a\x00b"}, "reason: must be at most 1000 printable"),
        ({"digest": 7}, "digest: must be a string"),
        ({"digest": ""}, "digest: is empty"),
        ({"covers": "branch"}, 'covers: must be "tag"'),
        ({"covers": "tag", "covers_limit": 0}, "covers_limit: must be a whole number from 1"),
        ({"covers_limit": 5}, 'covers_limit: is for a decision with "covers"'),
        ({"digest": "x" * 65}, "digest: must be at most 64"),
        ({"budget": 5}, "budget: must be an object"),
        ({"budget": {}}, "budget: must have"),
        ({"budget": {"replay": 5}}, "budget.replay: is not known"),
        ({"budget": {"replays": 0}}, "budget.replays: must be a whole number from 1"),
        ({"budget": {"replays": 1.5}}, "budget.replays: "),
        ({"budget": {"replays": True}}, "budget.replays: "),
        ({"budget": {"minutes": 0}}, "budget.minutes: must be a number above 0"),
        ({"budget": {"minutes": "5"}}, "budget.minutes: "),
        ({"budget": {"minutes": True}}, "budget.minutes: "),
        ({"budget": {"minutes": 525_601}}, "budget.minutes: "),
    ],
)
async def test_what_is_wrong_is_named(
    client: Client, actor_client: FakeActorClient, fields: dict[str, Any], message: str
) -> None:
    assert (await client.post(f"{V1}/approve", body(**fields))).is_error(400, message)
    assert not actor_client.asked


async def test_a_decision_has_a_limit_of_its_own() -> None:
    actor_client, settings = FakeActorClient("sysB"), SETTINGS.model_copy(update={"max_body_bytes": 10**7})
    async with serve_http(create_app(actor_client, settings), settings) as address:
        ignored = body(ignored=[{}] * 500_000)
        for path in (f"{V1}/approve", "/v1.0.0/decisions", f"{SYSTEM}/errors/redrive", f"{SYSTEM}/doubts/k"):
            assert (await Client(address).post(path, ignored)).is_error(413, f"body: is larger than {MAX_OBJECT} bytes")
            chunked = f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{len(ignored):x}\r\n"
            assert (await Client(address).raw(chunked.encode() + ignored + b"\r\n0\r\n\r\n")).status == 413
    assert not actor_client.asked


@pytest.mark.parametrize("action", ["pause", "resume", "recheck", "reconsider"])
async def test_who_decides_must_be_known(client: Client, action: str) -> None:
    assert (await client.post(f"{V1}/{action}")).is_error(400, "user: is missing")


@pytest.mark.parametrize("user", ["platform", " Platform ", "platform:open_branch", "PLATFORM:x", "maestro"])
async def test_nobody_decides_in_the_name_of_what_no_person_decided(
    client: Client, actor_client: FakeActorClient, user: str
) -> None:
    assert (await client.post(f"{V1}/approve", body(user=user))).is_error(400, "user: ", "no person")
    assert not actor_client.asked


@pytest.mark.parametrize(
    ("units", "message"),
    [
        (None, "units: must be a list of 1 to 1000 units"),
        ([], "units: must be a list of 1 to 1000 units"),
        ([{"branch": "b"}], "instanceId: is missing"),
        ([{"instanceId": ""}], "instanceId"),
        ([{"instanceId": "p", "more": 1}], "more"),
    ],
)
async def test_which_units_are_left_out_must_be_said(
    client: Client, actor_client: FakeActorClient, units: Any, message: str
) -> None:
    answer = await client.post(f"{V1}/units/leave_out", body(units=units))
    assert answer.is_error(400, message)
    assert not actor_client.asked


async def test_a_conflict_says_what_differs(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.answers[Approve] = Answer(Code.CONFLICT, b'{"digest":"d","added":[]}', "digest: it changed")
    reply = await client.post(f"{V1}/approve", body(digest="x"))
    assert (reply.status, reply.json) == (
        409, {"status": "409", "message": "digest: it changed", "digest": "d", "added": []},
    )  # fmt: skip


async def test_an_override_takes_a_reason(client: Client, actor_client: FakeActorClient) -> None:
    await client.post(f"/v1.0.0/reprocessing/set_status?id={ID}&status=skipped&user=ana&reason=by%20phone")
    assert actor_client.asked[-1][1] == SetStatus(ID, "skipped", "ana", "by phone")


def test_a_reason_is_text_without_space_around_it() -> None:
    assert check_reason(" Zoë:\tyes\n") == "Zoë:\tyes"
    assert check_reason("  ") == ""


async def test_pages_and_looks(client: Client, actor_client: FakeActorClient) -> None:
    for path, question in (
        (f"{SYSTEM}/skipped", ListSkipped(0, 100)),
        (f"{SYSTEM}/policies", ListPolicies()),
        (f"{SYSTEM}/stale?state=stale&after=7", ListStale("stale", 7, 100)),
        (f"{SYSTEM}/waiting/12", GetWaiting(12)),
        (f"{SYSTEM}/errors", ListErrors(20)),
        (f"{SYSTEM}/store", ReadStore()),
        (f"{SYSTEM}/store?table=units&where=a%3D1", ReadStore("units", where=("a=1",))),
        (f"{SYSTEM}/store?table=t&key=k&where=%5B%22a%3D1%22,%22b~x%22%5D", ReadStore("t", "k", ("a=1", "b~x"))),
    ):
        assert (await client.get(path)).status == 200
        assert actor_client.asked[-1][1] == question
    assert (await client.get(f"{SYSTEM}/store?table=t&where=%5B1%5D")).is_error(400, "where: ")
    assert (await client.get(f"{SYSTEM}/errors?limit=51")).is_error(400, "limit: ")
    assert (await client.get(f"{SYSTEM}/waiting/x")).is_error(400, "number: ")


@pytest.mark.parametrize(
    ("fields", "ids"), [({"ids": ["b", "a", "b"]}, ("b", "a")), ({"all": True}, ()), ({"ids": None, "all": True}, ())]
)
async def test_redrive(
    client: Client, actor_client: FakeActorClient, fields: dict[str, Any], ids: tuple[str, ...]
) -> None:
    assert (await client.post(f"{SYSTEM}/errors/redrive", body(**fields))).status == 200
    assert actor_client.asked[-1] == ("sysA", Redrive(ids, "ana"), 0.7)


async def test_redrive_of_groups_as_they_were_shown(client: Client, actor_client: FakeActorClient) -> None:
    groups = [{"key": "k1", "count": 3, "digest": "d1"}, {"key": "k2", "count": 1, "digest": "d2"}]
    assert (await client.post(f"{SYSTEM}/errors/redrive", body(groups=groups))).status == 200
    question = Redrive((), "ana", (ShownGroup("k1", 3, "d1"), ShownGroup("k2", 1, "d2")))
    assert actor_client.asked[-1] == ("sysA", question, 0.7)
    actor_client.answers[Redrive] = Answer(Code.CONFLICT, message="group k1 is not what was shown any more")
    reply = await client.post(f"{SYSTEM}/errors/redrive", body(groups=groups))
    assert reply.is_error(409, "group k1 is not what was shown any more")


async def test_set_aside(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.answers[SetAside] = Answer(Code.OK, b'{"number":7,"instanceId":"i1"}')
    reply = await client.post(f"{SYSTEM}/stalled/set-aside", body(reason=" it is poison "))
    assert (reply.status, reply.json) == (200, {"number": 7, "instanceId": "i1"})
    assert actor_client.asked[-1] == ("sysA", SetAside("ana", "it is poison"), 0.5)
    actor_client.answers[SetAside] = Answer(Code.CONFLICT, message="system sysA is not stalled")
    assert (await client.post(f"{SYSTEM}/stalled/set-aside", body())).is_error(409, "system sysA is not stalled")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "ids: give one of"),
        ({"ids": ["a"], "all": True}, "ids: give one of"),
        ({"groups": [{"key": "k", "count": 1, "digest": "d"}], "all": True}, "ids: give one of"),
        ({"groups": [{"key": "k", "count": 1, "digest": "d"}] * 2}, "groups: one is named twice"),
        ({"groups": [{"key": "k", "count": 0, "digest": "d"}]}, "groups[0].count: must be a whole number"),
        ({"groups": [{"key": "k", "count": 1}]}, "digest: is missing"),
        ({"groups": []}, "groups: must be a list"),
        ({"all": False}, "all: must be true"),
        ({"all": 1.0, "ids": ["a"]}, "all: must be true or false"),
        ({"ids": []}, "ids: must be a list"),
        ({"ids": "a"}, "ids: must be a list"),
        ({"ids": [7]}, "ids[0]: must be a string"),
        ({"ids": [str(n) for n in range(1001)]}, "ids: must be a list of 1 to 1000"),
    ],
)
async def test_a_redrive_must_say_what(
    client: Client, actor_client: FakeActorClient, fields: dict[str, Any], message: str
) -> None:
    assert (await client.post(f"{SYSTEM}/errors/redrive", body(**fields))).is_error(400, message)
    assert not actor_client.asked


@pytest.mark.parametrize("action", ["retry", "resume", "cancel", "pause", "recheck", "reconsider"])
async def test_only_an_approval_or_a_skip_covers_its_tag(client: Client, action: str) -> None:
    reply = await client.post(f"{V1}/{action}", body(covers="tag"))
    assert reply.is_error(400, f"covers: an approval or a skip covers its tag, {action} does not")

"""The API description: made of the types that check requests, complete, and kept to by the running gateway."""

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from maestro.events import BadInput, parse_event
from maestro.http.middleware import unmatched
from maestro.http.openapi import document
from maestro.http.routes import operations
from maestro.http.shapes.documents import DocumentShape
from maestro.http.shapes.events import EventBody
from maestro.http.shapes.shared import MAX_PAGE, MAX_USER
from maestro.http.shapes.units import UnitShape
from maestro.messages.answers import Answer, Code
from maestro.messages.decisions import Reconsider
from maestro.messages.questions import (
    CheckLock,
    CopyStore,
    DescribeSystem,
    ExplainPolicies,
    FindDocuments,
    FindUnits,
    GetDocument,
    GetHeldInstance,
    GetReplays,
    GetUnits,
    GetWaiting,
    ListDeliveries,
    ListDoubts,
    ListErrorGroups,
    ListErrors,
    ListPolicies,
    ListRecords,
    ListSkipped,
    ListStale,
    ListTodo,
    ListWaiting,
    PersistSync,
    Question,
    ReadStore,
    Redrive,
    ReportReplayFailure,
    ResolveDoubt,
    SetAside,
)
from maestro.rules.policies import Effect, Policy
from maestro.rules.rendering import document_json
from maestro.statuses import GIVEN_UP, Status, ordered
from maestro.system import policy_views
from tests.support.api_fuzz import fuzz
from tests.support.rules import Rules
from tests.unit.http.authentication_kit import House, house
from tests.unit.http.conftest import SETTINGS, Client
from tests.unit.http.fake_actor_client import FakeActorClient
from tests.unit.rules.driver import Driver

OPERATIONS = operations(unmatched, unmatched)
DESCRIBED = document(OPERATIONS, secured=True)
RULES = Rules(policies=(Policy("few", (Effect.APPROVE, Effect.REFUSE_SKIP), rows_to=5),))
HELD = RULES.hold("i1", "p1")
EXPLAINED = orjson.loads(policy_views.answer(RULES.system, ExplainPolicies(HELD.id)).body)
DOCUMENT = {
    "id": "r1", "systemId": "sysA", "tag": "t", "branch": "master", "forking": False, "status": "pending_approval",
    "pendingEvent": {"instanceId": "i1"}, "origin": None, "events": [], "history": [
        {"status": "pending_approval", "timestamp": "2018-07-20T15:08:41.884268", "user": "maestro",
         "at": "2018-07-20T15:08:41.884268Z"}
    ], "units": [], "reimpacted": [], "setAside": [], "leftOut": [],
    "progress": {"replayed": 0, "outstanding": 0, "units": 0, "cascaded": 0},
    "cancelling": False, "heldCommitted": False, "pausing": False, "budget": None, "digest": "d",
    "rows": None, "policies": EXPLAINED["recorded"],
}  # fmt: skip
LOCK = {
    "reprocessing": "r1", "owner": "ana", "reason": "x", "since": "y", "progress": {"replayed": 0, "outstanding": 1}
}  # fmt: skip


DOUBT = {
    "key": "7", "use": "event", "instanceId": "i1", "delivery": "m", "reprocessing": "", "since": "s", "cause": "c"
}  # fmt: skip
PAGE = {"after": 0, "total": 0, "next": None, "processes": 0, "branches": 0}
ANSWERS = {
    GetDocument: DOCUMENT | {"page": PAGE, "late": False, "heldNamedBy": None, "reconsidered": None, "notFinished": []},
    DescribeSystem: {"id": "sysA", "state": "open"},
    ListWaiting: {"total": 0, "events": [], "next": None},
    ListDeliveries: {"deliveries": [], "next": None},
    FindDocuments: [DOCUMENT],
    PersistSync: {"status": "commited"},
    Reconsider: {"status": "commited"},
    Redrive: {"redriven": 0, "missing": []},
    SetAside: {"number": 7, "instanceId": "i1"},
    ListErrors: {"total": 0, "errors": []},
    ListErrorGroups: {
        "total": 1,
        "lookedAt": 1,
        "count": 1,
        "groups": [
            {
                "key": "k",
                "reason": "why",
                "count": 1,
                "first": "",
                "last": "",
                "events": ["a"],
                "instanceId": "i1",
                "doubt": False,
                "digest": "d",
            }
        ],
    },
    ListDoubts: {"total": 1, "doubts": [DOUBT | {"state": "open"}], "resolved": []},
    ResolveDoubt: DOUBT | {"verdict": "made", "user": "ana", "at": "t", "reason": "looked"},
    FindUnits: {
        "systemId": "sysA",
        "total": 1,
        "matched": 0,
        "groups": {
            name: {"values": [{"value": "x", "count": 1}], "others": 0}
            for name in ("process", "branch", "period", "state")
        },
        "units": [],
        "next": None,
    },
    GetHeldInstance: {"systemId": "sysA", "instanceId": "i1", "branch": "master"},
    GetUnits: {"systemId": "sysA", "heldInstance": "i1", "branch": "master", "total": 0, "units": [], "next": None},
    GetReplays: {
        "systemId": "sysA",
        "status": "finished",
        "total": 1,
        "next": None,
        "units": [
            {"instanceId": "p1", "branch": "master", "state": "outstanding", "round": 1, "first": "", "last": ""},
        ],
    },
    ExplainPolicies: EXPLAINED,
    ListPolicies: orjson.loads(policy_views.answer(RULES.system, ListPolicies()).body),
    ListSkipped: {"total": 0, "skipped": [], "next": None},
    ListTodo: {"total": 0, "counts": {}, "items": [], "errors": 0, "failed": 0, "lastFailure": ""},
    ListRecords: [],
    CopyStore: {"file": "sysA.db.copy"},
    ReadStore: {"tables": {"documents": 1}, "documents": {}, "next": None},
    ListStale: {
        "total": 1,
        "left": 0,
        "next": None,
        "stale": [
            {
                "number": 1,
                "instanceId": "w",
                "branch": "master",
                "computation": "w",
                "state": "overwrite",
                "timestamp": "t",
                "at": "tZ",
                "missed": ["c"],
                "cause": "",
                "user": "",
                "reason": "",
                "reprocessing": None,
            },
        ],
    },
    GetWaiting: {
        "number": 1,
        "instanceId": "i1",
        "name": "n",
        "branch": "master",
        "tag": "t",
        "since": "s",
        "at": "sZ",
        "waitingFor": 0.5,
        "process": "p",
        "about": "EUR",
        "event": {},
    },
}


def canned(system_id: str, question: Question) -> Answer:
    """Answer as a system does: sometimes so, sometimes otherwise."""
    if isinstance(question, CheckLock):
        return Answer(Code.OK) if system_id == "sysA" else Answer(Code.LOCKED, orjson.dumps(LOCK))
    if isinstance(question, ReportReplayFailure):
        return Answer(Code.CONFLICT, message="no such replay")
    return Answer(Code.OK, orjson.dumps(ANSWERS.get(type(question), DOCUMENT)))


class AnyActorClient(FakeActorClient):
    """Knows systems of every name beginning with `sys`, and answers as they do."""

    async def ask(self, system_id: str, question: Question, *, timeout: float) -> Answer:  # noqa: ASYNC109 - the protocol's
        self.answers[type(question)] = canned
        return await super().ask(system_id, question, timeout=timeout)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[House]:
    """A guarded gateway in a thread of its own: what fuzzes it blocks."""
    up, stop = threading.Event(), asyncio.Event()
    found: list[Any] = []

    async def serve() -> None:
        found.append(asyncio.get_running_loop())
        async with house(tmp_path, SETTINGS.model_copy(update={"rate": 1e9, "burst": 10**9}), AnyActorClient) as it:
            found.append(it)
            up.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert up.wait(10)
    yield found[1]
    found[0].call_soon_threadsafe(stop.set)
    thread.join(10)


@pytest.mark.slow
def test_every_answer_is_as_described_and_none_is_a_500(served: House) -> None:
    seen = fuzz(served.client.address.url, DESCRIBED, served.tokens["root"], examples=8)
    assert set(seen) == {one.name for one in OPERATIONS if not one.hidden and not one.endless}
    for name, statuses in seen.items():
        # It was not only refused; but of a redrive's three fields exactly one must be there, which no schema says.
        assert statuses & {200, 202} or name == "redrive", (name, statuses)
    assert all(429 not in statuses for statuses in seen.values())


async def test_the_description_is_served_to_everybody(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        assert (await at.call(None, "GET", "/openapi.json")).json == orjson.loads(orjson.dumps(DESCRIBED))


async def test_without_access_control_it_asks_for_no_credential(client: Client) -> None:
    described = (await client.get("/openapi.json")).json
    assert "securitySchemes" not in described["components"]
    assert not any("security" in one for path in described["paths"].values() for one in path.values())


def test_names_are_unique_and_references_lead_somewhere() -> None:
    names = [one.name for one in OPERATIONS]
    assert len(names) == len(set(names))
    text = orjson.dumps(DESCRIBED).decode()
    for name in re.findall(r'"#/components/schemas/([^"]+)"', text):
        assert name in DESCRIBED["components"]["schemas"]
    assert DESCRIBED["openapi"] == "3.1.0"


async def test_statuses_and_their_sets_are_described(client: Client) -> None:
    described = (await client.get("/openapi.json")).json["components"]["schemas"]["Status"]
    assert set(described["enum"]) == set(Status)
    assert described["x-sets"]["givenUp"] == list(ordered(GIVEN_UP))
    assert all(set(some) <= set(described["enum"]) for some in described["x-sets"].values())


def test_limits_are_those_that_are_checked() -> None:
    parameters = {one["name"]: one["schema"] for one in DESCRIBED["paths"]["/v1.0.0/systems/{systemId}/waiting"]["get"]
                  ["parameters"]}  # fmt: skip
    assert (parameters["limit"]["minimum"], parameters["limit"]["maximum"]) == (1, MAX_PAGE)
    body = DESCRIBED["components"]["schemas"]["DecisionBody"]["properties"]["user"]
    assert MAX_USER in [one.get("maxLength") for one in body["anyOf"]]


_JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=3),
                     lambda some: st.lists(some, max_size=2) | st.dictionaries(st.text(max_size=3), some, max_size=2),
                     max_leaves=3)  # fmt: skip
_TEXT = st.none() | st.text(max_size=4) | st.sampled_from(["sysA", "execution", "a.b", "master"]) | st.integers()


@given(
    event=st.fixed_dictionaries(
        {"systemId": st.sampled_from(["sysA", "", "a.b", "x" * 129]), "instanceId": st.sampled_from(["", "i1", 7])},
        optional={"name": st.text(max_size=3), "tag": _TEXT, "branch": _TEXT, "scope": _TEXT, "timestamp": _JSON},
    )
)
def test_the_described_event_is_the_one_that_is_taken(event: dict[str, Any]) -> None:
    if event.get("scope") == "reprocessing":
        event["scope"] = ""
    try:
        msgspec.convert(event, EventBody)
        fits = True
    except msgspec.ValidationError:
        fits = False
    try:
        parse_event(json.dumps(event).encode())
        taken = True
    except BadInput:
        taken = False
    assert fits == taken


@pytest.mark.parametrize("path", ["/docs", "/docs/reference.js", "/docs/reference.css"])
async def test_the_reference_page_needs_nothing_from_elsewhere(client: Client, path: str) -> None:
    reply = await client.get(path)
    assert reply.status == 200
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'")
    assert "unsafe" not in policy
    assert reply.headers["x-content-type-options"] == "nosniff"
    text = reply.body.decode()
    assert not re.search(r"https?://|innerHTML|eval\(|document\.write|<script>|style=|\son[a-z]+=", text)
    for link in re.findall(r'(?:href|src)="(/[^"#]*)"', text):
        assert (await client.get(link)).status == 200


def test_all_that_is_rendered_of_a_document_is_described() -> None:
    m = Driver()
    m.run()
    rendered = orjson.loads(document_json(m.doc, m.doc.order))
    described = {one.encode_name for one in structs.fields(DocumentShape)}
    assert set(rendered) <= described, "http/shapes/documents.py"
    (unit, *_) = rendered["units"]
    assert set(unit) <= {one.encode_name for one in structs.fields(UnitShape)}, "http/shapes/units.py"

"""A document that the Go Maestro left, and its queues, become a document of ours."""

from typing import Any

import orjson
import pytest

from maestro.events import BadInput, celery_body
from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.doubt import CaseState, Use
from maestro.rules.state import Rules
from maestro.rules.status import Status
from maestro.rules.step import SaveDocument, SaveUnit
from maestro.store.memory import MemoryStore
from maestro.system.repository import Repository
from maestro.takeover.documents import (
    IMPORTED,
    IN_DOUBT,
    Queued,
    QueuedUnit,
    converted,
    moment,
    read_document,
    read_unit,
)
from tests.support.rules import Rules as Driven

AT = 1_700_000_000.0


def event(instance: str, branch: str = "master", **more: Any) -> dict[str, Any]:
    stamp = "2018-07-20T15:08:41.884268"
    return {"name": "calc", "instanceId": instance, "branch": branch, "timestamp": stamp, "referenceDate": "x", **more}


def left(status: str = "pending_approval", *units: str, **more: Any) -> bytes:
    history = [{"status": "pending_approval", "timestamp": "2018-07-20T15:08:41.884268", "user": "maestro"}]
    if status != "pending_approval":
        history.append({"status": status, "timestamp": "2018-07-20T16:00:00", "user": "ana"})
    document = {
        "id": "11111111-2222-4333-8444-555555555555", "systemId": "sysA", "tag": "t1", "branch": "master",
        "forking": False, "status": status, "pendingEvent": event("i2", payload={"n": 1}), "origin": event("i2"),
        "events": [event(unit) for unit in units], "history": history,
    }  # fmt: skip
    return orjson.dumps(document | more)


def keys(*units: str, document_id: str = "") -> list[QueuedUnit]:
    return [QueuedUnit((unit, "master"), document_id) for unit in units]


def states(units: list[Any]) -> str:
    return " ".join(f"{unit.instance_id}:{unit.state.value}" for unit in units)


def test_pending() -> None:
    doc, units = converted(read_document(left("pending_approval", "p1", "p2")), Queued(), 7, 0, AT)
    assert (doc.status, doc.number, doc.tag, doc.held_instance) == (Status.PENDING, 7, "t1", "i2")
    assert orjson.loads(doc.pending_event) == event("i2", payload={"n": 1})
    assert [(entry.status, entry.user, entry.cause) for entry in doc.history] == [
        ("pending_approval", "maestro", ""),
        ("pending_approval", "maestro", IMPORTED),
    ]
    assert doc.history[0].at == 1532099321.884268
    assert states(units) == "p1:outstanding p2:outstanding"
    assert orjson.loads(units[0].origin) == event("p1")
    assert not doc.held_committed


def test_bytes_pass_as_they_are() -> None:
    raw = left().replace(b'{"n":1}', b'{"n": 1.500, "huge": 123456789012345678901234567890}')
    assert (
        b'{"n": 1.500, "huge": 123456789012345678901234567890}'
        in converted(read_document(raw), Queued(), 1, 0, AT)[0].pending_event
    )


def test_what_stands_in_line_is_approved() -> None:
    document = read_document(left())
    doc, _ = converted(document, Queued(line=[document]), 1, 3, AT)
    assert (doc.status, doc.line) == (Status.APPROVED, 3)


def test_a_run_goes_on_where_its_queues_say() -> None:
    document = read_document(left("running", "p1", "p2", "p3", "p4"))
    queued = Queued(to_send=keys("p3", "p4"), not_persisted=keys("p2", "p3", "p4"))
    doc, units = converted(document, queued, 1, 0, AT)
    assert doc.status is Status.RUNNING
    assert states(units) == "p1:done p2:sent p3:outstanding p4:outstanding"
    assert doc.held_committed
    assert (doc.replayed, doc.total) == (1, 4)
    assert doc.history[-1].cause == f"{IMPORTED}: 1 of 4 replayed, 1 under way"
    sent = units[1]
    assert (sent.sends, sent.first_send, sent.sent_at) == (1, 1, AT)
    doc.load(units)
    assert doc.current is sent
    assert doc.is_answer("p2", "master", "")


def test_messages_of_another_document_are_not_its_own() -> None:
    document = read_document(left("running", "p1", "p2"))
    queued = Queued(
        to_send=keys("p1", document_id="another"),
        not_persisted=[*keys("p1", document_id="another"), *keys("p2", document_id=document.id)],
    )
    assert states(converted(document, queued, 1, 0, AT)[1]) == "p1:done p2:sent"


@pytest.mark.parametrize(
    "queued", [Queued(), Queued(to_send=keys("p1", "p2"), not_persisted=keys("p1", "p2"))], ids=["empty", "all"]
)
def test_the_commit_of_a_run_that_sent_nothing_is_in_doubt(queued: Queued) -> None:
    doc, units = converted(read_document(left("running", "p1", "p2")), queued, 1, 0, AT)
    assert (doc.status, doc.held_begun) == (Status.RUNNING, True)
    assert doc.history[-1].cause == IN_DOUBT
    assert states(units) == "p1:outstanding p2:outstanding"
    assert not doc.held_committed


def test_two_of_one_unit_are_one() -> None:
    _, units = converted(read_document(left("pending_approval", "p1", "p1")), Queued(), 1, 0, AT)
    assert len(units) == 1


def test_a_celery_message_around_it() -> None:
    assert read_document(celery_body("c1", left())).id == read_document(left()).id
    replay = {"reprocessing": {"id": "d1", "instance_id": "p1"}, "branch": "b1"}
    assert read_unit(celery_body("c1", orjson.dumps(replay))) == QueuedUnit(("p1", "b1"), "d1")
    assert read_unit(orjson.dumps(event("p1"))) == QueuedUnit(("p1", "master"), "")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[]", "document: cannot be read"),
        (b"{}", "document: cannot be read"),
        (left(id=""), "id: is missing"),
        (left(systemId="a b"), "systemId: must be"),
        (left(pendingEvent=None), "pendingEvent.instanceId: is missing"),
        (left(pendingEvent={"name": "x"}), "pendingEvent.instanceId: is missing"),
    ],
)
def test_what_cannot_be_taken_over(body: bytes, message: str) -> None:
    with pytest.raises(BadInput, match=f"^{message}"):
        read_document(body)


def test_a_status_that_nobody_knows() -> None:
    with pytest.raises(BadInput, match="status: 'half' is none"):
        converted(read_document(left("half")), Queued(), 1, 0, AT)


@pytest.mark.parametrize("body", [b"x", b"{}", b'{"instanceId": ""}', b'{"instanceId": 5}'])
def test_messages_that_name_no_unit(body: bytes) -> None:
    with pytest.raises(BadInput):
        read_unit(body)


def test_nothing_but_what_must_be_there() -> None:
    body = orjson.dumps({"id": "d", "systemId": "sysA", "status": "approved", "pendingEvent": {"instanceId": "i"}})
    doc, units = converted(read_document(body), Queued(), 1, 0, AT)
    assert (doc.status, doc.tag, doc.branch, doc.origin, units) == (Status.APPROVED, "", "master", b"", [])
    assert [entry.at for entry in doc.history] == [AT, AT]


def test_moments_are_those_of_utc() -> None:
    assert moment("1970-01-01T00:00:01.5", 7.0) == 1.5
    assert moment("soon", 7.0) == 7.0


def test_a_commit_in_doubt_is_looked_into_before_anything_is_made_or_sent() -> None:
    store = MemoryStore()
    repository = Repository(store, "sysA", Rules())
    repository.load()
    doc, units = converted(read_document(left("running", "p1", "p2")), Queued(), 1, 0, AT)
    store.commit(repository.writes([SaveDocument(doc), *(SaveUnit(doc, unit) for unit in units)]), durable=True)
    it = Driven(store)
    it.tell(facts.Resumed())
    assert [(case.use, case.instance_id, case.state) for case in it.system.cases.values()] == [
        (Use.HELD, "i2", CaseState.DOUBT)
    ]
    assert not it.has(do.CommitHeld)
    assert not it.has(do.SendReplay)
    assert it.system.lock() is not None

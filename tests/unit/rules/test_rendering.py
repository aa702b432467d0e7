import json

import pytest

from maestro.rules import rendering
from maestro.rules.document import Document, Ending, HistoryEntry, Unit, UnitState
from maestro.rules.impact import Impacted, Origin
from maestro.rules.status import Status, Trigger

ODD = b'"payload": {"n": 123456789012345678901234567890, "f": 1.10, "s": "\\u00e9\\/"}, "x-unknown": [ 1,2 ]'
ORIGIN = b'{"instanceId": "p1", "tag": "t", "branch": "old", "timestamp": "2018-07-20T15:00:00", ' + ODD + b"}"
HELD = b'{"systemId": "s", "instanceId": "i1", ' + ODD + b"}"


@pytest.fixture
def doc() -> Document:
    document = Document(
        "d1", "s", 1, "tag-i1", "master", forking=False, held_instance="i1", pending_event=HELD, origin=b"",
        history=[HistoryEntry(Status.PENDING, 1532099321.884268, "maestro")],
    )  # fmt: skip
    for name, branch in (("p1", "b1"), ("p2", "master")):
        document.add([Origin(Impacted(name, branch), ORIGIN, "")])
    return document


def first(doc: Document) -> Unit:
    return next(iter(doc.units.values()))


def test_a_document_has_the_fields_of_the_contract(doc: Document) -> None:
    json_ = rendering.document_json(doc, reversed(doc.units.values()))
    shown = json.loads(json_)
    names = {"id", "systemId", "tag", "branch", "forking", "status", "pendingEvent", "origin", "events", "history"}
    assert names <= set(shown)
    assert (shown["id"], shown["systemId"], shown["tag"], shown["branch"]) == ("d1", "s", "tag-i1", "master")
    assert (shown["status"], shown["forking"], shown["origin"]) == ("pending_approval", False, None)
    assert shown["history"] == [
        {
            "status": "pending_approval",
            "timestamp": "2018-07-20T15:08:41.884268",
            "at": "2018-07-20T15:08:41.884268Z",
            "user": "maestro",
        }
    ]
    assert [event["branch"] for event in shown["events"]] == ["b1", "master"]
    assert HELD in json_


def test_fields_nobody_knows_pass_through_byte_for_byte(doc: Document) -> None:
    unit = first(doc)
    payload = ODD.partition(b": ")[2].rpartition(b', "x')[0]
    for json_ in (
        rendering.document_json(doc, [unit]),
        rendering.replay_event(doc, unit),
        rendering.queued_event(doc, unit),
        rendering.error_event(HELD, "i1", "m"),
    ):
        assert payload in json_
        assert b"[ 1,2 ]" in json_


def test_a_replay_has_no_instance_and_no_tag_and_names_its_send(doc: Document) -> None:
    unit = first(doc)
    unit.begin_send(0.0)
    event = json.loads(rendering.replay_event(doc, unit))
    assert "instanceId" not in event
    assert "tag" not in event
    assert (event["scope"], event["branch"]) == ("reprocessing", "b1")
    assert event["reprocessing"] == {"id": "d1", "instance_id": "p1", "system_id": "s", "send": "d1.0.1"}


@pytest.mark.parametrize(
    ("origin", "sent"),
    [
        (b'{"reference_date": "2018-07-20T00:00:00.000Z"}', "2018-07-20T00:00:00.000Z"),
        (b'{"reference_date": "2018-07-20", "referenceDate": "2018-07-01"}', "2018-07-01"),
        (b'{"reference_date": "2018-07-20", "referenceDate": null}', "2018-07-20"),
        (b'{"reference_date": "2018-07-20", "referenceDate": ""}', "2018-07-20"),
        (b'{"reference_date": 1532044800000}', 1532044800000),
        (b'{"reference_date": null}', None),
        (b"{}", None),
    ],
)
def test_a_replay_has_the_reference_date_that_process_memory_kept(origin: bytes, sent: object) -> None:
    document = Document("d1", "s", 1, "t", "master", forking=False, held_instance="i1", pending_event=HELD, origin=b"")
    document.add([Origin(Impacted("p1", "master"), origin, "")])
    assert json.loads(rendering.replay_event(document, first(document))).get("referenceDate") == sent


def test_a_queued_unit_keeps_its_instance_and_is_named_by_its_round(doc: Document) -> None:
    unit = first(doc)
    event = json.loads(rendering.queued_event(doc, unit))
    assert (event["instanceId"], event["branch"]) == ("p1", "b1")
    before = rendering.queued_id(doc, unit)
    unit.begin_round(9)
    assert rendering.queued_id(doc, unit) != before


def test_the_decided_end_is_shown_when_asked_for(doc: Document) -> None:
    doc.status = Status.RUNNING
    doc.history.append(HistoryEntry(Status.RUNNING, 0.0, "maestro"))
    doc.ending = Ending(Trigger.FAIL, 1.0, "maestro", "why")
    assert json.loads(rendering.document_json(doc, []))["status"] == "running"
    ended = json.loads(rendering.document_json(doc, [], ended=True))
    assert (ended["status"], ended["history"][-1]["cause"]) == ("failure", "why")
    assert doc.status is Status.RUNNING


def test_reimpacted_units_and_progress_are_listed(doc: Document) -> None:
    unit = first(doc)
    unit.state, unit.reimpacted = UnitState.DONE, True
    shown = json.loads(rendering.document_json(doc, doc.units.values()))
    assert shown["reimpacted"] == [{"instanceId": "p1", "branch": "b1"}]
    assert shown["progress"] == {"replayed": 0, "outstanding": 1, "units": 2, "cascaded": 0}


@pytest.mark.parametrize("kind", ["starting", "finished", "droping"])
def test_a_notification_carries_the_document(doc: Document, kind: str) -> None:
    event = json.loads(rendering.notification(doc, kind, b'{"id":"d1"}'))
    assert event["name"] == f"s.reprocessing.{kind}"
    assert event["payload"] == {"reprocessing": {"id": "d1"}}


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("s.persist.request", "s.persist.error"),
        ("s.persist", "s.persist.error"),
        ("s.request.persist", "s.request.persist.error"),
        ("", ".error"),
    ],
)
def test_an_error_event_is_named_after_its_event_and_keeps_what_the_contract_lists(name: str, error: str) -> None:
    kept = {"instanceId": "i1", "branch": "b", "tag": "t", "version": "1", "image": "im", "idempotencyKey": "k"}
    event = json.dumps({"name": name, "systemId": "s", "payload": {"big": 1}, "owner": "o"} | kept).encode()
    shown = json.loads(rendering.error_event(event, "i1", "why"))
    assert shown["name"] == error
    assert {key: shown[key] for key in kept} == kept
    assert "owner" not in shown
    assert shown["payload"] == {"instance_id": "i1", "message": "why", "origin": json.loads(event)}


def test_a_null_name_is_no_name() -> None:
    assert json.loads(rendering.error_event(b'{"name": null, "instanceId": "i"}', "i", "m"))["name"] == ".error"


def test_sync_persist_is_answered_with_the_document() -> None:
    assert json.loads(rendering.sync_answer(b'{"id":"d1"}')) == {
        "status": "reprocessing_request",
        "reprocessing": {"id": "d1"},
    }


def test_those_to_send_are_split_from_the_one_in_flight(doc: Document) -> None:
    unit = first(doc)
    unit.state = UnitState.SENT
    waiting, in_flight = rendering.outstanding_first(doc.units.values())
    assert [u.instance_id for u in waiting] == ["p2"]
    assert in_flight == (unit,)

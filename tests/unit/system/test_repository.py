"""A system's state as rows and back, and which bodies are kept for how long."""

import json
from dataclasses import fields, replace
from enum import StrEnum

import pytest

from maestro.events import celery_body
from maestro.messages.decisions import Budget
from maestro.rules.delivery import Delivery, Verdict
from maestro.rules.document import Approval, Document, Ending, HistoryEntry, UnitState
from maestro.rules.impact import Impacted
from maestro.rules.policies import Demand, Effect
from maestro.rules.state import OutboxKind, OutboxMessage, Rules, System
from maestro.rules.status import Status, Trigger
from maestro.rules.step import DropOutboxMessage, ForgetDelivery, Save, SaveDelivery, SaveDocument, SaveOutboxMessage
from maestro.store.base import Put
from maestro.store.memory import MemoryStore
from maestro.system.repository import _HEADER, BODIES, DELIVERIES, Repository
from tests.unit.rules.driver import Driver

#: What a document forgets with its process: what is awaited, and what is told by the units' rows.
NOT_STORED = {
    *("stage", "token", "queues_built", "footprint", "start_asked", "again", "grown", "cover_token", "recheck"),
    *("sweeping", "tickets"),
    *("units", "order", "outstanding", "current", "set_aside"),
}

EVENT = b'{"systemId": "s", "instanceId": "i1", "name": "s.persist.request", "payload": 1.10}'
BODY = celery_body("m1", EVENT)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def repository(store: MemoryStore) -> Repository:
    return Repository(store, "s", Rules())


def delivery(**fields: object) -> Delivery:
    made = Delivery("m1", 1, "i1", "s.persist.request", "master", "t", 1.5)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def save(repository: Repository, store: MemoryStore, *saves: Save) -> None:
    store.commit(repository.writes(saves), durable=True)


# --- rows and back ------------------------------------------------------------------------------------------


def running() -> Driver:
    m = Driver()
    m.run()
    m.arrive("i2")
    m.replay("re1", "p1", Impacted("p4", "b1"))
    m.sent()
    m.result("re2", "p2")
    m.cancel()
    return m


def stored_as(m: Driver, doc: Document) -> Document:
    """Return a document as a restart finds it."""
    m.store.commit(Repository(m.store, "s", m.rules).writes([SaveDocument(doc)]), durable=True)
    return Repository(m.store, "s", m.rules).load().documents[doc.id]


def other(value: object) -> object:
    """Return another value of the same kind; None for a kind that is told apart below."""
    match value:
        case bool():
            return not value
        case int():
            return value + 7
        case StrEnum():
            return next(one for one in type(value) if one is not value)
        case str():
            return "other"
        case bytes():
            return b'{"other": 1}'
        case _:
            return None


def test_each_field_of_a_document_is_stored_or_named_as_forgotten() -> None:
    m = running()
    changed = {
        "budget": Budget(5, 1.5),
        "budget_since": 12.5,
        "first_approval": Approval("ana", 1.5, "", 2),
        "rows": 12,
        "demand": Demand(Effect.TWO_APPROVERS, skip_refused=True, at=1.5),
        "not_finished": (Impacted("p9", "b1"),),
        "ending": Ending(Trigger.CANCEL, 1.5, "ana", "why"),
        "history": [HistoryEntry(Status.RUNNING, 1.5, "ana")],
    }
    for field in fields(Document):
        if field.name in NOT_STORED | {"id", "system_id", "status"}:
            continue
        value = changed.get(field.name) or other(getattr(m.doc, field.name))
        assert value is not None, f"{field.name}: say here what another value of it is"
        found = stored_as(m, replace(m.doc, **{field.name: value}))
        assert getattr(found, field.name) == value, f"{field.name} is lost by a restart (`system/repository.py`)"


def test_a_restart_finds_what_was_saved() -> None:
    m = running()
    doc, found = m.doc, Repository(m.store, "s", m.rules).load()
    loaded = found.documents["d1"]
    for name in (*_HEADER, "history", "ending", "pending_event", "origin", "units"):
        assert getattr(loaded, name) == getattr(doc, name), name
    assert loaded.current == doc.current
    assert [found.deliveries[key].verdict for key in ("m-i1", "m-i2", "m-re1", "m-re2")] == [
        Verdict.PENDING, Verdict.WAITING, Verdict.COMMIT, Verdict.COMMIT,
    ]  # fmt: skip
    assert [waiting.instance_id for waiting in found.waiting.values()] == ["i2"]
    assert list(found.finished) == ["m-i1", "m-re1"]
    assert not found.unfinished
    assert found.next_number == m.system.next_number
    assert list(found.outbox) == list(m.system.outbox)


def test_what_was_decided_and_not_made_is_unfinished() -> None:
    m = Driver()
    m.arrive("i1")
    m.impact()
    assert [left.instance_id for left in Repository(m.store, "s", m.rules).load().unfinished] == ["i1"]


def test_ended_documents_are_loaded_without_their_units_and_the_store_keeps_them() -> None:
    m = Driver()
    m.hold()
    m.skip()
    found = Repository(m.store, "s", m.rules).load()
    assert found.documents["d1"].status is Status.SKIPPED
    assert found.documents["d1"].units == {}
    assert [unit.instance_id for unit in m.repository.units("d1")] == ["p1", "p2"]


def test_an_end_that_is_not_told_is_owed_after_a_restart() -> None:
    m = running()
    m.replay_impact()
    m.replay_committed()
    m.queues_updated()
    found = Repository(m.store, "s", m.rules).load()
    assert list(found.owed) == ["d1"]
    assert {unit.state for unit in found.documents["d1"].units.values()} == {UnitState.DONE, UnitState.OUTSTANDING}


def test_units_come_in_the_order_of_their_positions() -> None:
    m = Driver()
    m.hold("i1", *(Impacted(f"p{number}", "master") for number in range(12)))
    assert [unit.position for unit in m.repository.units("d1")] == list(range(12))


def test_an_empty_store_is_a_new_system(repository: Repository) -> None:
    assert repository.load() == System("s", Rules())


# --- one transaction ------------------------------------------------------------------------------------------


def test_each_record_is_written_once_as_it_is_now(repository: Repository) -> None:
    one = delivery(verdict=Verdict.COMMIT)
    saves = [SaveDelivery(one), SaveDelivery(one)]
    one.done = True
    (write,) = repository.writes(saves)
    assert isinstance(write, Put)
    assert (write.table, write.fields["done"]) == (DELIVERIES, True)


def test_forgetting_wins_over_an_earlier_save(repository: Repository, store: MemoryStore) -> None:
    repository.remember_body(1, BODY)
    save(repository, store, SaveDelivery(delivery(verdict=Verdict.COMMIT, done=True)), ForgetDelivery(1))
    assert store.count(DELIVERIES) == 0
    assert repository.body(1) is None


# --- bodies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"verdict": Verdict.COMMIT}, False),
        ({"verdict": Verdict.WAITING, "waited": True}, True),
        ({"verdict": Verdict.COMMIT, "waited": True}, True),
        ({"verdict": Verdict.COMMIT, "replay": True}, True),
        ({"verdict": Verdict.ERROR}, True),
        ({"verdict": Verdict.COMMIT, "done": True}, False),
        ({"verdict": Verdict.ERROR, "done": True}, False),
    ],
)
def test_the_store_keeps_the_bodies_that_may_be_needed(
    repository: Repository, store: MemoryStore, fields: dict[str, object], *, kept: bool
) -> None:
    repository.remember_body(1, BODY)
    save(repository, store, SaveDelivery(delivery(**fields)))
    assert store.count(BODIES) == kept
    assert repository.body(1) == (None if fields.get("done") else BODY)


def test_a_kept_body_outlives_a_restart_and_goes_when_its_event_is_done(
    repository: Repository, store: MemoryStore
) -> None:
    repository.remember_body(1, BODY)
    one = delivery(verdict=Verdict.WAITING, waited=True)
    save(repository, store, SaveDelivery(one))
    again = Repository(store, "s", Rules())
    again.load()
    assert again.body(1) == BODY
    one.verdict, one.done = Verdict.COMMIT, True
    save(again, store, SaveDelivery(one))
    assert again.body(1) is None
    assert store.count(BODIES) == 0


def test_a_body_at_hand_is_kept_when_its_event_fails_later(repository: Repository, store: MemoryStore) -> None:
    repository.remember_body(1, BODY)
    one = delivery(verdict=Verdict.COMMIT)
    save(repository, store, SaveDelivery(one))
    one.verdict = Verdict.ERROR
    save(repository, store, SaveDelivery(one))
    assert store.count(BODIES) == 1


# --- outbox ------------------------------------------------------------------------------------------------------


def test_an_error_errand_keeps_the_event_it_will_send(repository: Repository, store: MemoryStore) -> None:
    repository.remember_body(1, BODY)
    message = OutboxMessage(1, OutboxKind.ERROR_EVENT, "i1", "why", about=1)
    save(repository, store, SaveDelivery(delivery(verdict=Verdict.ERROR, reason="why")), SaveOutboxMessage(message))
    again = Repository(store, "s", Rules())
    (found,) = again.load().outbox.values()
    event = again.error_event(found)
    assert event is not None
    assert b'"payload": 1.10' in event
    assert json.loads(event)["name"] == "s.persist.error"
    save(again, store, DropOutboxMessage(1))
    assert again.load().outbox == {}


def test_an_error_errand_without_a_body_has_no_event(repository: Repository, store: MemoryStore) -> None:
    message = OutboxMessage(1, OutboxKind.ERROR_EVENT, "i1", "why", about=7)
    save(repository, store, SaveOutboxMessage(message))
    assert repository.error_event(message) is None

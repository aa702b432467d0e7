"""A dry run: what policies would have said of what was held before, by the API or a backup."""

from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest

from maestro.cli.policy_trial import Decided, Held, held_of, of_backup, tried
from maestro.rules import facts
from maestro.rules.document import Document
from maestro.rules.policies import Effect
from maestro.rules.rendering import document_json
from maestro.settings.model import Settings
from maestro.store.base import StoreError
from maestro.store.copies import back_up_stores
from maestro.store.places import store_path
from maestro.store.sqlite import open_store
from tests.support.rules import Rules

SMALL = {"name": "small", "effects": ["approve"], "units_to": 2}
CLOSED = {
    "name": "closed", "effects": ["two_approvers", "refuse_skip"], "data_before": "2024-02-01",
    "date_from": ["payload.date"],
}  # fmt: skip


def settings(*policies: dict[str, Any], **sections: Any) -> Settings:
    return Settings.model_validate({"policy": policies, **sections})


def hold(it: Rules, instance: str, *units: str, day: str = "2024-03-01") -> Document:
    event = {"name": "rectify.quote.request", "payload": {"date": day}}
    return it.hold(instance, *units, started_by=orjson.dumps(event), rows=7)


def seen(it: Rules, doc: Document) -> Held:
    return held_of(document_json(doc, doc.order or it.repository.units(doc.id)))


class TestReading:
    def test_a_document_is_known_as_it_was_when_it_was_decided(self) -> None:
        it = Rules()
        doc = hold(it, "i1", "p1", "p2")
        it.ask(facts.Approved, doc.id)
        it.start(doc)
        it.replay(doc, "p3")
        assert doc.total == 3
        held = seen(it, doc)
        assert (held.id, held.system_id, held.decided, held.late) == (doc.id, "sysA", Decided.BY_PERSON, False)
        assert (held.known.event, held.known.branch, held.known.units, held.known.rows) == (
            "rectify.quote.request", "master", 2, 7,
        )  # fmt: skip
        assert held.known.today == date(1970, 1, 1)

    def test_how_it_was_decided(self) -> None:
        it = Rules()
        doc = hold(it, "i1", "p1")
        assert seen(it, doc).decided is Decided.WAITS
        it.ask(facts.Skipped, doc.id)
        assert seen(it, doc).decided is Decided.SKIPPED
        it = Rules(auto_approve=True)
        assert seen(it, hold(it, "i1", "p1")).decided is Decided.BY_RULE
        it = Rules()
        assert seen(it, it.hold("i1", "p1", is_fork=True)).decided is Decided.FORK

    @pytest.mark.parametrize("text", [b"[]", b"{}", b'{"history":[],"units":[],"late":false,"forking":false}'])
    def test_what_is_no_document_is_refused(self, text: bytes) -> None:
        with pytest.raises(ValueError):
            held_of(text)


class TestTrying:
    @pytest.mark.parametrize(
        ("policies", "sections", "approval", "refused"),
        [
            ([SMALL], {}, Effect.APPROVE, False),
            ([SMALL | {"systems": ["sysB"]}], {}, Effect.ASK, False),
            ([SMALL], {"access": {"two_approvers": ["sysA"]}}, Effect.TWO_APPROVERS, False),
            ([CLOSED], {"reprocessing": {"auto_approve": ["sysA"]}}, Effect.APPROVE, False),
            ([SMALL, CLOSED | {"data_before": "2024-03-02"}], {}, Effect.TWO_APPROVERS, True),
        ],
    )
    def test_policies_and_the_settings_beside_them(
        self, *, policies: list[dict[str, Any]], sections: dict[str, Any], approval: Effect, refused: bool
    ) -> None:
        it = Rules()
        (trial,) = tried(settings(*policies, **sections), [seen(it, hold(it, "i1", "p1", "p2"))])
        assert (trial.verdict.approval, trial.verdict.skip_refused, trial.careful) == (approval, refused, False)

    def test_what_is_not_known_counts_on_the_careful_side_and_is_told(self) -> None:
        it = Rules()
        (trial,) = tried(settings(CLOSED), [seen(it, hold(it, "i1", "p1", day="soon"))])
        assert (trial.verdict.approval, trial.careful) == (Effect.TWO_APPROVERS, True)

    def test_forks_are_left_out(self) -> None:
        it = Rules()
        assert tried(settings(SMALL), [seen(it, it.hold("i1", "p1", is_fork=True))]) == []


def test_a_backup_is_read_and_stays_as_it_is(tmp_path: Path) -> None:
    store = open_store(store_path(tmp_path / "data", "sysA"))
    it = Rules(store)  # type: ignore[arg-type]
    doc = hold(it, "i1", "p1", "p2")
    it.ask(facts.Skipped, doc.id)
    store.close()
    backup = tmp_path / "backup"
    back_up_stores(tmp_path / "data", backup)
    before = {path.name: path.read_bytes() for path in backup.iterdir()}
    for system in ("", "sysA"):
        (held,) = map(held_of, of_backup(backup, system))
        assert (held.id, held.decided, held.known.units) == (doc.id, Decided.SKIPPED, 2)
    assert {path.name: path.read_bytes() for path in backup.iterdir()} == before
    with pytest.raises(StoreError, match="there is no such backup"):
        list(of_backup(backup, "sysB"))

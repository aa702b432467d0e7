"""What was skipped, and what is stale, say what their origin events say: an id tells nobody anything."""

import orjson

from maestro.events import MASTER
from maestro.rules import facts
from maestro.rules.ledger_book import Stale, StaleState
from maestro.system import stale_view, views
from tests.support.rules import Rules

ORIGIN = orjson.dumps({"name": "rectify.quote.request", "payload": {"currency": "USD", "rate": 1.5}})


def test_what_was_skipped() -> None:
    it = Rules()
    doc = it.hold("i1", "p1")
    doc.origin = ORIGIN
    it.ask(facts.Skipped, doc.id)
    (one,) = orjson.loads(views.skipped(it.system, 0, 10).body)["skipped"]
    assert (one["event"], one["about"]) == ("rectify quote", "USD · 1.5")


def test_what_is_stale_and_in_a_reprocessing_that_is_to_replay_it() -> None:
    it = Rules()
    doc = it.hold("i1", "p1")
    doc.order[0].origin = ORIGIN
    for number, (unit, document) in enumerate({"p1": doc.id, "p2": doc.id, "p3": ""}.items()):
        note = Stale(
            number,
            (unit, MASTER),
            forking=False,
            instance_id=unit,
            state=StaleState.STALE,
            at=0.0,
            document_id=document,
        )
        it.system.ledger.stale[note.unit] = note
    found = orjson.loads(stale_view.stale(it.system, it.repository, "", -1, 10).body)["stale"]
    assert [(one["event"], one["about"]) for one in found] == [("rectify quote", "USD · 1.5"), ("", ""), ("", "")]

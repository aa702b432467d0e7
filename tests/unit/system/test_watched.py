import orjson

from maestro.rules import facts
from maestro.rules.impact import Impacted
from maestro.rules.rendering import document_json
from maestro.system import views
from maestro.system.views import BRIEF_UNITS
from tests.support.rules import Rules


def watched(it: Rules, last: str = "") -> dict:
    doc = views.document_watched(it.system, last)
    described = views.described(it.system, None, 1).body
    return orjson.loads(views.watched(it.system, doc, it.repository, described))


def test_a_system_without_documents_has_none_at_stake() -> None:
    shown = watched(Rules())
    assert (shown["document"], shown["system"]["state"], shown["system"]["lastError"]) == (None, "open", None)


def test_what_is_pending_is_at_stake_without_the_events_in_it() -> None:
    it = Rules()
    doc = it.hold("i1", "p1")
    document = watched(it)["document"]
    assert (document["id"], len(document["units"]), len(document["digest"])) == (doc.id, 1, 32)
    assert not {"pendingEvent", "origin", "events"} & document.keys()
    assert document == {
        key: orjson.loads(views.document(it.system, doc, document_json(doc, doc.order)))[key] for key in document
    }


def test_what_ended_last_is_still_shown() -> None:
    it = Rules()
    doc = it.hold("i1", "p1")
    it.ask(facts.Skipped, doc.id)
    assert watched(it, doc.id)["document"]["status"] == "skipped"


def test_a_very_large_document_is_watched_without_its_units() -> None:
    it = Rules()
    doc = it.hold("i1", *(f"p{n}" for n in range(BRIEF_UNITS + 1)))
    doc.not_finished = (Impacted("p1", "master"), Impacted("q1", "master"))  # p1 was brought in later
    for _ in range(3):
        it.system.paces.replayed("x", 2.0)
    document = watched(it)["document"]
    untold = ("units", "digest", "reimpacted", "setAside", "notFinished", "leftOut")
    assert {key for key, value in document.items() if value is None} >= set(untold)
    assert document["progress"] == {
        "replayed": 0, "outstanding": BRIEF_UNITS + 1, "units": BRIEF_UNITS + 1, "cascaded": 0,
    }  # fmt: skip
    assert document["estimate"]["seconds"] == 2.0 * doc.total
    assert len(orjson.dumps(document)) < 2000


def test_the_last_error_is_told() -> None:
    it = Rules()
    it.arrive("i1")
    it.tell(facts.JudgingFailed(it.system.judging_token, "discovery.impacted: gone"))
    last = watched(it)["system"]["lastError"]
    assert (last["instanceId"], last["reason"]) == ("i1", "discovery.impacted: gone")

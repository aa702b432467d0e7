from maestro.events import MASTER
from maestro.messages.answers import Code
from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.document import Document
from maestro.rules.impact import Impacted
from maestro.rules.preview import digest
from maestro.rules.status import Status
from tests.support.rules import Rules, origin


def units(*instances: str) -> tuple[Impacted, ...]:
    return tuple(Impacted(instance, MASTER) for instance in instances)


def named(*instances: str) -> list[dict[str, str]]:
    return [{"instanceId": instance, "branch": MASTER} for instance in instances]


def now(doc: Document) -> str:
    return digest(doc.held_instance, doc.units)


def recheck(it: Rules, doc: Document, *found: str) -> do.Reply:
    ticket = it.ticket()
    it.tell(facts.RecheckAsked(doc.id, "ana", ticket))
    it.tell(facts.RecheckFound(doc.id, it.take(do.AskRecheck).token, units(*found)))
    if it.has(do.FetchRecheckOrigins):
        fetch = it.take(do.FetchRecheckOrigins)
        it.tell(facts.RecheckOriginsFetched(doc.id, fetch.token, tuple(origin(u.instance_id) for u in fetch.units)))
    return it.replies[ticket]


def test_the_digest_is_that_of_the_set() -> None:
    assert digest("i", [("a", "x"), ("b", "y")]) == digest("i", [("b", "y"), ("a", "x")])
    assert len({digest("i", []), digest("j", []), digest("i", [("a", "b")]), digest("i", [("ab", "")])}) == 4


def test_approval_of_the_present_preview() -> None:
    it = Rules()
    doc = it.hold("i1", "p1", "p2")
    reply = it.ask(facts.Approved, doc.id, digest=now(doc))
    assert reply is not None
    assert (reply.code, doc.status) == (Code.OK, Status.APPROVED)


def test_an_unknown_digest_is_refused_with_the_present_one_only() -> None:
    it = Rules()
    doc = it.hold("i1", "p1")
    reply = it.refused(facts.Approved, doc.id, Code.CONFLICT, digest="0" * 32)
    assert reply.message == f"digest: is not among the last previews of reprocessing {doc.id}"
    assert reply.fields == (("digest", now(doc)),)
    assert doc.status is Status.PENDING


def test_a_changed_preview_is_refused_with_the_difference() -> None:
    it = Rules()
    doc = it.hold("i1", "p1", "p2")
    before = now(doc)
    assert dict(recheck(it, doc, "p3", "p1").fields) == {"added": named("p3"), "removed": named("p2")}
    it = it.restart()
    doc = it.system.documents[doc.id]
    seen = it.repository.preview(doc.id, before)
    reply = it.refused(facts.Approved, doc.id, Code.CONFLICT, "its units changed", digest=before, seen=seen)
    assert dict(reply.fields) == {"digest": now(doc), "added": named("p3"), "removed": named("p2")}
    assert [unit.instance_id for unit in doc.order] == ["p1", "p3"]
    assert len(doc.history) == 1


def test_a_skip_binds_to_the_preview_it_names() -> None:
    it = Rules()
    doc = it.hold("i1", "p1", "p2")
    before = now(doc)
    recheck(it, doc, "p3", "p1")
    seen = it.repository.preview(doc.id, before)
    reply = it.refused(facts.Skipped, doc.id, Code.CONFLICT, "its units changed", digest=before, seen=seen)
    assert dict(reply.fields) == {"digest": now(doc), "added": named("p3"), "removed": named("p2")}
    assert doc.status is Status.PENDING
    done = it.ask(facts.Skipped, doc.id, digest=now(doc))
    assert done is not None
    assert (done.code, doc.status) == (Code.OK, Status.SKIPPED)


def test_what_goes_away_leaves_the_store() -> None:
    it = Rules()
    doc = it.hold("i1", "p1", "p2", "p3")
    recheck(it, doc, "p2")
    assert [unit.instance_id for unit in it.repository.units(doc.id)] == ["p2"]
    again = it.restart().system.documents[doc.id]
    assert (again.total, [unit.position for unit in again.order]) == (1, [0])


def test_nothing_left_stays_pending_and_can_be_approved() -> None:
    it = Rules()
    doc = it.hold("i1", "p1")
    recheck(it, doc)
    assert (doc.status, doc.order) == (Status.PENDING, [])
    it.ask(facts.Approved, doc.id, digest=now(doc))
    it.start(doc)
    it.finish(doc)
    assert (doc.status, doc.held_committed) == (Status.FINISHED, True)


def test_no_change_saves_nothing() -> None:
    it = Rules()
    doc = it.hold("i1", "p1")
    assert dict(recheck(it, doc, "p1").fields) == {"added": [], "removed": []}
    assert doc.revision == 0


def test_only_the_last_previews_are_remembered_and_none_once_decided() -> None:
    it = Rules()
    doc = it.hold("i1", "p0")
    digests = [now(doc)]
    for number in range(1, 12):
        recheck(it, doc, f"p{number}")
        digests.append(now(doc))
    known = [it.repository.preview(doc.id, one) is not None for one in digests]
    assert known == [False] * 3 + [True] * 8 + [False]
    it.ask(facts.Approved, doc.id)
    assert not list(it.store.rows("previews"))


def test_a_sibling_out_of_reach_changes_nothing() -> None:
    it = Rules()
    doc = it.hold("i1", "p1")
    first, second = it.ticket(), it.ticket()
    it.tell(facts.RecheckAsked(doc.id, "ana", first))
    it.tell(facts.RecheckAsked(doc.id, "ben", second))
    token = it.take(do.AskRecheck).token
    assert not it.has(do.AskRecheck), "both share one question"
    it.tell(facts.RecheckFound(doc.id, token, units("p2")))
    it.tell(facts.RecheckFailed(doc.id, it.take(do.FetchRecheckOrigins).token, "process_memory.origin: gone"))
    for ticket in (first, second):
        assert (it.replies[ticket].code, it.replies[ticket].message) == (Code.FAILED, "process_memory.origin: gone")
    assert [unit.instance_id for unit in doc.order] == ["p1"]


def test_a_decision_meanwhile_voids_the_recheck() -> None:
    it = Rules()
    doc = it.hold("i1", "p1")
    ticket = it.ticket()
    it.tell(facts.RecheckAsked(doc.id, "ana", ticket))
    it.ask(facts.Approved, doc.id)
    assert it.replies[ticket].code is Code.CONFLICT
    it.tell(facts.RecheckFound(doc.id, it.take(do.AskRecheck).token, ()))
    assert len(doc.order) == 1


def test_only_what_is_pending_is_rechecked() -> None:
    it = Rules()
    doc = it.hold("i1", "p1")
    it.ask(facts.Skipped, doc.id)
    it.refused(facts.RecheckAsked, doc.id, Code.CONFLICT, "skipped")
    it.refused(facts.RecheckAsked, "other", Code.NOT_FOUND)

from maestro.messages.answers import Code
from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.document import Document
from maestro.rules.impact import Impacted
from maestro.rules.pace import MAX_NAMES, MEMORY, Pace, Paces
from maestro.rules.rendering import wire_time
from maestro.rules.status import Status
from maestro.rules.unit import name_of
from tests.support.rules import Rules, origin
from tests.unit.rules.driver import P1, P2, Driver


def skipped(it: Rules, instance: str = "i1") -> Document:
    doc = it.hold(instance, "p1")
    it.ask(facts.Skipped, doc.id)
    return doc


def test_a_skipped_event_is_judged_again_at_once_when_the_system_is_open() -> None:
    it = Rules()
    doc = skipped(it)
    ticket = it.ticket()
    it.tell(facts.ReconsiderAsked(doc.id, "ana", ticket, "it was right"))
    assert ticket not in it.replies
    it.tell(facts.ImpactFound(it.take(do.AskImpact).token, ()))
    it.tell(facts.Committed(it.take(do.Commit).token))
    assert (it.replies[ticket].code, it.replies[ticket].fields) == (Code.OK, (("status", "commited"),))
    last = doc.history[-1]
    assert (last.status, last.user, last.reason) == (Status.SKIPPED, "ana", "it was right")
    assert last.cause == f"reconsidered as event {doc.reconsidered}"
    twice = it.refused(facts.ReconsiderAsked, doc.id, Code.CONFLICT)
    when = f"by ana at {wire_time(last.at)} UTC as event {doc.reconsidered}"
    assert twice.message == f"reprocessing {doc.id} was already reconsidered {when}"


def test_a_skipped_event_may_be_held_again() -> None:
    it = Rules()
    doc = skipped(it)
    ticket = it.ticket()
    it.tell(facts.ReconsiderAsked(doc.id, "ana", ticket))
    it.tell(facts.ImpactFound(it.take(do.AskImpact).token, (Impacted("p1", "master"),)))
    fetched = facts.OriginsFetched(
        it.take(do.FetchOrigins).token, "second", doc.pending_event, b"", (origin("p1"),), is_fork=False
    )
    it.tell(fetched)
    assert it.replies[ticket].document_id == "second"
    assert it.system.documents["second"].number > doc.number


def test_a_crash_after_the_question_loses_nothing() -> None:
    it = Rules()
    doc = skipped(it)
    it.tell(facts.ReconsiderAsked(doc.id, "ana", it.ticket()))
    it = it.restart()
    (delivery,) = it.system.waiting.values()
    assert (delivery.instance_id, it.repository.body(delivery.number) is not None) == ("i1", True)
    it.refused(facts.ReconsiderAsked, doc.id, Code.CONFLICT)
    it.tell(facts.ImpactFound(it.take(do.AskImpact).token, ()))
    assert it.take(do.Commit).instance_id == "i1"


def test_it_waits_behind_what_waits() -> None:
    it = Rules()
    doc = skipped(it)
    it.hold("i2", "p1")
    it.arrive("late")
    reply = it.ask(facts.ReconsiderAsked, doc.id)
    assert reply is not None
    assert (reply.code, reply.fields) == (Code.ACCEPTED, (("status", "waiting"), ("position", 2)))


def test_it_is_judged_after_what_came_before() -> None:
    it = Rules()
    doc = skipped(it)
    it.arrive("first")
    it.arrive("second")
    it.tell(facts.ReconsiderAsked(doc.id, "ana", it.ticket()))
    order = []
    for _ in range(3):
        ask = it.take(do.AskImpact)
        order.append(ask.instance_id)
        it.tell(facts.ImpactFound(ask.token, ()))
        it.tell(facts.Committed(it.take(do.Commit).token))
    assert order == ["first", "second", "i1"]


def test_a_failure_puts_it_on_the_error_queue_and_says_so() -> None:
    it = Rules()
    doc = skipped(it)
    ticket = it.ticket()
    it.tell(facts.ReconsiderAsked(doc.id, "ana", ticket))
    it.tell(facts.JudgingFailed(it.take(do.AskImpact).token, "discovery.impacted: gone"))
    assert (it.replies[ticket].code, it.replies[ticket].message) == (Code.FAILED, "discovery.impacted: gone")
    assert it.take(do.DeadLetterEvent).reason == "discovery.impacted: gone"


def test_only_a_skipped_one_is_reconsidered() -> None:
    it = Rules()
    doc = it.hold("i1", "p1")
    it.refused(facts.ReconsiderAsked, doc.id, Code.CONFLICT, "pending_approval")


def test_the_estimate_needs_enough_replays_and_prefers_the_events_own() -> None:
    it = Rules()
    doc = it.hold("i1", *(f"p{n}" for n in range(6)))
    it.ask(facts.Approved, doc.id)
    it.start(doc)
    assert it.system.paces.estimate(doc.order) is None
    for _ in range(3):
        it.replay(doc, seconds=10)
    estimate = it.restart().system.paces.estimate(doc.order)
    assert estimate is not None
    per_replay = doc.order[0].duration
    assert per_replay is not None
    assert abs(estimate.seconds - 3 * per_replay) < 0.001
    assert estimate.basis == "running mean of 3 past replays of this system; 3 of 3 by their event name"


def test_an_unknown_event_name_gets_the_mean_of_all() -> None:
    paces = Paces()
    for seconds in (1.0, 2.0, 3.0):
        paces.replayed("a", seconds)
    it = Rules()
    doc = it.hold("i1", "p1")
    estimate = paces.estimate(doc.order)
    assert estimate is not None
    assert estimate.seconds == 2.0
    assert estimate.basis.endswith("0 of 1 by their event name")


def test_the_statistic_is_bounded_and_follows() -> None:
    paces = Paces()
    for number in range(1000):
        paces.replayed(f"name{number}", 1.0)
    assert len(paces.by_name) == MAX_NAMES + 1
    pace = Pace(10_000, 1.0)
    for _ in range(MEMORY * 5):
        pace = pace.after(3.0)
    assert pace.seconds > 2.9


def test_an_origin_without_a_name_has_none() -> None:
    it = Rules()
    doc = it.hold("i1", "p1")
    for body in (b"[]", b'{"name": 7}', b"{}"):
        doc.order[0].origin = body
        assert name_of(doc.order[0].origin) == ""


def reconsidered() -> tuple[Driver, int]:
    m = Driver()
    m.hold("i0", P1, id_="d0")
    m.approve("d0")
    m.start()
    m.held_commit_fails()
    m.end()
    m.arrive("i1")
    m.impact(P2)
    m.origins(id_="d1")
    m.system.documents["d1"].pending_event = b'{"systemId": "s", "instanceId": "i1", "name": "n", "branch": "master"}'
    m.skip("d1")
    ticket = m.ticket()
    m.tell(facts.ReconsiderAsked("d1", "anna", ticket))
    return m, ticket


def told_that_it_waits(m: Driver, ticket: int) -> bool:
    [reply] = [one for one in m.log if isinstance(one, do.Reply) and one.ticket == ticket]
    return reply.code is Code.ACCEPTED and ("status", "waiting") in reply.fields


def test_who_reconsiders_is_told_that_it_waits_when_a_retry_blocks_the_system() -> None:
    m, ticket = reconsidered()
    m.retry("d0")
    assert told_that_it_waits(m, ticket)


def test_so_they_are_when_the_system_is_stalled_for_long() -> None:
    m, ticket = reconsidered()
    m.tell(facts.JudgingFailed(m.system.judging_token, "down", "discovery"))
    canary = m.only(do.AskCanary)
    m.tell(facts.CanaryAsked(canary.what, canary.token, answered=False))
    m.now += 100
    m.tell(facts.Woken(do.Topic.STALL, ""))
    assert told_that_it_waits(m, ticket)


def reconsidered_behind_another() -> tuple[Driver, int]:
    """i0 is skipped, and reconsidered while e1 is being judged."""
    m = Driver()
    m.hold("i0")
    m.doc.pending_event = b'{"systemId": "s", "instanceId": "i0", "name": "n", "branch": "master"}'
    m.skip()
    m.arrive("e1")
    ticket = m.ticket()
    m.tell(facts.ReconsiderAsked("d1", "anna", ticket))
    return m, ticket


def test_so_they_are_when_another_event_is_held_before_it() -> None:
    m, ticket = reconsidered_behind_another()
    m.impact(P1)
    m.origins(id_="d2")
    assert told_that_it_waits(m, ticket)


def test_a_crash_lets_what_is_reconsidered_pass_no_event_that_was_judged() -> None:
    m, _ = reconsidered_behind_another()
    m.arrive("e2")
    m.restart()
    assert [one.instance_id for one in m.system.waiting.values()] == ["e1", "i0", "e2"]

"""What an event is known by: ids from outside, ids of Maestro's own, and events without any."""

import pytest

from maestro.events import ReplayRef
from maestro.messages.answers import Code
from maestro.rules import commands as do
from maestro.rules import facts, identity
from maestro.rules.delivery import Verdict
from maestro.rules.doubt import CommitEnd, Finding
from maestro.store.base import Put
from tests.unit.rules.driver import P1, Driver

F = identity.fingerprint(identity.BODY, b"body")
S = identity.fingerprint(identity.SYNC, b"event")


@pytest.fixture
def m() -> Driver:
    driver = Driver()
    driver.tell(facts.WaitQueueDrained())
    return driver


def anonymous(m: Driver, *, redelivered: bool = False, wait: bool = False, mark: str = F, name: str = "i1") -> None:
    m._refs += 1
    m.tell(
        facts.EventArrived(
            "", name, "n", "master", "t", ref=m.ref(), redelivered=redelivered, from_wait_queue=wait, fingerprint=mark
        )
    )


def sync(m: Driver, *, call: str = "", impatient: bool = False, name: str = "i1", mark: str = S) -> int:
    ticket = m.ticket()
    m.tell(
        facts.EventArrived(
            "", name, "n", "master", "t", ticket=ticket, fingerprint=mark, call=call, impatient=impatient
        )
    )
    return ticket


# --- keys -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "id_", ["c-1", "reconsider-d1", "~i1/execution/", "~sync/ab/1", "~reconsider/d1", "~id/x", "~"]
)
def test_no_id_from_outside_is_one_of_ours(id_: str) -> None:
    key = identity.from_outside(id_)
    ours = (identity.SYNC, identity.BODY, identity.OTHER, identity.RECONSIDER, identity.OLD)
    assert not key.startswith(ours)
    assert identity.from_outside("~id/x") != identity.from_outside("x")


@pytest.mark.parametrize(
    ("mark", "key"),
    [
        ("", ""), ("c-1", ""), ("~sync/ab/1", "~sync/ab/1"), ("~id/~x", "~id/~x"),
        ("~i1/execution/", "~old/i1/execution/"), ("~0123456789abcdef", ""),
    ],
)  # fmt: skip
def test_what_maestro_marked_a_message_with(mark: str, key: str) -> None:
    assert identity.own_key(mark) == key


# --- an id that was used ----------------------------------------------------------------------------------------


def usurp(m: Driver, **how: bool) -> list[do.Command]:
    m._refs += 1
    return m.tell(facts.EventArrived("m-i1", "other", "n", "master", "t", ref=m.ref(), **how))  # type: ignore[arg-type]


@pytest.mark.parametrize("done", [False, True])
def test_an_event_with_the_id_of_another_goes_to_the_error_queue(m: Driver, done: bool) -> None:  # noqa: FBT001 - a case
    m.commit("i1") if done else m.arrive("i1")
    usurp(m)
    letter = m.only(do.DeadLetterEvent)
    assert (letter.reason, letter.refs) == ("id was used by another event", (m.ref(),))
    assert letter.key.startswith("~other/")
    m.tell(facts.DeadLettered(letter.key, letter.number))
    if not done:
        m.impact()
        m.committed()
    assert m.delivery("i1").verdict is Verdict.COMMIT


def test_it_is_recognised_when_it_is_delivered_again_and_judged_when_it_is_redriven(m: Driver) -> None:
    m.commit("i1")
    usurp(m)
    letter = m.only(do.DeadLetterEvent)
    m.tell(facts.DeadLettered(letter.key, letter.number))
    m.restart()
    assert m.system.deliveries[letter.key].reason == "id was used by another event"
    usurp(m, redelivered=True)
    assert m.kinds() == ["AckDelivery"]
    m._refs += 1
    m.tell(facts.EventArrived(letter.key, "other", "n", "master", "t", ref=m.ref(), redriven=True))
    assert m.only(do.AskImpact).instance_id == "other"


@pytest.mark.parametrize("replay", [ReplayRef("d1", "p1"), None])
def test_the_scope_and_the_reprocessing_are_part_of_it(m: Driver, replay: ReplayRef | None) -> None:
    m.run(P1)
    m.sent()
    first = ReplayRef("d1", "p1") if replay is None else None
    m.tell(facts.EventArrived("m-x", "x", "n", "master", "t", first, ref=50))
    m.tell(facts.EventArrived("m-x", "x", "n", "master", "t", replay, ref=51))
    assert m.last(do.DeadLetterEvent).reason == "id was used by another event"


# --- without an id ----------------------------------------------------------------------------------------------


def test_the_same_bytes_without_an_id_are_a_new_event_unless_they_are_delivered_again(m: Driver) -> None:
    anonymous(m)
    m.impact()
    m.committed()
    m.restart()
    m.tell(facts.WaitQueueDrained())
    anonymous(m, redelivered=True)
    assert m.kinds() == ["AckDelivery"]
    anonymous(m)
    assert m.only(do.AskImpact).instance_id == "i1"
    assert [delivery.key for delivery in m.system.deliveries.values()] == [f"{F}/1", f"{F}/2"]


def test_flagged_as_delivered_again_but_not_known_it_is_new(m: Driver) -> None:
    anonymous(m, redelivered=True)
    assert m.asked(do.AskImpact)


def test_its_copy_on_the_wait_queue_is_recognised(m: Driver) -> None:
    m.hold("h")
    anonymous(m)
    m.tell(facts.Parked(f"{F}/2"))
    m.skip()
    m.tell(facts.EventArrived(f"{F}/2", "i1", "n", "master", "t", ref=9, from_wait_queue=True))
    anonymous(m, wait=True)
    assert len(m.system.deliveries) == 2


def test_an_event_of_before_there_were_namespaces_is_recognised(m: Driver) -> None:
    m.commit("i1")
    ((key, row),) = m.store.rows("deliveries")
    m.store.commit([Put("deliveries", key, row | {"key": "~i1/execution/"})], durable=True)
    m.restart()
    assert list(m.system.deliveries) == ["~old/i1/execution/"]
    anonymous(m, redelivered=True)
    assert m.asked(do.AckDelivery)
    assert not m.asked(do.AskImpact)


def test_a_reconsidered_event_of_before_is_recognised_and_an_outsiders_is_not(m: Driver) -> None:
    m.hold()
    m.skip()
    m.doc.pending_event = b'{"systemId": "s", "instanceId": "i1"}'
    m.tell(facts.ReconsiderAsked("d1", "ana", m.ticket()))
    m.commit("reconsider-9")
    rows = {row["key"]: (key, row) for key, row in m.store.rows("deliveries")}
    key, row = rows["~reconsider/d1"]
    m.store.commit([Put("deliveries", key, row | {"key": "reconsider-d1"})], durable=True)
    m.restart()
    assert "~reconsider/d1" in m.system.deliveries
    assert "m-reconsider-9" in m.system.deliveries
    m.tell(facts.EventArrived("reconsider-d1", "i1", "n", "master", "t", ref=70, from_wait_queue=True))
    assert "reconsider-d1" not in m.system.deliveries
    m.tell(facts.EventArrived("reconsider-d1", "i1", "n", "master", "t", ref=71))
    assert m.system.deliveries["reconsider-d1"].instance_id == "i1"


# --- sync persist -----------------------------------------------------------------------------------------------


def replied(m: Driver, ticket: int) -> do.Reply:
    return next(one for one in m.log if isinstance(one, do.Reply) and one.ticket == ticket)


def committed(m: Driver) -> None:
    m.impact()
    m.committed()


def test_two_of_one_instance_one_after_the_other_are_both_judged(m: Driver) -> None:
    sync(m)
    committed(m)
    second = sync(m)
    assert m.asked(do.AskImpact)
    committed(m)
    assert replied(m, second).fields == (("status", "commited"),)
    assert len([one for one in m.log if isinstance(one, do.Commit)]) == 2


def test_asked_again_while_the_first_is_under_way_it_is_the_same(m: Driver) -> None:
    _first, second = sync(m), sync(m)
    committed(m)
    assert replied(m, second).fields == (("status", "commited"),)
    assert len(m.system.deliveries) == 1


def test_asked_again_by_the_same_call_it_is_the_same_even_when_it_was_answered(m: Driver) -> None:
    sync(m, call="c1")
    committed(m)
    late = sync(m, call="c1", impatient=True)
    assert replied(m, late).fields == (("status", "commited"),)
    sync(m, call="c2")
    assert m.asked(do.AskImpact)


def test_while_its_commit_is_held_it_is_under_way(m: Driver) -> None:
    sync(m)
    m.impact(P1)
    m.origins()
    again = sync(m)
    assert replied(m, again).document_id == "d1"
    assert len(m.system.deliveries) == 1
    m.skip()
    sync(m)
    assert m.asked(do.AskImpact)


def test_a_result_of_no_run_is_a_bad_request(m: Driver) -> None:
    ticket = m.ticket()
    ref = ReplayRef("d9", "p1")
    m.tell(facts.EventArrived("", "re1", "n", "master", "t", ref, ticket=ticket, fingerprint=S))
    assert replied(m, ticket).code is Code.INVALID
    assert not m.system.deliveries
    assert not m.system.fingerprints


def test_who_waits_no_longer_is_told_that_it_waits(m: Driver) -> None:
    m.arrive("busy")
    first = sync(m)
    last = sync(m, impatient=True)
    for ticket in (first, last):
        assert replied(m, ticket).code is Code.ACCEPTED
        assert replied(m, ticket).fields == (("status", "waiting"), ("position", 2))
    m.restart()
    assert [one.instance_id for one in m.system.waiting.values()] == ["busy", "i1"], "so it is true after a crash"


@pytest.mark.parametrize("fails", ["when it is judged", "when it is committed"])
def test_who_was_told_that_it_waits_finds_a_failure_on_the_error_queue(m: Driver, fails: str) -> None:
    sync(m)
    if fails == "when it is committed":
        m.impact()
    sync(m, impatient=True)
    if fails == "when it is committed":
        m.refused()
    else:
        m.judging_fails()
    assert m.only(do.DeadLetterEvent).number == 1


def test_an_answer_that_is_lost_is_lost_to_its_own_caller_only(m: Driver) -> None:
    sync(m, call="a")
    committed(m)
    second = sync(m, call="b")
    m.tell(facts.AnswerLost(S, "a"))
    assert not m.asked(do.Reply)
    committed(m)
    assert replied(m, second).fields == (("status", "commited"),)


@pytest.mark.parametrize(("after", "same"), [(3500.0, True), (3700.0, False)])
@pytest.mark.parametrize("how", ["restart", "lost", "waited"])
def test_an_answer_that_was_not_heard_is_given_for_an_hour(m: Driver, how: str, after: float, same: bool) -> None:  # noqa: FBT001 - a case
    if how == "waited":
        m.hold("h")
    sync(m, call="c")
    if how == "waited":
        m.skip()
    committed(m)
    if how == "restart":
        m.restart()
    elif how == "lost":
        m.tell(facts.AnswerLost(S, "c"))
    m.now += after
    again = sync(m)
    assert m.asked(do.AskImpact) is not same
    if same:
        assert replied(m, again).fields == (("status", "commited"),)
        sync(m)
        assert m.asked(do.AskImpact), "now it was heard"


def test_a_key_of_the_callers_that_was_used_for_another_event_is_refused(m: Driver) -> None:
    sync(m)
    ticket = sync(m, name="i2")
    assert replied(m, ticket).code is Code.CONFLICT
    assert len(m.system.deliveries) == 1


def test_a_replayed_process_may_persist_synchronously(m: Driver) -> None:
    m.run(P1)
    m.sent()
    ticket = m.ticket()
    ref = ReplayRef("d1", "p1", m.doc.send_name(m.doc.current))
    m.tell(facts.EventArrived("", "re1", "n", "master", "t", ref, ticket=ticket, fingerprint=S))
    assert not m.asked(do.Reply)
    m.restart()
    m.queues_updated()
    again = m.ticket()
    m.tell(facts.EventArrived("", "re1", "n", "master", "t", ref, ticket=again, fingerprint=S))
    m.replay_impact()
    m.replay_committed()
    assert replied(m, again).fields == (("status", "commited"),)


def test_a_superseded_one_is_told_so(m: Driver) -> None:
    m.run(P1)
    ticket = m.ticket()
    ref = ReplayRef("d1", "p9")
    m.tell(facts.EventArrived("", "re9", "n", "master", "t", ref, ticket=ticket, fingerprint=S))
    assert (replied(m, ticket).code, replied(m, ticket).message) == (Code.FAILED, "superseded")
    assert not m.asked(do.DeadLetterEvent)


# --- what is remembered -----------------------------------------------------------------------------------------


def test_nothing_is_forgotten_while_the_wait_queue_is_not_known_to_be_drained() -> None:
    m = Driver(dedup_window=1)
    for name in ("i1", "i2", "i3"):
        m.commit(name)
    assert len(m.system.deliveries) == 3
    m.tell(facts.WaitQueueDrained())
    assert list(m.system.deliveries) == ["m-i3"]


def test_a_forgotten_one_is_no_longer_known_by_its_bytes() -> None:
    m = Driver(dedup_window=1)
    m.tell(facts.WaitQueueDrained())
    anonymous(m)
    committed(m)
    assert m.system.fingerprints == {F: f"{F}/1"}
    m.commit("i2")
    assert not m.system.fingerprints


# --- storms -----------------------------------------------------------------------------------------------------


def test_an_instance_that_persists_more_than_ten_times_within_a_minute_is_told_of(m: Driver) -> None:
    alarms = []
    for number in range(25):
        m.now += 2.0
        m.tell(facts.EventArrived(f"c-{number}", "i1", "n", "master", "t", ref=number))
        alarms += [one for one in m.commands if isinstance(one, do.RaiseAlarm)]
    assert [one.alarm for one in alarms] == ["persists_often"] * 2
    assert alarms[0].text == "instance i1 persisted more than 10 times within 60 s"


def test_ten_within_a_minute_are_no_storm_and_few_instances_are_watched(m: Driver) -> None:
    for number in range(30):
        m.now += 6.0
        m.tell(facts.EventArrived(f"c-{number}", "i1", "n", "master", "t", ref=number))
        assert not m.asked(do.RaiseAlarm)
    for number in range(1100):
        m.tell(facts.EventArrived(f"d-{number}", f"j{number}", "n", "master", "t", ref=number))
    assert len(m.system.persisted) == 1000


def test_a_sync_persist_in_doubt_is_not_committed_again_because_its_caller_asks_again(m: Driver) -> None:
    sync(m)
    m.impact()
    m.commit_ends(CommitEnd.REFUSED)
    m.proof(Finding.UNPROVABLE)
    assert m.only(do.Reply).code is not Code.OK, "the caller has heard it"
    assert len(list(m.system.open_doubts)) == 1
    sync(m)
    assert not m.asked(do.AskImpact)
    assert m.only(do.Reply).code is not Code.OK
    assert m.log.count(m.last(do.Commit)) == 1


def test_what_came_with_anothers_id_is_known_when_it_comes_again_although_that_one_is_forgotten(m: Driver) -> None:
    m.arrive("a", instance="i1")
    m.impact()
    m.committed()
    m.arrive("a", instance="i2")
    rejected = m.last(do.DeadLetterEvent)
    m.restart()
    del m.system.deliveries["m-a"]
    m.arrive("a", instance="i2", redelivered=True)
    assert not m.asked(do.AskImpact)
    assert not m.asked(do.Commit)
    assert m.system.deliveries[rejected.key].verdict is Verdict.ERROR
    m.arrive("a", instance="i3", redelivered=True)
    assert m.asked(do.AskImpact), "another one has the id to itself"


def test_a_sync_persist_that_is_asked_again_gets_its_own_document() -> None:
    m = Driver()
    sync(m, call="c1")
    m.impact(P1)
    m.origins(id_="d1")
    m.tell(facts.AnswerLost(S, "c"))
    m.skip("d1")
    sync(m, call="c2", mark=identity.fingerprint(identity.SYNC, b"another event"))
    m.impact(P1)
    m.origins(id_="d2")
    sync(m, call="c1")
    assert m.only(do.Reply).document_id == "d1"


def test_a_redriven_sync_persist_is_known_by_its_bytes() -> None:
    m = Driver()
    m.hold("i0")
    sync(m, name="i9")
    m.skip()
    m.judging_fails()
    letter = m.last(do.DeadLetterEvent)
    m.tell(facts.DeadLettered(letter.key, letter.number))
    m.tell(facts.EventArrived(letter.key, "i9", "n", "master", "t", ref=m.ref(), redriven=True))
    m.impact()
    asked = sync(m, name="i9", call="another")
    m.committed()
    assert replied(m, asked).fields == (("status", "commited"),)
    assert not m.asked(do.AskImpact)


def test_once_somebody_said_that_it_was_made_it_is_an_event_like_others() -> None:
    m = Driver()
    sync(m)
    m.impact()
    m.commit_ends(CommitEnd.LOST)
    m.settles(Finding.UNPROVABLE)
    m.tell(facts.DoubtResolved(m.system.open_doubts[0].key, "made", "ana", m.ticket(), "looked"))
    m.now += 86400.0
    sync(m, call="another")
    assert m.asked(do.AskImpact)

"""What is committed is visible before the next question; what makes an answer doubtful, and what is done about that."""

import pytest

from maestro.messages import Code
from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.delivery import Sight
from maestro.rules.ledger import Footprint
from maestro.rules.visibility import REFUSED_LIMIT, TEXT_COMES_WITHIN, VISIBILITY
from maestro.rules.visible import BEHIND, LONG, PAUSES, Look, Looks
from tests.unit.rules.driver import P1, Driver


class Sighted(Driver):
    """A driver whose machine ensures `finished`; a fact takes no time unless the test says so."""

    def __init__(self) -> None:
        super().__init__(ensure_finished=True)
        self.tell(facts.IngressAttached())
        self.tell(facts.WaitQueueDrained())

    def later(self, seconds: float) -> None:
        self.now += seconds - 1.0  # each fact takes one

    def looked(self, status: str | None = "finished", failures: int = 0) -> list[do.Command]:
        look = self.last(do.Look)
        return self.tell(facts.Looked(look.key, look.token, status, failures))

    def woken(self) -> list[do.Command]:
        due = self.last(do.WakeAt)
        self.later(due.at - self.now)
        return self.tell(facts.Woken(due.topic, due.key))


@pytest.fixture
def m() -> Sighted:
    return Sighted()


def test_the_next_question_waits_for_the_look_and_the_acknowledgement_does_not(m: Sighted) -> None:
    m.arrive("i1")
    m.arrive("i2")
    m.impact()
    m.committed()
    assert m.kinds() == ["Look", "AckDelivery"]
    assert m.delivery("i1").sight is Sight.LOOK
    m.looked()
    assert m.only(do.AskImpact).instance_id == "i2"
    assert m.delivery("i1").sight is Sight.NOTHING


def test_a_platform_that_is_trusted_is_not_looked_at() -> None:
    m = Driver(ensure_finished=False)
    m.commit("i1")
    assert not m.asked(do.Look)
    assert m.delivery("i1").sight is Sight.NOTHING


def test_what_is_owed_is_stored_with_the_commit_and_looked_after_before_the_first_question(m: Sighted) -> None:
    m.arrive("i1")
    m.impact()
    m.committed()
    m.restart()
    assert m.last(do.Look).instance_id == "i1"
    m.arrive("i2")
    assert not m.asked(do.AskImpact)
    m.looked()
    assert m.only(do.AskImpact).instance_id == "i2"


def test_looks_come_ever_later_then_maestro_sets_the_status(m: Sighted) -> None:
    m.arrive("i1")
    m.impact()
    m.committed()
    began, pauses = m.now, []
    m.later(0.0)
    while not m.asked(do.SetFinished):
        m.looked("running")
        if m.asked(do.WakeAt):
            pauses.append(round(m.only(do.WakeAt).at - m.now, 3))
            m.woken()
            m.later(0.0)
    assert pauses[: len(PAUSES)] == list(PAUSES)
    assert m.now - began == pytest.approx(LONG, abs=0.01)
    command = m.only(do.SetFinished)
    m.arrive("i2")
    assert m.tell(facts.FinishedSet(command.key, command.token)) == [do.AskImpact(m.system.judging_token, "i2")]


def test_the_first_look_comes_when_the_last_ones_say(m: Sighted) -> None:
    looks = Looks()
    look = Look("k", "i", m.system, 100.0)  # type: ignore[arg-type]  # whose it is does not matter
    assert looks.first() == 0.0
    for _ in range(9):
        look.missed = 2
        looks.found(look, 100.09)
    assert looks.first() == pytest.approx(0.09)
    look.missed = 0
    for _ in range(40):
        looks.found(look, 100.0 + looks.first())
    assert looks.first() < 0.05, "a first look that finds it at once says that it might come sooner"


def test_behind_a_backlog_it_looks_once_then_sets_until_a_look_finds_one_finished(m: Sighted) -> None:
    m.system.visible.slow = 3
    m.arrive("i1")
    m.impact()
    m.committed()
    assert m.only(do.WakeAt).at - m.now == pytest.approx(BEHIND)
    m.woken()
    m.looked("running")
    command = m.only(do.SetFinished)
    m.tell(facts.FinishedSet(command.key, command.token))
    m.arrive("i2")
    m.impact()
    m.committed()
    m.woken()
    m.looked()
    assert not m.system.visible.behind


def refused(m: Sighted) -> None:
    m.system.visible.slow = 3
    m.arrive("i1")
    m.impact()
    m.committed()
    m.woken()
    m.looked("running")
    command = m.only(do.SetFinished)
    m.tell(facts.FinishedRefused(command.key, command.token, "answered 400"))
    assert m.kinds() == ["Look"]


def test_a_refused_status_that_is_there_is_good(m: Sighted) -> None:
    refused(m)
    m.looked()
    assert not m.system.looks


def test_an_instance_that_api_core_does_not_know_cannot_become_visible(m: Sighted) -> None:
    refused(m)
    m.looked(None)
    assert not m.system.looks


def test_what_is_refused_for_minutes_is_unverified(m: Sighted) -> None:
    refused(m)
    m.looked("running")
    assert m.only(do.WakeAt).topic is do.Topic.SET
    m.woken()
    command = m.only(do.SetFinished)
    m.later(REFUSED_LIMIT)
    m.tell(facts.FinishedRefused(command.key, command.token, "answered 400"))
    m.looked("running")
    assert m.only(do.RaiseAlarm).alarm is do.Alarm.UNVERIFIED
    assert not m.system.looks


def test_api_core_out_of_reach_stalls_the_system(m: Sighted) -> None:
    m.arrive("i1")
    m.arrive("i2")
    m.impact()
    m.committed()
    for _ in range(5):
        look = m.last(do.Look)
        m.tell(facts.LookFailed(look.key, look.token, "no connection"))
        assert m.system.stalls[VISIBILITY].sibling == "apicore"
        wake = [one for one in m.commands if isinstance(one, do.WakeAt) and one.topic is do.Topic.LOOK]
        m.later(wake[0].at - m.now)
        m.tell(facts.Woken(do.Topic.LOOK, wake[0].key))
    m.looked(failures=5)
    assert not m.system.stalls
    assert m.asked(do.AskImpact)


# --- doubt -------------------------------------------------------------------------------------------------------


def test_an_answer_is_doubtful_when_api_core_failed_between_it_and_the_look(m: Sighted) -> None:
    m.arrive("i1")
    m.tell(facts.ImpactFound(m.last(do.AskImpact).token, (), failures=3))
    m.committed()
    m.looked(failures=4)
    again = m.only(do.AskAgain)
    assert again.instance_id == "i1"
    assert m.delivery("i1").sight is Sight.QUESTION
    m.arrive("i2")
    assert m.asked(do.AskImpact), "nothing waits for it"
    m.tell(facts.AskedAgain(again.key, again.token, (P1,)))
    alarm = m.only(do.RaiseAlarm)
    assert (alarm.alarm, alarm.instance_id) == (do.Alarm.MISSED, "i1")
    assert "p1 on master" in alarm.text
    assert m.delivery("i1").sight is Sight.NOTHING


def test_a_doubtful_question_survives_a_crash_and_is_put_until_it_is_answered(m: Sighted) -> None:
    m.arrive("i1")
    m.tell(facts.ImpactFound(m.last(do.AskImpact).token, (), failures=0))
    m.committed()
    m.looked(failures=1)
    m.restart()
    again = m.last(do.AskAgain)
    m.tell(facts.AskAgainFailed(again.key, again.token, "away"))
    assert m.only(do.WakeAt).topic is do.Topic.QUESTION
    m.woken()
    again = m.only(do.AskAgain)
    m.tell(facts.AskedAgain(again.key, again.token, ()))
    assert not m.asked(do.RaiseAlarm)
    assert not m.system.questions


def test_after_a_crash_nobody_knows_whether_the_answer_was_doubtful(m: Sighted) -> None:
    m.arrive("i1")
    m.impact()
    m.committed()
    m.restart()
    m.looked()
    assert m.only(do.AskAgain).instance_id == "i1"


def test_before_a_document_is_opened_a_doubtful_question_is_put_again(m: Sighted) -> None:
    m.arrive("i1")
    m.tell(facts.ImpactFound(m.last(do.AskImpact).token, (P1,), failures=0))
    fetch = m.only(do.FetchOrigins)
    m.tell(facts.OriginsFetched(fetch.token, "d1", b"{}", b"{}", (), is_fork=False, failures=1))
    assert m.kinds() == ["AskImpact"]
    assert not m.system.documents


# --- late status texts --------------------------------------------------------------------------------------------


def text_under_way(m: Sighted) -> int:
    m.hold("i1", P1)
    [number] = m.system.outbox
    m.tell(facts.OutboxMessageBegun(number))
    return number


def test_a_text_is_dropped_when_its_document_is_decided(m: Sighted) -> None:
    m.hold("i1", P1)
    m.approve()
    assert not m.system.outbox
    assert not m.doc.text_late, "no call was begun"
    m.restart()
    assert not m.system.outbox


def committed_held(m: Sighted) -> None:
    m.approve()
    m.start()
    m.held_committed()


def test_after_a_text_without_an_answer_finished_counts_only_when_it_is_seen_later_too(m: Sighted) -> None:
    number = text_under_way(m)
    m.tell(facts.OutboxMessageUnanswered(number))
    m.restart()
    assert m.doc.text_late
    committed_held(m)
    m.looked()
    assert m.only(do.WakeAt).at - m.now == pytest.approx(TEXT_COMES_WITHIN)
    m.woken()
    m.looked("reprocessing_pending_approval")
    command = m.only(do.SetFinished)
    m.tell(facts.FinishedSet(command.key, command.token))
    m.woken()
    m.looked()
    assert not m.system.looks


def test_a_text_under_way_at_the_decision_is_looked_after_once_it_is_answered(m: Sighted) -> None:
    number = text_under_way(m)
    committed_held(m)
    m.looked()
    assert m.system.looks
    assert m.tell(facts.OutboxMessageDone(number)) == [m.last(do.Look)]
    m.looked()
    assert not m.system.looks


def test_a_text_that_a_former_life_called_for_may_come_although_the_next_one_is_answered(m: Sighted) -> None:
    number = text_under_way(m)
    m.restart()
    m.tell(facts.OutboxMessageBegun(number))
    m.tell(facts.OutboxMessageDone(number))
    committed_held(m)
    m.looked()
    assert m.only(do.WakeAt).at - m.now == pytest.approx(TEXT_COMES_WITHIN)
    assert m.system.looks


def test_an_event_that_is_judged_again_drops_the_texts_of_its_instance(m: Sighted) -> None:
    m.hold("i1", P1)
    m.doc.pending_event = b'{"name":"s.persist.request","systemId":"s","instanceId":"i1"}'
    m.skip()
    assert [message.text for message in m.system.outbox.values()] == ["reprocessing_skipped"]
    m.tell(facts.ReconsiderAsked("d1", "anna", m.ticket()))
    m.impact()
    assert not m.system.outbox


# --- an event that changes no row waits for no look ------------------------------------------------------------


def unseen(m: Sighted) -> None:
    """One commit whose look takes longer, and an event behind it."""
    m.arrive("i1")
    m.arrive("i2")
    m.impact()
    m.committed()
    assert not m.asked(do.AskFootprint), "the first look may find it finished"
    m.later(0.05)
    m.looked("running")


def test_an_event_that_only_creates_rows_waits_for_no_look(m: Sighted) -> None:
    unseen(m)
    asked = m.last(do.AskFootprint)
    assert (asked.instance_id, m.asked(do.AskImpact)) == ("i2", False)
    m.tell(facts.FootprintFound(asked.token, Footprint(created=3)))
    assert m.only(do.AskImpact).instance_id == "i2"


@pytest.mark.parametrize("footprint", [None, Footprint((("master", (1,)),)), Footprint((("b1", (1,)),), 2)])
def test_an_event_that_changes_rows_or_may_do_so_waits(m: Sighted, footprint: Footprint | None) -> None:
    unseen(m)
    m.tell(facts.FootprintFound(m.last(do.AskFootprint).token, footprint))
    assert not m.asked(do.AskImpact)
    m.woken()
    m.looked()
    assert m.only(do.AskImpact).instance_id == "i2"


def test_an_event_that_waits_for_a_look_is_not_set_aside(m: Sighted) -> None:
    unseen(m)
    m.woken()
    look = m.last(do.Look)
    m.tell(facts.LookFailed(look.key, look.token, "no connection"))
    m.tell(facts.SetAside("ana", 7))
    reply = m.only(do.Reply)
    assert reply.code is Code.CONFLICT
    assert "apicore is waited for (no connection)" in reply.message
    m.woken()
    m.looked()
    assert m.only(do.AskImpact).instance_id == "i2"


def test_an_answer_that_comes_after_the_look_changes_nothing(m: Sighted) -> None:
    unseen(m)
    asked = m.last(do.AskFootprint)
    m.woken()
    m.looked()
    assert m.only(do.AskImpact).instance_id == "i2"
    m.tell(facts.FootprintFound(asked.token, Footprint((("master", (1,)),))))
    assert not m.asked(do.AskImpact)
    m.impact()
    m.only(do.Commit)

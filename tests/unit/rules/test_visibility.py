"""What is committed is visible before the next question; what makes an answer doubtful, and what is done about that."""

from bisect import bisect
from heapq import heappop, heappush
from itertools import count

import pytest

from maestro.messages.answers import Code
from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.delivery import Sight
from maestro.rules.doubt import CommitEnd
from maestro.rules.ledger import Footprint
from maestro.rules.ledger_book import StaleState
from maestro.rules.outbox import tell_status
from maestro.rules.staleness import NOT_VISIBLE
from maestro.rules.step import Step
from maestro.rules.visibility import REFUSED_LIMIT, REFUSED_TIMES, TEXT_COMES_WITHIN, VISIBILITY
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


def test_answers_that_come_late_put_no_look_off(m: Sighted) -> None:
    """On a busy machine each answer takes long. An instance that was finished when it was asked for was so at once."""
    for number in range(20):
        m.arrive(f"i{number}")
        m.impact()
        m.committed()
        assert m.asked(do.Look), f"the look at i{number} is put off"
        m.later(0.2)
        m.looked()
    assert m.system.visible.first() == 0.0


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


def test_what_is_refused_for_minutes_and_often_is_unverified(m: Sighted) -> None:
    refused(m)
    count = 1
    m.looked("running")
    while m.system.looks:
        assert m.only(do.WakeAt).topic is do.Topic.SET
        m.woken()
        command = m.only(do.SetFinished)
        m.later(REFUSED_LIMIT)  # or the clock is set
        m.tell(facts.FinishedRefused(command.key, command.token, "answered 400"))
        m.looked("running")
        count += 1
    assert m.only(do.RaiseAlarm).alarm is do.Alarm.UNVERIFIED
    assert count == REFUSED_TIMES
    [listed] = m.system.ledger.stale.values()
    assert (listed.unit, listed.instance_id, listed.state) == (("i1", "master"), "i1", StaleState.UNVERIFIED)
    assert listed.cause == NOT_VISIBLE


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


def skipped(m: Sighted) -> int:
    """A document is skipped, and the text of that is under way; return its number."""
    m.hold("i1", P1)
    m.doc.pending_event = b'{"name":"s.persist.request","systemId":"s","instanceId":"i1"}'
    m.skip()
    [number] = m.system.outbox
    m.tell(facts.OutboxMessageBegun(number))
    return number


def reconsider(m: Sighted) -> None:
    m.tell(facts.ReconsiderAsked("d1", "anna", m.ticket()))


def held_again(m: Sighted) -> None:
    m.impact(P1)
    m.origins(id_="d2")
    m.approve("d2")
    m.start()
    m.held_committed()


def test_a_text_that_may_come_late_is_remembered_when_its_event_is_held_again(m: Sighted) -> None:
    number = skipped(m)
    m.tell(facts.OutboxMessageUnanswered(number))
    m.tell(facts.OutboxMessageDone(number))  # by another call
    reconsider(m)
    held_again(m)
    m.looked()
    assert m.only(do.WakeAt).at - m.now == pytest.approx(TEXT_COMES_WITHIN)
    assert m.system.looks
    m.restart()
    m.looked()
    assert m.system.looks


def test_a_call_that_ends_without_an_answer_is_remembered_for_the_event_that_waits_by_then(m: Sighted) -> None:
    number = skipped(m)
    reconsider(m)
    m.tell(facts.OutboxMessageUnanswered(number))
    m.tell(facts.OutboxMessageDone(number))  # by another call
    m.restart()
    m.impact()
    m.committed()
    m.looked()
    assert m.only(do.WakeAt).at - m.now == pytest.approx(TEXT_COMES_WITHIN)
    assert m.system.looks


def test_a_text_under_way_that_is_answered_is_settled_for_who_commits_by_then(m: Sighted) -> None:
    number = text_under_way(m)
    m.doc.pending_event = b'{"name":"s.persist.request","systemId":"s","instanceId":"i1"}'
    m.skip()
    reconsider(m)
    held_again(m)
    assert m.system.documents["d2"].text_late
    m.tell(facts.OutboxMessageDone(number))
    assert not m.system.documents["d2"].text_late
    m.looked()
    assert not m.system.looks


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


def test_an_event_that_waits_for_a_look_can_be_set_aside(m: Sighted) -> None:
    unseen(m)
    m.woken()
    look = m.last(do.Look)
    m.tell(facts.LookFailed(look.key, look.token, "no connection"))
    m.tell(facts.SetAside("ana", 7))
    assert m.only(do.Reply).code is Code.OK
    letter = m.only(do.DeadLetterEvent)
    assert (letter.key, letter.reason) == ("m-i2", "set aside by ana (no connection)")
    m.woken()
    m.looked()
    assert not m.asked(do.AskImpact)


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


# --- texts that would hide it ------------------------------------------------------------------------------------


def held_once_more(m: Driver) -> None:
    """An instance that is committed persists again, and is held this time."""
    m.arrive("more", instance="i1")
    m.impact(P1)
    m.origins(id_="d2")
    assert m.system.documents["d2"].held_instance == "i1"


def test_no_text_of_a_further_event_hides_an_instance_that_is_committed() -> None:
    m = Driver()
    m.commit("i1")
    held_once_more(m)
    assert not m.system.outbox
    m.skip("d2")
    assert not m.system.outbox


def test_nor_where_the_earlier_one_was_held() -> None:
    m = Driver()
    m.run(P1)
    m.replay("re1", "p1")
    m.end()
    held_once_more(m)
    assert not m.system.outbox


def test_a_text_of_an_earlier_event_that_is_under_way_may_outlast_a_later_one() -> None:
    m = Sighted()
    m.hold("i1", P1)
    (number,) = m.system.outbox
    m.tell(facts.OutboxMessageBegun(number))
    m.skip()
    m.arrive("more", instance="i1")
    m.impact()
    assert m.delivery("more").text_late, "the text may come after this commit, too"
    m.tell(facts.OutboxMessageDone(number))
    assert not m.delivery("more").text_late


def test_a_text_without_an_answer_may_outlast_any_later_event_of_its_instance() -> None:
    m = Sighted()
    m.hold("i1", P1)
    (number,) = m.system.outbox
    m.tell(facts.OutboxMessageBegun(number))
    m.skip()
    m.restart()
    m.arrive("more", instance="i1")
    m.impact(P1)
    m.origins(id_="d2")
    m.skip("d2")
    m.arrive("third", instance="i1")
    m.impact()
    assert m.delivery("third").text_late


def test_a_text_without_an_answer_is_forgotten_once_it_must_have_come() -> None:
    m = Sighted()
    m.hold("i1", P1)
    (number,) = m.system.outbox
    m.tell(facts.OutboxMessageBegun(number))
    m.tell(facts.OutboxMessageUnanswered(number))
    m.skip()
    m.later(TEXT_COMES_WITHIN + 1)
    m.arrive("more", instance="i1")
    m.impact()
    assert not m.delivery("more").text_late


# --- a flood beside a backlog ------------------------------------------------------------------------------------


class Flood(Sighted):
    """Events that only insert rows come faster than the platform calls their instances finished."""

    def __init__(self, *, backlog: float, every: float, seconds: float) -> None:
        super().__init__()
        #: When what happens next, and in which order at one moment.
        self.due: list[tuple[float, int, facts.Fact | str]] = []
        self.began, self.backlog, self.numbers = self.now, backlog, count()
        #: When the platform calls an instance finished.
        self.finished: dict[str, float] = {}
        #: When API core was looked at.
        self.looks: list[float] = []
        for number in range(int(seconds / every)):
            self.at(number * every, f"i{number}")

    def at(self, seconds: float, what: facts.Fact | str) -> None:
        heappush(self.due, (self.began + seconds, next(self.numbers), what))

    def soon(self, seconds: float, fact: facts.Fact) -> None:
        self.at(self.now + seconds - self.began, fact)

    def run(self) -> None:  # type: ignore[override]
        while self.due:
            moment, _, what = heappop(self.due)
            self.now = max(self.now, moment) - 1.0  # a fact takes one
            if isinstance(what, str):
                self.arrive(what)
            else:
                self.tell(what)
            self.answer()

    def answer(self) -> None:
        for command in list(self.commands):
            match command:
                case do.AskFootprint(token=token):
                    self.soon(0.002, facts.FootprintFound(token, Footprint(created=1)))
                case do.AskImpact(token=token):
                    self.soon(0.002, facts.ImpactFound(token, ()))
                case do.Commit(token=token, instance_id=instance):
                    self.soon(0.002, facts.Committed(token))
                    # A backlog of so long is worked off by the end of it, in order: each waits for what is left.
                    self.finished[instance] = max(self.now + 0.04, self.began + self.backlog)
                case do.Look(key=key, token=token, instance_id=instance):
                    self.looks.append(self.now - self.began)
                    status = "finished" if self.now >= self.finished[instance] else "running"
                    self.soon(0.003, facts.Looked(key, token, status))
                case do.SetFinished(key=key, token=token, instance_id=instance):
                    self.finished[instance] = self.now
                    self.soon(0.029, facts.FinishedSet(key, token))
                case do.WakeAt(topic=topic, key=key, at=at):
                    self.soon(max(0.0, at - self.now), facts.Woken(topic, key))

    def most(self) -> int:
        """Return the most looks within one second."""
        return max(bisect(self.looks, then + 1.0) - place for place, then in enumerate(self.looks))


@pytest.mark.parametrize("every", [0.02, 0.005])
def test_beside_a_backlog_api_core_is_looked_at_less_than_a_hundred_times_a_second(every: float) -> None:
    m = Flood(backlog=10.0, every=every, seconds=8.0)
    m.run()
    assert m.system.counters.commit == int(8.0 / every)
    assert not m.system.looks, "each becomes visible in the end"
    backlog = [then for then in m.looks if then < 10.0]
    m.looks = backlog
    assert m.most() < 100


def test_after_the_backlog_what_waited_is_looked_at_without_delay() -> None:
    m = Flood(backlog=10.0, every=0.005, seconds=8.0)
    m.run()
    assert m.looks[-1] < 12.5
    assert not m.system.visible.active
    assert not m.system.visible.resting


def test_one_that_is_refused_for_minutes_keeps_no_other_from_being_looked_at(m: Sighted) -> None:
    m.system.visible.slow = 3
    m.arrive("i1")
    m.impact()
    m.committed()
    m.arrive("i2")
    m.tell(facts.FootprintFound(m.only(do.AskFootprint).token, Footprint(created=1)))
    m.impact()
    m.committed()
    m.tell(facts.Woken(do.Topic.LOOK, "m-i1"))
    m.looked("running")
    asked = m.only(do.SetFinished)
    m.tell(facts.FinishedRefused(asked.key, asked.token, "400"))
    assert [due.key for due in m.commands if isinstance(due, do.WakeAt | do.Look)] == ["m-i1", "m-i2"]


def with_two_texts() -> tuple[Driver, int, int]:
    """A held instance, and the numbers of two status texts of it in the outbox."""
    m = Driver()
    m.hold()
    tell_status(m.system, "i1", "another", Step())
    first, second = m.system.outbox
    return m, first, second


def test_the_answer_to_one_text_says_nothing_of_another_that_is_under_way() -> None:
    m, first, second = with_two_texts()
    for number in (first, second):
        m.tell(facts.OutboxMessageBegun(number))
    m.approve()
    assert m.doc.text_late
    m.tell(facts.OutboxMessageDone(first))
    assert m.doc.text_late
    m.tell(facts.OutboxMessageDone(second))
    assert not m.doc.text_late


def test_a_text_that_was_dropped_and_had_no_answer_may_outlast_a_later_event(m: Sighted) -> None:
    number = text_under_way(m)
    m.approve()
    m.tell(facts.OutboxMessageUnanswered(number))
    m.cancel()
    m.queues_updated()
    m.notified()
    m.arrive("second", instance="i1")
    m.impact()
    m.committed()
    m.looked()
    assert m.system.looks


def test_an_event_without_a_verdict_is_not_stored_for_a_text_without_an_answer() -> None:
    m = Driver()
    m.hold()
    m.skip()
    number = list(m.system.outbox)[-1]
    m.tell(facts.OutboxMessageBegun(number))
    m.arrive("second", instance="i1")
    m.tell(facts.OutboxMessageUnanswered(number))
    assert m.delivery("second").text_late
    m.restart()
    assert "m-second" not in m.system.deliveries


def test_the_answer_to_one_text_says_nothing_of_another_that_had_none() -> None:
    m, first, second = with_two_texts()
    m.tell(facts.OutboxMessageBegun(first))
    m.tell(facts.OutboxMessageUnanswered(first))
    m.tell(facts.OutboxMessageBegun(second))
    m.approve()
    m.tell(facts.OutboxMessageDone(second))
    assert m.doc.text_late


@pytest.mark.parametrize("under_way", [do.Look, do.SetFinished])
def test_a_text_that_arrives_while_api_core_is_asked_may_hide_what_the_answer_tells(
    m: Sighted, under_way: type[do.Look | do.SetFinished]
) -> None:
    number = text_under_way(m)
    committed_held(m)
    while not m.asked(under_way):
        m.looked("running")
        if not m.asked(do.SetFinished):
            m.woken()
    asked = m.only(under_way)
    assert m.tell(facts.OutboxMessageDone(number)) == [m.last(do.Look)]
    answer = facts.Looked if under_way is do.Look else facts.FinishedSet
    m.tell(answer(asked.key, asked.token, *(["finished"] if under_way is do.Look else [])))  # type: ignore[arg-type]
    assert m.system.looks, "it was answered before the text came"
    m.looked()
    assert not m.system.looks


def test_finished_does_not_count_while_the_call_of_a_text_lasts(m: Sighted) -> None:
    number = text_under_way(m)
    committed_held(m)
    for _ in range(3):
        m.looked()
        m.woken()
    m.looked()
    assert m.system.looks
    m.tell(facts.OutboxMessageDone(number))
    m.looked()
    assert not m.system.looks


def test_after_a_call_without_an_answer_finished_is_seen_later_from_then_on(m: Sighted) -> None:
    number = text_under_way(m)
    committed_held(m)
    m.looked()
    m.later(20.0)
    m.tell(facts.OutboxMessageUnanswered(number))
    m.later(TEXT_COMES_WITHIN - 20.0 + 1.0)
    m.tell(facts.Woken(do.Topic.LOOK, "d1"))
    m.looked()
    assert m.system.looks


def test_a_clock_that_is_set_back_puts_no_look_off(m: Sighted) -> None:
    number = text_under_way(m)
    m.tell(facts.OutboxMessageUnanswered(number))
    committed_held(m)
    m.looked()
    m.now -= 86400.0
    m.tell(facts.Woken(do.Topic.LOOK, "d1"))
    m.looked()
    assert m.only(do.WakeAt).at - m.now <= TEXT_COMES_WITHIN


def test_no_text_is_told_while_a_held_commit_of_the_instance_is_made() -> None:
    m = Driver()
    m.hold("i1", P1, fork=True)
    m.start()
    m.arrive("again", instance="i1")
    m.impact(P1)
    m.origins(id_="d2")
    assert not m.system.outbox


def test_a_text_that_is_settled_brings_back_no_event_that_is_forgotten() -> None:
    m = Sighted()
    m.hold("i1")
    m.skip()
    number = max(m.system.outbox)
    m.tell(facts.OutboxMessageBegun(number))
    m.arrive("e2", instance="i1")
    m.impact()
    for _ in range(2):
        m.commit_ends(CommitEnd.NO_ROUTE)
    letter = m.last(do.DeadLetterEvent)
    m.tell(facts.DeadLettered(letter.key, letter.number))
    m.arrive("e2", instance="i1", redriven=True)
    m.tell(facts.OutboxMessageDone(number))
    m.impact()
    m.committed()
    m.looked()
    m.restart()
    assert sorted(m.system.finished) == ["m-e2", "m-i1"]


def test_a_question_that_is_never_answered_keeps_no_other_event_from_being_forgotten() -> None:
    m = Driver(ensure_finished=True, dedup_window=2)
    m.tell(facts.IngressAttached())
    m.tell(facts.WaitQueueDrained())
    for number in range(20):
        m.arrive(f"e{number}")
        m.impact()
        m.committed()
        look = m.last(do.Look)
        m.tell(facts.Looked(look.key, look.token, "finished", 0 if number else 1))
        asked = m.last(do.AskAgain)
        m.tell(facts.AskAgainFailed(asked.key, asked.token, "400"))
    assert len(m.system.deliveries) <= 4
    assert m.delivery("e0").sight is Sight.QUESTION


def test_a_text_whose_last_call_had_no_answer_long_ago_holds_up_no_later_event(m: Sighted) -> None:
    m.hold("i1")
    m.skip()
    (number,) = m.system.outbox
    m.tell(facts.OutboxMessageBegun(number))
    m.tell(facts.OutboxMessageUnanswered(number))
    m.later(2 * TEXT_COMES_WITHIN)
    m.arrive("again", instance="i1")
    m.impact()
    m.committed()
    m.looked()
    assert not m.system.looks

"""What the actor client asks one system, and whom it answers with what."""

import asyncio
from itertools import count

import pytest

from maestro.actors.pending_requests import PendingRequests, Reply
from maestro.links.items import Answered, Asked
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import CheckLock, DescribeSystem, PersistSync, Question

OK = Answer(Code.OK)


class FakeSession:
    """Keeps what is asked."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    def post(self, item: object) -> None:
        assert isinstance(item, Asked)
        self.asked.append(item)

    @property
    def questions(self) -> list[Question]:
        return [each.question for each in self.asked]


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


@pytest.fixture
async def talk(session: FakeSession) -> PendingRequests:
    talk = PendingRequests("sysA", 2.0, count(1).__next__)
    talk.met(session, 7, 0.0)
    return talk


def reply() -> Reply:
    return asyncio.get_running_loop().create_future()


def check(talk: PendingRequests, now: float) -> Reply:
    future = reply()
    talk.ask(CheckLock(), future, now)
    return future


async def test_checks_share_the_next_question(talk: PendingRequests, session: FakeSession) -> None:
    first = check(talk, 0.0)
    rest = [check(talk, 0.0) for _ in range(5)]
    assert session.asked == [Asked(1, CheckLock())]
    talk.answered(Answered(1, OK), 0.1)
    assert first.result() == OK
    assert not any(each.done() for each in rest)  # that answer is older than their question
    assert session.asked == [Asked(1, CheckLock()), Asked(2, CheckLock())]
    talk.answered(Answered(2, OK), 0.2)
    assert all(each.result() == OK for each in rest)
    assert len(session.asked) == 2


async def test_an_answer_to_another_question_is_dropped(talk: PendingRequests) -> None:
    future = check(talk, 0.0)
    talk.answered(Answered(99, OK), 0.1)
    assert not future.done()


async def test_a_silent_system_fails_fast_and_is_asked_nothing_more(
    talk: PendingRequests, session: FakeSession
) -> None:
    future = check(talk, 0.0)
    for now in range(1, 60):
        talk.tick(now / 10)
    assert future.result().code is Code.UNAVAILABLE
    assert talk.state == "silent"
    assert talk.silent_since == 0.0
    for question in (CheckLock(), DescribeSystem()):
        late = reply()
        talk.ask(question, late, 6.0)
        assert late.result().code is Code.UNAVAILABLE
    assert len(session.asked) == 1
    talk.answered(Answered(1, OK), 6.1)
    assert talk.state == "running"
    check(talk, 6.2)
    assert len(session.asked) == 2


async def test_other_questions_go_at_once_and_may_take_their_time(talk: PendingRequests, session: FakeSession) -> None:
    slow = reply()
    talk.ask(PersistSync(b"{}"), slow, 0.0)
    talk.tick(1.9)
    assert session.questions == [PersistSync(b"{}")]
    talk.tick(2.0)  # overdue: a check shows whether the system answers at all
    assert session.questions == [PersistSync(b"{}"), CheckLock()]
    talk.answered(Answered(2, OK), 2.1)
    assert talk.state == "running"
    assert not slow.done()
    talk.answered(Answered(1, OK), 90.0)
    assert slow.result() == OK


async def test_a_new_session_gets_the_check_again_but_nothing_that_acts(
    talk: PendingRequests, session: FakeSession
) -> None:
    checked, acting = check(talk, 0.0), reply()
    talk.ask(PersistSync(b"{}"), acting, 0.0)
    talk.lost()
    assert acting.result().code is Code.UNAVAILABLE
    assert "whether it acted is unknown" in acting.result().message
    assert not checked.done()
    following = FakeSession()
    talk.met(following, 7, 1.2)  # the same life: the session is what counts
    assert following.questions == [CheckLock()]
    talk.answered(Answered(following.asked[0].correlation, OK), 1.3)
    assert checked.result() == OK
    assert session.questions == [CheckLock(), PersistSync(b"{}")]


async def test_a_session_that_replaces_another_is_the_end_of_that(talk: PendingRequests) -> None:
    acting = reply()
    talk.ask(PersistSync(b"{}"), acting, 0.0)
    talk.met(FakeSession(), 8, 1.0)
    assert acting.result().code is Code.UNAVAILABLE
    assert talk.epoch == 8


async def test_while_it_starts_checks_wait_and_the_rest_is_refused() -> None:
    talk = PendingRequests("sysA", 2.0, count(1).__next__)
    checked, other = check(talk, 0.0), reply()
    talk.ask(DescribeSystem(), other, 0.0)
    assert other.result().code is Code.UNAVAILABLE
    assert talk.state == "starting"
    session = FakeSession()
    talk.met(session, 1, 0.5)
    assert session.questions == [CheckLock()]
    assert not checked.done()


async def test_open_questions_are_bounded(talk: PendingRequests, session: FakeSession) -> None:
    futures = [reply() for _ in range(257)]
    for future in futures:
        talk.ask(DescribeSystem(), future, 0.0)
    assert [future.done() for future in futures].count(True) == 1
    assert futures[-1].result().code is Code.UNAVAILABLE
    futures[0].cancel()
    await asyncio.sleep(0)
    talk.ask(DescribeSystem(), reply(), 0.1)
    assert len(session.asked) == 257


async def test_an_idle_system_is_left_in_peace(talk: PendingRequests, session: FakeSession) -> None:
    talk.tick(5.0)
    talk.tick(3600.0)
    assert session.asked == []


async def test_it_is_quiet_once_nothing_is_open(talk: PendingRequests) -> None:
    assert talk.quiet
    check(talk, 0.0)
    check(talk, 0.0)
    talk.ask(DescribeSystem(), reply(), 0.0)
    talk.answered(Answered(1, OK), 0.1)
    assert not talk.quiet  # the check that waited is under way
    talk.answered(Answered(3, OK), 0.2)
    assert not talk.quiet
    talk.answered(Answered(2, OK), 0.3)
    assert talk.quiet


async def test_a_silent_system_is_not_quiet(talk: PendingRequests) -> None:
    check(talk, 0.0)
    talk.tick(2.0)
    assert talk.silent_since is not None
    assert not talk.quiet


async def test_fail_answers_everybody(talk: PendingRequests) -> None:
    futures = [check(talk, 0.0), check(talk, 0.0), reply()]
    talk.ask(DescribeSystem(), futures[2], 0.0)
    talk.fail(Answer(Code.UNAVAILABLE))
    assert {future.result().code for future in futures} == {Code.UNAVAILABLE}


async def test_a_system_may_leave_while_nothing_is_asked(talk: PendingRequests, session: FakeSession) -> None:
    assert talk.leave(session)
    assert (talk.session, talk.left) == (None, True)
    open_ = check(talk, 1.0)
    assert session.asked == [], "nothing is posted into that session any more"
    again = FakeSession()
    talk.met(again, 8, 2.0)
    assert not talk.left
    assert again.questions == [CheckLock()]
    assert not open_.done()


async def test_a_system_may_not_leave_while_something_is_asked(talk: PendingRequests, session: FakeSession) -> None:
    first = check(talk, 0.0)
    assert not talk.leave(session)
    talk.answered(Answered(1, OK), 0.1)
    assert first.done()
    asked = reply()
    talk.ask(DescribeSystem(), asked, 0.2)
    assert not talk.leave(session)
    talk.answered(Answered(2, OK), 0.3)
    assert not talk.leave(FakeSession()), "another session's word"
    assert talk.leave(session)


async def test_checks_that_wait_for_a_session_can_be_answered_without(
    talk: PendingRequests, session: FakeSession
) -> None:
    assert talk.leave(session)
    waiting = check(talk, 0.0)
    talk.answer_checks(OK)
    assert waiting.result() == OK
    talk.met(session, 8, 1.0)
    asked = check(talk, 1.0)
    talk.answer_checks(OK)
    assert not asked.done(), "a system with a session is asked"

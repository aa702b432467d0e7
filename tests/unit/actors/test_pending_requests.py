"""What the actor_client sends to one system, and whom it answers with what."""

import asyncio
from itertools import count

import pytest

from maestro.actors.messages import Questions
from maestro.actors.pending_requests import PendingRequests, Reply
from maestro.links.service import Answered
from maestro.messages import Answer, CheckLock, Code, DescribeSystem, PersistSync

OK = Answer(Code.OK)


@pytest.fixture
async def talk() -> PendingRequests:
    talk = PendingRequests("sysA", 2.0, count(1).__next__)
    talk.moved("here", 7, 0.0)
    return talk


def reply() -> Reply:
    return asyncio.get_running_loop().create_future()


def check(talk: PendingRequests, now: float) -> tuple[Reply, Questions | None]:
    future = reply()
    return future, talk.ask(CheckLock(), future, now)


async def test_checks_share_the_next_message(talk: PendingRequests) -> None:
    first, message = check(talk, 0.0)
    assert message is not None
    rest = [check(talk, 0.0) for _ in range(5)]
    assert [each[1] for each in rest] == [None] * 5
    following = talk.answered(7, [Answered(1, OK)], 0.1)
    assert first.result() == OK
    assert not any(each[0].done() for each in rest)  # that answer is older than their question
    assert following is not None
    assert talk.answered(7, [Answered(2, OK)], 0.2) is None
    assert all(each[0].result() == OK for each in rest)


async def test_an_answer_of_another_life_or_to_another_question_is_dropped(talk: PendingRequests) -> None:
    future, _ = check(talk, 0.0)
    talk.answered(6, [Answered(1, OK)], 0.1)
    talk.answered(7, [Answered(99, OK)], 0.1)
    assert not future.done()


async def test_an_unanswered_check_is_sent_again_and_any_of_its_answers_counts(talk: PendingRequests) -> None:
    future, _ = check(talk, 0.0)
    assert talk.tick(0.9) is None
    again = talk.tick(1.0)
    assert again is not None
    assert again.items[0].correlation == 2
    talk.answered(7, [Answered(1, OK)], 1.1)
    assert future.result() == OK


async def test_a_silent_system_fails_fast_and_gets_one_probe_a_second(talk: PendingRequests) -> None:
    future, _ = check(talk, 0.0)
    sent = [now / 10 for now in range(1, 60) if talk.tick(now / 10) is not None]
    assert sent == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert future.result().code is Code.UNAVAILABLE
    assert talk.state == "silent"
    assert talk.silent_since == 0.0
    late, message = check(talk, 6.0)
    assert late.result().code is Code.UNAVAILABLE
    assert message is None
    talk.answered(7, [Answered(3, OK)], 6.1)
    assert talk.state == "running"
    assert check(talk, 6.2)[1] is not None


async def test_other_questions_go_at_once_and_may_take_their_time(talk: PendingRequests) -> None:
    slow = reply()
    assert talk.ask(PersistSync(b"{}"), slow, 0.0) is not None
    probe = talk.tick(2.0)  # overdue: repeated under its own number, with a check beside it
    assert probe is not None
    assert [put.correlation for put in probe.items] == [2, 1]
    talk.answered(7, [Answered(2, OK)], 2.1)
    assert talk.state == "running"
    assert not slow.done()
    talk.answered(7, [Answered(1, OK)], 90.0)
    assert slow.result() == OK


async def test_a_new_life_gets_the_check_again_but_nothing_that_acts(talk: PendingRequests) -> None:
    checked, _ = check(talk, 0.0)
    acting = reply()
    talk.ask(PersistSync(b"{}"), acting, 0.0)
    assert talk.moved(None, 7, 1.0) is None
    assert talk.moved(None, 8, 1.1) is None
    message = talk.moved("there", 8, 1.2)
    assert acting.result().code is Code.UNAVAILABLE
    assert message is not None
    assert message.epoch == 8
    talk.answered(8, [Answered(message.items[0].correlation, OK)], 1.3)
    assert checked.result() == OK


async def test_while_it_starts_checks_wait_and_the_rest_is_refused() -> None:
    talk = PendingRequests("sysA", 2.0, count(1).__next__)
    checked, message = check(talk, 0.0)
    other = reply()
    talk.ask(DescribeSystem(), other, 0.0)
    assert message is None
    assert other.result().code is Code.UNAVAILABLE
    assert talk.state == "starting"
    assert talk.moved("here", 1, 0.5) is not None
    assert not checked.done()


async def test_open_questions_are_bounded(talk: PendingRequests) -> None:
    futures = [reply() for _ in range(257)]
    for future in futures:
        talk.ask(DescribeSystem(), future, 0.0)
    assert [future.done() for future in futures].count(True) == 1
    assert futures[-1].result().code is Code.UNAVAILABLE
    futures[0].cancel()
    await asyncio.sleep(0)
    assert talk.ask(DescribeSystem(), reply(), 0.1) is not None


async def test_an_idle_system_is_left_in_peace(talk: PendingRequests) -> None:
    assert talk.tick(5.0) is None
    assert talk.tick(3600.0) is None


async def test_it_is_quiet_once_nothing_is_open(talk: PendingRequests) -> None:
    assert talk.quiet
    check(talk, 0.0)
    check(talk, 0.0)
    other = reply()
    talk.ask(DescribeSystem(), other, 0.0)
    talk.answered(7, [Answered(1, OK)], 0.1)
    assert not talk.quiet  # the check that waited is under way
    talk.answered(7, [Answered(3, OK)], 0.2)
    assert not talk.quiet
    talk.answered(7, [Answered(2, OK)], 0.3)
    assert talk.quiet


async def test_a_silent_system_is_not_quiet(talk: PendingRequests) -> None:
    check(talk, 0.0)
    talk.tick(2.0)
    assert talk.silent_since is not None
    assert not talk.quiet


async def test_fail_answers_everybody(talk: PendingRequests) -> None:
    futures = [check(talk, 0.0)[0], check(talk, 0.0)[0], reply()]
    talk.ask(DescribeSystem(), futures[2], 0.0)
    talk.fail(Answer(Code.UNAVAILABLE))
    assert {future.result().code for future in futures} == {Code.UNAVAILABLE}

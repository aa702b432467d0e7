"""When a system is passivated, what its mark says, and how it takes its leave."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from maestro.messages.answers import Answer, Code
from maestro.messages.leaving import LeaveAnswered, LeaveAsked
from maestro.messages.questions import DescribeSystem, ListRecords, ListTodo, Question
from maestro.store.rest_mark import RestMark
from maestro.system import leave as leaves
from maestro.system.leave import Leave
from maestro.system.passivation import Passivation
from maestro.telemetry.metrics import Sample, Snapshot

IDLE = 0.2


class FakeSystem:
    """An open system that one can disturb."""

    def __init__(self) -> None:
        self._activity: tuple[object, ...] = (0,)
        #: Something has happened at each look.
        self.restless = False
        self.keeps_awake = ""
        self.queues: dict[str, int] | None = {"persist.s.queue": 0, "persist.s.queue.error": -1}
        self.lets_go = True
        self.asked = self.stayed = 0
        self.meanwhile: Callable[[], None] = lambda: None

    @property
    def activity(self) -> tuple[object, ...]:
        if self.restless:
            self.disturb()
        return self._activity

    def disturb(self) -> None:
        self._activity = (self._activity, 1)

    def tell(self, question: Question, give: Callable[[Answer], None]) -> None:
        bodies: dict[type, Any] = {
            ListTodo: {"total": 0, "counts": {}, "items": []},
            DescribeSystem: {"id": "s", "state": "open", "queues": self.queues},
            ListRecords: [{"cursor": "7.id"}],
        }
        give(Answer(Code.OK, orjson.dumps(bodies[type(question)])))

    def measured(self) -> Snapshot:
        return Snapshot((Sample("maestro_stale_units", ("stale",), 3.0), Sample("maestro_inbox_events", (), 0.0)))

    def watched(self, described: bytes) -> bytes:
        return b'{"system":' + described + b"}"

    async def may_leave(self) -> bool:
        self.asked += 1
        self.meanwhile()
        return self.lets_go

    def stay(self) -> None:
        self.stayed += 1


class Life:
    def __init__(self) -> None:
        self.system = FakeSystem()
        self.ended: list[RestMark] = []
        self.passivation = Passivation(IDLE, "basis", lambda: self.system, self.end)

    async def end(self, mark: RestMark) -> None:
        self.ended.append(mark)
        await asyncio.Event().wait()

    async def lives(self, seconds: float) -> None:
        task = asyncio.create_task(self.passivation.run())
        await asyncio.sleep(seconds)
        task.cancel()


@pytest.fixture
def life() -> Life:
    return Life()


async def test_a_quiet_system_ends_with_a_mark_that_answers_what_lists_ask(life: Life) -> None:
    await life.lives(3 * IDLE)
    (mark,) = life.ended
    assert mark.basis == "basis"
    assert orjson.loads(mark.described)["state"] == "passivated"
    assert orjson.loads(mark.watched)["system"]["state"] == "passivated"
    assert orjson.loads(mark.todo)["total"] == 0
    assert mark.newest == "7.id"
    told = [(one["metric"], one["labels"]) for one in orjson.loads(mark.measured)["samples"]]
    assert told == [("maestro_system_state", ["passivated"]), ("maestro_stale_units", ["stale"])]


async def test_one_with_something_to_do_stays(life: Life) -> None:
    life.system.keeps_awake = "an event is in hand"
    await life.lives(3 * IDLE)
    assert (life.ended, life.system.asked) == ([], 0)


async def test_one_that_is_never_quiet_for_long_stays(life: Life) -> None:
    life.system.restless = True
    await life.lives(4 * IDLE)
    assert life.ended == []


@pytest.mark.parametrize("queues", [None, {"persist.s.queue": 1}, {"persist.s.queue.error": 2}, {"events": 0}])
async def test_queues_that_hold_something_or_are_not_known_keep_it_awake(
    life: Life, queues: dict[str, int] | None
) -> None:
    life.system.queues = queues
    await life.lives(3 * IDLE)
    assert (life.ended, life.system.asked) == ([], 0)


async def test_one_that_may_not_leave_stays_and_says_so(life: Life) -> None:
    life.system.lets_go = False
    await life.lives(3 * IDLE)
    assert life.ended == []
    assert life.system.asked
    assert life.system.stayed == life.system.asked


async def test_what_comes_while_it_takes_its_leave_keeps_it(life: Life) -> None:
    life.system.meanwhile = life.system.disturb
    await life.lives(2 * IDLE)
    assert life.ended == []
    assert life.system.stayed


async def test_a_stop_leaves_a_mark_only_of_what_is_known_to_be_at_rest(life: Life) -> None:
    assert life.passivation.mark() is None, "nothing was measured"
    await life.lives(IDLE * 0.6)
    assert life.ended == []
    assert life.passivation.mark() is not None
    life.system.disturb()
    assert life.passivation.mark() is None


# --- one link -------------------------------------------------------------------------------------------------------


class FakeSession:
    def __init__(self) -> None:
        self.posted: list[object] = []
        self.finished = False

    def post(self, item: object) -> None:
        self.posted.append(item)

    def finish(self) -> None:
        self.finished = True


async def asked(granted: bool) -> tuple[Leave, FakeSession, bool]:  # noqa: FBT001 - the answer
    leave, session = Leave(), FakeSession()
    leave.met(session)  # type: ignore[arg-type]
    asking = asyncio.create_task(leave.ask())
    await asyncio.sleep(0)
    assert session.posted == [LeaveAsked(1)]
    leave.answered(LeaveAnswered(granted, number=1))
    return leave, session, await asking


async def test_a_link_lets_go_and_takes_it_back() -> None:
    leave, session, granted = await asked(granted=True)
    assert granted
    assert await leave.ask(), "it is granted once"
    leave.take_back()
    assert session.finished
    assert not await leave.ask(), "there is no session until the next one"


async def test_a_link_that_has_something_stays_as_it_is() -> None:
    leave, session, granted = await asked(granted=False)
    assert not granted
    leave.take_back()
    assert not session.finished


async def test_without_a_session_nobody_lets_go() -> None:
    assert not await Leave().ask()


async def test_a_late_grant_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaves, "WITHIN", 0.01)
    leave, session = Leave(), FakeSession()
    leave.met(session)  # type: ignore[arg-type]
    assert not await leave.ask()
    leave.answered(LeaveAnswered(granted=True, number=1))
    assert session.finished


async def asked_again(monkeypatch: pytest.MonkeyPatch) -> tuple[Leave, FakeSession, "asyncio.Task[bool]"]:
    """Ask a second time, the first question being without an answer yet."""
    leave, session = Leave(), FakeSession()
    leave.met(session)  # type: ignore[arg-type]
    with monkeypatch.context() as hasty:
        hasty.setattr(leaves, "WITHIN", 0.01)
        assert not await leave.ask()
    asking = asyncio.create_task(leave.ask())
    await asyncio.sleep(0)
    return leave, session, asking


async def test_a_late_refusal_is_not_taken_for_the_answer_to_the_next_question(monkeypatch: pytest.MonkeyPatch) -> None:
    leave, session, asking = await asked_again(monkeypatch)
    leave.answered(LeaveAnswered(granted=False, number=1))
    leave.answered(LeaveAnswered(granted=True, number=2))
    assert await asking
    assert not session.finished


async def test_a_late_grant_ends_the_session_also_while_the_next_question_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other end let it go by its first answer: it hears nothing more in this session, and its second is no."""
    leave, session, asking = await asked_again(monkeypatch)
    leave.answered(LeaveAnswered(granted=True, number=1))
    assert session.finished
    leave.answered(LeaveAnswered(granted=False, number=2))
    assert not await asking


async def test_what_a_former_session_granted_ends_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    leave, _, asking = await asked_again(monkeypatch)
    next_one = FakeSession()
    leave.met(next_one)  # type: ignore[arg-type]
    leave.answered(LeaveAnswered(granted=True, number=2))
    assert not await asking
    assert not next_one.finished


async def test_a_session_that_ends_meanwhile_grants_nothing() -> None:
    leave, session = Leave(), FakeSession()
    leave.met(session)  # type: ignore[arg-type]
    asking = asyncio.create_task(leave.ask())
    await asyncio.sleep(0)
    leave.lost()
    assert not await asking

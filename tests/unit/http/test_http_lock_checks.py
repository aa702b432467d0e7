"""Lock checks from the lock board, and when the actor is asked all the same."""

from maestro.http.lock_checks import LockChecks, no_board
from maestro.messages import Answer, CheckLock, Code
from tests.unit.http.fake_actor_client import FakeBridge

LOCKED = Answer(Code.LOCKED, b'{"reprocessing":"r1"}')


class Board:
    def __init__(self) -> None:
        self.shows: int | None = None

    def look(self, _system_id: str) -> int | None:
        return self.shows


def checks(bridge: FakeBridge, board: Board) -> LockChecks:
    return LockChecks(bridge, 0.5, board.look)


def test_open_is_answered_at_once_and_nobody_is_asked(bridge: FakeBridge) -> None:
    board = Board()
    board.shows = 0
    assert checks(bridge, board).glance("sysA") == Answer(Code.OK)


def test_what_the_board_cannot_tell_is_not_answered(bridge: FakeBridge) -> None:
    assert checks(bridge, Board()).glance("sysA") is None
    assert LockChecks(bridge, 0.5, no_board).glance("sysA") is None


async def test_a_refusal_is_kept_for_as_long_as_the_board_shows_that_lock(bridge: FakeBridge) -> None:
    board = Board()
    board.shows = 7
    bridge.answers[CheckLock] = LOCKED
    it = checks(bridge, board)
    assert it.glance("sysA") is None
    assert await it.ask("sysA") == LOCKED
    assert it.glance("sysA") == LOCKED
    assert it.glance("sysB") is None
    board.shows = 8
    assert it.glance("sysA") is None
    board.shows = 0
    assert it.glance("sysA") == Answer(Code.OK)
    board.shows = None
    assert it.glance("sysA") is None


async def test_a_refusal_of_a_lock_that_moved_meanwhile_is_not_kept(bridge: FakeBridge) -> None:
    board = Board()
    board.shows = 7

    def moved(*_: object) -> Answer:
        board.shows = 8
        return LOCKED

    bridge.answers[CheckLock] = moved
    it = checks(bridge, board)
    assert await it.ask("sysA") == LOCKED
    assert it.glance("sysA") is None


async def test_the_actor_has_the_last_word_when_it_is_asked(bridge: FakeBridge) -> None:
    board = Board()
    board.shows = 7
    it = checks(bridge, board)
    for answer in (Answer(Code.OK), Answer(Code.UNAVAILABLE, message="frozen")):
        bridge.answers[CheckLock] = answer
        assert await it.ask("sysA") == answer
        assert it.glance("sysA") is None
    assert await it.ask("nobody") == Answer(Code.OK)

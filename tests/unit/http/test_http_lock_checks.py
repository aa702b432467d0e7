"""Lock checks from the lock board, and when the actor is asked all the same."""

from maestro.http.lock_checks import LockChecks, no_board
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import CheckLock
from tests.unit.http.fake_actor_client import FakeActorClient

LOCKED = Answer(Code.LOCKED, b'{"reprocessing":"r1"}')


class Board:
    def __init__(self) -> None:
        self.shows: int | None = None

    def look(self, _system_id: str) -> int | None:
        return self.shows


def checks(actor_client: FakeActorClient, board: Board) -> LockChecks:
    return LockChecks(actor_client, 0.5, board.look)


def test_open_is_answered_at_once_and_nobody_is_asked(actor_client: FakeActorClient) -> None:
    board = Board()
    board.shows = 0
    assert checks(actor_client, board).cached("sysA") == Answer(Code.OK)


def test_what_the_board_cannot_tell_is_not_answered(actor_client: FakeActorClient) -> None:
    assert checks(actor_client, Board()).cached("sysA") is None
    assert LockChecks(actor_client, 0.5, no_board).cached("sysA") is None


async def test_a_refusal_is_kept_for_as_long_as_the_board_shows_that_lock(actor_client: FakeActorClient) -> None:
    board = Board()
    board.shows = 7
    actor_client.answers[CheckLock] = LOCKED
    it = checks(actor_client, board)
    assert it.cached("sysA") is None
    assert await it.ask("sysA") == LOCKED
    assert it.cached("sysA") == LOCKED
    assert it.cached("sysB") is None
    board.shows = 8
    assert it.cached("sysA") is None
    board.shows = 0
    assert it.cached("sysA") == Answer(Code.OK)
    board.shows = None
    assert it.cached("sysA") is None


async def test_a_refusal_of_a_lock_that_moved_meanwhile_is_not_kept(actor_client: FakeActorClient) -> None:
    board = Board()
    board.shows = 7

    def moved(*_: object) -> Answer:
        board.shows = 8
        return LOCKED

    actor_client.answers[CheckLock] = moved
    it = checks(actor_client, board)
    assert await it.ask("sysA") == LOCKED
    assert it.cached("sysA") is None


async def test_the_actor_has_the_last_word_when_it_is_asked(actor_client: FakeActorClient) -> None:
    board = Board()
    board.shows = 7
    it = checks(actor_client, board)
    for answer in (Answer(Code.OK), Answer(Code.UNAVAILABLE, message="frozen")):
        actor_client.answers[CheckLock] = answer
        assert await it.ask("sysA") == answer
        assert it.cached("sysA") is None
    assert await it.ask("nobody") == Answer(Code.OK)

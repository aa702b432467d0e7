"""May events of this system proceed? From the lock board where it can tell, else from the system's actor."""

from collections.abc import Callable
from typing import Final

from maestro.http.actor_client import ActorClient, UnknownSystem
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import CheckLock

#: Reads the lock board: 0 = open; a positive number = locked, another one whenever the lock's facts change;
#: None = the board cannot tell.
Look = Callable[[str], int | None]

_QUESTION: Final = CheckLock()
_YES: Final = Answer(Code.OK)


def no_board(_system_id: str) -> int | None:
    """Tell nothing: there is no board."""
    return None


class LockChecks:
    """Answers lock checks.

    The board knows that a system is locked, its actor knows why: what it said is kept for as long as the board shows
    the very same lock.
    """

    def __init__(self, actor_client: ActorClient, timeout: float, look: Look = no_board) -> None:
        self._actor_client = actor_client
        self._timeout = timeout
        self._look = look
        self._refusals: dict[str, tuple[int, Answer]] = {}

    def cached(self, system_id: str) -> Answer | None:
        """Answer at once, or not at all. The moment the board is read is the moment the answer is about."""
        seen = self._look(system_id)
        if seen == 0:
            return _YES
        if seen is None:
            return None
        number, refusal = self._refusals.get(system_id, (0, None))
        return refusal if number == seen else None

    async def ask(self, system_id: str) -> Answer:
        """Ask the actor; a system that is not served may proceed.

        Raises:
            Unavailable, TimeoutError: there is no answer.
        """
        seen = self._look(system_id)
        try:
            answer = await self._actor_client.ask(system_id, _QUESTION, timeout=self._timeout)
        except UnknownSystem:
            return _YES
        if answer.code is Code.LOCKED and seen and seen == self._look(system_id):
            self._refusals[system_id] = (seen, answer)
        return answer

"""Whether a system is in a run, by its own word."""

from typing import Any, Final, Protocol

import msgspec

from maestro.actors.errors import Unavailable, UnknownSystem
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import DescribeSystem, Question

#: Seconds that a system has to say it.
_ASK: Final = 5.0


class Asks(Protocol):
    """What puts a question to a system."""

    async def ask(self, system_id: str, question: Question, *, timeout: float) -> Answer:  # noqa: ASYNC109
        """See `maestro.http.actor_client.ActorClient`."""


class _Described(msgspec.Struct):
    """What a system says of itself, as far as that matters here."""

    running: Any = None
    lock: Any = None


async def in_run(actors: Asks, system_id: str) -> bool | None:
    """Return whether a system is in a run, or locked; None: it does not say. One that is not installed is not."""
    try:
        answer = await actors.ask(system_id, DescribeSystem(measure=False), timeout=_ASK)
        if answer.code is not Code.OK:
            return None
        described = msgspec.json.decode(answer.body, type=_Described)
    except UnknownSystem:
        return False
    except (TimeoutError, Unavailable, msgspec.DecodeError):
        return None
    return described.running is not None or described.lock is not None

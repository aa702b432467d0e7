"""Tells the rules of a try that had no answer in time, long before all tries of the question are used up."""

import asyncio
import time
from typing import Final

from maestro.platform import SiblingError
from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.outage import JUDGING
from maestro.system.engine import Engine

_OF_A_RUN: Final = (do.AskStartImpact, do.SendReplay, do.AskReplayImpact, do.FetchReplayOrigins)


class Unanswered:
    """Takes the tries of one command. `answer_timeout`: seconds that each of them has for its answer."""

    __slots__ = ("_answer_timeout", "_command", "_engine")

    def __init__(self, command: do.Command, engine: Engine, answer_timeout: float) -> None:
        self._command = command
        self._engine = engine
        self._answer_timeout = answer_timeout

    def __call__(self, problem: SiblingError) -> None:
        """Have the fact happen once the call that failed has let go; of what no stage asks there is none."""
        command = self._command
        if isinstance(command, do.AskImpact | do.FetchOrigins):
            what = JUDGING
        elif isinstance(command, _OF_A_RUN):
            what = command.id
        else:
            return
        since = time.time() - self._answer_timeout
        fact = facts.Unanswered(what, command.token, problem.service, str(problem), since)
        asyncio.get_running_loop().call_soon(self._engine.feed, fact)

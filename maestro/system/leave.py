"""One link of a system whose life is to end at rest: the other end is asked whether that may be.

What is posted into a session that ends is lost, and a question among it is answered "whether it acted is unknown". So a
system that is passivated asks first. The other end grants it when nothing is on its way, and holds back from then on
what comes for the system: its next life gets it.
"""

import asyncio
from typing import Final

from maestro.links.session import Session
from maestro.messages.leaving import LeaveAnswered, LeaveAsked

#: Seconds that the other end has to answer.
WITHIN: Final = 2.0


class Leave:
    """Asks the other end of a link's present session."""

    def __init__(self) -> None:
        self._session: Session | None = None
        #: Of the last question, and of the last one that was put in a former session.
        self._number = self._former = 0
        self._answer: asyncio.Future[bool] | None = None
        self._granted = False

    def met(self, session: Session) -> None:
        """There is a new session: nothing was granted in it."""
        self._session, self._granted, self._former = session, False, self._number
        self._settle(granted=False)

    def lost(self) -> None:
        """The session is over."""
        self._session, self._granted = None, False
        self._settle(granted=False)

    async def ask(self) -> bool:
        """Return whether the other end lets the system go; not without a session, nor one that is silent."""
        if self._session is None or self._granted:
            return self._granted
        self._number += 1
        self._answer = asyncio.get_running_loop().create_future()
        self._session.post(LeaveAsked(self._number))
        try:
            async with asyncio.timeout(WITHIN):
                return await self._answer
        except TimeoutError:
            return False
        finally:
            self._answer = None

    def answered(self, answer: LeaveAnswered) -> None:
        """The other end answered. What it granted too late is taken back, whatever is asked by now."""
        if answer.number == self._number and self._answer is not None and not self._answer.done():
            self._granted = answer.granted
            self._settle(granted=answer.granted)
        elif answer.granted and answer.number > self._former:
            self._granted = True
            self.take_back()
            self._settle(granted=False)

    def take_back(self) -> None:
        """Stay, after all: where it was granted the session ends, and the next one has nothing of that.

        Nothing is lost with it, for nothing was on its way.
        """
        if self._granted and self._session is not None:
            session, self._session, self._granted = self._session, None, False
            session.finish()

    def _settle(self, *, granted: bool) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(granted)

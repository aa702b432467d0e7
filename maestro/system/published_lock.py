"""A system's lock as its owner shows it: in its answers to lock checks, and on the lock board.

Both are changed after the store's commit and before anything is done that the commit ordered.
"""

import asyncio

from maestro import logs
from maestro.board.errors import BoardError
from maestro.board.file import find_board
from maestro.board.layout import State
from maestro.board.owner import OwnedSlot
from maestro.messages.answers import Answer, Code
from maestro.rules.state import Lock
from maestro.settings.model import Settings
from maestro.system import views


class PublishedLock:
    """What lock checks of one system are told. Written on the service's loop only."""

    def __init__(self, settings: Settings, system_id: str, epoch: int, problem: str) -> None:
        #: The answer to a lock check.
        self.answer = Answer(Code.UNAVAILABLE, message=problem)
        self._settings = settings
        self._id = system_id
        self._epoch = epoch
        self._slot: OwnedSlot | None = None
        self._beat: asyncio.TimerHandle | None = None
        self._beat_every = settings.actors.beat_every
        self._log = logs.get(system=system_id)

    def take_slot(self) -> None:
        """Take the system's place on the board, if there is a board and a place; what is in it is unknown yet.

        Raises:
            SlotHeld: another process shows this system's lock, so it may still own the system.
        """
        path = find_board(self._settings.data_dir) if self._settings.http.lock_board else None
        if self._slot is not None or path is None:
            return
        try:
            self._slot = OwnedSlot(path, self._id, self._epoch)
        except BoardError as problem:
            self._log.warning("not on the lock board; each lock check is asked here", cause=str(problem))
        else:
            self._beat = asyncio.get_running_loop().call_later(self._beat_every, self._keep_beating, self._slot)

    def publish(self, lock: Lock | None) -> None:
        """Show the lock, or that there is none. What is kept of an answer goes by the board, so that is second."""
        self.answer = views.locked(lock)
        self._show(State.OPEN if lock is None else State.LOCKED)

    def unknown(self, problem: str) -> None:
        """Show that nothing is known, and why."""
        self.answer = Answer(Code.UNAVAILABLE, message=problem)
        self._show(State.UNKNOWN)

    def close(self) -> None:
        """Leave the board."""
        if self._beat is not None:
            self._beat.cancel()
        if self._slot is not None:
            self._slot.close()
            self._slot = None

    def _show(self, state: State) -> None:
        if self._slot is not None:
            self._slot.publish(state)

    def _keep_beating(self, slot: OwnedSlot) -> None:
        slot.beat()
        self._beat = asyncio.get_running_loop().call_later(self._beat_every, self._keep_beating, slot)

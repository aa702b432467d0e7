"""The lock board as the main process has it: made at the start, read for the owners that the directory names."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from maestro.actors.messages import Entry, Role
from maestro.board.file import BoardFile, remove_board
from maestro.board.reader import BoardReader, Owner
from maestro.settings.model import Settings

Directory = Callable[[], tuple[Entry, ...]]
Look = Callable[[str], int | None]


class LockView:
    """The board, through the eyes of the directory: only the life of an actor that it names is believed."""

    def __init__(self, reader: BoardReader, directory: Directory) -> None:
        self._reader = reader
        self._directory = directory
        self._entries: tuple[Entry, ...] = ()

    def look(self, system_id: str) -> int | None:
        """Return what `BoardReader.look` says."""
        entries = self._directory()
        if entries is not self._entries:
            self._entries = entries
            self._reader.follow(
                Owner(entry.system_id, entry.epoch, entry.pid) for entry in entries if entry.role is Role.SYSTEM
            )
        return self._reader.look(system_id)


@contextmanager
def lock_board(settings: Settings, directory: Directory) -> Iterator[Look]:
    """Have a board while the context is open, and yield how to look at it; without one, look at nothing.

    The data folder must be this process's own by now: what an earlier one left there is removed.
    """
    board = _board(settings)
    if board is None:
        yield lambda _system_id: None
        return
    reader = BoardReader(board, settings.actors.beat_fresh)
    try:
        yield LockView(reader, directory).look
    finally:
        reader.close()
        board.close()


def _board(settings: Settings) -> BoardFile | None:
    if not settings.http.lock_board:
        remove_board(settings.data_dir)
        return None
    try:
        return BoardFile(settings.data_dir)
    except OSError as problem:
        structlog.get_logger(actor="main").warning("no lock board; each check asks the actor", cause=str(problem))
        return None

"""The lock board as the main process has it: made at the start, read for the owners that the directory names."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from maestro.actors.messages import Entry, Role
from maestro.board.file import BoardFile, remove_board
from maestro.board.node_lease import NodeView
from maestro.board.reader import OPEN, BoardReader, Owner
from maestro.settings.model import Settings
from maestro.store.rest_mark import RestMarks

Directory = Callable[[], tuple[Entry, ...]]
Look = Callable[[str], int | None]


class LockView:
    """The board, through the eyes of the directory: only the life of an actor that it names is believed.

    Where the board says nothing the mark of a system at rest does: its lock is open, at the moment the mark is seen.
    Neither counts unless the node's lease is believed *after* it was read: nobody had taken the system over then.
    """

    def __init__(
        self, reader: BoardReader, directory: Directory, at_rest: Callable[[str], bool], node: NodeView
    ) -> None:
        self._reader = reader
        self._at_rest = at_rest
        self._node = node
        self._directory = directory
        self._entries: tuple[Entry, ...] = ()

    def look(self, system_id: str) -> int | None:
        """Return what `BoardReader.look` says; `OPEN` of a system at rest."""
        entries = self._directory()
        if entries is not self._entries:
            self._entries = entries
            self._reader.follow(
                Owner(entry.system_id, entry.epoch, entry.pid)
                for entry in entries
                if entry.pid and entry.role is Role.SYSTEM
            )
        seen = self._reader.look(system_id)
        if seen is None and self._at_rest(system_id):
            seen = OPEN
        return seen if self._node.believed else None


@contextmanager
def lock_board(settings: Settings, directory: Directory) -> Iterator[Look]:
    """Have a board while the context is open, and yield how to look at it; without one, look at marks only.

    The data folder must be this process's own by now: what an earlier one left there is removed.
    """
    board = _board(settings)
    at_rest = RestMarks(settings.data_dir).has
    node = NodeView(settings)
    if board is None:
        yield lambda system_id: OPEN if at_rest(system_id) and node.believed else None
        return
    reader = BoardReader(board, settings.actors.beat_fresh)
    try:
        yield LockView(reader, directory, at_rest, node).look
    finally:
        node.close()
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

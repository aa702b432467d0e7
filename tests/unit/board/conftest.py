from collections.abc import Iterator
from pathlib import Path

import pytest

from maestro.board.file import BoardFile
from maestro.board.reader import BoardReader
from maestro.board.reader import Owner as Named
from tests.support.board_owner import Owner


class Board:
    """A board with its reader, and the owners that a test starts."""

    def __init__(self, folder: Path, slots: int) -> None:
        self.folder = folder
        self.file = BoardFile(folder, slots=slots)
        self.reader = BoardReader(self.file, fresh=5.0)
        self.owners: list[Owner] = []
        self._named: dict[str, Named] = {}

    def start(self, system: str, epoch: int, truth: Path | None = None) -> Owner:
        owner = Owner(self.folder, system, epoch, truth)
        self.owners.append(owner)
        return owner

    def follow(self, system: str, epoch: int, pid: int) -> None:
        self._named[system] = Named(system, epoch, pid)
        self.reader.follow(self._named.values())

    def owned(self, system: str, epoch: int) -> Owner:
        owner = self.start(system, epoch).ready()
        self.follow(system, epoch, owner.pid)
        return owner

    def close(self) -> None:
        for owner in self.owners:
            owner.end()
        self.reader.close()
        self.file.close()


@pytest.fixture
def slots() -> int:
    return 8


@pytest.fixture
def board(tmp_path: Path, slots: int) -> Iterator[Board]:
    board = Board(tmp_path, slots)
    try:
        yield board
    finally:
        board.close()

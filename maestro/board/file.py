"""The board's file: each main process makes its own, found by the owners, removed at the end.

It is in memory (`/dev/shm`) where there is such a place, and a link in the data folder says where. Its whole size is
allocated before anybody maps it, and it is never truncated: a mapping without a page behind it kills who reads it.

Its maker holds a flock on it, by which a board is told from what a killed process left in a folder that all share.
"""

import fcntl
import mmap
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from maestro.board.layout import (
    HEADER_ID,
    HEADER_LAYOUT,
    HEADER_MAGIC,
    MAGIC,
    RECORD,
    SUPPORTED,
    header_layout,
)

#: The link to the board, in the data folder.
LINK: Final = "lock.board"
#: Where shared memory has names.
SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - made exclusively, with a random name, for its owner only
#: Systems that have a slot; those beyond are asked.
SLOTS: Final = 1023

_NAME: Final = re.compile(r"maestro-([0-9a-f]{16})\.board")


class BoardFile:
    """A new, empty board for the owners in this data folder. Nothing of an earlier board is ever read.

    Args:
        data_dir: the data folder; the caller is its only user.
        slots: how many systems find place.
        folders: where to make it; the first that can be written.

    Raises:
        OSError: it cannot be made anywhere.
    """

    def __init__(self, data_dir: Path, *, slots: int = SLOTS, folders: tuple[Path, ...] = ()) -> None:
        if not SUPPORTED:
            raise OSError("the lock board needs 64-bit Linux")
        self.slots: Final = slots
        self._link = data_dir.resolve() / LINK
        remove_board(data_dir)
        self.path, self.fd = _made_in(folders or (SHARED_MEMORY, data_dir.resolve()), slots)
        try:
            self.map: Final = mmap.mmap(self.fd, size_of(slots), prot=mmap.PROT_READ)
            _point(self._link, self.path)
        except BaseException:
            os.close(self.fd)
            self.path.unlink(missing_ok=True)
            raise

    def close(self) -> None:
        """Remove the board. Owners that still write to it do no harm."""
        self._link.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
        with suppress(BufferError):  # a reader's view is still about; the mapping goes with it
            self.map.close()
        os.close(self.fd)


def size_of(slots: int) -> int:
    """Return the bytes of a board with so many slots."""
    return (slots + 1) * RECORD


def board_id(path: Path) -> int:
    """Return the id in a board's name; 0 for another file."""
    name = _NAME.fullmatch(path.name)
    return int(name[1], 16) if name else 0


def find_board(data_dir: Path) -> Path | None:
    """Return where the board of this data folder is; None without one."""
    try:
        return (data_dir.resolve() / LINK).readlink()
    except OSError:
        return None


def remove_board(data_dir: Path) -> None:
    """Remove what an earlier main process left: one that is killed removes nothing."""
    old = find_board(data_dir)
    if old is not None and board_id(old):
        old.unlink(missing_ok=True)
    (data_dir.resolve() / LINK).unlink(missing_ok=True)


def _made_in(folders: tuple[Path, ...], slots: int) -> tuple[Path, int]:
    problem: OSError | None = None
    for folder in folders:
        try:
            _sweep(folder)
            return _make(folder, slots)
        except OSError as error:
            problem = error
    raise problem or OSError("no folder for the lock board")


def _sweep(folder: Path) -> None:
    """Remove the boards that nobody keeps: their makers were killed, and their data folders may be gone as well."""
    for path in folder.glob("maestro-*.board"):
        with suppress(OSError):  # it is kept, another user's, or just removed
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(fd)


def _make(folder: Path, slots: int) -> tuple[Path, int]:
    """Make the file under another name: under its own it is whole from the start."""
    id_ = secrets.randbits(63) | 1
    path = folder / f"maestro-{id_:016x}.board"
    scratch = path.with_suffix(".new")
    fd = os.open(scratch, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.posix_fallocate(fd, 0, size_of(slots))
        with mmap.mmap(fd, size_of(slots)) as whole, memoryview(whole) as raw, raw.cast("Q") as words:
            words[HEADER_MAGIC] = MAGIC
            words[HEADER_LAYOUT] = header_layout(slots)
            words[HEADER_ID] = id_
        scratch.rename(path)
    except BaseException:
        os.close(fd)
        scratch.unlink(missing_ok=True)
        raise
    return path, fd


def _point(link: Path, target: Path) -> None:
    scratch = link.with_suffix(".new")
    scratch.unlink(missing_ok=True)
    scratch.symlink_to(target)
    scratch.replace(link)

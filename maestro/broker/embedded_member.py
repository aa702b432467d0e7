"""Who uses the embedded broker now: each user holds a locked file for as long as it lives.

The kernel drops the lock when a process dies, however it dies, so the others find out within one look. It
keeps it while a forked child has the file open, so a child closes what it inherited.
"""

import contextlib
import fcntl
import os
import uuid
from pathlib import Path

_held: set[int] = set()


def _close_in_child() -> None:
    for file in _held:
        os.close(file)
    _held.clear()


os.register_at_fork(after_in_child=_close_in_child)


class Membership:
    """The lock file of one user of the broker, held from construction until `close`."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.token = uuid.uuid4().hex
        self._path = directory / self.token
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        _held.add(self._file)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    @property
    def visible(self) -> bool:
        """Whether others can see it. They take a member whose file was removed for dead."""
        return self._path.exists()

    def close(self) -> None:
        """Give up the membership."""
        with contextlib.suppress(OSError):
            self._path.unlink()
        _held.discard(self._file)
        os.close(self._file)


def is_dead(directory: Path, token: str) -> bool:
    """Return whether the member with this token is gone; never call it for a membership of one's own."""
    try:
        file = os.open(directory / token, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(file)


def forget(directory: Path, token: str) -> None:
    """Remove what a dead member left."""
    with contextlib.suppress(OSError):
        (directory / token).unlink()

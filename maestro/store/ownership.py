"""Who owns a store's file: one process, by a flock'ed file beside it, held for life.

flock belongs to the open file and not to the process: a forked child keeps it alive, so the child must let go
of its copy (`abandon`), or the parent's death would not free the file.
"""

import fcntl
import os
from pathlib import Path

from maestro.store.base import StoreError, StoreLocked


class FileLock:
    """An exclusive lock on `path`, which is created and never removed; its content names the owner for people.

    Raises:
        StoreLocked: somebody holds it, in this process or another. Known at once, without waiting.
        StoreError: the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"{path}: cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise StoreLocked(f"{path}: owned by process {owner}") from error
        os.pwrite(self._fd, f"{os.getpid():<19}\n".encode(), 0)

    def release(self) -> None:
        """Give up the lock. Twice is no error."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    #: In a forked child: closes the child's copy of the descriptor, the parent's lock stays.
    abandon = release

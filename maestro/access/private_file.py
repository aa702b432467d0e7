"""Folders that only their owner may read, and a lock for those who change what is in one (`maestro.whole_file`)."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maestro.whole_file import hand_over


def private_folder(folder: Path) -> Path:
    """Return `folder`, made for its owner only if it is not there."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if os.geteuid() == 0:
        above, own = folder.parent.stat(), folder.lstat()
        if above.st_uid != own.st_uid == 0:
            os.chown(folder, above.st_uid, above.st_gid, follow_symlinks=False)
    return folder


@contextmanager
def exclusively(path: Path) -> Iterator[None]:
    """Keep other processes that do the same out, while the context is open; `path` names the lock's file."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if os.fstat(descriptor).st_nlink == 1:
            hand_over(descriptor, path.parent)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

"""Files that only their owner may read, replaced whole: a reader sees the old content or the new, never a part.

Their owner is who owns the folder above: what root makes in the folder of a service is the service's to read.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from maestro.store.syncing import sync_folder


def private_folder(folder: Path) -> Path:
    """Return `folder`, made for its owner only if it is not there."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if os.geteuid() == 0:
        above, own = folder.parent.stat(), folder.lstat()
        if above.st_uid != own.st_uid == 0:
            os.chown(folder, above.st_uid, above.st_gid, follow_symlinks=False)
    return folder


def replace(path: Path, content: bytes) -> None:
    """Write `content` to `path` (mode 600), synced to disk. Raises `OSError`."""
    new = path.with_name(f".{path.name}.new")
    with suppress(FileNotFoundError):
        new.unlink()  # of a process that died
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        _hand_over(descriptor, path.parent)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    new.replace(path)
    sync_folder(path.parent)


@contextmanager
def exclusively(path: Path) -> Iterator[None]:
    """Keep other processes that do the same out, while the context is open; `path` names the lock's file."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if os.fstat(descriptor).st_nlink == 1:
            _hand_over(descriptor, path.parent)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _hand_over(descriptor: int, folder: Path) -> None:
    """Give root's file to the owner of its folder."""
    if os.geteuid() == 0:
        above, own = folder.stat(), os.fstat(descriptor)
        if above.st_uid != own.st_uid == 0:
            os.fchown(descriptor, above.st_uid, above.st_gid)

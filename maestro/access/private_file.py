"""Files that only their owner may read, replaced whole: a reader sees the old content or the new, never a part."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maestro.store.syncing import sync_folder


def private_folder(folder: Path) -> Path:
    """Return `folder`, made for its owner only if it is not there."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def replace(path: Path, content: bytes) -> None:
    """Write `content` to `path` (mode 600), synced to disk. Raises `OSError`."""
    new = path.with_name(f".{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
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
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

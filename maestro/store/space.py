"""Room to write: a store is not opened where the next write would fail."""

import os
from pathlib import Path
from typing import Final

from maestro.store.base import StoreError, StoreFull

#: Bytes that must be free to open a store: an event's body and a document's header fit in, with the log's pages.
ROOM: Final = 1024 * 1024


def check_room(folder: Path) -> None:
    """Look whether a store in `folder` (it need not exist yet) has room to be written.

    An owner that opened its store on a full disk would fail at its first write, over and over.

    Raises:
        StoreFull: less than `ROOM` is free.
        StoreError: the file system does not answer.
    """
    there = next(each for each in (folder, *folder.parents) if each.exists())
    try:
        disk = os.statvfs(there)
    except OSError as problem:
        raise StoreError(f"{folder}: {problem.strerror}") from problem
    free = disk.f_bavail * disk.f_frsize
    if free < ROOM:
        raise StoreFull(f"{folder}: no space left: {free // 1024} kB are free, {ROOM // 1024} kB are needed to open it")

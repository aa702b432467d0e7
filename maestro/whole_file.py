"""Files that are replaced whole: a reader sees the old content or the new, never a part.

Only their owner may read them (mode 600). Their owner is who owns the folder: what root makes in the folder of a
service is the service's to read.
"""

import os
from contextlib import suppress
from pathlib import Path


def replace(path: Path, content: bytes, *, sync: bool) -> None:
    """Write `content` to `path`. `sync`: it survives the loss of power. One writer at a time.

    Raises:
        OSError: it cannot be written; the error names `path`, and not the new file that would have replaced it.
    """
    try:
        _replace(path, content, sync=sync)
    except OSError as problem:
        problem.filename, problem.filename2 = str(path), None
        raise


def _replace(path: Path, content: bytes, *, sync: bool) -> None:
    new = path.with_name(f".{path.name}.new")
    with suppress(FileNotFoundError):
        new.unlink()  # of a process that died
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        hand_over(descriptor, path.parent)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    new.replace(path)
    if sync:
        sync_folder(path.parent)


def hand_over(descriptor: int, folder: Path) -> None:
    """Give root's file to the owner of its folder."""
    if os.geteuid() == 0:
        above, own = folder.stat(), os.fstat(descriptor)
        if above.st_uid != own.st_uid == 0:
            os.fchown(descriptor, above.st_uid, above.st_gid)


def sync_folder(folder: Path) -> None:
    """Make what was created, renamed or removed in `folder` survive the loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

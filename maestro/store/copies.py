"""Backups of a folder's stores, and their way back. A store that somebody owns is copied by its owner."""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from maestro.store.base import StoreDamaged, StoreError
from maestro.store.places import LOGS, copy_of, store_files, store_path
from maestro.store.sqlite import SystemStore, open_store
from maestro.whole_file import sync_folder

#: What is kept of a store that a restore replaces.
BEFORE = ".before-restore"


def back_up_stores(data_dir: Path, target: Path) -> list[str]:
    """Copy every system's store of a data folder to `target`, each complete and synced; return their names.

    Raises:
        StoreError: one is in use or damaged, or `target` cannot be written. Those before it are copied.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{target}: cannot be made: {error.strerror}") from error
    names = []
    for path in store_files(data_dir):
        back_up_store(path, target)
        names.append(path.stem)
    return names


def back_up_store(path: Path, target: Path) -> None:
    """Copy a store that nobody owns to the folder `target`. Raises `StoreError`."""
    store = open_store(path)
    try:
        store.backup(str(target / path.name))
    finally:
        store.close()


def take_copy(path: Path, target: Path) -> None:
    """Move the copy that a store's owner wrote beside it to the folder `target`, synced. Raises `OSError`."""
    copy = copy_of(path)
    part = target / f"{path.name}.part"
    try:
        shutil.copyfile(copy, part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(target / path.name)
        sync_folder(target)
    finally:
        part.unlink(missing_ok=True)
        copy.unlink(missing_ok=True)


def backed_up(folder: Path) -> list[str]:
    """Return the systems whose stores `back_up_stores` copied to `folder`."""
    return sorted(path.stem for path in folder.glob("*.db"))


def restore_system(folder: Path, data_dir: Path, system_id: str) -> Path:
    """Put a system's backup of `folder` in the place of its store, as `restore_store`; return where that is."""
    path = store_path(data_dir, system_id)
    restore_store(folder / path.name, path)
    return path


def restore_store(backup: Path, path: Path) -> None:
    """Put a backup in the place of the store at `path`, which is kept beside it as `….before-restore`.

    The backup is checked first, so that a damaged one replaces nothing.

    Raises:
        StoreError: the backup is missing or damaged, the store is in use, or a file cannot be written.
    """
    if not backup.is_file():
        raise StoreError(f"{backup}: there is no such backup")
    candidate = path.with_name(path.name + ".restoring")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(backup, candidate)
        _check(candidate)
        _retire(path)
        candidate.replace(path)
        # The record of the last commit would tell that the backup is older. Not before that is there: without either a
        # start would begin an empty store.
        path.with_name(path.name + ".last").unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise StoreError(f"{path}: cannot be restored: {error.strerror}") from error
    finally:
        for left in _files(candidate):
            left.unlink(missing_ok=True)


def _check(candidate: Path) -> None:
    store: SystemStore = open_store(candidate)
    try:
        problems = store.check()
    finally:
        store.close()
    if problems:
        raise StoreDamaged(problems[0])
    with candidate.open("rb+") as file:
        os.fsync(file.fileno())


def _retire(path: Path) -> None:
    """Move away what is there of the present store, its log folded in; that of a damaged or lost one as it is."""
    if path.exists():
        with suppress(StoreDamaged):
            open_store(path).close()
        for suffix in LOGS:
            _before(path, suffix).unlink(missing_ok=True)
    for suffix in ("", *LOGS):
        file = path.with_name(path.name + suffix)
        if file.exists():
            file.replace(_before(path, suffix))


def _before(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + BEFORE + suffix)


def _files(path: Path) -> Iterator[Path]:
    return (path.with_name(path.name + suffix) for suffix in ("", *LOGS, "-shm", ".lock", ".last"))

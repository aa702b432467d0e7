"""Whether the data folder can be written and has space, and each store in it is sound."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from maestro.doctor.finding import Finding, ok, problem, warning
from maestro.doctor.site import Site
from maestro.store import reading
from maestro.store.base import StoreError, StoreLocked
from maestro.store.places import store_files, store_folder, store_path, stored_systems
from maestro.store.sqlite import open_store

STORE, DISK = "store", "disk"
_MEGABYTE: Final = 1024 * 1024
#: Free space, in megabytes and as part of the disk, below which somebody should look, or writes are about to fail.
LOW: Final = (1024, 0.10)
FULL: Final = (100, 0.02)
#: Problems of one store that are shown.
_SHOWN: Final = 5


async def check_disk(site: Site) -> list[Finding]:
    """Whether the data folder is there, may be written, is nobody else's, and has space."""
    return list(_disk(site.settings.data_dir))


def _disk(folder: Path) -> Iterator[Finding]:
    if not folder.exists():
        yield warning(DISK, str(folder), "is made at the first start", "maestro serve")
        return
    wrong = list(_permissions(folder))
    yield from wrong
    usage = shutil.disk_usage(folder)
    free, share = usage.free // _MEGABYTE, usage.free / usage.total
    message = f"{free:,} MB free ({share:.0%})"
    mend = f"df -h {folder}; du -sh {folder}/*, and make space beside it, never in it"
    if free < FULL[0] or share < FULL[1]:
        yield problem(DISK, str(folder), message, mend)
    elif free < LOW[0] or share < LOW[1]:
        yield warning(DISK, str(folder), message, mend)
    elif not wrong:
        yield ok(DISK, str(folder), f"writable, {message}")


def _permissions(folder: Path) -> Iterator[Finding]:
    owner = folder.stat().st_uid
    for path in (folder, store_folder(folder), *store_files(folder)):
        if not path.exists():
            continue
        status = path.stat()
        if status.st_uid != owner:
            message = f"belongs to user {status.st_uid}, the folder to user {owner}"
            yield problem(DISK, str(path), message, f"chown -R {owner} {folder}")
        elif not os.access(path, os.R_OK | os.W_OK):
            yield problem(
                DISK, str(path), "may not be read and written by this user", f"ls -l {path}; chmod u+rw {path}"
            )
        elif status.st_mode & 0o002:
            yield warning(DISK, str(path), "everybody may write it", f"chmod o-w {path}")


async def check_stores(site: Site) -> list[Finding]:
    """Whether each store is sound: read whole when nobody owns it, else as Maestro says."""
    if site.settings.store.url.get_secret_value():
        from maestro.doctor.postgres import check_postgres  # noqa: PLC0415 - needs the extra `postgresql`

        return await check_postgres(site)
    found = []
    for system_id in stored_systems(site.settings.data_dir):
        path = store_path(site.settings.data_dir, system_id)
        served = next((one for one in site.served if one.id == system_id), None)
        if served is not None:
            found += [ok(STORE, str(path), "in use")] if served.state != "unavailable" else []
        elif site.runs:
            found.append(in_use(site, str(path)))
        elif path.stat().st_uid != os.geteuid():
            owner = path.stat().st_uid
            mend = f"sudo -u '#{owner}' maestro doctor"
            found.append(warning(STORE, str(path), f"not looked at: it is user {owner}'s", mend))
        else:
            found += await asyncio.to_thread(_read_whole, path)
    return found


def in_use(site: Site, name: str) -> Finding:
    """Say why nothing is known of a store while Maestro runs that does not tell of its system."""
    if not site.answers and site.refused is None:
        return warning(STORE, name, "in use by a Maestro that cannot be asked", "maestro doctor, once it answers")
    if site.maestro.target.token or site.refused is not None:
        message = "not looked at: Maestro tells nothing of it to this token, which may not look at it"
        return warning(STORE, name, message, "MAESTRO_TOKEN=<one that may look at all systems> maestro doctor")
    message = "not looked at: Maestro runs and does not serve its system"
    return warning(STORE, name, message, "maestro doctor, once Maestro is stopped")


def _read_whole(path: Path) -> list[Finding]:
    restore = f"maestro restore <backup folder> --system {path.stem}"
    try:
        store = open_store(path)
    except StoreLocked as locked:
        return [problem(STORE, str(path), str(locked), f"cat {path}.lock; ps -fp that process")]
    except StoreError as error:
        return [problem(STORE, str(path), str(error), restore)]
    try:
        wrong = store.check()
        counts = [] if wrong else [f"{number} {table}" for table, number in reading.tables(store.documents).items()]
    finally:
        store.close()
    more = f" (and {len(wrong) - _SHOWN} more)" if len(wrong) > _SHOWN else ""
    return [problem(STORE, str(path), "; ".join(wrong[:_SHOWN]) + more, restore)] if wrong else [
        ok(STORE, str(path), f"sound: {', '.join(counts) or 'empty'}")
    ]  # fmt: skip

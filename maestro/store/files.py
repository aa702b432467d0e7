"""`FileStores`: an installation's stores as files, one a system, in its data folder."""

from collections.abc import Iterable
from pathlib import Path

from maestro.store.base import StoreError
from maestro.store.installation import Installation
from maestro.store.places import LOGS, elsewhere_mark, store_path, stored_systems
from maestro.store.rest_mark import RestMark
from maestro.store.row_store import RowStore
from maestro.store.space import check_room
from maestro.store.sqlite import open_store


class FileStores:
    """See `maestro.store.door.Stores`. Whose they are is the data folder's matter."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    async def enter(self, installation: Installation) -> None:
        """See `Stores.enter`."""
        mark = elsewhere_mark(self._data_dir)
        if mark.exists():
            raise StoreError(
                f"{self._data_dir}: the stores of installation {installation.id} are in PostgreSQL, and store.url "
                f"names none: set it, or bring them back with maestro store migrate --to files, or remove {mark}"
            )

    async def systems(self) -> list[str]:
        """See `Stores.systems`."""
        return stored_systems(self._data_dir)

    async def open(self, system_id: str) -> RowStore:
        """See `Stores.open`. Raises `StoreFull` where the next write would fail, too."""
        path = store_path(self._data_dir, system_id)
        check_room(path.parent)
        return open_store(path)

    async def states(self, system_ids: Iterable[str]) -> dict[str, str]:
        """See `Stores.states`."""
        found = ((system_id, file_state(store_path(self._data_dir, system_id))) for system_id in system_ids)
        return {system_id: state for system_id, state in found if state}

    async def rested(self, system_id: str, mark: RestMark) -> None:
        """See `Stores.rested`: no other node takes these over."""


def file_state(path: Path) -> str:
    """Return size, time of the last change and inode of a store's file; empty: none is there, or it was not closed."""
    if any(path.with_name(path.name + log).exists() for log in LOGS):
        return ""
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ino}"

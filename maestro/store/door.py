"""The stores' door: where the rest of Maestro gets the stores of an installation, wherever they are."""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from maestro.settings.model import Settings
from maestro.store.base import Store
from maestro.store.files import FileStores
from maestro.store.installation import Installation
from maestro.store.places import gateway_path
from maestro.store.rest_mark import RestMark
from maestro.store.row_store import RowStore
from maestro.store.sqlite import open_store


class Stores(Protocol):
    """The stores of all systems of one installation."""

    async def enter(self, installation: Installation) -> None:
        """Make them this start's own, and ready for use. Once in a start, before anything is opened.

        Raises:
            StoreLocked: they are another installation's.
            StoreError: they cannot be used; the message says what has to be done.
        """

    async def systems(self) -> list[str]:
        """Return the systems that have a store: they were served before. Raises `StoreError`."""

    async def open(self, system_id: str) -> RowStore:
        """Open a system's store, made if there is none, and own it until it is closed.

        Raises:
            StoreError: and its kinds; see `maestro.store.sqlite.open_store`.
        """

    async def states(self, system_ids: Iterable[str]) -> dict[str, str]:
        """Return a text for each of these stores that no process has open, which changes with what is stored.

        Raises `StoreError`.
        """

    async def rested(self, system_id: str, mark: RestMark) -> None:
        """Keep the mark of a system at rest for the node that takes it over, in a cluster. Raises `StoreError`.

        Its store is closed. The mark counts until the next opening of it.
        """


def open_stores(settings: Settings) -> Stores:
    """Return the stores of these settings. Nothing is opened by that."""
    url = settings.store.url.get_secret_value()
    if not url:
        return FileStores(settings.data_dir)
    from maestro.store.postgres.stores import PostgresStores  # noqa: PLC0415 - needs the extra `postgresql`

    return PostgresStores(url, settings.store.timeout, settings.data_dir, settings.cluster.name)


def open_gateway_store(data_dir: Path) -> Store:
    """Open the gateway's own store. Raises as `maestro.store.sqlite.open_store`."""
    return open_store(gateway_path(data_dir))

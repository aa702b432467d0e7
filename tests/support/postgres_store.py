"""A store in PostgreSQL for tests that are no coroutines: its loop runs in a thread, and each commit is awaited."""

import asyncio
import threading
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from maestro.store.base import DONE, Commit, LastWrite, Put, Reading, Store, Write
from maestro.store.installation import begin_start, read_installation
from maestro.store.postgres.store import PostgresStore
from maestro.store.postgres.stores import PostgresStores

T = TypeVar("T")
#: Seconds that anything may take.
PATIENCE = 60.0


def postgres_stores(url: str, data_dir: Path, seconds: float = 10.0) -> PostgresStores:
    """Return the stores of the installation in `data_dir`."""
    return PostgresStores(url, seconds, data_dir)


async def entered(url: str, data_dir: Path, seconds: float = 10.0) -> PostgresStores:
    """Return the stores of an installation that has started."""
    stores = postgres_stores(url, data_dir, seconds)
    await stores.enter(read_installation(data_dir) or begin_start(data_dir))
    return stores


async def closed(store: PostgresStore) -> None:
    """Close a store, and return once nothing of it is left."""
    store.close()
    await store.ended()


def put(number: int) -> list[Put]:
    """Return a write of a document that the number tells from others."""
    return [Put("t", f"{number:05d}", {"n": number})]


class OnLoop(Store):
    """See `maestro.store.base.Store`."""

    def __init__(self, url: str, data_dir: Path, system_id: str = "sysA") -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.store: PostgresStore = self._run(self._open(url, data_dir, system_id))

    async def _open(self, url: str, data_dir: Path, system_id: str) -> PostgresStore:
        return await (await entered(url, data_dir)).open(system_id)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def commit(self, writes: Sequence[Write], *, durable: bool) -> Commit:
        async def committed() -> None:
            await self.store.commit(writes, durable=durable)

        self._run(committed())
        return DONE

    def show_lock(self, facts: bytes) -> None:
        self.store.show_lock(facts)

    def get(self, table: str, key: str) -> dict[str, Any] | None:
        return self.store.get(table, key)

    def rows(self, table: str, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
        return self.store.rows(table, prefix)

    def count(self, table: str, prefix: str = "") -> int:
        return self.store.count(table, prefix)

    def last_writes(self, rows: Iterable[int]) -> dict[int, LastWrite]:
        return self.store.last_writes(rows)

    def readings(self, rows: Iterable[int]) -> list[Reading]:
        return self.store.readings(rows)

    def backup(self, path: str) -> None:
        self.store.backup(path)

    def close(self) -> None:
        self._run(closed(self.store))

    def end(self) -> None:
        """End the loop as well."""
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

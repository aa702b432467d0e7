"""What Maestro asks of a store. Rows are JSON documents in named tables, kept in the order of their keys."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from msgspec import Struct


class StoreError(Exception):
    """The store cannot be used; the message names the file and what is wrong with it."""


class StoreLocked(StoreError):  # noqa: N818 - the name says what the store is
    """Another process owns the file."""


class StoreDamaged(StoreError):  # noqa: N818 - the name says what the store is
    """The file's content is not what was written: damaged, truncated, or a row's checksum does not match."""


class StoreFull(StoreError):  # noqa: N818 - the name says what the store is
    """A write failed for lack of space or an I/O error; it was rolled back whole and may be tried again."""


class Put(Struct, frozen=True):
    """Write one row, replacing the one of that key."""

    table: str
    key: str
    fields: dict[str, Any]


class Delete(Struct, frozen=True):
    """Remove one row; one that is not there is no error."""

    table: str
    key: str


Write = Put | Delete


class Store(Protocol):
    """One system's rows, owned by exactly one process for as long as it is open."""

    def commit(self, writes: Sequence[Write], *, durable: bool) -> None:
        """Apply `writes` in one transaction, which then survives the death of every process.

        `durable` also makes it, and all committed before it, survive the loss of power: synced to disk before
        returning.

        Raises:
            StoreFull: nothing of it was written.
            StoreError: the store is unusable.
        """

    def get(self, table: str, key: str) -> dict[str, Any] | None:
        """Return one row, checked. Raises `StoreDamaged`."""

    def rows(self, table: str, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the rows whose key begins with `prefix`, in the order of their keys. Raises `StoreDamaged`."""

    def count(self, table: str, prefix: str = "") -> int:
        """Return how many rows there are."""

    def backup(self, path: str) -> None:
        """Write a consistent copy to `path` while the store stays in use."""

    def close(self) -> None:
        """Give up ownership. Twice is no error."""

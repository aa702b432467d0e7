"""What Maestro asks of a store. Rows are JSON documents in named tables, kept in the order of their keys."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol

from msgspec import Struct

#: The two tables of the ledger. They are kept apart, by integer keys of the domain's rows, to be looked up by the
#: thousand (`Store.last_writes`, `Store.readings`). Only `commit` writes them; neither `get` nor `rows` reads them.
#:
#: `Put(LEDGER_WRITES, number, {"writer": int, "rows": [int, …]})`: commit `number` changed these rows.
#: `Put(LEDGER_READS, number, {"reads": [[row, version, wrote], …]})`: a computation read these rows.
#: `Delete` of a number takes away all that was put under it, and is not the last write of its row by now.
LEDGER_WRITES: Final = "ledger_writes"
LEDGER_READS: Final = "ledger_reads"


class LastWrite(NamedTuple):
    """The last commit that changed a row of the domain: its number, and the key of its instance."""

    number: int
    writer: int


class Reading(NamedTuple):
    """A row of the domain as a computation read it; `number` is that of the computation."""

    row: int
    number: int
    #: Key of the instance that wrote the version; 0: not known.
    version: int
    wrote: bool


class StoredSystem(NamedTuple):
    """A system as it is stored, told to who does not own it."""

    #: The lock's facts as JSON; empty: it is open; None: nobody has stored it yet.
    lock: bytes | None
    #: The node that claimed it last; empty: nobody owns it.
    node: str


class StoreError(Exception):
    """The store cannot be used; the message names the file and what is wrong with it."""


class StoreLocked(StoreError):  # noqa: N818 - the name says what the store is
    """Another process owns the file."""


class StoreDamaged(StoreError):  # noqa: N818 - the name says what the store is
    """The file's content is not what was written: damaged, truncated, or a row's checksum does not match."""


class StoreFull(StoreError):  # noqa: N818 - the name says what the store is
    """A write failed for lack of space or an I/O error; it was rolled back whole and may be tried again."""


class StoreAway(StoreError):  # noqa: N818 - the name says what the store is
    """It cannot be reached now; trying again may help."""


class StoreFenced(StoreError):  # noqa: N818 - the name says what the store is
    """It is not as this owner left it: another one has it, or commits are lost. Nothing more is written to it."""


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


class Commit(Protocol):
    """A commit, under way or done: a future. It is awaited, or asked on the loop that began it."""

    def done(self) -> bool:
        """Whether it is stored as safely as was asked, or has failed."""

    def result(self) -> None:
        """Raise the `StoreError` that it failed with."""

    def add_done_callback(self, callback: Callable[[Any], object], /) -> None:
        """Have `callback` called once it is done. Commits of one store are done in the order in which they began."""

    def __await__(self) -> Generator[Any, None, None]: ...


class _Done:
    def done(self) -> bool:
        return True

    def result(self) -> None:
        """It succeeded."""

    def add_done_callback(self, callback: Callable[[Any], object], /) -> None:
        callback(self)

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield


#: What `commit` returns of a store that is done with it by then.
DONE: Final[Commit] = _Done()


class Store(Protocol):
    """One system's rows, owned by exactly one process for as long as it is open."""

    def commit(self, writes: Sequence[Write], *, durable: bool) -> Commit:
        """Apply `writes` in one transaction. Once it is done, they survive the death of every process of Maestro's.

        With `durable` they, and all that was committed before, survive the loss of power as well. What is read shows
        `writes` from the call on, also while the commit is under way.

        Raises, or the commit fails with:
            StoreFull: nothing of it was written.
            StoreError: the store is unusable.
        """

    def show_lock(self, facts: bytes) -> None:
        """Have the next commit say what the system's lock is from then on: its facts as JSON; empty: it is open.

        A store that only its owner reads tells nobody. One that others read says that the lock is not known from the
        first commit on of an owner that has not called this.
        """

    def get(self, table: str, key: str) -> dict[str, Any] | None:
        """Return one row, checked. Raises `StoreDamaged`."""

    def rows(self, table: str, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the rows whose key begins with `prefix`, in the order of their keys. Raises `StoreDamaged`."""

    def count(self, table: str, prefix: str = "") -> int:
        """Return how many rows there are."""

    def last_writes(self, rows: Iterable[int]) -> dict[int, LastWrite]:
        """Return the last write of each of these rows of the domain that has one. Raises `StoreDamaged`."""

    def readings(self, rows: Iterable[int]) -> list[Reading]:
        """Return who read these rows of the domain, in no particular order. Raises `StoreDamaged`."""

    def backup(self, path: str) -> None:
        """Write a consistent copy to `path` while the store stays in use."""

    def close(self) -> None:
        """Give up ownership. Twice is no error."""

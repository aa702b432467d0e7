"""One SQLite file with one owner: opened in the one order that holds, numbered commits, safe from forks.

Small commits that need not be synced go to the tail beside it, ten times cheaper; the next transaction folds them in.

Order of opening: the flock beside the file; EXCLUSIVE before WAL (the other way round leaves a `-shm` file that
others can join); then an empty immediate transaction, from which on SQLite's own fence holds as well.

After a fork the child has a copy of the connection. Closing it, or letting it be collected, would delete the
parent's log and with it acknowledged commits: the child gives its copy an owner that never lets go.

Nothing else may open the live file, not even to read it: closing any descriptor of a file drops all the locks
that the process has on it.
"""

import ctypes
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from weakref import WeakSet

from maestro.store.base import StoreDamaged, StoreError
from maestro.store.errors import translated
from maestro.store.ownership import FileLock
from maestro.store.record import CommitRecord
from maestro.store.schema import migrate
from maestro.store.statements import statements
from maestro.store.tail import Row, Tail

#: Seconds that SQLite waits for a file that some tool holds open.
_BUSY_TIMEOUT: Final = 1.0

_OPEN: "WeakSet[Database]" = WeakSet()


class Database:
    """The file at `path`, made if it is not there. One call at a time, from any thread of the owning process.

    Raises:
        StoreLocked: another owner has it.
        StoreDamaged: it is not what was written; a commit that was acknowledged is missing.
        StoreError: it is no store, or of a newer version, or cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pid = os.getpid()
        self._lock = FileLock(path.with_name(path.name + ".lock"))
        self._connection: sqlite3.Connection | None = None
        self._record: CommitRecord | None = None
        self._tail = Tail(path.with_name(path.name + "-tail"))
        #: The tail's rows as they are now, by table and key; and each table's as they were committed.
        self._unfolded: dict[tuple[str, str], Row] = {}
        self._noted: dict[str, list[Row]] = {}
        self._synced = True  # the mode that `_connect` leaves
        _OPEN.add(self)
        try:
            self._connection = _connect(path)
            self._record = CommitRecord(path.with_name(path.name + ".last"))
            self._number = self._stored_number()
            self._continue(list(self._tail.read(self._number)))
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> str:
        """What a message calls it: the file."""
        return str(self.path)

    @property
    def number(self) -> int:
        """Number of the last commit."""
        return self._number

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self.connection.in_transaction

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, for its owner only.

        Raises:
            StoreError: closed, or used by another process than the one that opened it.
        """
        if os.getpid() != self._pid:
            raise StoreError(f"{self.path}: belongs to process {self._pid}; a forked process must open its own store")
        if self._connection is None:
            raise StoreError(f"{self.path}: is closed")
        return self._connection

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run one statement. Raises `StoreError` and its kinds."""
        try:
            self.connection.execute(sql, parameters)
        except sqlite3.Error as error:
            raise translated(self.path, error) from error

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of one query: none stays open, so a commit may follow at once. It sees no unfolded rows.

        Raises:
            StoreError: and its kinds.
        """
        try:
            return self.connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise translated(self.path, error) from error

    def save(self, rows: Sequence[Row], *, durable: bool) -> None:
        """Write all of them in one commit, or none; synced to disk with all before it if `durable`.

        Raises:
            StoreFull: none was; it may be tried again.
            StoreError: the store is unusable.
        """
        if durable or (rows and not self._to_tail(rows)):
            with self.transaction(durable=durable):
                self._write(rows)

    def unfolded(self, table: str, key: str) -> Row | None:
        """Return what the tail says of a row, which goes before what the database says; None when it says nothing."""
        return None if self.in_transaction else self._unfolded.get((table, key))

    def unfolded_rows(self, table: str) -> Sequence[Row]:
        """Return the tail's rows of a table, each as it was committed, in that order; of one key the last counts.

        Commits append to this very list until the tail is folded; another one begins then.
        """
        return () if self.in_transaction else self._noted.setdefault(table, [])

    def fold(self, table: str = "") -> None:
        """Move the tail into the database: a query sees all then. Raises as `save`.

        A query of one `table` needs it only when the tail has rows of that.
        """
        if self._unfolded and not self.in_transaction and (not table or self._noted.get(table)):
            with self.transaction(durable=False):
                pass

    @contextmanager
    def transaction(self, *, durable: bool) -> Iterator[None]:
        """Open a transaction, the tail folded in first; it is committed, or undone when the block or the commit fails.

        Raises:
            StoreFull: nothing of it was written; it may be tried again.
            StoreError: the store is unusable.
        """
        self._begin(durable=durable)
        try:
            self._write(self._unfolded.values())
            yield
            self._commit()
        except BaseException:
            self._rollback()
            with suppress(StoreError):  # a commit may be made and fail after that, in the log's checkpoint
                self._number = max(self._number, self._stored_number())
            raise
        self._unfolded.clear()
        self._noted = {}
        self._tail.restart()

    def _to_tail(self, rows: Sequence[Row]) -> bool:
        number = self._number + 1
        if self.in_transaction or not self._tail.append(number, rows):  # the former raises where the file is not ours
            return False
        self._note(rows)
        self._acknowledge(number, durable=False)
        return True

    def _continue(self, tail: Sequence[tuple[int, Sequence[Row]]]) -> None:
        """Take over what is there, if nothing that was acknowledged is missing."""
        assert self._record is not None, "opened just before"
        number = tail[-1][0] if tail else self._number
        self._record.verify(number)
        self._number = number
        for _, rows in tail:
            self._note(rows)
        self.fold()
        self._tail.discard()

    def _note(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._unfolded[row[:2]] = row
            self._noted.setdefault(row[0], []).append(row)

    def _write(self, rows: Iterable[Row]) -> None:
        connection = self.connection
        try:
            for row in rows:
                for sql, parameters in statements(*row):
                    connection.execute(sql, parameters)
        except sqlite3.Error as error:
            raise translated(self.path, error) from error

    def _begin(self, *, durable: bool) -> None:
        if durable != self._synced:  # must happen here: inside a transaction the pragma is ignored
            self.execute("PRAGMA synchronous = FULL" if durable else "PRAGMA synchronous = NORMAL")
            self._synced = durable
        self.execute("BEGIN IMMEDIATE")

    def _commit(self) -> None:
        """Commit under the next number. Writing it makes a commit without other writes sync as well."""
        number = self._number + 1
        self.execute("UPDATE commits SET number = ? WHERE id = 1", (number,))
        self.execute("COMMIT")
        self._acknowledge(number, durable=self._synced)

    def _acknowledge(self, number: int, *, durable: bool) -> None:
        assert self._record is not None, "open as long as the connection is"
        self._number = number
        self._record.acknowledge(number, durable=durable)

    def _rollback(self) -> None:
        """Undo the transaction; none is no error, for SQLite undoes it by itself after some failures."""
        if self._connection is not None and self.in_transaction:
            self.execute("ROLLBACK")

    def close(self) -> None:
        """Give up the file, the tail folded in. Twice is no error; in a forked child it does nothing."""
        if os.getpid() != self._pid:
            return
        if self._connection is not None:
            with suppress(StoreError):  # then the next owner reads it
                self.fold()
            self._connection.close()
            self._connection = None
        self._tail.close()
        if self._record is not None:
            self._record.close()
        self._lock.release()
        _OPEN.discard(self)

    def disown(self) -> None:
        """In a forked child: leak the connection, and let go of the parent's lock."""
        if self._connection is not None:
            # A reference that no shutdown of the interpreter clears, unlike one in a module.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))
        self._lock.abandon()

    def _stored_number(self) -> int:
        rows = self.query("SELECT number FROM commits WHERE id = 1")
        if len(rows) != 1 or not isinstance(rows[0][0], int):
            raise StoreDamaged(f"{self.path}: the number of the last commit is missing")
        return rows[0][0]


def _connect(path: Path) -> sqlite3.Connection:
    try:
        # Autocommit: transactions begin and end where this package says so.
        connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise translated(path, error) from error
    try:
        _prepare(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise translated(path, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    # A damaged key must reach the checksum, which names its row, rather than fail in the decoder.
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StoreError(f"{path}: this file system does not take a write-ahead log (journal mode {mode})")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("COMMIT")
    connection.execute("PRAGMA secure_delete = OFF")  # some builds overwrite what is deleted, page by page
    migrate(connection, path)


def _disown_all() -> None:
    for database in list(_OPEN):
        database.disown()


os.register_at_fork(after_in_child=_disown_all)

"""What a store holds, asked for by people: its tables, one document, or those that fit a condition.

The same questions are answered on a running system, by its actor on the connection that it owns, and on a file that
nobody owns: a backup, or a stopped system's store. Documents are TinyDB's, and so are conditions:

    where("status") == "failure"
    status=failure progress.replayed>10 branch~b*
"""

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import orjson
from msgspec import Struct
from tinydb import Query

from maestro.store.base import StoreError
from maestro.store.documents import DocumentDB
from maestro.store.errors import translated
from maestro.store.ownership import FileLock
from maestro.store.tail import Row

#: Documents that one question looks at, at most: a system answers nothing else meanwhile (about 20 ms).
SCANNED: Final = 2_000
#: Bytes of the documents of one answer; an answer ends before the document that would make it larger.
MAX_ANSWER: Final = 4 * 1024 * 1024
_CONDITION: Final = re.compile(r"([\w.]+)(!=|<=|>=|=|<|>|~)(.*)", re.DOTALL)

Condition = Callable[[Any], bool]


class BadCondition(ValueError):  # noqa: N818 - the name says what is bad
    """A condition that cannot be read; the message names it."""


class UnknownTable(ValueError):  # noqa: N818 - as above
    """No document is in a table of that name; the message names the tables there are."""


class Found(Struct, frozen=True):
    """Documents of a table that fit, by key, and the key to go on behind; None: there are no more."""

    documents: dict[str, dict[str, Any]]
    next: str | None


def condition(texts: Sequence[str]) -> Condition:
    """Return the condition that all of `texts` name: `field=value`, also `!=`, `<`, `<=`, `>`, `>=`, `~`.

    After `~` stands a pattern that the whole text fits: `*` is any characters, `?` one, `[ab]` one of these.
    A field of a field is written `a.b`. A value is JSON, or else a text. Raises `BadCondition`.
    """
    conditions = [_one(text) for text in texts]
    return lambda document: all(fits(document) for fits in conditions)


def _one(text: str) -> Condition:
    parts = _CONDITION.fullmatch(text)
    if parts is None:
        raise BadCondition(f"{text!r}: must be a field, one of = != < <= > >= ~ and a value")
    path, sign, given = parts.groups()
    field: Any = Query()
    for name in path.split("."):
        field = field[name]
    if sign == "~":
        # No regular expression: one can take for ever, and holds up its process meanwhile.
        return _safe(field.test(lambda value: isinstance(value, str) and fnmatchcase(value, given)))
    value: Any = given
    with suppress(orjson.JSONDecodeError):
        value = orjson.loads(given)
    if sign in "!=":
        fits = (field == value) | (field == given)
        return _safe(~field.exists() | ~fits if sign == "!=" else fits)
    compared = {"<": field < value, "<=": field <= value, ">": field > value, ">=": field >= value}
    return _safe(compared[sign])


def _safe(fits: Condition) -> Condition:
    """A value of another type does not fit: it cannot be compared."""

    def checked(document: Any) -> bool:
        try:
            return bool(fits(document))
        except TypeError:
            return False

    return checked


def tables(documents: DocumentDB) -> dict[str, int]:
    """Return how many documents each table has. Raises `StoreError`."""
    return {name: len(documents.table(name)) for name in sorted(documents.tables())}


def check_table(documents: DocumentDB, table: str) -> None:
    """Raise `UnknownTable` where nothing is in `table`: a store does not tell an empty table from none."""
    known = sorted(documents.tables())
    if table not in known:
        there = ", ".join(known) or "-"
        raise UnknownTable(f"there is no table {table}, or nothing is in it; there are: {there}")


def find(documents: DocumentDB, table: str, fits: Condition, *, after: str = "", limit: int = 100) -> Found:
    """Return documents that fit and whose keys are behind `after`, by key: at most `limit`, out of `SCANNED`.

    Raises:
        StoreDamaged: it comes to a document that is.
    """
    found: dict[str, dict[str, Any]] = {}
    size, last = 0, after
    rows = documents.table(table).rows()
    for looked, (key, json) in enumerate(rows.scan(table, after=after)):
        fields = orjson.loads(json)
        if looked == SCANNED or len(found) == limit:
            return Found(found, last)
        if fits(fields):
            size += len(json)
            if found and size > MAX_ANSWER:
                return Found(found, last)
            found[key] = fields
        last = key
    return Found(found, None)


@contextmanager
def open_documents(path: Path) -> Iterator[DocumentDB]:
    """Open a store that nobody owns, as TinyDB, to read it: a backup, or the store of a Maestro that is stopped.

        with open_documents(Path("backup/sysA.db")) as documents:
            documents.table("documents").search(where("status") == "failure")

    Nothing is written, not even beside the file.

    Raises:
        StoreError: there is no such file, it is in use, it is no store, or it was not closed in order.
    """
    database = _File(path)
    try:
        yield DocumentDB(database)
    finally:
        database.close()


class _File:
    """A closed store's file, read as it is. See `maestro.store.rows.Source`."""

    in_transaction = False

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise StoreError(f"{path}: there is no such store")
        lock = path.with_name(path.name + ".lock")
        self._lock = FileLock(lock) if lock.exists() else None
        try:
            self._refuse_what_is_unfinished()
            # `immutable`: no lock, no log, no file beside it. Nobody writes it: its lock is ours, or it has none.
            self.connection = sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True, isolation_level=None)
            self.connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        except BaseException:
            self._release()
            raise

    @property
    def name(self) -> str:
        """What a message calls it: the file."""
        return str(self.path)

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return what a statement finds. Raises `StoreError`."""
        try:
            return self.connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise translated(self.path, error) from error

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:  # noqa: ARG002 - the protocol's
        """Refuse: it is open to be read. Raises `StoreError`."""
        raise StoreError(f"{self.path}: is open to be read only")

    def unfolded(self, table: str, key: str) -> None:
        """Nothing is outside the file."""

    def unfolded_rows(self, table: str) -> Sequence[Row]:  # noqa: ARG002 - the protocol's
        """Nothing is outside the file."""
        return ()

    def fold(self, table: str = "") -> None:
        """Nothing is outside the file."""

    def transaction(self, *, durable: bool) -> Any:  # noqa: ARG002 - the protocol's
        """Refuse: it is open to be read. Raises `StoreError`."""
        raise StoreError(f"{self.path}: is open to be read only")

    def close(self) -> None:
        """Close the file. Twice is no error."""
        self.connection.close()
        self._release()

    def _refuse_what_is_unfinished(self) -> None:
        for beside in (f"{self.path.name}-wal", f"{self.path.name}-tail"):
            left = self.path.with_name(beside)
            if left.exists() and left.stat().st_size:
                raise StoreError(
                    f"{self.path}: its owner ended without closing it, and {left.name} holds what the file has not: "
                    f"start Maestro once, or read a copy made by maestro backup"
                )

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()

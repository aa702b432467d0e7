"""The embedded broker's one SQLite file: queues, bindings, messages, and who holds which delivery.

Used by one thread of each process. A message keeps its row, and with it its place in the queue, while it is
held; giving it back only clears the holder. Bodies are apart, so that holding a large one writes little.
"""

import contextlib
import ctypes
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from maestro.broker.base import Binding, BrokerError, Depth, Unroutable
from maestro.broker.embedded_routing import matches

#: Seconds that one attempt waits for another process's transaction.
BUSY_TIMEOUT: Final = 2.0
#: Routes remembered before the memory is emptied.
_ROUTES: Final = 10_000

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS exchanges (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS queues (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS bindings (
    exchange TEXT, pattern TEXT, queue INTEGER, PRIMARY KEY (exchange, pattern, queue)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS topology (version INTEGER NOT NULL);
INSERT INTO topology SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM topology);
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, queue INTEGER NOT NULL, holder INTEGER,
    redelivered INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS contents (
    id INTEGER PRIMARY KEY, message_id TEXT NOT NULL, headers BLOB NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS ready ON messages (queue, id) WHERE holder IS NULL;
CREATE INDEX IF NOT EXISTS held ON messages (holder) WHERE holder IS NOT NULL;
CREATE TABLE IF NOT EXISTS members (
    id INTEGER PRIMARY KEY AUTOINCREMENT, token TEXT NOT NULL UNIQUE, pid INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS consumers (
    token TEXT PRIMARY KEY, member INTEGER NOT NULL, queue TEXT NOT NULL) WITHOUT ROWID;
"""

#: A message as it is stored: id, redelivered, message_id, headers, body.
Row = tuple[int, int, str, bytes, bytes]

_connections: list[sqlite3.Connection] = []


def _leak_in_child() -> None:
    """Never close an inherited connection: a forked child that did would take the parent's log away."""
    for connection in _connections:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


os.register_at_fork(after_in_child=_leak_in_child)


class QueueFile:
    """An open queue file. Every method but `transaction`, `changed` and `close` runs inside a transaction."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)
        _connections.append(self._db)
        try:
            self._use_wal(path)
            self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        except BaseException:
            self.close()
            raise
        self._version: int | None = None
        self._topology = -1
        self._exchanges: frozenset[str] = frozenset()
        self._bindings: list[tuple[str, str, int]] = []
        self._routes: dict[tuple[str, str], tuple[int, ...]] = {}

    def close(self) -> None:
        """Close the file."""
        _connections.remove(self._db)
        self._db.close()

    @contextlib.contextmanager
    def transaction(self, *, durable: bool) -> Iterator[None]:
        """Run the block in one write transaction; `durable` ones are on the disk when it ends.

        The others survive the death of any process; a power cut may undo them, which delivers again.
        """
        self._db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._refresh_topology()
            yield
            self._db.execute("COMMIT")
        except BaseException:
            self._topology = -1
            if self._db.in_transaction:  # a full disk has rolled back by itself
                self._db.execute("ROLLBACK")
            raise

    def changed(self) -> bool:
        """Return whether another connection wrote since the last call."""
        (version,) = self._db.execute("PRAGMA data_version").fetchone()
        changed = bool(version != self._version)
        self._version = version
        return changed

    def declare(self, bindings: Sequence[Binding], exchanges: Sequence[str]) -> None:
        """Make exchanges, queues and bindings that do not exist yet."""
        before = self._db.total_changes
        names = {*exchanges, *(binding.exchange for binding in bindings if binding.exchange and not binding.foreign)}
        self._db.executemany("INSERT OR IGNORE INTO exchanges VALUES (?)", [(name,) for name in names])
        self._db.executemany("INSERT OR IGNORE INTO queues (name) VALUES (?)", [(each.queue,) for each in bindings])
        self._db.executemany(
            "INSERT OR IGNORE INTO bindings SELECT ?, ?, id FROM queues WHERE name = ?",
            [(each.exchange, each.pattern, each.queue) for each in bindings if each.exchange],
        )
        if self._db.total_changes != before:
            self._db.execute("UPDATE topology SET version = version + 1")
            self._refresh_topology()

    def publish(self, exchange: str, routing_key: str, message_id: str, headers: bytes, body: bytes) -> None:
        """Append a message to every queue that is bound to its key. Raises `Unroutable`."""
        queues = self._route(exchange, routing_key)
        if not queues:
            known = exchange in self._exchanges
            reason = "no queue is bound to this key" if known else "there is no such exchange"
            raise Unroutable(f"{exchange}/{routing_key}: {reason}")
        for queue in queues:
            added = self._db.execute("INSERT INTO messages (queue) VALUES (?)", (queue,))
            self._db.execute("INSERT INTO contents VALUES (?, ?, ?, ?)", (added.lastrowid, message_id, headers, body))

    def has_ready(self, queue: str) -> bool:
        """Return whether a message is ready; needs no transaction."""
        found = self._db.execute(
            "SELECT 1 FROM messages WHERE queue = (SELECT id FROM queues WHERE name = ?) AND holder IS NULL LIMIT 1",
            (queue,),
        )
        return found.fetchone() is not None

    def claim(self, queue: str, member: int, limit: int) -> list[Row]:
        """Let `member` hold the oldest ready messages, at most `limit`."""
        rows: list[Row] = self._db.execute(
            "SELECT id, redelivered, message_id, headers, body FROM messages JOIN contents USING (id) WHERE "
            "queue = (SELECT id FROM queues WHERE name = ?) AND holder IS NULL ORDER BY id LIMIT ?",
            (queue, limit),
        ).fetchall()
        self._db.executemany("UPDATE messages SET holder = ? WHERE id = ?", [(member, row[0]) for row in rows])
        return rows

    def settle(self, message: int, member: int, *, ack: bool) -> None:
        """Remove a held message, or give it back to its place. Nothing happens when `member` does not hold it."""
        if not ack:
            self._db.execute(
                "UPDATE messages SET holder = NULL, redelivered = 1 WHERE id = ? AND holder = ?", (message, member)
            )
        elif self._db.execute("DELETE FROM messages WHERE id = ? AND holder = ?", (message, member)).rowcount:
            self._db.execute("DELETE FROM contents WHERE id = ?", (message,))

    def purge(self, queue: str) -> int | None:
        """Remove the ready messages; return how many, None when there is no such queue."""
        found = self._find(queue)
        if found is None:
            return None
        ready = "SELECT id FROM messages WHERE queue = ? AND holder IS NULL"
        self._db.execute(f"DELETE FROM contents WHERE id IN ({ready})", (found,))  # noqa: S608 - a constant
        return self._db.execute(f"DELETE FROM messages WHERE id IN ({ready})", (found,)).rowcount  # noqa: S608 - as above

    def depth(self, queue: str) -> Depth | None:
        """Return the queue's depth; None when there is no such queue."""
        found = self._find(queue)
        if found is None:
            return None
        ready = self._one("SELECT count(*) FROM messages WHERE queue = ? AND holder IS NULL", found)
        return Depth(ready, self._one("SELECT count(*) FROM consumers WHERE queue = ?", queue))

    def _find(self, queue: str) -> int | None:
        """Return a queue's id; None when there is no such queue."""
        found = self._db.execute("SELECT id FROM queues WHERE name = ?", (queue,)).fetchone()
        return None if found is None else int(found[0])

    def join(self, token: str, pid: int) -> int:
        """Register a member; return its id, by which it holds messages."""
        return int(self._db.execute("INSERT INTO members (token, pid) VALUES (?, ?)", (token, pid)).lastrowid or 0)

    def members(self) -> list[tuple[int, str, int]]:
        """Return the members' ids, tokens and process ids; needs no transaction."""
        return self._db.execute("SELECT id, token, pid FROM members").fetchall()

    def dismiss(self, member: int) -> None:
        """Give back what a member held, in place, and forget it with its consumers."""
        self._db.execute("UPDATE messages SET holder = NULL, redelivered = 1 WHERE holder = ?", (member,))
        self._db.execute("DELETE FROM consumers WHERE member = ?", (member,))
        self._db.execute("DELETE FROM members WHERE id = ?", (member,))

    def add_consumer(self, token: str, member: int, queue: str) -> None:
        """Count a consumer of `queue`."""
        self._db.execute("INSERT OR REPLACE INTO consumers VALUES (?, ?, ?)", (token, member, queue))

    def remove_consumer(self, token: str) -> None:
        """Count it no more."""
        self._db.execute("DELETE FROM consumers WHERE token = ?", (token,))

    def _use_wal(self, path: Path) -> None:
        (mode,) = self._db.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            raise BrokerError(f"{path} is on a file system without what SQLite's WAL needs (mode {mode})")

    def _one(self, query: str, argument: Any) -> int:
        return int(self._db.execute(query, (argument,)).fetchone()[0])

    def _refresh_topology(self) -> None:
        version = int(self._db.execute("SELECT version FROM topology").fetchone()[0])
        if version == self._topology:
            return
        self._exchanges = frozenset(name for (name,) in self._db.execute("SELECT name FROM exchanges"))
        self._bindings = self._db.execute("SELECT exchange, pattern, queue FROM bindings").fetchall()
        self._routes.clear()
        self._topology = version

    def _route(self, exchange: str, routing_key: str) -> tuple[int, ...]:
        route = self._routes.get((exchange, routing_key))
        if route is None:
            found = (each[2] for each in self._bindings if each[0] == exchange and matches(each[1], routing_key))
            route = tuple(dict.fromkeys(found))
            if len(self._routes) >= _ROUTES:
                self._routes.clear()
            self._routes[exchange, routing_key] = route
        return route

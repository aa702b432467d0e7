"""The audit log where the stores are in PostgreSQL: one log of all nodes, in one chain.

A line is appended if the log still ends as it was known to; else another node was quicker, and it is sealed again
behind that one's line. So there is one order, and `maestro audit verify` checks it on any node. The same limits hold as
for files (`access.audit_file_bytes`, `access.audit_files`), and the line that says what was removed is the same.
"""

import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import orjson

from maestro import logs
from maestro.access.audit import GENESIS, AuditError, Entry, Recorder, rotated, sealed
from maestro.access.audit_reader import Chain, Page, parsed
from maestro.store.base import StoreError
from maestro.store.postgres.gateway import GatewayTables, Head

#: The two logs.
DECISIONS, REFUSED = "audit", "refused"
#: Times that a line is sealed again because another node's came first.
_TRIES: Final = 100
#: Lines that one look reads.
_PAGE: Final = 500


class SharedAuditLog(Recorder):
    """See `Recorder`. `keep`: so many times `file_bytes` of lines are kept; 0: all."""

    def __init__(self, tables: GatewayTables, log: str, file_bytes: int, keep: int = 0) -> None:
        super().__init__()
        self._tables = tables
        self._log = log
        self._file_bytes = file_bytes
        self._keep = keep
        self._head: Head | None = None

    async def append(self, entries: list[Entry]) -> None:
        """See `Recorder.append`. When an answer is lost the lines may be there twice; none is missing."""
        try:
            for _ in range(_TRIES):
                head = self._head or await self._tables.head(self._log, GENESIS)
                self._head = None
                if await self._appended(head, entries):
                    return
        except StoreError as problem:
            raise AuditError(str(problem)) from problem
        raise AuditError("PostgreSQL: other nodes write the audit log all the time")

    async def _appended(self, head: Head, entries: list[Entry]) -> bool:
        cut, size = 0, head.bytes
        if self._keep and size >= self._keep * self._file_bytes:
            last = await self._tables.cut(self._log, (self._keep - 1) * self._file_bytes)
            if last is not None:
                cut = last[0]
                entries = [rotated(cut, orjson.loads(last[1])["hash"], {}), *entries]
        number, before, lines = head.number, head.hash, []
        for entry in entries:
            line, before = sealed(number + 1, time.time(), entry, before)
            number += 1
            lines.append(line)
        after = Head(number, before, size + sum(map(len, lines)))
        if not await self._tables.append(self._log, head, after, lines, cut):
            return False
        # What was cut is known by the database only.
        self._head = after if not cut else None
        logs.get(part="audit").info("audit.head", log=self._log, number=number, hash=before)
        return True

    async def page(
        self, after: int, limit: int, may_see: Callable[[str], bool]
    ) -> tuple[list[dict[str, Any]], int | None]:
        """See `Recorder.page`."""
        found = Page(limit, may_see)
        async for fields in shared_lines(self._tables, self._log, after):
            if not found.take(fields):
                break
        return found.whole()


async def shared_lines(tables: GatewayTables, log: str, after: int = 0) -> AsyncIterator[dict[str, Any]]:
    """Yield the lines numbered above `after`, oldest first. Raises `AuditError`."""
    while True:
        try:
            lines = await tables.lines(log, after, _PAGE)
        except StoreError as problem:
            raise AuditError(str(problem)) from problem
        for number, line in lines:
            yield parsed(f"PostgreSQL, {log} {number}", line)
            after = number
        if len(lines) < _PAGE:
            return


async def verify_shared(tables: GatewayTables, log: str) -> tuple[int, str]:
    """Check a log as `audit_reader.verify` does, and that it ends where it should. Raises `AuditError`."""
    chain = Chain(f"PostgreSQL, {log}")
    async for fields in shared_lines(tables, log):
        chain.take(f"PostgreSQL, {log}", fields["number"], fields)
    return chain.end()

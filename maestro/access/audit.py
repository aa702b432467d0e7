"""The audit log: who decided what, when, why, from where, and what came of it; refused attempts too.

JSON lines in `<data_dir>/audit/audit-<first number>.jsonl`, synced to disk before the answer goes out, or in
PostgreSQL where the stores are there (`shared_audit`). Each line
holds the hash of the one before it: a line that was changed, removed or put in shows (`audit_reader.verify`). No line
is ever changed. Refused attempts have a log of their own, in the folder `refused`: strangers who fill it push no
decision out.

A log may be bounded: with the first line of a new file the oldest file is removed. That line (`audit_rotated`) says up
to which number, and with which hash, the log was removed, so the chain still has a beginning that can be checked.
"""

import asyncio
import hashlib
import os
import time
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson

from maestro import logs
from maestro.access.private_file import private_folder
from maestro.access.throttle import Buckets
from maestro.whole_file import sync_folder

#: What stands in for the hash before the first line.
GENESIS: Final = "0" * 64
#: Refused attempts recorded per second, and at once; more are counted only: nobody shall fill the disk.
DENIED_RATE, DENIED_BURST = 2.0, 200
#: Bytes of a file of refused attempts, and files kept.
REFUSED_BYTES, REFUSED_FILES = 16 * 1024 * 1024, 4
#: The name of the line that says what was removed.
ROTATED: Final = "audit_rotated"


class AuditError(Exception):
    """The audit log cannot be written or read, or is not what was written; the message names file and reason."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One decision, or an attempt at it."""

    #: The credential's holder, or the user named when no credentials are asked for.
    who: str
    #: How it was told who: "token", "oidc", "network", "open"; "nobody" when it was not.
    via: str
    #: The operation's name in the API description.
    what: str
    #: The system and the document it was about, as far as it was found out.
    system: str = ""
    target: str = ""
    why: str = ""
    #: The address of the client.
    origin: str
    #: "done", "refused" (not allowed), or "failed".
    outcome: str
    #: The HTTP status of the answer, and its message when it was no success.
    status: int
    message: str = ""
    #: Further facts of the request, for instance the status that was set.
    facts: dict[str, str] = {}
    #: Refused attempts before this line that were not recorded.
    suppressed: int = 0


def sealed(number: int, at: float, entry: Entry, before: str) -> tuple[bytes, str]:
    """Return an entry's line and its hash."""
    fields = {"number": number, "at": at, **msgspec.to_builtins(entry), "before": before}
    digest = line_hash(fields)
    return orjson.dumps(fields | {"hash": digest}) + b"\n", digest


def rotated(through: int, head: str, more: dict[str, str]) -> Entry:
    """Return the line that says up to which number, and with which hash, a log was removed."""
    facts = {"through": str(through), "hash": head, **more}
    return Entry(who="maestro", via="open", what=ROTATED, origin="", outcome="done", status=200, facts=facts)


def line_hash(fields: dict[str, Any]) -> str:
    """Return the hash of a line's fields (those but `hash`); `before` is among them, that chains them."""
    body = {name: value for name, value in fields.items() if name != "hash"}
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


class Recorder:
    """Writes an audit log, wherever its lines are kept. Lines that come together are written together."""

    def __init__(self) -> None:
        self._pending: list[tuple[Entry, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._denied = Buckets(DENIED_RATE, DENIED_BURST)
        self._suppressed = 0
        #: Why the last write failed; empty when it did not.
        self.problem = ""

    async def append(self, entries: list[Entry]) -> None:
        """Write the next lines, safe when this returns. One call at a time. Raises `AuditError`."""
        raise NotImplementedError

    async def page(
        self, after: int, limit: int, may_see: Callable[[str], bool]
    ) -> tuple[list[dict[str, Any]], int | None]:
        """See `audit_reader.page`. Raises `AuditError`."""
        raise NotImplementedError

    async def record(self, entry: Entry) -> None:
        """Append one line; returns once it is safe. Raises `AuditError`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append((entry, future))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(), name="audit")
        await asyncio.shield(future)

    async def record_denied(self, entry: Entry) -> None:
        """Append a refused attempt, unless there are too many. A log that cannot be written is logged."""
        if self._denied.take(""):
            self._suppressed += 1
            return
        counted, self._suppressed = self._suppressed, 0
        try:
            await self.record(msgspec.structs.replace(entry, suppressed=counted))
        except AuditError as problem:
            self._suppressed += counted + 1
            logs.get(part="audit").error("audit.not_written", cause=str(problem), who=entry.who, what=entry.what)

    async def check(self) -> None:
        """Make sure that what is decided next can be recorded. Raises `AuditError`."""
        if self.problem:
            await self.record(
                Entry(who="maestro", via="open", what="audit_resumed", origin="", outcome="done", status=200)
            )

    async def close(self) -> None:
        """Let what is being written be written."""
        if self._writer is not None:
            await asyncio.gather(self._writer, return_exceptions=True)

    async def _write(self) -> None:
        while self._pending:
            batch, self._pending = self._pending, []
            try:
                await self.append([entry for entry, _ in batch])
            except Exception as error:  # noqa: BLE001 - whatever it is, who decides is told, and does not wait
                self.problem = str(error) or repr(error)
            else:
                self.problem = ""
            for _, future in batch:
                if self.problem and not future.done():
                    future.set_exception(AuditError(f"audit: cannot be written: {self.problem}"))
                elif not future.done():
                    future.set_result(None)


class AuditLog(Recorder):
    """The log in a folder; one per folder. Lines that arrive together share one sync.

    Args:
        folder: where it is.
        file_bytes: a new file is begun when one has reached that size.
        keep: files that are kept; 0: all.

    Raises:
        AuditError: the log that is there cannot be continued.
    """

    def __init__(self, folder: Path, file_bytes: int, keep: int = 0) -> None:
        super().__init__()
        self._file_bytes = file_bytes
        self._keep = keep
        try:
            self.folder = private_folder(folder)
            self._number, self._hash, self._path, self._size = self._last()
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as problem:
            raise AuditError(f"audit: {folder}: cannot be continued: {problem}") from problem

    async def append(self, entries: list[Entry]) -> None:
        """See `Recorder.append`."""
        try:
            await asyncio.to_thread(self._append, entries)
        except OSError as error:
            raise AuditError(f"{self._path}: {error.strerror or error}") from error

    async def page(
        self, after: int, limit: int, may_see: Callable[[str], bool]
    ) -> tuple[list[dict[str, Any]], int | None]:
        """See `Recorder.page`."""
        from maestro.access import audit_reader  # noqa: PLC0415 - it reads what this writes

        return await asyncio.to_thread(audit_reader.page, self.folder, after, limit, may_see)

    def _append(self, entries: list[Entry]) -> None:
        path, size = self._path, self._size
        leaving: list[Path] = []
        if size >= self._file_bytes:
            path, size = self._file(self._number + 1), 0
            files = [file for file in audit_files(self.folder) if file != path]  # it is there after a write that failed
            leaving = files[: -(self._keep - 1) or None] if self._keep else []
            if leaving:
                entries = [self._rotated(leaving, files[len(leaving) :]), *entries]
        number, before, lines = self._number, self._hash, []
        for entry in entries:
            line, before = sealed(number + 1, time.time(), entry, before)
            number += 1
            lines.append(line)
        new = not path.exists()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.ftruncate(descriptor, size)  # what an interrupted write left behind
            with open(descriptor, "ab", closefd=False) as file:
                os.lseek(descriptor, 0, os.SEEK_END)
                file.write(b"".join(lines))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if new:
            sync_folder(self.folder)
        self._path, self._size = path, size + sum(map(len, lines))
        self._number, self._hash = number, before
        # The head of the chain leaves the machine with the logs: a log rewritten as a whole shows, too.
        logs.get(part="audit").info("audit.head", log=self.folder.name, number=number, hash=before)
        for old in leaving:
            old.unlink(missing_ok=True)

    def _rotated(self, leaving: list[Path], staying: list[Path]) -> Entry:
        """Return the line that says up to where the log is removed: to before the first line that stays."""
        through, head = self._number, self._hash
        if staying:
            with staying[0].open("rb") as file:
                first = orjson.loads(file.readline())
            through, head = first["number"] - 1, first["before"]
        return rotated(through, head, {"files": str(len(leaving))})

    def _file(self, first: int) -> Path:
        return self.folder / f"audit-{first:015d}.jsonl"

    def _last(self) -> tuple[int, str, Path, int]:
        """Return number and hash of the last whole line, its file, and where that ends."""
        files = audit_files(self.folder)
        for path in reversed(files):
            content = path.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            if whole:
                last = orjson.loads(whole.splitlines()[-1])
                return last["number"], last["hash"], path, len(whole)
        return 0, GENESIS, files[0] if files else self._file(1), 0


def audit_files(folder: Path) -> list[Path]:
    """Return the log's files, oldest first; none where there is no folder. Raises `OSError`: it cannot be read."""
    try:
        with os.scandir(folder) as found:
            names = [one.name for one in found]
    except FileNotFoundError:
        return []
    return [folder / name for name in sorted(names) if fnmatch(name, "audit-*.jsonl")]

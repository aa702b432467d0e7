"""Reads the audit log, for people and for the gateway, while it is being written; and checks that it is whole."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from maestro.access.audit import GENESIS, ROTATED, AuditError, audit_files, line_hash


def existing(data_dir: Path, *, refused: bool = False) -> Path:
    """Return the folder of a data folder's audit log (`refused`: of refused attempts), absolute.

    Raises:
        AuditError: no log is there, or none that can be read.
    """
    folder = (data_dir / "audit" / "refused" if refused else data_dir / "audit").absolute()
    if not _files(folder):
        raise AuditError(f"there is no audit log in {folder}")
    return folder


def lines(folder: Path, after: int = 0) -> Iterator[dict[str, Any]]:
    """Yield the lines numbered above `after`, oldest first. Raises `AuditError`."""
    for path, _, line in _numbered(folder, after):
        fields = parsed(str(path), line)
        if fields["number"] > after:
            yield fields


def page(
    folder: Path, after: int, limit: int, may_see: Callable[[str], bool] = lambda _system: True
) -> tuple[list[dict[str, Any]], int | None]:
    """Return up to `limit` lines above `after`, and after which to go on; None at the end.

    `may_see` tells whether lines of a system are wanted; a line of no system has the empty id.

    Raises:
        AuditError: the log cannot be read.
    """
    found = Page(limit, may_see)
    for fields in lines(folder, after):
        if not found.take(fields):
            break
    return found.whole()


class Page:
    """Collects the lines of a page, one after the other; see `page`."""

    def __init__(self, limit: int, may_see: Callable[[str], bool]) -> None:
        self._limit = limit
        self._may_see = may_see
        self._lines: list[dict[str, Any]] = []
        self._more = False

    def take(self, fields: dict[str, Any]) -> bool:
        """Take the next line, if it is wanted; False: the page was full before, and this line is on the next one."""
        if not self._may_see(fields["system"]):
            return True
        self._more = len(self._lines) == self._limit
        if not self._more:
            self._lines.append(fields)
        return not self._more

    def whole(self) -> tuple[list[dict[str, Any]], int | None]:
        """Return the lines, and after which to go on; None at the end."""
        return self._lines, self._lines[-1]["number"] if self._more else None


def verify(folder: Path) -> tuple[int, str]:
    """Return the number and the hash of the last line when no line was changed, removed or put in.

    A log without a line is whole. One that does not begin with line 1 is whole when a later line says that Maestro
    removed what came before, and with which hash that ended. A cut at the very end shows only against a hash that was
    kept elsewhere (each is logged as `audit.head`).

    Raises:
        AuditError: it names the first line that is not what was written, or what cannot be read.
    """
    chain = Chain(str(folder))
    for path, index, line in _numbered(folder, 0):
        chain.take(str(path), index, parsed(str(path), line))
    return chain.end()


class Chain:
    """Checks the lines of a log, one after the other; see `verify`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._number, self._hash = 0, GENESIS
        self._missing: tuple[str, str] | None = None
        self._begun = False

    def take(self, path: str, index: int, fields: dict[str, Any]) -> None:
        """Check the next line. Raises `AuditError`."""
        if not self._begun and fields["number"] > 1:
            self._number, self._hash = fields["number"] - 1, fields["before"]
            self._missing = str(self._number), self._hash
        self._begun = True
        chained = (fields["number"], fields["before"]) == (self._number + 1, self._hash)
        if not chained or fields["hash"] != line_hash(fields):
            raise AuditError(f"{path}: line {index} is not what was written (number {fields['number']})")
        self._number, self._hash = fields["number"], fields["hash"]
        if fields.get("what") == ROTATED and self._missing == _removed(fields):
            self._missing = None

    def end(self) -> tuple[int, str]:
        """Return number and hash of the last line. Raises `AuditError`: the beginning is missing."""
        if self._missing is not None:
            folder, missing = self._name, self._missing[0]
            raise AuditError(f"{folder}: the lines up to number {missing} are missing, and no line says so")
        return self._number, self._hash


def _removed(fields: dict[str, Any]) -> tuple[str, str]:
    """Return up to which number, and with which hash, a line says that the log was removed."""
    facts = fields.get("facts")
    return (str(facts.get("through")), str(facts.get("hash"))) if isinstance(facts, dict) else ("", "")


def _numbered(folder: Path, after: int) -> Iterator[tuple[Path, int, bytes]]:
    files = _files(folder)
    firsts = [int(path.stem.removeprefix("audit-")) for path in files]
    for index, path in enumerate(files):
        if index + 1 < len(files) and firsts[index + 1] <= after + 1:
            continue  # the next file begins before what is wanted
        try:
            with path.open("rb") as file:
                for count, line in enumerate(file, start=1):
                    if line.endswith(b"\n"):  # else it is being written
                        yield path, count, line
        except OSError as problem:
            raise AuditError(f"{path}: cannot be read: {problem.strerror}") from problem


def _files(folder: Path) -> list[Path]:
    try:
        return audit_files(folder)
    except OSError as problem:
        raise AuditError(f"{folder}: cannot be read: {problem.strerror}") from problem


def parsed(path: str, line: bytes) -> dict[str, Any]:
    """Return a line's fields. Raises `AuditError`: it is no line of a log."""
    try:
        fields = orjson.loads(line)
        _ = fields["number"] + 0, fields["before"], fields["hash"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as problem:
        raise AuditError(f"{path}: holds a line that is none of the log: {line[:80]!r}") from problem
    return dict(fields)

"""The side record: which commit was acknowledged last, kept outside the database so that its loss is noticed.

SQLite takes a log whose tail is missing for a log that ends there. The database carries the number of its last
commit; this record, a few bytes beside it, carries the last number acknowledged and the last one synced:

- written in the same boot of the machine: every acknowledged commit must be in the database;
- written in an earlier boot: power may have been lost since, so only the synced ones must.

The record itself is never synced: it may lag behind, which only weakens the check, and never run ahead.
"""

import os
import struct
import zlib
from pathlib import Path
from typing import Final

import msgspec

from maestro.store.base import StoreDamaged, StoreError

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
#: Says the same where that cannot be read: under systemd's `ProcSubset=pid` the unit sets it.
BOOT_ID_VARIABLE: Final = "MAESTRO_BOOT_ID"
_FIELDS: Final = struct.Struct("<36sQQ")
_CHECKSUM: Final = struct.Struct("<I")


class Acknowledged(msgspec.Struct, frozen=True):
    """What the record says."""

    #: Id of the machine's boot it was written in; empty where the system has none.
    boot: bytes
    #: Number of the last acknowledged commit.
    last: int
    #: Number of the last commit that was synced to disk before it was acknowledged.
    durable: int

    def required(self, boot: bytes) -> int:
        """Return the number the database must have reached, seen from the boot `boot`."""
        return self.last if boot and boot == self.boot else self.durable


class CommitRecord:
    """The record at `path`, open for life.

    Raises:
        StoreDamaged: its content is not what was written.
        StoreError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._boot = boot_id()
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"{path}: cannot be opened: {error.strerror}") from error
        try:
            self._acknowledged = _decode(path, os.pread(self._fd, 4096, 0))
        except BaseException:
            self.close()
            raise

    def verify(self, number: int) -> None:
        """Check the database's last commit number, and begin this boot's record.

        Raises:
            StoreDamaged: acknowledged commits are missing.
        """
        required = self._acknowledged.required(self._boot)
        if number < required:
            raise StoreDamaged(
                f"{self.path.with_suffix('')}: its last commit is number {number}, but {required} was acknowledged: "
                f"the log's tail or the file was lost or replaced. To accept that, for instance after restoring "
                f"a backup, remove {self.path}"
            )
        self._write(Acknowledged(self._boot, number, min(self._acknowledged.durable, number)))

    def acknowledge(self, number: int, *, durable: bool) -> None:
        """Note that commit `number` is in the database, synced with all before it if `durable`."""
        self._write(Acknowledged(self._boot, number, number if durable else self._acknowledged.durable))

    def close(self) -> None:
        """Close the file. Twice is no error."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write(self, acknowledged: Acknowledged) -> None:
        self._acknowledged = acknowledged
        body = _FIELDS.pack(acknowledged.boot, acknowledged.last, acknowledged.durable)
        try:
            os.pwrite(self._fd, body + _CHECKSUM.pack(zlib.crc32(body)), 0)
        except OSError:
            # The commit is made and stays made. The record lags until the next one: a weaker check, no wrong one.
            return


def boot_id() -> bytes:
    """Return the id of the machine's current boot, empty where the system has none."""
    try:
        return _BOOT_ID.read_bytes().strip()
    except OSError:
        return os.environ.get(BOOT_ID_VARIABLE, "").encode("ascii", "ignore")[:36]


def _decode(path: Path, content: bytes) -> Acknowledged:
    if not content:
        return Acknowledged(b"", 0, 0)
    body, checksum = content[: _FIELDS.size], content[_FIELDS.size :]
    if checksum != _CHECKSUM.pack(zlib.crc32(body)):
        raise StoreDamaged(f"{path}: the record of acknowledged commits is damaged; remove it to go on without")
    boot, last, durable = _FIELDS.unpack(body)
    return Acknowledged(boot.rstrip(b"\0"), last, durable)

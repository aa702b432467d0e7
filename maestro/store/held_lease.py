"""The lease that this node holds in its cluster, for the processes that open its systems' stores.

The keeper writes it when the node has joined, before any system is served. It says under which incarnation to write,
and nothing of whether the lease is still held: that is the database's to say, with each claim and each commit.
"""

from pathlib import Path
from typing import Final, NamedTuple

from maestro.cluster.node import Lease
from maestro.store.base import StoreError
from maestro.store.record import boot_id
from maestro.store.struct_file import read_struct, write_struct

_NAME: Final = "lease.json"
_PIDS: Final = Path("/proc/self/ns/pid")


class _Held(NamedTuple):
    node: str
    incarnation: int
    #: Where its life was lived: see `_place`.
    place: str = ""


def write_lease(data_dir: Path, lease: Lease) -> None:
    """Say which lease this node holds from now on. Raises `StoreError`."""
    write_struct(data_dir / _NAME, _Held(*lease, _place(data_dir)), sync=False)


def read_lease(data_dir: Path) -> Lease | None:
    """Return the lease that this node held last; None: it never had one. Raises `StoreError`."""
    held = read_struct(data_dir / _NAME, _Held)
    return Lease(held.node, held.incarnation) if held is not None else None


def former_lease(data_dir: Path, node: str) -> Lease | None:
    """Return the lease of that node's former life, if that was lived in this very folder, and its processes show here.

    So when the folder is this process's own, and what the former start left behind has been ended, nothing of that life
    goes on. Of a copy of the folder, another boot or another container that is not known, nor by a damaged file, as the
    loss of power may leave it.
    """
    try:
        held = read_struct(data_dir / _NAME, _Held)
    except StoreError:
        return None
    if held is None or held.node != node or held.place != _place(data_dir) or not held.place:
        return None
    return Lease(node, held.incarnation)


def _place(data_dir: Path) -> str:
    """Name this boot of the machine, the processes that show here, and the folder itself; empty: one is not known."""
    boot = boot_id().decode()
    try:
        folder = data_dir.stat()
        return f"{boot} {_PIDS.readlink()} {folder.st_dev}:{folder.st_ino}" if boot else ""
    except OSError:
        return ""

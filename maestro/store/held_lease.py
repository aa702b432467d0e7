"""The lease that this node holds in its cluster, for the processes that open its systems' stores.

The keeper writes it when the node has joined, before any system is served. It says under which incarnation to write,
and nothing of whether the lease is still held: that is the database's to say, with each claim and each commit.
"""

from pathlib import Path
from typing import Final

from maestro.cluster.node import Lease
from maestro.store.struct_file import read_struct, write_struct

_NAME: Final = "lease.json"


def write_lease(data_dir: Path, lease: Lease) -> None:
    """Say which lease this node holds from now on. Raises `StoreError`."""
    write_struct(data_dir / _NAME, lease, sync=False)


def read_lease(data_dir: Path) -> Lease | None:
    """Return the lease that this node held last; None: it never had one. Raises `StoreError`."""
    return read_struct(data_dir / _NAME, Lease)

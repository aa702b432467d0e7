"""The lease that this node holds in its cluster, for the processes that open its systems' stores.

The keeper writes it when the node has joined, before any system is served. It says under which incarnation to write,
and nothing of whether the lease is still held: that is the database's to say, with each claim and each commit.
"""

from pathlib import Path
from typing import Final

import msgspec

from maestro import whole_file
from maestro.cluster.node import Lease
from maestro.store.base import StoreError

_NAME: Final = "lease.json"


def write_lease(data_dir: Path, lease: Lease) -> None:
    """Say which lease this node holds from now on. Raises `StoreError`."""
    path = data_dir / _NAME
    try:
        whole_file.replace(path, msgspec.json.encode(lease), sync=False)
    except OSError as problem:
        raise StoreError(f"{path}: cannot be written: {problem.strerror}") from problem


def read_lease(data_dir: Path) -> Lease | None:
    """Return the lease that this node held last; None: it never had one. Raises `StoreError`."""
    path = data_dir / _NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Lease)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as problem:
        raise StoreError(f"{path}: cannot be read: {problem}") from problem

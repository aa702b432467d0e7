"""Who this installation is: the id of its data folder, and the number of its starts.

Both are in the message that says whose the broker's events are (semantics: Who owns the broker's events). The id is
made with the folder. The number is raised, and synced, at each start: a restored copy of the folder has an older one.
"""

import re
import uuid
from pathlib import Path
from socket import gethostname
from typing import Final

import msgspec

from maestro.settings.model import Settings
from maestro.store.struct_file import read_struct, write_struct

_NAME: Final = "installation.json"


class Installation(msgspec.Struct, frozen=True):
    """A data folder at one of its starts."""

    id: str
    start: int = 0
    #: Unique to this start: two copies of a folder may count to the same number.
    run: str = ""
    #: The broker's events were this installation's when that was known last.
    owner: bool = False
    #: Why they are not, when another installation's message was seen last: nothing is put on the queue then.
    foreign: str = ""
    #: Systems whose events of before an adoption are still to be taken, as commits in doubt.
    adopting: tuple[str, ...] = ()


def node_name(settings: Settings) -> str:
    """Return what a node of a cluster is called: as its settings say, or the machine's name with the folder's id.

    Raises:
        StoreError: the data folder cannot be read.
    """
    installation = read_installation(settings.data_dir)
    host = re.sub(r"[^A-Za-z0-9.-]", "-", gethostname())
    return settings.cluster.node or f"{host}-{installation.id[:8] if installation is not None else ''}"


def read_installation(data_dir: Path) -> Installation | None:
    """Return what the folder says of itself; None when it was never started.

    Raises:
        StoreError: the file cannot be read, or is none of ours.
    """
    return read_struct(data_dir / _NAME, Installation)


def write_installation(data_dir: Path, installation: Installation) -> None:
    """Store it, synced. Raises `StoreError`."""
    write_struct(data_dir / _NAME, installation, sync=True)


def begin_start(data_dir: Path) -> Installation:
    """Raise the start number and store it; a new folder gets its id. The folder is this process's own by now.

    Raises:
        StoreError: it cannot be read or written.
    """
    known = read_installation(data_dir) or Installation(uuid.uuid4().hex)
    begun = msgspec.structs.replace(known, start=known.start + 1, run=uuid.uuid4().hex)
    write_installation(data_dir, begun)
    return begun

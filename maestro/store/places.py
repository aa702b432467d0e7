"""Where the systems' stores are in a data folder."""

from pathlib import Path
from typing import Final

from maestro.events import SYSTEM_ID

#: What stands beside a store and holds commits that are not in its file yet: SQLite's log, and the tail.
LOGS: Final = ("-wal", "-tail")


def store_folder(data_dir: Path) -> Path:
    """Return the folder of all systems' stores."""
    return data_dir / "systems"


def store_path(data_dir: Path, system_id: str) -> Path:
    """Return where a system's store is."""
    return store_folder(data_dir) / f"{system_id}.db"


def stored_systems(data_dir: Path) -> list[str]:
    """Return the systems that have a store: they were served before."""
    return sorted(path.stem for path in store_folder(data_dir).glob("*.db") if SYSTEM_ID.fullmatch(path.stem))

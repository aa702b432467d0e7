"""Where the systems' stores are in a data folder."""

from pathlib import Path
from typing import Final

from maestro.events import SYSTEM_ID

#: What stands beside a store and holds commits that are not in its file yet: SQLite's log, and the tail.
LOGS: Final = ("-wal", "-tail")
#: What the stores are in a data folder: others who may write it may decide in Maestro's place.
PARTS: Final = ("systems", "gateway.db")


def store_folder(data_dir: Path) -> Path:
    """Return the folder of all systems' stores."""
    return data_dir / "systems"


def store_path(data_dir: Path, system_id: str) -> Path:
    """Return where a system's store is."""
    return store_folder(data_dir) / f"{system_id}.db"


def copy_of(path: Path) -> Path:
    """Return where a store's owner writes a copy of it; who asked for it moves it away."""
    return path.with_name(f"{path.name}.copy")


def gateway_path(data_dir: Path) -> Path:
    """Return where the gateway's own store is."""
    return data_dir / "gateway.db"


def elsewhere_mark(data_dir: Path) -> Path:
    """Return the file that is there while the stores of a data folder are in PostgreSQL."""
    return data_dir / "stores-in-postgresql"


def store_files(data_dir: Path) -> list[Path]:
    """Return the files of all stores of systems."""
    return sorted(store_folder(data_dir).glob("*.db"))


def stored_systems(data_dir: Path) -> list[str]:
    """Return the systems that have a store: they were served before."""
    return [path.stem for path in store_files(data_dir) if SYSTEM_ID.fullmatch(path.stem)]

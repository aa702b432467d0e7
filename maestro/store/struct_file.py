"""Small files of a data folder that hold one value of a known shape, as JSON, and are replaced whole."""

from pathlib import Path
from typing import TypeVar

import msgspec

from maestro import whole_file
from maestro.store.base import StoreError

T = TypeVar("T")


def read_struct(path: Path, shape: type[T]) -> T | None:
    """Return what a file holds; None: there is none.

    Raises:
        StoreError: it cannot be read, or is none of ours.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=shape)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as problem:
        raise StoreError(f"{path}: cannot be read: {problem}") from problem


def write_struct(path: Path, value: object, *, sync: bool) -> None:
    """Store it, and have it survive the loss of power (`sync`). Raises `StoreError`."""
    try:
        whole_file.replace(path, msgspec.json.encode(value), sync=sync)
    except OSError as problem:
        raise StoreError(f"{path}: cannot be written: {problem.strerror}") from problem

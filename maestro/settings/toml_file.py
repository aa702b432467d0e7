"""A TOML file as a person wrote it."""

import os
import stat
import tomllib
from pathlib import Path
from typing import Any

from maestro.settings.problems import SettingsError


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a file says; of what is no file only the null device is read, as an empty one.

    Raises:
        SettingsError: it cannot be read, or is no TOML.
    """
    try:
        kind = path.stat().st_mode
        # Who reads a pipe waits for who writes it, maybe for ever. A folder is refused where it is read.
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind) or path.samefile(os.devnull)):
            raise SettingsError([f"{path}: cannot be read: it is no regular file"])
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows put a byte order mark there
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "is not UTF-8"
        raise SettingsError([f"{path}: cannot be read: {reason}"]) from problem
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as problem:
        raise SettingsError([f"{path}: is no TOML: {problem}"]) from problem

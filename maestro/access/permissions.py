"""Who else may read or change the files that Maestro's promises rest on: configuration, data folder, tokens, TLS key.

Refused is what lets anybody on this machine decide in Maestro's place. What a group may do, or everybody may read, is
said and not refused: volumes of containers and secrets of clusters come so, and who is in the group is the site's. A
configuration of another user's is refused where nobody named it: it lay in the working folder.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from maestro.settings.model import Settings
from maestro.store.places import PARTS

#: What is looked at in the data folder; empty: the folder itself.
_PARTS: Final = ("", "access", "access/tokens.json", "audit", "broker", *PARTS)


class Opening(NamedTuple):
    """What others may do with a file."""

    path: str
    message: str
    #: The command that mends it.
    mend: str
    #: Maestro does not start with it.
    refused: bool
    #: The file is another user's.
    foreign: bool = False


def openings(settings: Settings, config_file: Path | None = None, *, named: bool = False) -> list[Opening]:
    """Look at the files of an installation; what is not there yet is no problem: it is made for its owner only.

    `config_file`: the one that was read, and whether somebody `named` it.
    """
    http = settings.http
    read = _written(config_file) if config_file is not None else ()
    found = list(read) if named else [one._replace(refused=one.refused or one.foreign) for one in read]
    found += [opening for part in _PARTS for opening in _written(settings.data_dir / part)]
    found += [opening for file in (http.tls_cert, http.tls_key) if file for opening in _written(Path(file))]
    if http.tls_key and (key := _stat(Path(http.tls_key))) and key.st_mode & stat.S_IROTH:
        message = f"may be read by everybody (mode {_mode(key)})"
        found.append(Opening(http.tls_key, message, f"chmod o-r {http.tls_key}", refused=False))
    return found


def _written(path: Path) -> Iterator[Opening]:
    path = path.absolute()
    found = _stat(path)
    if found is None:
        return
    mode = f"(mode {_mode(found)})"
    if found.st_mode & stat.S_IWOTH:
        yield Opening(str(path), f"may be written by everybody {mode}", f"chmod o-w {path}", refused=True)
    elif found.st_mode & stat.S_IWGRP:
        yield Opening(str(path), f"may be written by its group {mode}", f"chmod g-w {path}", refused=False)
    if found.st_uid not in (0, os.geteuid()):
        message = f"belongs to another user (uid {found.st_uid}), who may replace it"
        yield Opening(str(path), message, f"chown {os.geteuid()} {path}", refused=False, foreign=True)


def _stat(path: Path) -> os.stat_result | None:
    """Return what is known of a file, links followed; None: there is none, or it cannot be looked at."""
    try:
        return path.stat()
    except OSError:
        return None


def _mode(found: os.stat_result) -> str:
    return f"{stat.S_IMODE(found.st_mode):04o}"

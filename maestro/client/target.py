"""Which Maestro is called, and with whose credential."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from maestro.client.errors import BadTarget

DEFAULT_URL: Final = "http://127.0.0.1:6971"
#: Bytes of a token's file that are read; a token is far shorter.
_MAX_TOKEN: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class Target:
    """One Maestro. `url` may end in a path that a proxy has put in front.

    Raises:
        BadTarget: it is no http(s) URL with a host, or the token cannot stand in a header.
    """

    url: str = DEFAULT_URL
    token: str = ""
    #: Seconds to connect, and to wait for each part of an answer.
    timeout: float = 30.0
    #: Language of messages for people (`Accept-Language`); empty: Maestro's own, English.
    language: str = ""

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            (parts.hostname or "").encode("idna")  # a name that cannot be looked up is a ValueError as well
        except ValueError:
            usable = False
        if not usable or parts.username is not None or parts.query or parts.fragment:
            raise BadTarget(f"url: {self.url!r} must be http://host:port or https://host:port")
        if not (self.token.isascii() and self.token.isprintable()) or " " in self.token:
            raise BadTarget("token: holds characters that no token has")


def read_token(path: Path) -> str:
    """Return the token in a file, which nobody but its owner may read.

    Raises:
        BadTarget: it cannot be read, is empty, or others may read it.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            token = file.read(_MAX_TOKEN).decode().strip()
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "is no text"
        raise BadTarget(f"token file {path}: {reason}") from problem
    if stat.S_ISREG(mode) and mode & 0o077:
        raise BadTarget(f"token file {path}: others may read it; chmod 600 {path}")
    if not token:
        raise BadTarget(f"token file {path}: is empty")
    return token

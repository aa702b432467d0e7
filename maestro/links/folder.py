"""The folder of the sockets: `links` in the data folder, for its owner only.

A socket's path holds 108 bytes and a data folder's may be longer, so every path goes through an open descriptor of the
folder (`/proc/self/fd/<descriptor>/<name>`). Through it nobody can put another folder in the place of this one either.
"""

import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

#: Connections that wait to be accepted: those of all systems, while who is to accept them computes.
BACKLOG: Final = 1024
LINKS: Final = "links"
_CREDENTIALS: Final = struct.Struct("iII")


class FolderUnsafe(OSError):  # noqa: N818 - named for what it is
    """The folder of the sockets is not this user's own, or is none."""


class Foreign(OSError):  # noqa: N818 - as above
    """The process at the other end is another user's."""


def make_folder(data_dir: Path, name: str = LINKS) -> None:
    """Make a folder of sockets, or take it over as it is left, emptied. The data folder is this process's own.

    Raises:
        FolderUnsafe: what is there is no folder, or another user's.
    """
    with suppress(FileExistsError):
        (data_dir / name).mkdir(0o700)
    with _opened(data_dir, name) as folder:
        os.fchmod(folder, 0o700)
        for entry in os.listdir(folder):  # noqa: PTH208 - a folder by its descriptor
            _remove(folder, entry)


def listen(data_dir: Path, name: str) -> socket.socket:
    """Return a socket that listens in the folder under a name, in the place of the one that did before.

    Raises:
        FolderUnsafe: as above.
        OSError: something else than a socket has the name.
    """
    with _opened(data_dir) as folder:
        _remove(folder, name)
        listening = _socket()
        try:
            listening.bind(path_in(folder, name))
            listening.listen(BACKLOG)
        except BaseException:
            listening.close()
            raise
    return listening


def connect(data_dir: Path, name: str) -> socket.socket:
    """Return a socket that is connected to the process that listens under a name. Never blocks.

    Raises:
        Foreign: another user's process listens there.
        OSError: nobody listens, or too many wait already.
    """
    with _opened(data_dir) as folder:
        connected = _socket()
        try:
            connected.connect(path_in(folder, name))
            check_peer(connected)
        except BaseException:
            connected.close()
            raise
    return connected


def check_peer(connected: socket.socket) -> None:
    """Raise `Foreign` when the process at the other end, as it connected or began to listen, is another user's."""
    pid, uid, _ = _CREDENTIALS.unpack(
        connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size),
    )
    if uid != os.geteuid():
        raise Foreign(f"process {pid} of user {uid}")


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.settimeout(0)
    return made


def open_folder(data_dir: Path, name: str = LINKS) -> int:
    """Return a descriptor of a folder of sockets. Raises `FolderUnsafe`, as above."""
    path = data_dir / name
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except NotADirectoryError:
        raise FolderUnsafe(f"{path} is no folder") from None
    if os.fstat(folder).st_uid != os.geteuid():
        os.close(folder)
        raise FolderUnsafe(f"{path} is another user's")
    return folder


def path_in(folder: int, name: str) -> str:
    """Return the path of a socket by the descriptor of its folder."""
    return f"/proc/self/fd/{folder}/{name}"


@contextmanager
def _opened(data_dir: Path, name: str = LINKS) -> Iterator[int]:
    folder = open_folder(data_dir, name)
    try:
        yield folder
    finally:
        os.close(folder)


def _remove(folder: int, name: str) -> None:
    """Remove a socket that an earlier life left; what is none stays, and is in the way of who binds."""
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.lstat(name, dir_fd=folder).st_mode):
            os.unlink(name, dir_fd=folder)

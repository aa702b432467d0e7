"""Unix-domain sockets in the guise of TCP ones, for thespian's transport: what it calls a port names a file.

thespian knows addresses of a host and a port only. Here each host is this machine, and port 1234 is the file `1234` in
the folder `lives` of the data folder, which is its owner's alone. So nothing listens on the network: another user of
the machine can neither connect, nor take a name, nor listen in.
"""

import errno
import os
import random
import socket
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from maestro.links.folder import check_peer, make_folder, open_folder, path_in
from maestro.ports import LOOPBACK

_NAME: Final = "lives"
#: Of thespian's Admin, the first to take one.
ADMIN_PORT: Final = 1
#: Where the ports of this process, and of those forked from it, are: an open folder.
_folder = -1


def make_ports(data_dir: Path) -> None:
    """Make the folder of the ports, empty, before the actor system is started. Raises `OSError`."""
    make_folder(data_dir, _NAME)


def use_ports(data_dir: Path) -> None:
    """Have this process, and those forked from it, use the ports of the data folder. Raises `OSError`."""
    global _folder  # noqa: PLW0603 - thespian makes its sockets without saying for whom
    if _folder >= 0:
        os.close(_folder)
    _folder = open_folder(data_dir, _NAME)


class PortSocket(socket.socket):
    """A stream socket of the Unix domain; addresses are `(host, port)`, and the host is not looked at."""

    def __init__(self, *_family_type_protocol: int, fileno: int | None = None) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno)
        #: The process that bound it, and to which port; a forked one that closes it leaves the file alone.
        self._bound = (0, 0)

    def setsockopt(self, *_option: Any) -> None:
        """Do nothing: thespian sets options of TCP only."""

    def bind(self, address: Any) -> None:
        """Take the port, or a free one for 0. Raises `OSError`: EADDRINUSE."""
        port = address[1]
        while not self._bound[1]:
            wanted = port or random.randrange(ADMIN_PORT + 1, 65536)  # noqa: S311 - no secret
            try:
                super().bind(path_in(_folder, str(wanted)))
            except OSError as problem:
                if port or problem.errno != errno.EADDRINUSE:
                    raise
            else:
                self._bound = (os.getpid(), wanted)

    def getsockname(self) -> tuple[str, int]:
        """Return the address that it is bound to."""
        return LOOPBACK, self._bound[1]

    def connect(self, address: Any) -> None:
        """Connect to who listens on the port. Raises `ConnectionRefusedError`: nobody does, or too many wait there."""
        try:
            super().connect(path_in(_folder, str(address[1])))
        except (FileNotFoundError, BlockingIOError) as problem:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"port {address[1]}: {problem.strerror}") from None

    def accept(self) -> tuple["PortSocket", tuple[str, int]]:
        """Return the next connection, of a process of this user. Raises `OSError`."""
        fileno, _ = self._accept()  # type: ignore[attr-defined]  # as `socket.socket.accept` does
        accepted = PortSocket(fileno=fileno)
        try:
            check_peer(accepted)
        except OSError:
            accepted.close()
            raise
        return accepted, (LOOPBACK, 0)

    def close(self) -> None:
        """Close it, and give the port back."""
        if self._bound[0] == os.getpid() and self.fileno() >= 0:
            with suppress(OSError):
                Path(path_in(_folder, str(self._bound[1]))).unlink()
        super().close()


def sockets() -> ModuleType:
    """Return what stands in for the module `socket`."""
    module = ModuleType("socket")
    vars(module).update(vars(socket))
    module.socket = PortSocket  # type: ignore[attr-defined]
    return module

"""TCP ports that are free, for a listener that another process opens a moment later; and why one cannot be used."""

import os
import socket
from collections.abc import Sequence
from itertools import islice
from random import SystemRandom
from typing import Final

LOOPBACK: Final = "127.0.0.1"
#: Below those that Linux gives to outgoing connections: it would give away a port that is chosen and not used yet.
PORTS: Final = range(20_000, 32_000)


def why(problem: OSError) -> str:
    """Return why connecting, or listening, failed: in the system's words, without the address again."""
    if isinstance(problem, socket.gaierror) or not problem.errno:
        return problem.strerror or str(problem)
    return os.strerror(problem.errno)


def free_port() -> int:
    """Return a loopback port that is free now. Raises `OSError` when there is none."""
    (port,) = free_ports(1)
    return port


def free_ports(count: int) -> Sequence[int]:
    """Return so many, drawn so that processes that start side by side hardly ever meet. Raises `OSError`."""
    found = list(islice(filter(is_free, SystemRandom().sample(PORTS, len(PORTS))), count))
    if len(found) < count:
        raise OSError(f"fewer than {count} ports between {PORTS.start} and {PORTS.stop} are free")
    return found


def is_free(port: int) -> bool:
    """Whether a program may listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True

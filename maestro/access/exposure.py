"""Whether the gateway can be reached by others than this machine's own users."""

import socket
from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether listening on `host` serves this machine only. A name counts by every address it has."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        return False
    return all(ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)

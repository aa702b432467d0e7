"""By which names the gateway may be called, and whether a browser calls.

A page on a foreign site can have its own name lead to this machine (DNS rebinding): the browser then takes the gateway
for that site and lets the page read every answer. But the page cannot change what stands in `Host`: the site's name.
So a request is answered only under a name that cannot be a foreign site's:

- an IP address, or `localhost` and what ends with it: no name is looked up there;
- a name without a dot, as containers, services of a cluster and machines of a network have: no site of the Internet
  has one;
- this machine's name, the platform's name for it (`MAESTRO_HOST`), and the names in `http.host`, in the TLS
  certificate, in `http.allowed_hosts` and in `access.origins`.
"""

import os
import socket
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from maestro.settings.access import AccessSettings
from maestro.settings.model import HttpSettings

#: Texts of `Host` remembered as taken.
REMEMBERED: Final = 256
#: Headers that browsers send and that the platform's services do not; a page cannot take them off.
_OF_BROWSERS: Final = (
    hdrs.ORIGIN, "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-User", hdrs.REFERER, hdrs.COOKIE,
)  # fmt: skip
#: Node's own `fetch` sends a header of browsers, and so names itself.
_NODE: Final = frozenset({"node", "undici"})


class Hosts:
    """The names that the gateway answers to."""

    def __init__(self, http: HttpSettings, access: AccessSettings, own: Iterable[str] = ()) -> None:
        names = [http.host, *http.allowed_hosts, *own, *(urlsplit(origin).hostname or "" for origin in access.origins)]
        lower = {name.lower().rstrip(".") for name in names if name}
        self._names = frozenset(name for name in lower if not name.startswith("*."))
        self._below = tuple(name[1:] for name in lower if name.startswith("*."))
        self._any = "*" in lower
        #: Texts of `Host` that were taken before, with their ports: most requests have one of a few.
        self._taken: set[str] = set()

    def takes(self, host: str | None) -> bool:
        """Whether a request with this `Host` is answered. Without one it comes from no browser."""
        if host is None or host in self._taken:
            return True
        if not self._is_ours(host):
            return False
        if len(self._taken) >= REMEMBERED:
            self._taken.clear()
        self._taken.add(host)
        return True

    def _is_ours(self, host: str) -> bool:
        name = name_of(host)
        if name is None:
            return False
        if self._any or "." not in name or name.endswith(".localhost") or name in self._names:
            return True
        return name.endswith(self._below) or _is_address(name)


def name_of(host: str) -> str | None:
    """Return the name in a `Host`, in small letters and without its port; None: it is none."""
    if host.startswith("["):
        address, closed, port = host[1:].partition("]")
        try:
            return str(IPv6Address(address)) if closed and (not port or port[0] == ":") else None
        except ValueError:
            return None
    name, _, port = host.lower().partition(":")
    name = name.removesuffix(".")
    plain = bool(name) and all(char.isalnum() or char in "-._" for char in name) and name.isascii()
    return name if plain and (not port or port.isdigit()) else None


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def own_names(http: HttpSettings) -> list[str]:
    """Return the names of this machine, of the TLS certificate, and under which the platform's containers call it."""
    told = os.environ.get("MAESTRO_HOST", "")
    certified = _certified(Path(http.tls_cert)) if http.tls_cert else []
    return [socket.gethostname(), *([told] if told else []), *certified]


def _certified(path: Path) -> list[str]:
    """Return the DNS names of a certificate; none of one that cannot be read, which the server's start names."""
    from cryptography import x509  # noqa: PLC0415 - needed with TLS only

    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return []
    return list(names.get_values_for_type(x509.DNSName))


def from_browser(request: web.BaseRequest) -> bool:
    """Whether a browser sent the request: on behalf of whichever page it shows, not of the machine that it runs on."""
    headers = request.headers
    agent = headers.get(hdrs.USER_AGENT, "")
    sent = [name for name in _OF_BROWSERS if name in headers]
    return agent.startswith("Mozilla/") or (bool(sent) and not (sent == ["Sec-Fetch-Mode"] and agent in _NODE))

"""Where a request goes: parsed once when a client is built, put together per call with nothing but text."""

import re
from typing import Final
from urllib.parse import quote

from msgspec import Struct
from yarl import URL

#: What stands for itself in a path segment and in a query value alike (RFC 3986, "unreserved").
_PLAIN: Final = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*")


class Place(Struct, frozen=True):
    """A server: `scheme` is http or https, `host` a name or an address without brackets."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Host and port, as URLs and the Host field have them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Target(Struct, frozen=True):
    """A place, and the path (with its query) on it, encoded."""

    place: Place
    path: str
    #: Further fields of the request's head.
    fields: tuple[tuple[str, str], ...] = ()

    def below(self, *segments: str) -> "Target":
        """Return the path with segments added, each taken literally: a slash or dots in an id stay within it."""
        return Target(self.place, "/".join((self.path.rstrip("/"), *map(_encoded, segments))))

    def asking(self, **query: str) -> "Target":
        """Return the path with this query."""
        asked = "&".join([f"{name}={_encoded(value)}" for name, value in query.items()])
        return Target(self.place, f"{self.path}?{asked}", self.fields)

    def saying(self, name: str, value: str) -> "Target":
        """Return the same with a further field in the request's head; both are plain ASCII without line ends."""
        return Target(self.place, self.path, (*self.fields, (name, value)))

    @property
    def url(self) -> URL:
        """The whole URL."""
        return URL(f"{self.place.scheme}://{self.place.authority}{self.path}", encoded=True)


def address(base: str, path: str = "") -> Target:
    """Return `path` under `base` (scheme, host and port, perhaps a path).

    Raises:
        ValueError: it is no URL with a host.
    """
    url = URL(base.rstrip("/") + path)
    if not url.raw_host or not url.port:
        raise ValueError(f"{base!r} is no URL with a host")
    return Target(Place(url.scheme, url.raw_host, url.port), url.raw_path_qs)


def _encoded(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    # A segment of dots alone would name another path.
    return text.replace(".", "%2E") if text in (".", "..") else quote(text, "")

"""The console: static files out of this package, each read once; nothing of a request decides what is opened.

The files are plain ES modules and CSS. They run under the strictest content policy a page can have: nothing inline,
nothing evaluated, nothing from another origin.
"""

import gzip
from collections.abc import Iterator
from hashlib import blake2b
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final, NamedTuple

import orjson
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from maestro.http.keys import CLUSTER, SETTINGS
from maestro.http.replies import reply
from maestro.http.report.page import STYLE_SOURCE
from maestro.http.sending import takes_gzip
from maestro.statuses import SETS, Status, ordered

PAGE: Final = "index.html"
#: Made of `maestro.statuses`; the other files are in the package.
STATUSES: Final = "js/statuses.js"
_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
#: A report that the page opens is under the page's own policy, so that its style is named, too.
_POLICY: Final = (
    f"default-src 'none'; script-src 'self'; style-src 'self' {STYLE_SOURCE}; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # Revalidated each time by its ETag: an upgrade is seen at once, and costs an unchanged file no body.
    hdrs.CACHE_CONTROL: "no-cache",
}


class Asset(NamedTuple):
    """One file of the console, ready to be sent: as it is, and compressed once for all who take that."""

    body: bytes
    compressed: bytes
    headers: dict[str, str]


def handlers() -> Iterator[tuple[str, str, Handler]]:
    """Yield (path, name, handler): the page at `/`, its files under `/console/`, and what it must know of the settings.

    All of it is public: its reader still needs a credential for each call of the API.
    """
    assets = {
        path: _asset(path, file.read_bytes()) for path, file in _files(resources.files("maestro.http") / "console")
    }
    assets[STATUSES] = _asset(STATUSES, statuses_module())
    yield "/", "console", _sender(assets[PAGE])
    yield "/console/config.json", "console_config", config
    for path, asset in sorted(assets.items()):
        yield f"/console/{path}", f"console/{path}", _sender(asset)


async def config(request: web.Request) -> web.StreamResponse:
    """What the page must know of the settings."""
    above = request.app[SETTINGS].type_system_above
    told = {"typeSystemAbove": above, "cluster": CLUSTER in request.app}
    return reply(orjson.dumps(told), headers={hdrs.CACHE_CONTROL: "no-cache"})


def statuses_module() -> bytes:
    """Return the statuses and their sets as an ES module: `Status.PAUSED`, `Sets.givenUp`, in the order of a life."""
    names = {status.name: status.value for status in Status}
    sets = {name: ordered(some) for name, some in SETS.items()}
    lines = (
        f"export const {name} = {orjson.dumps(value).decode()};" for name, value in (("Status", names), ("Sets", sets))
    )
    return ("// Made of maestro/statuses.py by the gateway.\n" + "\n".join(lines) + "\n").encode()


def _sender(asset: Asset) -> Handler:
    async def send(request: web.Request) -> web.StreamResponse:
        known = request.headers.get(hdrs.IF_NONE_MATCH, "")
        if asset.headers[hdrs.ETAG] in known:
            return web.Response(status=304, headers=asset.headers)
        if takes_gzip(request):
            headers = {**asset.headers, hdrs.CONTENT_ENCODING: "gzip"}
            return web.Response(body=asset.compressed, headers=headers)
        return web.Response(body=asset.body, headers=asset.headers)

    return send


def _files(folder: Traversable, prefix: str = "") -> list[tuple[str, Traversable]]:
    found: list[tuple[str, Traversable]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _files(entry, f"{prefix}{entry.name}/")
        elif entry.name.rpartition(".")[2] in _TYPES:
            found.append((prefix + entry.name, entry))
    return found


def _asset(path: str, body: bytes) -> Asset:
    kind = _TYPES[path.rpartition(".")[2]]
    # A weak one: the same file may be compressed or not.
    tag = f'W/"{blake2b(body, digest_size=12).hexdigest()}"'
    headers = {**_HEADERS, hdrs.CONTENT_TYPE: kind, hdrs.ETAG: tag, hdrs.VARY: hdrs.ACCEPT_ENCODING}
    return Asset(body, gzip.compress(body, mtime=0), headers)

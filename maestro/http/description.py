"""The API description and the page that shows it: everything from here, nothing from elsewhere."""

from functools import lru_cache
from importlib.resources import files
from typing import Final

from aiohttp import web

from maestro.http.keys import OPENAPI
from maestro.http.replies import reply

#: Nothing but this server's own files; no inline script or style, no frame around it.
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        *(f"{what}-src 'self'" for what in ("script", "style", "connect", "img")),
        *(f"{what} 'none'" for what in ("base-uri", "form-action", "frame-ancestors")),
    )
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


async def openapi(request: web.Request) -> web.StreamResponse:
    """The API description."""
    return reply(request.app[OPENAPI], headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"})


async def docs(_request: web.Request) -> web.StreamResponse:
    """The reference page."""
    return _file("reference.html", "text/html")


async def script(_request: web.Request) -> web.StreamResponse:
    """The reference page's script."""
    return _file("reference.js", "text/javascript")


async def style(_request: web.Request) -> web.StreamResponse:
    """The reference page's style."""
    return _file("reference.css", "text/css")


def _file(name: str, media: str) -> web.Response:
    return web.Response(body=_content(name), headers={"Content-Type": f"{media}; charset=utf-8", **HEADERS})


@lru_cache(maxsize=8)
def _content(name: str) -> bytes:
    return files("maestro.http").joinpath("reference", name).read_bytes()

"""How a JSON answer travels: not at all when the client has it already, compressed when it is worth it."""

import re
from hashlib import blake2b
from typing import Final

from aiohttp import hdrs, web

#: Bytes from which on an answer is compressed: a smaller one fits into a packet or three.
COMPRESSED_FROM: Final = 4 * 1024
_OK: Final = 200
#: A client takes gzip: it is named, and not with a quality of 0.
_GZIP: Final = re.compile(r"(?:^|[\s,])gzip\s*(?:;\s*q=(?!0(?:\.0*)?\s*(?:,|$))|,|$)", re.IGNORECASE)


def unchanged(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Name what a look-up answers by an `ETag`; 304 without a body to a client that says that it has just that.

    The tag is a weak one: the same answer may be compressed or not.
    """
    if request.method != hdrs.METH_GET or response.status != _OK or not isinstance(response, web.Response):
        return response
    body = response.body
    if response.content_type != "application/json" or not isinstance(body, bytes | bytearray):
        return response
    tag = f'W/"{blake2b(body, digest_size=12).hexdigest()}"'
    response.headers[hdrs.ETAG] = tag
    if tag not in request.headers.get(hdrs.IF_NONE_MATCH, ""):
        return response
    kept = {name: value for name, value in response.headers.items() if name != hdrs.CONTENT_TYPE}
    return web.Response(status=304, headers=kept)


def takes_gzip(request: web.Request) -> bool:
    """Whether the client takes gzip."""
    return _GZIP.search(request.headers.get(hdrs.ACCEPT_ENCODING, "")) is not None


def compress(request: web.Request, response: web.StreamResponse) -> None:
    """Have a large JSON answer compressed, off the loop, for a client that takes it.

    The length of a compressed answer can give away what is in it to who can have it sent again and again with guesses
    in it (BREACH). Nobody can who has not the credential already: it is sent in a header, which no foreign page can
    set.
    """
    if not isinstance(response, web.Response) or response.content_type != "application/json":
        return
    body = response.body
    if not isinstance(body, bytes | bytearray) or len(body) < COMPRESSED_FROM:
        return
    response.headers.add(hdrs.VARY, hdrs.ACCEPT_ENCODING)
    if takes_gzip(request):
        response.enable_compression(web.ContentCoding.gzip)

"""An answer in the caller's language: what its type marks as said to people is said again, the rest stays as it is.

Everything is decided, logged and recorded in English; only what leaves is translated, and only for who asks for another
language (`Accept-Language`). An answer is not read as a whole: the fields on the way to a text are, and everything else
is passed on byte for byte, for there are events in it that are the platform's.
"""

import asyncio
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import hdrs, web
from msgspec import Raw, inspect

from maestro import json_text
from maestro.http.operations import Operation
from maestro.http.shapes.shared import ErrorBody
from maestro.language import ENGLISH, from_header, speaking, told

#: Bytes of an answer beyond which it is translated off the loop.
_LARGE: Final = 64 * 1024


class Each(msgspec.Struct, frozen=True):
    """Texts are in each item of a list, or in each value of an object."""

    of: "Texts"


class Fields(msgspec.Struct, frozen=True):
    """Texts are in fields of an object."""

    of: Mapping[str, "Texts"]


#: Where texts are in an answer: here (True), deeper, or nowhere (None).
Texts = bool | Each | Fields | None


def language_of(request: web.Request) -> str:
    """Return the language that the caller asks for."""
    return from_header(request.headers.get(hdrs.ACCEPT_LANGUAGE, ""))


async def in_language(operation: Operation, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Return the response in the language that its caller asked for; the same one where that is English."""
    wanted = language_of(request)
    if wanted == ENGLISH or not isinstance(response, web.Response) or response.content_type != "application/json":
        return response
    kind = operation.answers.get(response.status)
    if kind is None and response.status >= HTTPStatus.BAD_REQUEST:
        kind = ErrorBody
    texts = texts_in(kind) if kind is not None else None
    body = response.body
    if texts is None or not isinstance(body, bytes | bytearray):
        return response
    with speaking(wanted):
        if len(body) < _LARGE:
            said = _said(bytes(body), texts)
        else:
            said = await asyncio.to_thread(_said, bytes(body), texts)
    kept: dict[str, str] = dict(response.headers)
    kept.pop(hdrs.CONTENT_LENGTH, None)
    kept |= {hdrs.CONTENT_LANGUAGE: wanted, hdrs.VARY: hdrs.ACCEPT_LANGUAGE}
    return web.Response(body=said, status=response.status, headers=kept)


@cache
def texts_in(kind: Any) -> Texts:
    """Return where texts are in what a type describes."""
    return _texts_in(inspect.type_info(kind))


def _texts_in(kind: inspect.Type) -> Texts:
    match kind:
        case inspect.Metadata(type=inner, extra=extra):
            return True if (extra or {}).get("said") else _texts_in(inner)
        case inspect.UnionType(types=types):
            return next((texts for one in types if (texts := _texts_in(one)) is not None), None)
        case inspect.ListType(item_type=item) | inspect.DictType(value_type=item):
            texts = _texts_in(item)
            return Each(texts) if texts is not None else None
        case inspect.StructType(fields=fields):
            found = {field.encode_name: texts for field in fields if (texts := _texts_in(field.type)) is not None}
            return Fields(found) if found else None
        case _:
            return None


def _said(body: bytes, texts: Texts) -> bytes:
    """Return JSON with its texts in the language that is spoken; as it is where it is not what its type says."""
    try:
        match texts:
            case Fields(of=fields):
                whole = json_text.members(body)
                return json_text.joined({name: _part(value, fields.get(name)) for name, value in whole.items()})
            case Each(of=each) if body.lstrip().startswith(b"["):
                return b"[" + b",".join(bytes(_part(one, each)) for one in json_text.elements(body)) + b"]"
            case Each(of=each):
                values = json_text.members(body)
                return json_text.joined({name: _part(one, each) for name, one in values.items()})
            case _:
                return msgspec.json.encode(told(msgspec.json.decode(body, type=str)))
    except (ValueError, msgspec.DecodeError):  # null, or another Maestro's shape
        return body


def _part(value: Raw, texts: Texts) -> Raw:
    return value if texts is None else Raw(_said(bytes(value), texts))

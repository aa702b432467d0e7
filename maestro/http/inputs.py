"""What clients send, checked: body, path, query. What is wrong with it is `BadInput` naming the field, or `Problem`."""

import asyncio
import re
from typing import Any, Final

import orjson
from aiohttp import web

from maestro import json_text
from maestro.access.roles import for_a_person
from maestro.events import LARGE, BadInput, check_system_id, heads
from maestro.http.checking import query_of
from maestro.http.keys import SETTINGS
from maestro.http.replies import Denied, Problem
from maestro.http.request_context import principal
from maestro.http.shapes.events import QueueQuery
from maestro.http.shapes.shared import MAX_ID, PageQuery

#: Seconds a client may take to send its body.
BODY_TIMEOUT: Final = 30.0
#: Bytes of a body that is decoded whole while lock checks wait: a hundred times a long decision.
MAX_OBJECT: Final = 1024 * 1024
_DIGITS: Final = re.compile(r"[0-9]{1,19}")


async def read_body(request: web.Request, most: int | None = None) -> bytes:
    """Return the whole body.

    Raises:
        Problem: 413 when larger than `max_body_bytes`, or than `most`, 408 when it does not arrive in time, 400 when it
            breaks off.
    """
    largest = request.app[SETTINGS].max_body_bytes
    limit = largest if most is None else min(largest, most)
    too_large = Problem(413, f"body: is larger than {limit} bytes")
    if (request.content_length or 0) > limit:
        raise too_large
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            body = await request.read()
    except TimeoutError:
        raise Problem(408, f"body: did not arrive within {BODY_TIMEOUT:.0f} s") from None
    except web.HTTPRequestEntityTooLarge:
        raise too_large from None
    except (web.RequestPayloadError, ConnectionError) as broken:
        raise Problem(400, "body: broke off or is malformed") from broken
    if len(body) > limit:
        raise too_large
    return body


async def read_object(request: web.Request) -> dict[str, Any]:
    """Return what a person sends, a JSON object. Raises `BadInput`, and `Problem` as `read_body`."""
    return parse_object(await read_body(request, MAX_OBJECT))


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse a body that must be a JSON object. Raises `BadInput`."""
    try:
        fields = orjson.loads(body)
    except (orjson.JSONDecodeError, RecursionError) as problem:
        raise BadInput("body", f"is no JSON ({problem})") from problem
    if not isinstance(fields, dict):
        raise BadInput("body", "must be a JSON object")
    return fields


def parse_passed_on(body: bytes) -> dict[str, Any]:
    """Parse an event that is passed on byte for byte, also what only some decoders take; of a large one what is read.

    Raises `BadInput`.
    """
    if len(body) > LARGE:
        return heads(body)
    try:
        fields = json_text.loads(body)
    except ValueError as problem:
        raise BadInput("body", f"is no JSON ({problem})") from problem
    if not isinstance(fields, dict):
        raise BadInput("body", "must be a JSON object")
    return fields


def user_of(named: str | None) -> str:
    """Return who decides: the credential's holder, or who is `named` when no credential tells.

    Raises:
        BadInput: nobody is named, or what stands for no person.
        Denied: somebody else than the credential's holder is named, or its name stands for no person.
    """
    caller = principal()
    if not caller.proven:
        if named is None or not named.strip():
            raise BadInput("user", "is missing")
        if not for_a_person(named):
            name = named.strip()[:40]
            raise BadInput("user", f"{name} stands for what no person decided; give a person's name")
        return named
    if named is not None and named != caller.name:
        raise Denied(403, f"user: the credential is {caller.name}'s, who cannot decide for another")
    if not for_a_person(caller.name):  # a token of before such names were refused
        raise Denied(403, f"user: {caller.name} stands for what no person decided; use a token of another name")
    return caller.name


def path_system(request: web.Request) -> str:
    """Return the system id in the path. Raises `BadInput`."""
    return check_system_id(request.match_info["systemId"])


def path_document(request: web.Request) -> str:
    """Return the document id in the path. Raises `BadInput`."""
    value = request.match_info["id"]
    if len(value) > MAX_ID or not value.isprintable():
        raise BadInput("id", f"must be at most {MAX_ID} printable characters")
    return value


def path_number(request: web.Request) -> int:
    """Return the number of an event in the path. Raises `BadInput`."""
    text = request.match_info["number"]
    if not _DIGITS.fullmatch(text):
        raise BadInput("number", "must be a whole number")
    return int(text)


def query_page(request: web.Request) -> tuple[int, int]:
    """Return the `after` and `limit` of a list's page. Raises `BadInput`."""
    query = query_of(request, PageQuery)
    return query.after, query.limit


def queue_system(request: web.Request) -> str:
    """Return the system that the query's `queue` belongs to, `persist.<systemId>.queue`. Raises `BadInput`."""
    queue = query_of(request, QueueQuery).queue
    return check_system_id(queue.removeprefix("persist.").removesuffix(".queue"), "queue")

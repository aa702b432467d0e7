"""What clients send, checked: body, path, query. What is wrong with it is `BadInput` naming the field, or `Problem`."""

import asyncio
import re
from typing import Any, Final

import orjson
from aiohttp import web

from maestro.events import BadInput, check_system_id
from maestro.http.keys import SETTINGS
from maestro.http.replies import Problem

#: Seconds a client may take to send its body.
BODY_TIMEOUT: Final = 30.0
#: Characters of a user's name, of a document's id and of a status.
MAX_USER: Final = 200
MAX_ID: Final = 200
MAX_STATUS: Final = 64
#: Largest number in a query: what the store's counters reach.
MAX_NUMBER: Final = 2**63 - 1
#: Entries of one page of a list.
DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000
_DIGITS: Final = re.compile(r"[0-9]{1,19}")
_PERSIST_QUEUE: Final = re.compile(r"persist\.([^.]*)\.queue")


async def read_body(request: web.Request) -> bytes:
    """Return the whole body.

    Raises:
        Problem: 413 when larger than `max_body_bytes`, 408 when it does not arrive in time, 400 when it breaks off.
    """
    limit = request.app[SETTINGS].max_body_bytes
    too_large = Problem(413, f"body: is larger than {limit} bytes")
    if (request.content_length or 0) > limit:
        raise too_large
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await request.read()
    except TimeoutError:
        raise Problem(408, f"body: did not arrive within {BODY_TIMEOUT:.0f} s") from None
    except web.HTTPRequestEntityTooLarge:
        raise too_large from None
    except (web.RequestPayloadError, ConnectionError) as broken:
        raise Problem(400, "body: broke off or is malformed") from broken


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse a body that must be a JSON object. Raises `BadInput`."""
    try:
        fields = orjson.loads(body)
    except (orjson.JSONDecodeError, RecursionError) as problem:
        raise BadInput("body", f"is no JSON ({problem})") from problem
    if not isinstance(fields, dict):
        raise BadInput("body", "must be a JSON object")
    return fields


def check_user(user: Any) -> str:
    """Return `user` if it can stand in a document's history, else raise `BadInput`."""
    if user is None or (isinstance(user, str) and not user.strip()):
        raise BadInput("user", "is missing")
    if not isinstance(user, str):
        raise BadInput("user", "must be a string")
    if len(user) > MAX_USER or not user.isprintable():
        raise BadInput("user", f"must be at most {MAX_USER} printable characters")
    return user


def path_system(request: web.Request) -> str:
    """Return the system id in the path. Raises `BadInput`."""
    return check_system_id(request.match_info["systemId"])


def path_document(request: web.Request) -> str:
    """Return the document id in the path. Raises `BadInput`."""
    return check_text(request.match_info["id"], "id", MAX_ID)


def path_number(request: web.Request) -> int:
    """Return the number of an event in the path. Raises `BadInput`."""
    text = request.match_info["number"]
    if not _DIGITS.fullmatch(text):
        raise BadInput("number", "must be a whole number")
    return int(text)


def query_text(request: web.Request, name: str, limit: int) -> str:
    """Return a query parameter that must be there, at most `limit` characters long. Raises `BadInput`."""
    value = request.query.get(name, "")
    if not value:
        raise BadInput(name, "is missing")
    return check_text(value, name, limit)


def check_text(value: str, name: str, limit: int) -> str:
    """Return `value` if it is printable and at most `limit` characters long, else raise `BadInput`."""
    if len(value) > limit or not value.isprintable():
        raise BadInput(name, f"must be at most {limit} printable characters")
    return value


def query_number(request: web.Request, name: str, default: int, low: int, high: int = MAX_NUMBER) -> int:
    """Return a whole number of the query from `low` to `high`, or `default` without one. Raises `BadInput`."""
    text = request.query.get(name)
    if text is None:
        return default
    number = int(text) if _DIGITS.fullmatch(text) else -1
    if not low <= number <= high:
        raise BadInput(name, f"must be a whole number from {low} to {high}")
    return number


def query_page(request: web.Request) -> tuple[int, int]:
    """Return the `after` and `limit` of a list's page. Raises `BadInput`."""
    after = query_number(request, "after", default=0, low=0)
    return after, query_number(request, "limit", default=DEFAULT_LIMIT, low=1, high=MAX_LIMIT)


def queue_system(request: web.Request) -> str:
    """Return the system that the query's `queue` belongs to, `persist.<systemId>.queue`. Raises `BadInput`."""
    queue = _PERSIST_QUEUE.fullmatch(query_text(request, "queue", MAX_ID))
    if queue is None:
        raise BadInput("queue", "must be persist.<systemId>.queue")
    return check_system_id(queue[1], "queue")

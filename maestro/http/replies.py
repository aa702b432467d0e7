"""Responses: JSON bytes, the platform's error shape, and what becomes of a system's answer."""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import web

from maestro.access.roles import Principal
from maestro.messages.answers import Answer, Code

#: What the `Server` header says; without it aiohttp tells its own and Python's version.
SERVER: Final = "maestro"
#: For how many seconds a browser uses nothing but HTTPS, once it has.
HSTS: Final = "max-age=31536000"
#: What a client learns of a bug.
INTERNAL: Final = "internal error; the log has the details"
JSON: Final = "application/json; charset=utf-8"
STATUS: Final[Mapping[Code, int]] = {
    Code.OK: 200,
    Code.ACCEPTED: 202,
    Code.LOCKED: 403,
    Code.INVALID: 400,
    Code.NOT_FOUND: 404,
    Code.CONFLICT: 409,
    Code.FAILED: 502,
    Code.UNAVAILABLE: 503,
}
_WITH_BODY: Final = frozenset({Code.OK, Code.ACCEPTED, Code.LOCKED})


class Problem(Exception):  # noqa: N818 - it becomes a response, in most cases the client's error
    """Ends a request with an HTTP status and a message for the client."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


class Denied(Problem):
    """Ends a request because of who it comes from. `caller`: whose credential it had, if it was a valid one."""

    def __init__(
        self, status: int, message: str, headers: Mapping[str, str] | None = None, caller: Principal | None = None
    ) -> None:
        super().__init__(status, message, headers)
        self.caller = caller


def reply(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a response of ready JSON."""
    return web.Response(body=body, status=status, headers={"Content-Type": JSON, **(headers or {})})


def message_ok() -> web.Response:
    """Return what the platform expects where there is nothing to say."""
    return reply(b'{"message":"ok"}')


def problem(
    status: int, message: str, headers: Mapping[str, str] | None = None, more: Mapping[str, Any] | None = None
) -> web.Response:
    """Return an error as the platform's clients expect it, its `status` text; `more` fields say what else is known."""
    return reply(orjson.dumps({"status": str(status), "message": message, **(more or {})}), status, headers)


def answered(answer: Answer, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a system's answer: its body as it is, or its message in the error shape, with what it adds to that."""
    status = STATUS[answer.code]
    if answer.code in _WITH_BODY and answer.body:
        return reply(answer.body, status, headers)
    more = orjson.loads(answer.body) if answer.body else None
    return problem(status, answer.message or str(answer.code), headers, more)

"""One HTTP call to Maestro: sent, bounded in time and size, and its failures named."""

import http.client
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.message import Message
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec

from maestro.client.errors import NoMaestro, NotReachable, Rejected
from maestro.client.target import Target

T = TypeVar("T")
#: Seconds to connect: a gateway is near, and an operator waits.
CONNECT_TIMEOUT: Final = 5.0
#: Bytes of an answer; a list of all documents with their events is the largest.
MAX_ANSWER: Final = 512 * 1024 * 1024
#: Bytes of a part of a download.
PART: Final = 64 * 1024
_FAILED: Final = 300
#: How another service of the platform, whose refusals have the same shape, says that it has no such address.
_NO_MAESTRO: Final = re.compile(r"\d{3}: [A-Z]")
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """An answer: its body as it came, what it says, and when it was given by the other's clock (HTTP's `Date`).

    `next_after`: where the next page of a list begins; empty when there is none.
    """

    raw: bytes
    value: T
    date: str = ""
    next_after: str = ""


class Transport:
    """Calls one Maestro, each call on a connection of its own: it may be restarted between any two."""

    def __init__(self, target: Target) -> None:
        self.target = target
        parts = urlsplit(target.url)
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port
        self._prefix = parts.path.rstrip("/")
        self._headers = {"Accept": "application/json", "User-Agent": "maestro-cli"}
        if target.language:
            self._headers["Accept-Language"] = target.language
        if target.token:
            self._headers["Authorization"] = f"Bearer {target.token}"

    def call(
        self,
        method: str,
        path: str,
        shape: type[T],
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        timeout: float | None = None,
    ) -> Reply[T]:
        """Return the answer of one call; `path` is encoded already, `timeout` (seconds) replaces the target's.

        Raises:
            NotReachable: no usable answer.
            Rejected: the answer is no.
        """
        raw, headers = self.fetch(method, path, query=query, body=body, timeout=timeout)
        return Reply(raw, self.decoded(raw, shape), headers.get("Date", ""), headers.get("X-Next-After", ""))

    def fetch(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        timeout: float | None = None,
    ) -> tuple[bytes, Message]:
        """Return the answer of one call as it came, and its headers: as `call`, of any media type.

        Raises:
            NotReachable: no usable answer.
            Rejected: the answer is no.
        """
        timeout = timeout or self.target.timeout
        with self._named(timeout), closing(self._connect(timeout)) as connection:
            answer = self._ask(connection, method, path, query, body)
            raw = answer.read(MAX_ANSWER + 1)
        if len(raw) > MAX_ANSWER:
            raise NotReachable(f"{self.target.url}: the answer is larger than {MAX_ANSWER} bytes")
        if answer.length:
            raise NotReachable(f"{self.target.url}: the answer broke off")
        return raw, answer.headers

    @contextmanager
    def stream(self, path: str, timeout: float, until: float | None = None) -> Iterator[Iterator[bytes]]:
        """Open a stream of server-sent events; yields their `data`, empty for a comment.

        `timeout`: seconds of silence; `until`: the moment (monotonic) at which it ends, whatever comes. The events
        raise `NotReachable` then, and when the stream breaks off.

        Raises:
            NotReachable: there is no stream.
            Rejected: the answer is no.
        """
        with self._named(timeout):
            connection = self._connect(timeout)
        with closing(connection):
            # The answer may take the socket over from its connection.
            sock = connection.sock
            with self._named(timeout):
                answer = self._ask(connection, "GET", path, None, None)

            def wait() -> None:
                if until is None:
                    return
                left = until - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                sock.settimeout(min(timeout, left))

            yield self._events(answer, timeout, wait)

    @contextmanager
    def download(self, path: str, timeout: float) -> Iterator[Iterator[bytes]]:
        """Open an answer that is no JSON and may be of any size; yields its parts.

        `timeout`: seconds without any. The parts raise `NotReachable` when it breaks off.

        Raises:
            NotReachable: there is none.
            Rejected: the answer is no.
        """
        with self._named(timeout):
            connection = self._connect(timeout)
        with closing(connection):
            with self._named(timeout):
                answer = self._ask(connection, "GET", path, None, None)
            yield self._parts(answer, timeout)

    def _parts(self, answer: http.client.HTTPResponse, timeout: float) -> Iterator[bytes]:
        while True:
            with self._named(timeout):
                part = answer.read1(PART)
            if not part:
                return
            yield part

    def decoded(self, raw: bytes, shape: type[T]) -> T:
        """Return what an answer says. Raises `NotReachable`: it is none of Maestro's."""
        try:
            return msgspec.json.decode(raw, type=shape)
        except msgspec.DecodeError as problem:
            raise NotReachable(f"{self.target.url}: not an answer of Maestro: {problem}") from problem

    @contextmanager
    def _named(self, timeout: float) -> Iterator[None]:
        """Name what goes wrong on the way."""
        try:
            yield
        except (OSError, http.client.HTTPException, UnicodeError) as problem:
            raise NotReachable(f"{self.target.url}: {_why(problem, timeout)}") from problem

    def _ask(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        query: Mapping[str, object] | None,
        body: object,
    ) -> http.client.HTTPResponse:
        where = self._prefix + path + ("?" + urlencode(query) if query else "")
        sent = None if body is None else msgspec.json.encode(body)
        headers = self._headers if sent is None else {**self._headers, "Content-Type": "application/json"}
        connection.request(method, where, sent, headers)
        answer = connection.getresponse()
        if answer.status >= _FAILED:
            raise _rejected(self.target.url, answer.status, answer.read(MAX_ANSWER))
        return answer

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        first = min(timeout, CONNECT_TIMEOUT)
        connection = (
            http.client.HTTPSConnection(self._host, self._port, timeout=first, context=ssl.create_default_context())
            if self._secure
            else http.client.HTTPConnection(self._host, self._port, timeout=first)
        )
        connection.connect()
        connection.sock.settimeout(timeout)
        return connection

    def _events(self, answer: http.client.HTTPResponse, timeout: float, wait: Callable[[], None]) -> Iterator[bytes]:
        data: list[bytes] = []
        while line := self._line(answer, timeout, wait):
            field, _, value = line.rstrip(b"\r\n").partition(b":")
            if field == b"data":
                data.append(value.removeprefix(b" "))
            elif not line.strip():
                yield b"\n".join(data)
                data = []
        raise NotReachable(f"{self.target.url}: the stream ended")

    def _line(self, answer: http.client.HTTPResponse, timeout: float, wait: Callable[[], None]) -> bytes:
        with self._named(timeout):
            wait()
            return answer.readline(MAX_ANSWER)


def _rejected(url: str, status: int, raw: bytes) -> Rejected | NotReachable:
    try:
        fields: dict[str, Any] = msgspec.json.decode(raw, type=dict[str, Any])
        message = fields["message"]
    except (msgspec.DecodeError, KeyError):
        text = " ".join(raw[:_SHOWN].decode(errors="replace").split())
        return NotReachable(f"{url}: answered {status}, not as Maestro does: {text}")
    if _NO_MAESTRO.match(str(message)) or "status" not in fields:
        return NoMaestro(f"{url}: this is no Maestro, but another service, which says: {message}")
    return Rejected(status, str(message), raw, fields)


def _why(problem: Exception, timeout: float) -> str:
    if isinstance(problem, TimeoutError):
        return f"no answer within {timeout:g} s"
    if isinstance(problem, ssl.SSLError):
        return f"TLS: {problem.reason or problem}"
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    return f"no HTTP answer ({type(problem).__name__})"

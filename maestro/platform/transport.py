"""One HTTP call to a sibling: sent, bounded, decoded, retried, and its failures named. The clients say what to ask.

The first try runs without the retry machinery: that costs 50 µs a call, all else here about 15 µs.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
import stamina
from stamina.instrumentation import set_on_retry_hooks

from maestro import __version__, logs
from maestro.platform.answer import BadAnswerError
from maestro.platform.connections import (
    Bounds,
    ConnectionFailedError,
    Connections,
    NoConnectionInTimeError,
    NotSentError,
    Sink,
)
from maestro.platform.errors import (
    FinalRefusal,
    NeverAsked,
    RefusalError,
    SiblingError,
    SiblingRefused,
    SiblingUnreachable,
    WrongShapeError,
)
from maestro.platform.observer import UNANSWERED, CallObserver, Unobserved
from maestro.platform.target import Target
from maestro.settings.model import PlatformSettings

if TYPE_CHECKING:
    from maestro.platform.https import HttpsConnections

T = TypeVar("T")

#: Connections to one host.
CONNECTIONS_PER_HOST: Final = 16
#: Seconds an idle connection is kept. Shorter than the 5 s after which Node's servers close theirs: a request sent
#: into a connection that is just being closed fails, and a POST then waits a whole backoff.
KEEP_ALIVE: Final = 4.0
#: Of what a sibling says, this many characters are shown in `SiblingError.cause`.
SHOWN: Final = 300

#: 4xx of those that stand between, not of the sibling.
_NO_ANSWER: Final = frozenset({408, 429})
HEADERS: Final = {
    "User-Agent": f"maestro/{__version__}",
    "Accept": "application/json",
    # Compressed answers would have to be inflated before their size is known.
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",
}

FIELDS: Final = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())

# Each failed try is logged here, with more context than stamina has.
set_on_retry_hooks([])


#: Returns once a call that changes something may be made.
Leave = Callable[[], Awaitable[None]]


async def at_once() -> None:
    """Nothing speaks against a call."""


class _Message(msgspec.Struct):
    message: str


_MESSAGE: Final = msgspec.json.Decoder(_Message)


@dataclass(frozen=True, slots=True)
class CallName:
    """Names a call in errors and logs."""

    service: str
    call: str
    #: What a refusal is that says such words.
    refusals: tuple[tuple[str, type[SiblingRefused]], ...] = ()


class Transport:
    """Kept-alive connections to the siblings. Belongs to one event loop."""

    def __init__(self, settings: PlatformSettings, observer: CallObserver | None = None) -> None:
        self._settings = settings
        self._observer = observer or Unobserved()
        self._https: HttpsConnections | None = None
        self._closed = False
        #: Failed tries by service. To learn whether one failed meanwhile, compare two readings.
        self.failures: Counter[str] = Counter()
        self._bounds = Bounds(
            limit=settings.max_answer_bytes,
            connect_timeout=settings.connect_timeout,
            answer_timeout=settings.answer_timeout,
            keep_for=KEEP_ALIVE,
            per_host=CONNECTIONS_PER_HOST,
        )
        self._connections = Connections(FIELDS, self._bounds)
        self._log = logs.get(part="platform")

    @classmethod
    async def open(cls, settings: PlatformSettings, observer: CallObserver | None = None) -> "Transport":
        """Return a transport; connects on first use. `observer` is told how each try ended."""
        return cls(settings, observer)

    async def close(self) -> None:
        """Close all connections. Twice is no error."""
        self._connections.close()
        self._closed = True
        if self._https is not None:
            await self._https.close()

    def call(
        self,
        name: CallName,
        method: str,
        target: Target,
        decode: Callable[[bytes], T],
        *,
        body: bytes | None = None,
        tries: int | None = None,
        leave: Leave = at_once,
    ) -> Awaitable[T]:
        """Do `once` up to `tries` times, as `retried` does. The clients hand on what this returns, to be awaited."""
        return self.retried(lambda: self.once(name, method, target, decode, body=body), tries, leave)

    async def retried(self, attempt: Callable[[], Awaitable[T]], tries: int | None = None, leave: Leave = at_once) -> T:
        """Return what `attempt` returns, trying up to `tries` times (default: the setting) with growing pauses.

        `leave` is awaited before each further try: who had it before the first one may have lost it meanwhile.

        Raises:
            SiblingUnreachable: no usable answer; it is the last try's.
            SiblingRefused: the answer is no: of the last try, or of one that is final.
        """
        try:
            return await attempt()
        except SiblingError as problem:
            self._warn(problem, 1)
            tries = self._settings.tries if tries is None else tries
            if tries == 1 or problem.final:
                raise
            first = problem
        return await self._again(first, attempt, tries, leave)

    async def _again(self, first: SiblingError, attempt: Callable[[], Awaitable[T]], tries: int, leave: Leave) -> T:
        pauses = stamina.retry_context(
            on=_worth_another_try,
            attempts=tries,
            timeout=None,
            wait_initial=self._settings.backoff,
            wait_max=self._settings.backoff_max,
            # Systems that fail together need not come back together.
            wait_jitter=self._settings.backoff / 4,
        )
        async for nth in pauses:
            with nth:
                if nth.num == 1:
                    raise first
                await leave()
                try:
                    result = await attempt()
                except SiblingError as problem:
                    self._warn(problem, nth.num)
                    self._observer.retried(problem.service, _outcome(problem))
                    raise
                self._observer.retried(first.service, "ok")
                return result
        raise first

    async def once(
        self,
        name: CallName,
        method: str,
        target: Target,
        decode: Callable[[bytes], T],
        *,
        body: bytes | None = None,
        sink: Sink | None = None,
    ) -> T:
        """Send one request and return its decoded answer; the observer is told how it ended.

        Args:
            name: what errors and logs call it.
            method: of HTTP.
            target: where to.
            decode: turns the body of a 2xx answer into the result; may raise what `errors` offers to decoders.
            body: JSON, if there is one.
            sink: takes the body of a 2xx answer as it comes; `decode` gets what could not be handed on like that.

        Raises:
            SiblingUnreachable: no usable answer.
            SiblingRefused: the answer is no.
        """
        try:
            status, answer = await self._exchange(method, target, body, sink)
            _check(name, status, answer)
            result = decode(answer)
        except Exception as problem:
            explained = self._explained(name, problem)
            if explained is None:
                raise
            self.failures[name.service] += 1
            self._observer.tried(name.service, _outcome(explained))
            if isinstance(problem, TimeoutError) and not isinstance(problem, NoConnectionInTimeError):
                UNANSWERED.get()(explained)
            raise explained from (None if problem is explained else problem)
        self._observer.tried(name.service, "ok")
        return result

    def _exchange(
        self, method: str, target: Target, body: bytes | None, sink: Sink | None
    ) -> Awaitable[tuple[int, bytes]]:
        if target.place.scheme == "http":
            return self._connections.request(method, target, body, sink)
        return self._over_tls().request(method, target, body, sink)

    def _explained(self, name: CallName, problem: Exception) -> SiblingError | None:
        """Return what a failed try means; None: nothing that a sibling did."""
        match problem:
            case SiblingError():
                return problem
            case RefusalError():
                return FinalRefusal(name.service, name.call, str(problem))
            case NotSentError():
                return NeverAsked(name.service, name.call, str(problem))
            case NoConnectionInTimeError():
                return NeverAsked(name.service, name.call, _timed_out(problem, self._settings))
            case TimeoutError():
                cause = _timed_out(problem, self._settings)
            case WrongShapeError() | msgspec.DecodeError() | RecursionError():
                cause = f"not the agreed answer: {problem}"
            case BadAnswerError() | ConnectionFailedError():
                cause = str(problem)
            case OSError() | UnicodeError():
                # UnicodeError: a host name that cannot even be looked up.
                cause = f"{type(problem).__name__}: {problem}"
            case _:
                return None
        return SiblingUnreachable(name.service, name.call, cause)

    def _over_tls(self) -> "HttpsConnections":
        if self._closed:
            raise RuntimeError("the transport is closed")
        if self._https is None:
            from maestro.platform.https import HttpsConnections  # noqa: PLC0415 - see there

            self._https = HttpsConnections(HEADERS, self._bounds)
        return self._https

    def _warn(self, problem: SiblingError, attempt: int) -> None:
        self._log.warning(
            "sibling call failed", service=problem.service, call=problem.call, attempt=attempt, cause=problem.cause,
            final=problem.final,
        )  # fmt: skip


def nothing(_: bytes) -> None:
    """Decode the answer to a write, about which the contracts say nothing."""


def shown(answer: bytes) -> str:
    """Return what an answer says, shortened: its `message` if it is such an object, else its text."""
    try:
        text = _MESSAGE.decode(answer).message
    except msgspec.DecodeError:
        text = answer[: 4 * SHOWN].decode(errors="replace")
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def _outcome(problem: SiblingError) -> str:
    return "refused" if isinstance(problem, SiblingRefused) else "unreachable"


def _check(name: CallName, status: int, answer: bytes) -> None:
    """Raise what a status of no success means."""
    if status < 300:  # noqa: PLR2004 - the contracts' own limit
        return
    said = shown(answer)
    kind: type[SiblingError] = SiblingUnreachable
    if status < 500 and status not in _NO_ANSWER:  # noqa: PLR2004 - 5xx
        kind = next((kind for words, kind in name.refusals if words in said), SiblingRefused)
    raise kind(name.service, name.call, f"answered {status}: {said}" if said else f"answered {status}")


def _worth_another_try(problem: Exception) -> bool:
    return isinstance(problem, SiblingError) and not problem.final


def _timed_out(problem: TimeoutError, settings: PlatformSettings) -> str:
    if isinstance(problem, NoConnectionInTimeError):
        return f"no connection within {settings.connect_timeout:g} s"
    return f"no answer within {settings.answer_timeout:g} s"

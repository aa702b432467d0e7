"""Requests that may be sent once only: whether anything of one was sent is always known.

They have connections of their own: one that takes an hour takes no place of a quick call's, and an idle one is kept
for a second only. Servers close idle connections after 2 s (gunicorn) or later: a request that is sent into a
connection which is just being closed is lost, and nobody could tell whether it was carried out. For the same reason
its socket is looked at before each use (a few microseconds: `python -m benchmarks.look`).
"""

from typing import TYPE_CHECKING, Final

from maestro.platform.answer import BadAnswerError
from maestro.platform.connections import (
    Answer,
    Bounds,
    ConnectionFailedError,
    Connections,
    NoConnectionInTimeError,
    NotSentError,
)
from maestro.platform.errors import WrongShapeError
from maestro.platform.target import Target
from maestro.platform.transport import CONNECTIONS_PER_HOST, FIELDS, HEADERS

if TYPE_CHECKING:
    from maestro.platform.https import HttpsConnections

#: Seconds an idle connection is kept. A fresh connection for each request was measured, too: on loopback both sides
#: together spend 0.14 ms of CPU more on it, on a network it is a round trip.
KEEP_FOR: Final = 1.0


class NotBegunError(Exception):
    """Nothing of the request was sent. The text says why."""


class LostError(Exception):
    """The request was sent, and no whole answer came: it may have been carried out. The text says what happened."""


class OnceOnly:
    """Sends requests at most once. Belongs to one event loop."""

    def __init__(self, limit: int, connect_timeout: float, answer_timeout: float) -> None:
        self._bounds = Bounds(
            limit=limit,
            connect_timeout=connect_timeout,
            answer_timeout=answer_timeout,
            keep_for=KEEP_FOR,
            per_host=CONNECTIONS_PER_HOST,
            look_first=True,
        )
        self._http = Connections(FIELDS, self._bounds)
        self._https: HttpsConnections | None = None

    async def post(self, target: Target) -> Answer:
        """Send one POST without a body; return status and body of the answer.

        Raises:
            NotBegunError: nothing was sent.
            LostError: it was sent, and no whole answer came.
        """
        connections: Connections | HttpsConnections = self._http
        if target.place.scheme != "http":
            connections = self._over_tls()
        try:
            return await connections.request("POST", target, None)
        except NotSentError as problem:
            raise NotBegunError(str(problem)) from problem
        except NoConnectionInTimeError as problem:
            raise NotBegunError(f"no connection within {self._bounds.connect_timeout:g} s") from problem
        except UnicodeError as problem:  # a host name that cannot even be looked up
            raise NotBegunError(f"{type(problem).__name__}: {problem}") from problem
        except TimeoutError as problem:
            raise LostError(f"no answer within {self._bounds.answer_timeout:g} s") from problem
        except (ConnectionFailedError, BadAnswerError, WrongShapeError, OSError) as problem:
            raise LostError(str(problem) or type(problem).__name__) from problem

    def _over_tls(self) -> "HttpsConnections":
        if self._https is None:
            from maestro.platform.https import HttpsConnections  # noqa: PLC0415 - see there

            self._https = HttpsConnections(HEADERS, self._bounds)
        return self._https

    async def close(self) -> None:
        """Close the connections; those that carry a request end with it, https at once. Twice is no error."""
        self._http.close()
        if self._https is not None:
            await self._https.close()

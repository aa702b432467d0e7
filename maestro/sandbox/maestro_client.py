"""What the platform's Event Manager calls of Maestro."""

from http import HTTPStatus
from typing import Any

import aiohttp

from maestro.broker.topology import SystemQueues
from maestro.ports import why

_TIMEOUT = aiohttp.ClientTimeout(total=30, connect=5)


class MaestroRefused(Exception):  # noqa: N818 - it did refuse
    """Maestro answered a call with an unexpected status, or not at all."""


class MaestroClient:
    """One kept-alive client; `start` it on the loop it is used on."""

    def __init__(self, url: str) -> None:
        #: Base URL; may be set later than `start`, before the first event comes.
        self.url = url
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the client."""
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT, connector=aiohttp.TCPConnector(limit=32))

    async def close(self) -> None:
        """Close the client. Twice is no error."""
        if self._session is not None:
            await self._session.close()

    async def proceed(self, system: str) -> bool:
        """Ask whether the system's events may proceed. Raises `MaestroRefused` when there is no clear answer."""
        status = await self._call("GET", f"/v1.0.0/gateway/{system}/proceed")
        if status not in (HTTPStatus.OK, HTTPStatus.FORBIDDEN):
            raise MaestroRefused(f"proceed answered {status}")
        return status == HTTPStatus.OK

    async def handle_persist(self, system: str) -> None:
        """Have the system's persist queue consumed. Raises `MaestroRefused`."""
        status = await self._call("POST", f"/v1.0.0/handler/persist?queue={SystemQueues(system).persist}")
        if status != HTTPStatus.OK:
            raise MaestroRefused(f"handler/persist answered {status}")

    async def report_failure(self, event: dict[str, Any]) -> None:
        """Tell that a replayed process ended in an error. Raises `MaestroRefused`."""
        status = await self._call("POST", "/v1.0.0/reprocessing/failure", event)
        if status != HTTPStatus.OK:
            raise MaestroRefused(f"reprocessing/failure answered {status}")

    async def persist(self, event: dict[str, Any]) -> None:
        """Have an instance's data persisted, and wait for the answer: committed, held, or waiting.

        Raises:
            MaestroRefused: it failed, or there is no clear answer.
        """
        status = await self._call("POST", "/v1.0.0/persist/sync", event)
        if status not in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
            raise MaestroRefused(f"persist/sync answered {status}")

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> int:
        assert self._session is not None, "started"
        try:
            async with self._session.request(method, self.url + path, json=body) as answer:
                await answer.read()
                return answer.status
        except (aiohttp.ClientError, TimeoutError) as problem:
            reason = _reason(problem)
            raise MaestroRefused(
                f"Maestro does not answer at {self.url} ({reason}): start it, or name its address with --maestro"
            ) from problem


def _reason(problem: Exception) -> str:
    """Return a reason for people: aiohttp's own text of a refused connection shows its insides."""
    if isinstance(problem, TimeoutError):
        return "timed out"
    if isinstance(problem, aiohttp.ClientConnectorError):
        return why(problem.os_error)
    return str(problem) or type(problem).__name__

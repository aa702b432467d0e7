"""What the demo calls: Maestro as its admin UI does, the Event Manager as an app, the Domain for its rows."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import quote

import aiohttp

from maestro.events import MASTER
from maestro.statuses import Status

Json = dict[str, Any]
#: Connections to one service at a time: so many events are in flight.
IN_FLIGHT = 256
#: How often, and after how many seconds, a 503 is asked again.
_LOOKS, _PAUSE = 60, 0.5
_BUSY = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)


class CallFailed(Exception):  # noqa: N818 - the call did fail
    """A service answered with an unexpected status, or not at all; the message names the call and the answer."""


@dataclass(frozen=True, slots=True)
class Counters:
    """How many persist events got which verdict, and how many replays there were."""

    waiting: int
    replayed: int
    cascaded: int


@dataclass(frozen=True, slots=True)
class SystemStatus:
    """What Maestro says of a system. The one place that knows the shape of that answer."""

    state: str
    #: Events on the wait queue now.
    waiting: int
    counters: Counters

    @classmethod
    def parse(cls, answer: Json) -> Self:
        """Read `GET /v1.0.0/systems/{id}`. Raises `CallFailed` when a field is missing."""
        try:
            counted = answer["counters"]
            counters = Counters(int(counted["waiting"]), int(counted["replayed"]), int(counted["cascaded"]))
            return cls(str(answer["state"]), int(answer["waiting"]), counters)
        except (KeyError, TypeError, ValueError) as problem:
            raise CallFailed(f"system status: {problem!r} in {answer}") from problem

    @property
    def settled(self) -> bool:
        """Whether the system is open and nothing waits."""
        return self.state == "open" and self.waiting == 0


class Service:
    """One base URL on a shared client."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def call(self, method: str, path: str, body: object = None) -> Any:
        """Return the decoded JSON of a 200. Looks again, for a while, where a busy service says 503.

        Raises:
            CallFailed: any other answer, or none.
        """
        status, answer = await self.answer(method, path, body)
        for _ in range(_LOOKS if method == "GET" else 0):
            if status != HTTPStatus.SERVICE_UNAVAILABLE:
                break
            await asyncio.sleep(_PAUSE)
            status, answer = await self.answer(method, path, body)
        if status != HTTPStatus.OK:
            raise CallFailed(f"{method} {path}: {status} {answer}")
        return answer

    async def answer(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Return status and decoded JSON. Raises `CallFailed` when there is no answer, or none in JSON."""
        try:
            async with self._session.request(method, self._url + path, json=body) as answer:
                return answer.status, await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as problem:
            raise CallFailed(f"{method} {self._url}{path}: {problem!r}") from problem


class Maestro(Service):
    """Maestro's gateway."""

    async def status(self, system: str) -> SystemStatus:
        """Return a system's state and counters."""
        return SystemStatus.parse(await self.call("GET", f"/v1.0.0/systems/{system}"))

    async def pending(self, system: str) -> list[Json]:
        """Return the documents that wait for a decision."""
        return list(await self.call("GET", f"/v1.0.0/reprocessing/{system}/pending"))

    async def documents(self, system: str) -> list[Json]:
        """Return all documents, oldest first."""
        return list(await self.call("GET", f"/v1.0.0/reprocessing/{system}/find?status="))

    async def document(self, identity: str) -> Json:
        """Return one document."""
        return dict(await self.call("GET", f"/v1.0.0/reprocessing/{quote(identity)}"))

    async def outcome(self, identity: str) -> str:
        """Return what a reprocessing changed in one line, once all of it is known; or as much as is after a while."""
        for _ in range(_LOOKS):
            page = await self.call("GET", f"/v1.0.0/reprocessing/{quote(identity)}/outcome?limit=1")
            if not page["summary"]["pending"]:
                break
            await asyncio.sleep(_PAUSE)
        return str(page["summary"]["says"])

    async def listed_stale(self, system: str) -> dict[str, str]:
        """Return what Maestro lists as not known to be fresh: instance and branch, as `Domain.stale`, and the state."""
        page = await self.call("GET", f"/v1.0.0/systems/{system}/stale?limit=1000")
        return {f"{one['instanceId']} on {one['branch']}": str(one["state"]) for one in page["stale"]}

    async def decide(self, identity: str, decision: str, user: str) -> None:
        """`approve` or `skip` a pending document; again, for a while, where a busy service says 503 or 504.

        Raises:
            CallFailed: any other answer, or none.
        """
        path = f"/v1.0.0/reprocessing/{quote(identity)}/{decision}"
        status, answer = await self.answer("POST", path, {"user": user})
        for _ in range(_LOOKS):
            if status not in _BUSY:
                break
            await asyncio.sleep(_PAUSE)
            if (await self.document(identity))["status"] != Status.PENDING:
                return  # it was heard, only its answer was lost
            status, answer = await self.answer("POST", path, {"user": user})
        if status != HTTPStatus.OK:
            raise CallFailed(f"POST {path}: {status} {answer}")


class EventManager(Service):
    """The sandbox's Event Manager."""

    async def send(self, event: Json) -> str:
        """Send one event; return why it was refused, empty when it was taken. Raises `CallFailed`."""
        status, answer = await self.answer("PUT", "/sendevent", event)
        if status not in (HTTPStatus.OK, HTTPStatus.BAD_REQUEST):
            raise CallFailed(f"PUT /sendevent: {status} {answer}")
        return "" if status == HTTPStatus.OK else str(answer.get("message") or "refused")

    async def published(self) -> int:
        """Return how many persist events the executor has published."""
        return sum((await self.call("GET", "/counts")).values())


class Domain(Service):
    """The sandbox's domain."""

    async def count(self, system: str, entity: str, branch: str = MASTER) -> int:
        """Return how many rows of its own a branch has."""
        return int((await self.call("GET", f"/entities/{entity}/count?systemId={system}&branch={branch}"))["count"])

    async def rows(self, system: str, entity: str, branch: str) -> list[Json]:
        """Return the rows that a branch sees."""
        return list(await self.call("GET", f"/entities/{entity}?systemId={system}&branch={branch}"))

    async def stale(self) -> list[str]:
        """Return the instances whose result rests on data that was changed since, each with its branch."""
        return [f"{one['instanceId']} on {one['branch']}" for one in await self.call("GET", "/stale")]

    async def doubled(self) -> list[str]:
        """Return the instances whose created rows were written more than once."""
        return list(await self.call("GET", "/doubled"))


@dataclass(frozen=True, slots=True)
class Services:
    """Whom the story talks to."""

    maestro: Maestro
    events: EventManager
    domain: Domain

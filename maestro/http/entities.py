"""What a held commit would write: the gateway asks the system's domain itself, and sends a page of the answer.

The answer may be of tens of megabytes. It is read as it arrives, in parts of a fraction of a millisecond: the system's
actor has nothing to do with it but to say which instance is held, and lock checks wait for no more than a part.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any, Final, Protocol

from aiohttp import web

from maestro.http.actor_client import Unavailable
from maestro.http.evidence import Asked, Evidence
from maestro.http.outcome import Outcomes
from maestro.http.overwrites import Overwrites, Overwriting
from maestro.http.replaced import Replaced
from maestro.http.replies import Problem, reply
from maestro.http.unusual import Unusual
from maestro.platform import Platform, SiblingError
from maestro.platform.pages import Page
from maestro.system.deadline import PROMPT_TRIES, promptly

#: Answers read at once; who asks for the same page shares it.
AT_ONCE: Final = 2


class Pages(Protocol):
    """Sends pages of what commits would write."""

    async def page(self, system_id: str, instance_id: str, after: int, limit: int) -> web.Response:
        """Answer the rows numbered above `after`, at most `limit`. Raises `Problem`."""

    async def explained(self, asked: Asked) -> list[dict[str, Any]]:
        """Return the evidence of units."""

    @property
    def outcomes(self) -> Outcomes:
        """What tells what reprocessings changed."""

    @property
    def unusual(self) -> Unusual:
        """What tells what is unusual about held commits."""

    async def valued(self, entries: Sequence[Overwriting]) -> list[dict[str, Any]]:
        """Return both values of what was overwritten (`Overwrites.valued`)."""

    async def replaced(self, instance_id: str, wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], Any]:
        """Return rows as an instance read them (`Replaced.rows`)."""


class NoPages:
    """Where there is no platform to ask."""

    async def page(self, system_id: str, instance_id: str, after: int, limit: int) -> web.Response:  # noqa: ARG002 - the protocol's
        """Raise `Unavailable`."""
        raise Unavailable("there is no domain to ask")

    async def explained(self, asked: Asked) -> list[dict[str, Any]]:  # noqa: ARG002 - the protocol's
        """Raise `Unavailable`."""
        raise Unavailable("there is no domain to ask")

    @property
    def outcomes(self) -> Outcomes:
        """Raise `Unavailable`."""
        raise Unavailable("there is no Process Memory to ask")

    @property
    def unusual(self) -> Unusual:
        """Raise `Unavailable`."""
        raise Unavailable("there is no Process Memory to ask")

    async def valued(self, entries: Sequence[Overwriting]) -> list[dict[str, Any]]:  # noqa: ARG002 - the protocol's
        """Raise `Unavailable`."""
        raise Unavailable("there is no Process Memory to ask")

    async def replaced(self, instance_id: str, wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], Any]:  # noqa: ARG002 - the protocol's
        """Return nothing: nobody tells."""
        return {}


class Entities:
    """Pages of what commits would write. `timeout`: seconds that a page may take, waiting for its turn included."""

    def __init__(self, platform: Platform, timeout: float) -> None:
        self._platform = platform
        self._timeout = timeout
        self._evidence = Evidence(platform, timeout)
        self._outcomes = Outcomes(platform, timeout)
        self._overwrites = Overwrites(platform, timeout)
        self._unusual = Unusual(platform, timeout)
        self._replaced = Replaced(platform, timeout)
        self._places = asyncio.Semaphore(AT_ONCE)
        self._reading: dict[tuple[str, str, int, int], asyncio.Task[Page]] = {}

    async def page(self, system_id: str, instance_id: str, after: int, limit: int) -> web.Response:
        """Answer the rows numbered above `after`, at most `limit` and a few megabytes of them.

        Raises:
            Problem: 502, the domain refuses or is out of reach.
        """
        if not instance_id:
            return reply(b'{"total":0,"entities":[],"next":null}')  # a late reprocessing commits nothing
        key = (system_id, instance_id, after, limit)
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.create_task(self._read(*key), name=f"entities of {instance_id}")
            task.add_done_callback(lambda done: self._ended(key, done))
        try:
            page = await asyncio.shield(task)
        except SiblingError as problem:
            raise Problem(502, str(problem)) from problem
        end = after + len(page.rows)
        following = b"%d" % end if page.rows and end < page.total else b"null"
        return reply(b'{"total":%d,"entities":[%s],"next":%s}' % (page.total, b",".join(page.rows), following))

    async def explained(self, asked: Asked) -> list[dict[str, Any]]:
        """Return the evidence of units (`Evidence.explained`)."""
        return await self._evidence.explained(asked)

    @property
    def outcomes(self) -> Outcomes:
        """What tells what reprocessings changed."""
        return self._outcomes

    @property
    def unusual(self) -> Unusual:
        """What tells what is unusual about held commits."""
        return self._unusual

    async def valued(self, entries: Sequence[Overwriting]) -> list[dict[str, Any]]:
        """Return both values of what was overwritten (`Overwrites.valued`)."""
        return await self._overwrites.valued(entries)

    async def replaced(self, instance_id: str, wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], Any]:
        """Return rows as an instance read them (`Replaced.rows`)."""
        return await self._replaced.rows(instance_id, wanted)

    async def close(self) -> None:
        """Read no more."""
        await self._outcomes.close()
        await self._unusual.close()
        tasks = list(self._reading.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, system_id: str, instance_id: str, after: int, limit: int) -> Page:
        async with promptly("domain", "entities", self._timeout), self._places:
            return await self._platform.domain.entities_page(system_id, instance_id, after, limit, tries=PROMPT_TRIES)

    def _ended(self, key: tuple[str, str, int, int], done: "asyncio.Task[Page]") -> None:
        self._reading.pop(key, None)
        if not done.cancelled():
            done.exception()  # retrieved, although everybody who waited may have gone away

"""Finds the system a reprocessing document belongs to: clients name the document only."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from maestro.http.actor_client import ActorClient, Unavailable, UnknownSystem
from maestro.http.replies import Denied, Problem
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import GetDocument, Question
from maestro.rules.ids import system_of

#: Systems asked at once in one search, and searches at once; more of either would only queue up in the actors.
SEARCH_WIDTH: Final = 16
SEARCHES: Final = 4
#: Documents whose system is remembered.
REMEMBERED: Final = 4096


class Access(Protocol):
    """What the caller of the request at hand may touch."""

    def may_touch(self, system_id: str) -> bool:
        """Whether it may touch a system."""

    def about(self, system_id: str) -> None:
        """Note that its request is about this system, which it may touch."""


class Documents:
    """Puts questions about a document to its system.

    An id made by Maestro tells its system; for any other (an import) every system is asked and the hit is
    remembered. `access` tells which systems the caller may touch, and is told which one it is about. To a caller a
    document of another system is the same as none: the same answer, found in the same way.
    """

    def __init__(self, actor_client: ActorClient, timeout: float, access: "Access") -> None:
        self._actor_client = actor_client
        self._access = access
        self._timeout = timeout
        self._found: OrderedDict[str, str] = OrderedDict()
        self._searches = asyncio.Semaphore(SEARCHES)

    async def ask(self, document_id: str, question: Question, timeout: float | None = None) -> Answer:  # noqa: ASYNC109 - the actor client's own
        """Ask the document's system; `NOT_FOUND` when no system has it. `timeout` (seconds) replaces the usual one.

        Raises:
            Problem: the search was not complete: a system did not answer, or time was up.
            TimeoutError: the document's system did not answer in time.
            Denied: 404, the document is of a system that the caller may not touch.
        """
        owner = self._found.get(document_id)
        if owner is None or not self._access.may_touch(owner):
            owner = await self._owner(document_id)
        if owner is None:
            message = f"reprocessing {document_id} is not known"
            if any(not self._access.may_touch(one) for one in system_of(document_id, self._actor_client.systems())):
                raise Denied(404, message)  # on record as what it is
            return Answer(Code.NOT_FOUND, message=message)
        self._access.about(owner)
        answer = await self._actor_client.ask(owner, question, timeout=timeout or self._timeout)
        if answer.code is Code.NOT_FOUND:
            self._found.pop(document_id, None)
        return answer

    async def _owner(self, document_id: str) -> str | None:
        systems = tuple(filter(self._access.may_touch, self._actor_client.systems()))
        candidates = system_of(document_id, systems)
        if len(candidates) == 1:
            return candidates[0]
        owner = await self._search(document_id, candidates or systems)
        if owner is not None:
            self._found[document_id] = owner
            if len(self._found) > REMEMBERED:
                self._found.popitem(last=False)
        return owner

    async def _search(self, document_id: str, systems: Sequence[str]) -> str | None:
        silent: list[str] = []
        try:
            async with asyncio.timeout(self._timeout), self._searches:
                owner = await self._first_hit(document_id, systems, silent)
        except TimeoutError:
            raise Problem(503, f"reprocessing {document_id}: not all systems answered in time") from None
        if owner is None and silent:
            raise Problem(503, f"reprocessing {document_id}: no answer from {', '.join(silent[:10])}")
        return owner

    async def _first_hit(self, document_id: str, systems: Sequence[str], silent: list[str]) -> str | None:
        todo = iter(systems)
        workers = [
            asyncio.create_task(self._ask_each(document_id, todo, silent))
            for _ in range(min(SEARCH_WIDTH, len(systems)))
        ]
        try:
            for finished in asyncio.as_completed(workers):
                if (owner := await finished) is not None:
                    return owner
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return None

    async def _ask_each(self, document_id: str, todo: Iterator[str], silent: list[str]) -> str | None:
        """Ask one system after the other of those that no other worker took; return the one that has the document."""
        for system_id in todo:
            try:
                answer = await self._actor_client.ask(system_id, GetDocument(document_id), timeout=self._timeout)
            except UnknownSystem:
                continue
            except (Unavailable, TimeoutError):
                silent.append(system_id)
                continue
            if answer.code is Code.OK:
                return system_id
            if answer.code is not Code.NOT_FOUND:
                silent.append(system_id)
        return None

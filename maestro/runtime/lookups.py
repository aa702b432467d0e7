"""Questions whose answer a sibling knows: each is a task of its own, with an end to its patience."""

from collections.abc import Callable, Coroutine

import orjson

from maestro import logs
from maestro.messages import Answer, Code, ListEntities
from maestro.platform import Platform, SiblingError
from maestro.reprocessing.state import System
from maestro.runtime.prompt import PROMPT_TRIES, promptly
from maestro.runtime.tasks import Tasks

Give = Callable[[Answer], None]


class Lookups:
    """Asks siblings for what an admin wants to see before a decision."""

    def __init__(self, system: System, platform: Platform, patience: float) -> None:
        self._system = system
        self._platform = platform
        self._patience = patience
        self._tasks = Tasks(logs.get(system=system.id))

    def entities(self, question: ListEntities, give: Give) -> None:
        """Answer what the commit of a document's held instance would write."""
        doc = self._system.documents.get(question.id)
        if doc is None:
            give(Answer(Code.NOT_FOUND, message=f"no reprocessing {question.id}"))
        else:
            self._tasks.start(_answered(self._entities(doc.held_instance, question), give), "entities")

    async def close(self) -> None:
        """Stop asking."""
        await self._tasks.close()

    async def _entities(self, instance_id: str, page: ListEntities) -> Answer:
        async with promptly("domain", "entities", self._patience):
            with logs.correlated(reprocessing=page.id, instance=instance_id):
                rows = await self._platform.domain.entities(self._system.id, instance_id, tries=PROMPT_TRIES)
        end = page.after + page.limit
        body = {"total": len(rows), "entities": rows[page.after : end], "next": end if end < len(rows) else None}
        return Answer(Code.OK, orjson.dumps(body))


async def _answered(work: Coroutine[None, None, Answer], give: Give) -> None:
    try:
        give(await work)
    except SiblingError as problem:
        give(Answer(Code.FAILED, message=str(problem)))

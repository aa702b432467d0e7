"""What waits for a person in all systems that the caller may touch: one list for the API, the console and the CLI.

Each system says what its state holds; the messages of its error queue are asked for by what went wrong. That look takes
the broker a while, so what it found is kept until the queue or the count of failures changes.
"""

import time
from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

from maestro.http.actor_client import ActorClient, answer_of, of_each
from maestro.messages.answers import Code
from maestro.messages.questions import ListErrorGroups, ListTodo
from maestro.messages.todo import TodoItem, Waits, urgency

#: Messages of one error queue that are looked at, and seconds that what was found counts.
LOOKED_AT: Final = 500
FRESH: Final = 60.0
#: Characters of a reason.
_SHOWN: Final = 300


class _Said(Struct, rename="camel"):
    """What a system says of itself (see `maestro.system.todo`)."""

    total: int
    counts: dict[str, int]
    items: list[TodoItem]
    errors: int | None
    failed: int
    last_failure: str


class _Group(Struct, rename="camel"):
    key: str
    reason: str
    count: int
    first: str
    instance_id: str


class _Errors(Struct, rename="camel"):
    total: int
    groups: list[_Group]


class Todo(Struct):
    """Everything that waits: sorted, and counted by kind."""

    total: int
    counts: dict[str, int]
    items: list[TodoItem]


class TodoList:
    """Puts the list together. `timeout`: seconds that a system has to answer."""

    def __init__(self, actor_client: ActorClient, timeout: float) -> None:
        self._actor_client = actor_client
        self._timeout = timeout
        #: By system: the depth and the failures that were seen, when (monotonic), and the groups.
        self._errors: dict[str, tuple[tuple[int, int], float, list[TodoItem]]] = {}

    async def of(self, systems: Iterable[str]) -> Todo:
        """Return what waits in these systems. Raises `Denied`: the caller may not touch one of them."""
        found = await of_each(systems, self._one)
        counts: dict[str, int] = {}
        for part in found:
            for kind, number in part.counts.items():
                counts[kind] = counts.get(kind, 0) + number
        items = sorted((item for part in found for item in part.items), key=urgency)
        return Todo(sum(part.total for part in found), counts, items)

    async def _one(self, system_id: str) -> Todo:
        answer = await answer_of(self._actor_client, system_id, ListTodo(), self._timeout)
        if answer.code is not Code.OK:
            item = TodoItem(
                kind=Waits.UNAVAILABLE, system=system_id, cause=answer.message, says="Maestro cannot answer for it"
            )
            return Todo(1, {Waits.UNAVAILABLE: 1}, [item])
        said = msgspec.json.decode(answer.body, type=_Said)
        groups = await self._groups(system_id, said)
        counts = said.counts | ({Waits.ERRORS.value: len(groups)} if groups else {})
        return Todo(said.total + len(groups), counts, said.items + groups)

    async def _groups(self, system_id: str, said: _Said) -> list[TodoItem]:
        """Return the messages of the error queue, those that failed alike together."""
        if not said.errors:
            self._errors.pop(system_id, None)
            return []
        seen = (said.errors, said.failed)
        known = self._errors.get(system_id)
        if known is not None and known[0] == seen and time.monotonic() - known[1] < FRESH:
            return known[2]
        answer = await answer_of(self._actor_client, system_id, ListErrorGroups(LOOKED_AT), self._timeout)
        if answer.code is not Code.OK:
            return [_unseen(system_id, said.errors, said.last_failure)]
        page = msgspec.json.decode(answer.body, type=_Errors)
        groups = _grouped(system_id, page, said.last_failure)
        self._errors[system_id] = (seen, time.monotonic(), groups)
        return groups


def _grouped(system_id: str, page: _Errors, last: str) -> list[TodoItem]:
    groups = [
        TodoItem(
            kind=Waits.ERRORS, system=system_id, since=group.first or (last if len(page.groups) == 1 else ""),
            key=group.key, count=group.count, cause=group.reason[:_SHOWN], instance_id=group.instance_id,
            says=_says(group.count, "for one reason"),
        )
        for group in page.groups
    ]  # fmt: skip
    beyond = page.total - sum(group.count for group in page.groups)
    return [*groups, _unseen(system_id, beyond, "")] if beyond > 0 else groups


def _unseen(system_id: str, count: int, since: str) -> TodoItem:
    says = _says(count, "for reasons not looked at")
    return TodoItem(kind=Waits.ERRORS, system=system_id, since=since, count=count, says=says)


def _says(count: int, why: str) -> str:
    if count == 1:
        return f"{count} event failed for good, {why}: mend the cause, then put it back"
    return f"{count} events failed for good, {why}: mend the cause, then put them back"

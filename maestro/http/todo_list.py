"""What waits for a person in all systems that the caller may touch: one list for the API, the console and the CLI.

Each system says what its state holds; the messages of its error queue are looked at here, and put together by what went
wrong. That look takes the broker a while, so what it found is kept until the queue or the count of failures changes.
"""

import re
import time
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct

from maestro.http.actor_client import ActorClient, answer_of, of_each
from maestro.messages import Code, ListErrors, ListTodo, TodoItem, Waits, urgency

#: Messages of one error queue that are looked at, and seconds that what was found counts.
LOOKED_AT: Final = 50
FRESH: Final = 60.0
#: Characters of a reason.
_SHOWN: Final = 300
_NAMES: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b\d+\b")


class _Said(Struct, rename="camel"):
    """What a system says of itself (see `maestro.system.todo`)."""

    total: int
    counts: dict[str, int]
    items: list[TodoItem]
    errors: int | None
    failed: int
    last_failure: str


class _Message(Struct):
    reason: str = ""
    body: Any = None


class _Errors(Struct):
    total: int
    errors: list[_Message]


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
        answer = await answer_of(self._actor_client, system_id, ListErrors(LOOKED_AT), self._timeout)
        if answer.code is not Code.OK:
            return [_group(system_id, said.errors, "", "", said.last_failure)]
        page = msgspec.json.decode(answer.body, type=_Errors)
        groups = _grouped(system_id, page, said.last_failure)
        self._errors[system_id] = (seen, time.monotonic(), groups)
        return groups


def _grouped(system_id: str, page: _Errors, last: str) -> list[TodoItem]:
    alike: dict[str, list[_Message]] = {}
    for message in page.errors:
        alike.setdefault(_essence(message), []).append(message)
    groups = [
        _group(system_id, len(some), some[0].reason, _instance(some[0]), last if len(alike) == 1 else "")
        for some in alike.values()
    ]
    beyond = page.total - len(page.errors)
    return [*groups, _group(system_id, beyond, "", "", "")] if beyond > 0 else groups


def _group(system_id: str, count: int, reason: str, instance_id: str, since: str) -> TodoItem:
    events = "event" if count == 1 else "events"
    why = "for one reason" if reason else "for reasons not looked at"
    return TodoItem(
        kind=Waits.ERRORS, system=system_id, since=since, count=count, cause=reason[:_SHOWN], instance_id=instance_id,
        says=f"{count} {events} failed for good, {why}: mend the cause, then put them back",
    )  # fmt: skip


def _essence(message: _Message) -> str:
    """Return what a reason says, whatever it names: two that differ in an id or a number are alike."""
    instance = _instance(message)
    reason = message.reason.replace(instance, "…") if instance else message.reason
    return _NAMES.sub("…", reason)


def _instance(message: _Message) -> str:
    args = message.body.get("args") if isinstance(message.body, dict) else None
    event = args[0] if isinstance(args, list) and args else None
    found = event.get("instanceId") if isinstance(event, dict) else None
    return found if isinstance(found, str) else ""

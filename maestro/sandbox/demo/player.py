"""Plays the plan: sends the events of the platform's users, decides as their admin would, waits for what follows."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from maestro.backoff import Backoff
from maestro.events import EXECUTION, MASTER
from maestro.sandbox.demo.clients import IN_FLIGHT, Services
from maestro.sandbox.demo.story import Correction, Entity, Input, Json, Plan, Tables, Used, Values
from maestro.sandbox.demo.waiting import GaveUp, until, until_count
from maestro.sandbox.executor import now
from maestro.statuses import ENDED, Status

#: Who decides.
USER: Final = "demo"
#: Seconds that anything may take, or stand still, before the story is given up.
TIMEOUT: Final = 60.0
#: Seconds between two tries of an event that a lock refused: first, longest.
_RETRY: Final = (0.05, 1.0)
#: Nothing is stale.
FRESH: Final = "fresh"


@dataclass(frozen=True, slots=True)
class Decided:
    """One correction, and the reprocessing that came of it, at its end."""

    correction: Correction
    document: Json


class Teller(Protocol):
    """Hears what happens, as it happens."""

    def begins(self, phase: str, total: int) -> None:
        """A phase begins: `total` rows are to be committed."""

    def progressed(self, count: int) -> None:
        """So many rows of the phase are committed."""

    def says(self, text: str) -> None:
        """Something happened."""


class Player:
    """Plays one story on one system. With `finds_late` Maestro lists what is stale, and asks whether to replay it."""

    def __init__(self, plan: Plan, system: str, services: Services, teller: Teller, *, finds_late: bool = True) -> None:
        self._plan = plan
        self._story = plan.story
        self._finds_late = finds_late
        #: Late reprocessings, at their ends.
        self.late: list[Json] = []
        self._system = system
        self._maestro = services.maestro
        self._events = services.events
        self._domain = services.domain
        self._teller = teller
        #: Rows that the trunk has, or will have once all is settled, by entity.
        self._rows: Counter[str] = Counter()

    async def play(self) -> list[Decided]:
        """Play it all. Raises `GaveUp` or `CallFailed`."""
        await self._build()
        late = list(self._plan.late)
        waits = sum(not correction.is_fork for correction in self._plan.corrections)
        share = -(-len(late) // waits)
        decided = []
        for correction in self._plan.corrections:
            if correction.corrected is not None:
                await self._catch_up()
            if correction.is_fork:
                decided.append(await self._fork(correction))
            else:
                arriving, late = late[:share], late[share:]
                decided.append(await self._correct(correction, arriving))
        await self._catch_up()
        return decided

    async def stale(self) -> list[str]:
        """Return what rests on data that was changed since, and is not listed by Maestro."""
        found = await self._domain.stale()
        listed = await self._maestro.listed_stale(self._system) if self._finds_late and found else {}
        return [one for one in found if one not in listed]

    async def results(self, branch: str) -> Tables:
        """Return what `branch` sees in the domain now."""
        return {entity.name: await self._values(entity, branch) for entity in self._story.computed}

    async def leave_held(self) -> Json:
        """Send the correction that was skipped once more, and return what is held for it: nobody decides here."""
        return await self._hold(next(one for one in self._plan.corrections if not one.approved))

    async def _build(self) -> None:
        """Commit all inputs, then each level, which reads those before it."""
        story = self._story
        await self._commit_all(story.input, [self._push(one) for one in self._plan.inputs])
        for level in story.levels:
            payloads = self._plan.payloads[level.entity.name]
            await self._commit_all(level.entity, [self._event(level.process, one) for one in payloads])

    async def _values(self, entity: Entity, branch: str) -> Values:
        rows = await self._domain.rows(self._system, entity.name, branch)
        return {(row[entity.subject], str(row[entity.part]) if entity.part else ""): row[entity.value] for row in rows}

    async def _commit_all(self, entity: Entity, events: Sequence[Json]) -> None:
        self._teller.begins(entity.plural, len(events))
        before = self._rows[entity.name]
        self._rows[entity.name] += len(events)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send_all(events))
            group.create_task(self._committed(entity, entity.plural, before))

    async def _correct(self, correction: Correction, late: Sequence[Input]) -> Decided:
        """Correct an input of the trunk: it is held, others wait behind it, and somebody decides."""
        amounts = correction.amounts
        if amounts:
            await self._add_up(correction.input.subject, amounts[0])
        if correction.just_before:
            await self._commit_all(self._story.use.entity, [self._use(one) for one in correction.just_before])
        document = await self._hold(correction)
        meanwhile = [self._use(one) for one in correction.meanwhile]
        self._rows[self._story.use.entity.name] += len(meanwhile)
        if amounts:
            meanwhile.append(self._amount(correction.input.subject, amounts[1]))
        await self._let_wait(late, meanwhile)
        await self._maestro.decide(document["id"], "approve" if correction.approved else "skip", USER)
        self._teller.says(f"{correction.decision} by {USER}")
        ended = await self._ended(document["id"])
        await self._settled()
        await self._committed(self._story.input, f"{self._story.input.plural} that waited")
        return Decided(correction, ended)

    async def _add_up(self, subject: str, amount: float) -> None:
        """Add to a running total, and see it there: the next one must build on it."""
        entity = self._story.total.entity

        async def total() -> float:
            return (await self._values(entity, MASTER)).get((subject, ""), 0.0)

        before = await total()
        await self._send(self._amount(subject, amount))

        async def added() -> bool:
            return await total() == before + amount

        await until(added, f"{amount} in the running {entity.name} of {subject}", TIMEOUT)

    async def _hold(self, correction: Correction) -> Json:
        """Send a correction of the trunk and return the document in which it is held."""
        event = self._rectify(correction)
        await self._send(event)

        async def held() -> Json | None:
            return _tagged(await self._maestro.pending(self._system), event["tag"])

        document = await until(held, f"the correction of {correction} to be held", TIMEOUT)
        impacted = len(document["events"])
        self._teller.says(f"{correction}: {_change(correction)} is held: {impacted} to replay")
        return document

    async def _fork(self, correction: Correction) -> Decided:
        """Correct an input on a branch of its own: nobody is asked, nothing is locked."""
        event = self._rectify(correction)
        await self._send(event)

        async def opened() -> Json | None:
            return _tagged(await self._maestro.documents(self._system), event["tag"])

        document = await until(opened, f"the branch {correction.branch}", TIMEOUT)
        self._teller.says(f"{correction}: {_change(correction)} on branch {correction.branch}")
        ended = await self._ended(document["id"])
        for entry in ended["history"]:
            if entry["status"] == Status.APPROVED:
                self._teller.says(f"{correction.decision} by {entry['user']}: a branch of its own locks nothing")
        await self._settled()
        return Decided(correction, ended)

    async def _let_wait(self, late: Sequence[Input], others: Sequence[Json]) -> None:
        """Send what has to wait for the decision, and see it wait: inputs, and results of what is pending."""
        await self._send_all([*(self._push(one) for one in late), *others])
        self._rows[self._story.input.name] += len(late)

        async def wait() -> bool:
            return (await self._maestro.status(self._system)).waiting >= len(late) + len(others)

        await until(wait, f"{len(late) + len(others)} events on the wait queue", TIMEOUT)
        results = "1 result" if len(others) == 1 else f"{len(others)} results"
        computed = f", and {results} computed on the old {self._story.input.value}" if others else ""
        self._teller.says(f"{len(late)} {self._story.input.plural} arrive and wait{computed}")

    async def _catch_up(self) -> None:
        """Approve late reprocessings until every result rests on the data there is."""

        async def next_one() -> Json | str | None:
            late = next((one for one in await self._maestro.pending(self._system) if one.get("late")), None)
            return late or (None if await self._domain.stale() else FRESH)

        while self._finds_late and (document := await until(next_one, "stale results to be found", TIMEOUT)) != FRESH:
            assert isinstance(document, dict)
            self._teller.says(f"{len(document['events'])} results that were computed on old data are found")
            await self._maestro.decide(document["id"], "approve", USER)
            self.late.append(await self._ended(document["id"]))
            await self._settled()

    async def _ended(self, identity: str) -> Json:
        async def ended() -> Json | None:
            document = await self._maestro.document(identity)
            return document if document["status"] in ENDED else None

        return await until(ended, f"reprocessing {identity} to end", TIMEOUT)

    async def _settled(self) -> None:
        async def settled() -> bool:
            return (await self._maestro.status(self._system)).settled

        await until(settled, f"system {self._system} to be open with nothing waiting", TIMEOUT)

    async def _committed(self, entity: Entity, what: str, before: int = 0) -> None:
        """Wait until all rows of an entity are committed; progress is told of those after the first `before`."""

        async def count() -> int:
            return await self._domain.count(self._system, entity.name) - before

        total = self._rows[entity.name] - before
        await until_count(count, total, what, TIMEOUT, self._teller.progressed)

    async def _send_all(self, events: Iterable[Json]) -> None:
        """Send the events, several hundred at a time."""
        left = iter(events)

        async def send_some() -> None:
            for event in left:
                await self._send(event)

        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT):
                group.create_task(send_some())

    async def _send(self, event: Json) -> None:
        """Send one event; a locked system refuses it, so try again for a while. Raises `GaveUp`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + TIMEOUT
        pauses = Backoff(*_RETRY)
        while refusal := await self._events.send(event):
            if loop.time() > deadline:
                raise GaveUp(f"{event['name']} was refused for {TIMEOUT:.0f} s: {refusal}")
            await asyncio.sleep(pauses.next())

    def _push(self, one: Input) -> Json:
        return self._event(self._story.push, self._story.input_payload(one))

    def _rectify(self, correction: Correction) -> Json:
        return self._event(self._story.correct, self._story.correction_payload(correction))

    def _use(self, one: Used) -> Json:
        return self._event(self._story.use.process, self._story.use_payload(one))

    def _amount(self, subject: str, amount: float) -> Json:
        return self._event(self._story.total.process, self._story.amount_payload(subject, amount))

    def _event(self, name: str, payload: Json) -> Json:
        return {
            "name": name,
            "systemId": self._system,
            "tag": str(uuid.uuid4()),
            "branch": MASTER,
            "scope": EXECUTION,
            "timestamp": now(),
            "payload": payload,
        }


def _change(correction: Correction) -> str:
    return f"{correction.old} → {correction.new}"


def _tagged(documents: Iterable[Json], tag: str) -> Json | None:
    return next((document for document in documents if document["tag"] == tag), None)

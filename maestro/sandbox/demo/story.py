"""Plays the plan: sends the events of the platform's users, decides as their admin would, waits for what follows."""

import asyncio
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from maestro.backoff import Backoff
from maestro.events import EXECUTION, MASTER
from maestro.sandbox.demo.clients import IN_FLIGHT, Json, Services
from maestro.sandbox.demo.plan import Conversion, Correction, Plan
from maestro.sandbox.demo.truth import Results
from maestro.sandbox.demo.waiting import GaveUp, until, until_count
from maestro.sandbox.executor import now
from maestro.sandbox.processes import AVERAGE, CONVERSION, QUOTE, RATE, TOTAL
from maestro.sandbox.quotes import Quote
from maestro.statuses import ENDED

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


class Story:
    """One system's story. With `finds_late` Maestro lists what is stale, and asks whether to replay it."""

    def __init__(self, plan: Plan, system: str, services: Services, teller: Teller, *, finds_late: bool = True) -> None:
        self._plan = plan
        self._finds_late = finds_late
        #: Late reprocessings, at their ends.
        self.late: list[Json] = []
        self._system = system
        self._maestro = services.maestro
        self._events = services.events
        self._domain = services.domain
        self._teller = teller
        #: Quotes that the trunk has, or will have once all is settled.
        self._quotes = 0

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

    async def results(self, branch: str) -> Results:
        """Return what `branch` sees in the domain now."""
        averages = await self._domain.rows(self._system, AVERAGE, branch)
        rates = await self._domain.rows(self._system, RATE, branch)
        conversions = await self._domain.rows(self._system, CONVERSION, branch)
        totals = [{**row, "name": "total"} for row in await self._domain.rows(self._system, TOTAL, branch)]
        return Results(
            _table(averages, "month"), _table(rates, "year"), _table(conversions, "name"), _table(totals, "name")
        )

    async def leave_held(self) -> Json:
        """Send the correction that was skipped once more, and return what is held for it: nobody decides here."""
        return await self._hold(next(one for one in self._plan.corrections if not one.approved))

    async def _build(self) -> None:
        """Commit all quotes, then the averages, which read them, then the rates, which read those."""
        plan = self._plan
        self._quotes = len(plan.quotes)
        await self._commit_all("quotes", QUOTE, [self._quote(quote) for quote in plan.quotes])
        months = [{"currency": currency, "month": month} for currency, month in plan.months]
        await self._commit_all("averages", AVERAGE, [self._event("monthly.average.request", one) for one in months])
        years = [{"currency": currency, "year": year} for currency, year in plan.rates]
        await self._commit_all("rates", RATE, [self._event("yearly.rate.request", one) for one in years])

    async def _commit_all(self, phase: str, entity: str, events: Sequence[Json]) -> None:
        self._teller.begins(phase, len(events))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send_all(events))
            group.create_task(self._committed(entity, len(events), phase))

    async def _correct(self, correction: Correction, late: Sequence[Quote]) -> Decided:
        """Correct a quote of the trunk: it is held, others wait behind it, and somebody decides."""
        amounts = correction.amounts
        if amounts:
            await self._add_up(correction.quote.currency, amounts[0])
        if correction.just_before:
            await self._commit_all("conversions", CONVERSION, [self._conversion(one) for one in correction.just_before])
        document = await self._hold(correction)
        meanwhile = [self._conversion(one) for one in correction.meanwhile]
        if amounts:
            meanwhile.append(self._amount(correction.quote.currency, amounts[1]))
        await self._let_wait(late, meanwhile)
        await self._maestro.decide(document["id"], "approve" if correction.approved else "skip", USER)
        self._teller.says(f"{correction.decision} by {USER}")
        ended = await self._ended(document["id"])
        await self._settled()
        await self._committed(QUOTE, self._quotes, "quotes that waited")
        return Decided(correction, ended)

    async def _add_up(self, currency: str, amount: float) -> None:
        """Add to a running total, and see it there: the next one must build on it."""
        total = await self._total(currency)
        await self._send(self._amount(currency, amount))

        async def added() -> bool:
            return await self._total(currency) == total + amount

        await until(added, f"{amount} in the running total of {currency}", TIMEOUT)

    async def _total(self, currency: str) -> float:
        rows = await self._domain.rows(self._system, TOTAL, MASTER)
        return next((float(row["value"]) for row in rows if row["currency"] == currency), 0.0)

    async def _hold(self, correction: Correction) -> Json:
        """Send a correction of the trunk and return the document in which it is held."""
        event = self._rectify(correction)
        await self._send(event)

        async def held() -> Json | None:
            return _tagged(await self._maestro.pending(self._system), event["tag"])

        quote = correction.quote
        document = await until(held, f"the correction of {quote.currency} on {quote.day} to be held", TIMEOUT)
        impacted = len(document["events"])
        self._teller.says(f"{quote.currency} {quote.day}: {_change(correction)} is held: {impacted} to replay")
        return document

    async def _fork(self, correction: Correction) -> Decided:
        """Correct a quote on a branch of its own: nobody is asked, nothing is locked."""
        event = self._rectify(correction)
        await self._send(event)

        async def opened() -> Json | None:
            return _tagged(await self._maestro.documents(self._system), event["tag"])

        document = await until(opened, f"the branch {correction.branch}", TIMEOUT)
        quote = correction.quote
        self._teller.says(f"{quote.currency} {quote.day}: {_change(correction)} on branch {correction.branch}")
        ended = await self._ended(document["id"])
        await self._settled()
        return Decided(correction, ended)

    async def _let_wait(self, late: Sequence[Quote], others: Sequence[Json]) -> None:
        """Send what has to wait for the decision, and see it wait: quotes, and results of what is pending."""
        await self._send_all([*(self._quote(quote) for quote in late), *others])
        self._quotes += len(late)

        async def wait() -> bool:
            return (await self._maestro.status(self._system)).waiting >= len(late) + len(others)

        await until(wait, f"{len(late) + len(others)} events on the wait queue", TIMEOUT)
        computed = f", and {len(others)} results computed on the old rate" if others else ""
        self._teller.says(f"{len(late)} quotes arrive and wait{computed}")

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

    async def _committed(self, entity: str, total: int, what: str) -> None:
        async def count() -> int:
            return await self._domain.count(self._system, entity)

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

    def _quote(self, quote: Quote) -> Json:
        payload = {"currency": quote.currency, "date": quote.day, "rate": quote.rate}
        return self._event("push.quote.request", payload)

    def _rectify(self, correction: Correction) -> Json:
        quote = correction.quote
        payload = {"currency": quote.currency, "date": quote.day, "rate": correction.new}
        if correction.is_fork:
            payload["branch"] = correction.branch
        return self._event("rectify.quote.request", payload)

    def _conversion(self, one: Conversion) -> Json:
        quote = one.quote
        payload = {"currency": quote.currency, "date": quote.day, "amount": one.amount, "name": one.name}
        return self._event("convert.amount.request", payload)

    def _amount(self, currency: str, amount: float) -> Json:
        return self._event("running.total.request", {"currency": currency, "amount": amount})

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


def _table(rows: Iterable[Json], period: str) -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = {}
    for row in rows:
        table.setdefault(row["currency"], {})[str(row[period])] = row["value"]
    return table

"""Tells configured URLs what happens to a system's reprocessings: pending, decided, finished, failed.

What is to be told is read off the documents' stored histories; each URL has a worker of its own with a stored place in
every history. So nothing is lost with a process, each worker keeps the order, and a URL that does not answer holds up
nothing but itself. At least once: an `id` that comes twice is the same happening.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from maestro import backoff, logs
from maestro.messages.answers import Answer, Code
from maestro.rules.document import Document, HistoryEntry
from maestro.rules.rendering import zoned_time
from maestro.rules.state import System
from maestro.rules.status import Status
from maestro.settings.model import WebhookSettings
from maestro.store.base import Put, Store
from maestro.webhooks.log import DeliveryLog, WriteLater, url_name

PLACES: Final = "webhooks"
#: Pauses before a worker that died of an error is started again, in seconds.
RESTART, RESTART_MAX = 1.0, 60.0
HAPPENINGS: Final = {
    Status.PENDING: "pending",
    Status.APPROVED: "decided",
    Status.SKIPPED: "decided",
    Status.CANCELLED: "decided",
    Status.FINISHED: "finished",
    Status.FAILURE: "failed",
    Status.ABORTED_SPLIT: "failed",
    Status.ABORTED_PERSIST: "failed",
}


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing to tell."""

    at: float
    document: Document
    #: Its place in the document's history.
    index: int

    @property
    def entry(self) -> HistoryEntry:
        """The change of status it is about."""
        return self.document.history[self.index]

    @property
    def id(self) -> str:
        """Unique, and the same whenever it is told."""
        return f"{self.document.id}.{self.index}"


class Webhooks:
    """One system's webhooks."""

    def __init__(
        self,
        system: System,
        write_later: WriteLater,
        store: Store,
        settings: WebhookSettings,
        settled: Callable[[], Awaitable[None]],
    ) -> None:
        self._log = logs.get(system=system.id)
        self._deliveries = DeliveryLog(store, write_later, settings.kept)
        self._workers = [
            _UrlWorker(url, system, write_later, store, settings, self._deliveries, settled) for url in settings.urls
        ]

    def changed(self, id_: str) -> None:
        """A document changed."""
        for worker in self._workers:
            worker.changed(id_)

    @property
    def busy(self) -> bool:
        """Whether a URL is still to be told something."""
        return any(worker.busy for worker in self._workers)

    def page(self, after: int, limit: int) -> Answer:
        """Return a page of the deliveries, oldest first."""
        entries, following = self._deliveries.page(after, limit)
        return Answer(Code.OK, orjson.dumps({"deliveries": entries, "next": following}))

    async def run(self) -> None:
        """Tell, for ever."""
        if self._workers:
            await asyncio.gather(*map(self._kept_running, self._workers))

    async def _kept_running(self, worker: "_UrlWorker") -> None:
        pauses = backoff.Backoff(RESTART, RESTART_MAX)
        while True:
            try:
                await worker.run()
            except Exception:  # noqa: BLE001 - no webhook may take its system down with it
                seconds = pauses.next()
                self._log.exception("webhook worker died", worker=worker.name, again_in=seconds)
                await asyncio.sleep(seconds)


class _UrlWorker:
    """One URL: what it was told, and what it is still to be told."""

    def __init__(
        self,
        url: str,
        system: System,
        write_later: WriteLater,
        store: Store,
        settings: WebhookSettings,
        deliveries: DeliveryLog,
        settled: Callable[[], Awaitable[None]],
    ) -> None:
        from maestro.webhooks.sender import Sender  # noqa: PLC0415 - see there

        self.name = url_name(url)
        self._write_later = write_later
        self._documents: dict[str, Document] = system.documents
        self._settings = settings
        self._deliveries = deliveries
        self._sender = Sender(url, settings)
        self._settled = settled
        self._more = asyncio.Event()
        places = dict(store.rows(PLACES, f"{self.name}/"))
        start = places.pop(f"{self.name}/", None)
        #: What was there before the URL was configured is not told.
        self._since: float = start["since"] if start else time.time()
        if start is None:
            write_later([Put(PLACES, f"{self.name}/", {"since": self._since})])
        self._told = {key.partition("/")[2]: int(row["told"]) for key, row in places.items()}
        self._due = {id_: None for id_, doc in self._documents.items() if self._place(doc) < len(doc.history)}

    @property
    def busy(self) -> bool:
        return bool(self._due)

    def changed(self, id_: str) -> None:
        self._due[id_] = None
        self._more.set()

    async def run(self) -> None:
        async with self._sender:
            while True:
                self._more.clear()
                while (happening := self._next()) is not None:
                    await self._tell(happening)
                await self._more.wait()

    def _next(self) -> Happening | None:
        """Return the oldest thing to tell; documents without any are no longer due."""
        found: list[Happening] = []
        for id_ in list(self._due):
            doc = self._documents[id_]
            index = self._place(doc)
            while index < len(doc.history) and self._kind(doc, index) not in self._settings.events:
                index += 1
            if index < len(doc.history):
                found.append(Happening(doc.history[index].at, doc, index))
            else:
                del self._due[id_]
                self._note(doc, index)
        return min(found, key=lambda one: one.at, default=None)

    async def _tell(self, happening: Happening) -> None:
        body = rendered(happening)
        await self._settled()  # nothing is told that the store may not have
        record = self._deliveries.begin(self._sender.shown, happening.id, HAPPENINGS[happening.entry.status])
        for tried in range(1, self._settings.tries + 1):
            problem = await self._sender.send(body)
            record.tried(problem, last=tried == self._settings.tries)
            if not problem:
                break
            if tried < self._settings.tries:
                await asyncio.sleep(backoff.pause(tried - 1, self._settings.backoff, self._settings.backoff_max))
        self._note(happening.document, happening.index + 1)

    def _kind(self, doc: Document, index: int) -> str:
        return "" if doc.is_note(index) else HAPPENINGS.get(doc.history[index].status, "")

    def _place(self, doc: Document) -> int:
        """Return how many entries of the document's history are told."""
        told = self._told.get(doc.id)
        return sum(entry.at < self._since for entry in doc.history) if told is None else told

    def _note(self, doc: Document, told: int) -> None:
        if self._told.get(doc.id) != told:
            self._told[doc.id] = told
            self._write_later([Put(PLACES, f"{self.name}/{doc.id}", {"told": told})])


def rendered(happening: Happening) -> bytes:
    """Render what is told: the change of status, not the whole document."""
    doc, entry = happening.document, happening.entry
    told: dict[str, Any] = {
        "id": happening.id,
        "type": f"reprocessing.{HAPPENINGS[entry.status]}",
        "at": zoned_time(entry.at),
        "systemId": doc.system_id,
        "reprocessing": {
            "id": doc.id, "status": entry.status.value, "user": entry.user, "cause": entry.cause, "tag": doc.tag,
            "branch": doc.branch, "forking": doc.forking, "units": doc.total, "heldInstance": doc.held_instance,
        },
    }  # fmt: skip
    return orjson.dumps(told)

"""Mirrors each document to Process Memory after it changed: in the background, the latest state, never in the way."""

import asyncio
from collections.abc import Callable

from maestro import backoff, logs
from maestro.platform import Platform, SiblingError
from maestro.rules.document import Document
from maestro.rules.status import Status
from maestro.settings.model import PlatformSettings
from maestro.store.base import Put, Store
from maestro.system.engine import Engine

MIRRORS = "mirrors"
#: Pauses after a failed round of tries, in seconds.
PAUSE, PAUSE_MAX = 1.0, 60.0


class DocumentMirror:
    """Keeps Process Memory's copy of a system's documents as new as it can."""

    def __init__(self, engine: Engine, store: Store, platform: Platform, settings: PlatformSettings) -> None:
        self._engine = engine
        self._documents: dict[str, Document] = engine.machine.system.documents
        self._platform = platform
        self._settings = settings
        self._log = logs.get(system=engine.machine.system.id)
        #: Documents that changed since they were mirrored, oldest change first.
        self._due: dict[str, None] = {id_: None for id_, row in store.rows(MIRRORS) if row["due"]}
        #: The document that is being mirrored; empty: none is.
        self._under_way = ""
        self._more = asyncio.Event()
        #: What was mirrored last of each running document: its status, and when the next one is due.
        self._last: dict[str, tuple[Status, float]] = {}

    def changed(self, id_: str) -> None:
        """A document changed."""
        if id_ not in self._due:
            self._due[id_] = None
            self._note(id_, due=True)
        self._more.set()

    @property
    def busy(self) -> bool:
        """Whether a document is still to be mirrored."""
        return bool(self._due or self._under_way)

    async def run(self) -> None:
        """Mirror what is due, for ever."""
        failures = 0
        while True:
            self._more.clear()
            for id_ in list(self._due):
                if self._pause(id_) <= 0:
                    self._under_way = id_
                    failures = 0 if await self._mirror(id_) else failures + 1
                    self._under_way = ""
            if failures:
                await asyncio.sleep(backoff.pause(failures, PAUSE, PAUSE_MAX))
            elif self._due:
                await asyncio.sleep(max(0.01, min(map(self._pause, self._due))))
            else:
                await self._more.wait()

    def _pause(self, id_: str) -> float:
        """Return for how long a document is not to be mirrored again; a new status never waits."""
        status, due = self._last.get(id_, (None, 0.0))
        return due - asyncio.get_running_loop().time() if status is self._documents[id_].status else 0.0

    async def _mirror(self, id_: str) -> bool:
        doc = self._documents[id_]
        await self._engine.prepare(doc)
        self._engine.store()
        status = doc.status
        del self._due[id_]
        body = self._engine.rendered(doc)
        await self._engine.settled()  # nothing is told that the store may not have
        try:
            with logs.correlated(reprocessing=id_):
                await self._platform.process_memory.save_document(id_, body)
        except SiblingError as problem:
            self._log.warning("document not mirrored", reprocessing=id_, cause=str(problem))
            self._due.setdefault(id_)
            return False
        self._last[id_] = (status, asyncio.get_running_loop().time() + self._settings.mirror_interval)
        self._note(id_, due=id_ in self._due)
        return True

    def _note(self, id_: str, *, due: bool) -> None:
        self._engine.write_later([Put(MIRRORS, id_, {"due": due})])


def no_mirror() -> Callable[[str], None]:
    """Return what takes the place of `DocumentMirror.changed` when documents are not mirrored."""
    return lambda _id: None

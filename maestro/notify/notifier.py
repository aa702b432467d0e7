"""Looks at what waits for people, and has them told: one look for all ways, and a worker for each way.

    what waits ──look──> Book ──due──> worker of each way ──send──> Slack, Teams, a webhook, e-mail
                          │ kept in `<data_dir>/notices.json`

There is no queue: what is due is worked out again before each try, so that a notice that could not be sent for hours
says what waits then, and what a person has done meanwhile is told to nobody. All that is due by a way goes into one
message. It counts as told once it has arrived, or was tried often enough; that is on disk before the next message.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from maestro import backoff, logs
from maestro.messages.todo import TodoItem
from maestro.notify.plan import Book, Due, Known, Step
from maestro.notify.texts import Message, message, test_message
from maestro.notify.ways import Way, ways_of
from maestro.settings.notify import NotifySettings
from maestro.telemetry import definitions as metrics
from maestro.telemetry.metrics import MetricsRegistry
from maestro.whole_file import replace

#: The file that keeps what was told.
FILE: Final = "notices.json"
#: Pauses before a worker that died of an error is started again, in seconds.
RESTART, RESTART_MAX = 1.0, 60.0

#: Returns what waits, the most urgent first, and the systems that are served.
Look = Callable[[], Awaitable[tuple[Sequence[TodoItem], Sequence[str]]]]


class _Kept(Struct):
    known: dict[str, Known]


class WayState(Struct, rename="camel"):
    """How a way does: notices that arrived and that were given up since the start, and how the last try went."""

    name: str
    shown: str
    delivered: int = 0
    given_up: int = 0
    #: Failed tries in a row, and why the last one failed; empty: it arrived.
    failed: int = 0
    problem: str = ""
    #: When the last try was, in seconds since the epoch; 0: there was none.
    last: float = 0.0


class Notifier:
    """Tells people. `folder`: where it keeps what was told."""

    def __init__(
        self, settings: NotifySettings, public_url: str, folder: Path, look: Look, registry: MetricsRegistry
    ) -> None:
        self._settings = settings
        self._public_url = public_url
        self._path = folder / FILE
        self._look = look
        self._registry = registry
        self._log = logs.get(part="notify")
        self._ways = ways_of(settings)
        self._book = Book(settings, self._kept())
        self._more = {way.name: asyncio.Event() for way in self._ways}
        #: The last write of what is kept; each one waits for the one before.
        self._write: asyncio.Task[None] | None = None
        self._states = {way.name: WayState(way.name, way.shown) for way in self._ways}
        for name, outcome in product(self._states, (metrics.DELIVERED, metrics.FAILED, metrics.GIVEN_UP)):
            registry.count(metrics.NOTICES, name, outcome, by=0.0)  # an alert sees the first one, too

    @property
    def states(self) -> list[WayState]:
        """How each way does."""
        return list(self._states.values())

    async def run(self) -> None:
        """Look and tell, for ever; without a way there is nothing to do."""
        if self._ways:
            workers = [self._kept_running(way.name, partial(self._tell, way)) for way in self._ways]
            try:
                await asyncio.gather(self._kept_running("look", self._watch), *workers)
            finally:
                # What was told just before the end would be told again after the next start.
                if self._write is not None:
                    await asyncio.gather(self._write, return_exceptions=True)
        else:
            await asyncio.Event().wait()

    async def test(self, names: Iterable[str] = ()) -> dict[str, str]:
        """Send a test by each way, or by those that are named; return why it did not arrive, by way.

        Raises:
            KeyError: there is no such way.
        """
        wanted = dict.fromkeys(names) or dict.fromkeys(self._states)
        by_name = {way.name: way for way in self._ways}
        chosen = [by_name[name] for name in wanted]
        said = test_message(self._settings.language, self._public_url)
        problems = await asyncio.gather(*(self._tried(way, said, None) for way in chosen))
        return {way.name: problem for way, problem in zip(chosen, problems, strict=True)}

    # --- the tasks -----------------------------------------------------------------------------------------------

    async def _kept_running(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        pauses = backoff.Backoff(RESTART, RESTART_MAX)
        while True:
            try:
                await work()
            except Exception:  # noqa: BLE001 - no notice may take the gateway down with it
                seconds = pauses.next()
                self._log.exception("notify.worker_died", worker=name, again_in=seconds)
                await asyncio.sleep(seconds)

    async def _watch(self) -> None:
        while True:
            items, served = await self._look()
            if self._book.seen(items, served, time.time()):
                await self._save()
            if self._book.left_out:
                self._log.warning("notify.too_many", left_out=self._book.left_out)
            for more in self._more.values():
                more.set()
            await asyncio.sleep(self._settings.every)

    async def _tell(self, way: Way) -> None:
        failures = 0
        while True:
            due = self._next(way)
            if not due:
                failures = 0
                self._more[way.name].clear()
                await self._more[way.name].wait()
                continue
            step = due[0].step
            said = message(due, step, self._settings.language, self._public_url)
            problem = await self._tried(way, said, step)
            failures = failures + 1 if problem else 0
            facts = {"way": way.name, "step": step.name.lower(), "things": len(due)}
            if problem and failures < self._settings.tries:
                seconds = backoff.pause(failures - 1, self._settings.backoff, self._settings.backoff_max)
                self._log.warning("notify.failed", **facts, cause=problem, again_in=seconds)
                await asyncio.sleep(seconds)
                continue
            state, outcome = self._states[way.name], metrics.GIVEN_UP if problem else metrics.DELIVERED
            if problem:
                state.given_up += 1
                self._log.error("notify.given_up", **facts, cause=problem, tries=failures)
            else:
                state.delivered += 1
                self._log.info("notify.told", **facts)
            failures = 0
            self._book.told(way.name, due, time.time())
            await self._save()
            self._registry.count(metrics.NOTICES, way.name, outcome)  # what is counted is not told again after a crash

    def _next(self, way: Way) -> list[Due]:
        """Return what one message tells: all that is due at the highest step."""
        due = self._book.due(way.name, time.time())
        highest = max((one.step for one in due), default=Step.FIRST)
        return [one for one in due if one.step is highest]

    async def _tried(self, way: Way, said: Message, step: Step | None) -> str:
        state = self._states[way.name]
        problem = await way.send(said, step)
        state.last, state.problem = time.time(), problem
        state.failed = state.failed + 1 if problem else 0
        if problem:
            self._registry.count(metrics.NOTICES, way.name, metrics.FAILED)
        return problem

    # --- what is kept --------------------------------------------------------------------------------------------

    def _kept(self) -> dict[str, Known]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Kept).known
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as problem:
            # What waits is told once more: better than nobody hearing of it.
            self._log.error("notify.forgotten", file=str(self._path), cause=str(problem))
            return {}

    async def _save(self) -> None:
        """Write what is kept; a cancelled caller does not stop the write."""
        self._write = asyncio.create_task(self._written(self._write), name="notices are kept")
        await asyncio.shield(self._write)

    async def _written(self, before: "asyncio.Task[None] | None") -> None:
        if before is not None:
            await asyncio.gather(before, return_exceptions=True)
        content = msgspec.json.encode(_Kept(self._book.known))
        try:
            await asyncio.to_thread(replace, self._path, content, sync=True)
        except OSError as problem:
            self._log.error("notify.not_kept", file=str(self._path), cause=problem.strerror or str(problem))

"""The thread that does the embedded broker's disk work: jobs in, batches committed, deliveries out.

Whatever has gathered since the last commit is committed together, so that many publishes share one write to
the disk. Between batches it looks whether another process wrote, and whether one died.
"""

import asyncio
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from maestro import logs
from maestro.broker.base import BrokerError, BrokerUnavailable
from maestro.broker.embedded_file import QueueFile, Row
from maestro.broker.embedded_member import Membership, forget, is_dead

#: Jobs and messages in one transaction.
BATCH: Final = 512
CLAIM: Final = 64
#: Seconds between looks for other processes' messages: while busy, and at most.
LOOK_BUSY: Final = 0.005
LOOK_IDLE: Final = 0.05
#: Seconds of quiet after which looking slows down.
BUSY_FOR: Final = 0.5
#: Seconds between looks for dead members.
LIVENESS: Final = 0.25
#: Seconds before a failed commit or open is tried again.
RETRY: Final = 0.1

Deliver = Callable[["Feed", int, list[Row]], None]


@dataclass(slots=True, eq=False)
class Job:
    """Work for one transaction. It may run more than once (after a roll-back), so it must be repeatable."""

    run: Callable[[QueueFile, int], Any]
    #: Who waits for the result; a job that nobody waits for is kept until it succeeds.
    done: asyncio.Future[Any] | None
    durable: bool
    #: Called on the loop with what was committed for who does not wait any more.
    unheard: Callable[[Any], None] = lambda _result: None


@dataclass(slots=True, eq=False)
class Feed:
    """A subscription, as the worker sees it. `unsettled` belongs to the worker."""

    token: str
    queue: str
    prefetch: int
    unsettled: set[int] = field(default_factory=set)


class Worker(threading.Thread):
    """Owns the connection. `deliver` and `lost` are called on `loop`."""

    def __init__(
        self, directory: Path, loop: asyncio.AbstractEventLoop, deliver: Deliver, lost: Callable[[], None]
    ) -> None:
        super().__init__(name="embedded-broker", daemon=True)
        self._directory = directory
        self._lobby = directory / "members"
        self._loop = loop
        self._deliver = deliver
        self._lost = lost
        self._jobs: deque[Job] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._membership: Membership | None = None
        self._member = 0
        self._checked = 0.0
        #: By token; changed by jobs only.
        self.feeds: dict[str, Feed] = {}
        #: Why it cannot work now; empty when it can.
        self.problem = "starting"
        self._log = logs.get(broker=str(directory))

    def put(self, job: Job) -> None:
        """Queue a job, from the loop's thread."""
        self._jobs.append(job)
        self._wake.set()

    def stop(self) -> None:
        """Finish the jobs that are queued, give back what is held, and end. From the loop's thread."""
        self._stopping = True
        self._wake.set()

    def run(self) -> None:
        """Open, serve, and open again after an error, until stopped."""
        while not self._stopping:
            try:
                self._directory.mkdir(parents=True, exist_ok=True)
                file = QueueFile(self._directory / "queues.sqlite")
            except (sqlite3.Error, OSError, BrokerError) as problem:
                self._fail(problem)
                continue
            try:
                self._serve(file)
            except Exception as problem:  # noqa: BLE001 - logged; the thread must not die of it
                self._fail(problem)
            finally:
                file.close()
        self._refuse_rest()

    def _serve(self, file: QueueFile) -> None:
        self._enter(file)
        quiet_since = time.monotonic()
        more = True
        try:
            while not (self._stopping and not self._jobs):
                worked = self._commit_batch(file)
                worked = file.changed() or worked
                worked = self._check_members(file) or worked
                if worked:
                    quiet_since = time.monotonic()
                if worked or more:
                    more = self._feed(file)
                if not (more or self._jobs):
                    pause = LOOK_BUSY if time.monotonic() - quiet_since < BUSY_FOR else LOOK_IDLE
                    self._wake.wait(pause)
                    self._wake.clear()
        finally:
            self._leave(file)

    def _commit_batch(self, file: QueueFile) -> bool:
        """Commit the jobs at hand; return whether there were any."""
        batch = [self._jobs.popleft() for _ in range(min(BATCH, len(self._jobs)))]
        batch = [job for job in batch if job.done is None or not job.done.done()]
        if not batch:
            return False
        results: list[tuple[Job, Any, Exception | None]] = []
        try:
            with file.transaction(durable=any(job.durable for job in batch)):
                for job in batch:
                    result, error = self._attempt(job, file)
                    results.append((job, result, error))
        except sqlite3.Error as problem:
            self._undo(batch, problem)
            return False
        self.problem = ""
        self._call(_resolve, results)
        return True

    def _attempt(self, job: Job, file: QueueFile) -> tuple[Any, Exception | None]:
        try:
            return job.run(file, self._member), None
        except BrokerError as refused:
            return None, refused
        except sqlite3.Error:
            raise
        except Exception as unforeseen:  # noqa: BLE001 - told to whom it concerns; the others' jobs go on
            return None, BrokerError(f"the embedded broker cannot do this: {unforeseen!r}")

    def _undo(self, batch: list[Job], problem: sqlite3.Error) -> None:
        """Put a rolled-back batch back in line, but fail what waits when trying again is no use."""
        text = f"the embedded broker cannot write: {problem}"
        if self.problem != text:
            self._log.error("broker.write_failed", cause=str(problem))
        self.problem = text
        if not _is_busy(problem):
            self._call(_resolve, [(job, None, BrokerError(text)) for job in batch])
            batch = [job for job in batch if job.done is None]
        if self._stopping:
            raise problem
        self._jobs.extendleft(reversed(batch))
        time.sleep(RETRY)

    def _feed(self, file: QueueFile) -> bool:
        """Hand out ready messages where there is room; return whether more may be ready."""
        hungry = [
            each for each in self.feeds.values() if len(each.unsettled) < each.prefetch and file.has_ready(each.queue)
        ]
        if not hungry:
            return False
        claims: list[tuple[Feed, list[Row]]] = []
        try:
            with file.transaction(durable=False):
                for each in hungry:
                    room = min(CLAIM, each.prefetch - len(each.unsettled))
                    claims.append((each, file.claim(each.queue, self._member, room)))
        except sqlite3.Error as problem:
            self._undo([], problem)
            return True
        for each, rows in claims:
            each.unsettled.update(row[0] for row in rows)
            if rows:
                self._call(self._deliver, each, self._member, rows)
        return True

    def _check_members(self, file: QueueFile) -> bool:
        """Give back what dead members held, and return whether there were any.

        Enters again when somebody took us for dead.
        """
        now = time.monotonic()
        if now - self._checked < LIVENESS:
            return False
        self._checked = now
        try:
            members = file.members()
            dead = [each for each in members if each[0] != self._member and is_dead(self._lobby, each[1])]
            self._dismiss(file, dead)
        except sqlite3.Error as problem:
            if not _is_busy(problem):
                raise
            return False
        seen = self._membership is not None and self._membership.visible
        if not seen or all(each[0] != self._member for each in members):
            self._log.warning("broker.taken_for_dead")
            self._leave(file)
            self._enter(file)
            return True
        return bool(dead)

    def _dismiss(self, file: QueueFile, dead: list[tuple[int, str, int]]) -> None:
        if not dead:
            return
        with file.transaction(durable=False):
            for member, _token, _pid in dead:
                file.dismiss(member)
        for _member, token, _pid in dead:
            forget(self._lobby, token)
        self._log.info("broker.members_gone", pids=[pid for _member, _token, pid in dead])

    def _enter(self, file: QueueFile) -> None:
        """Become a member, with the subscriptions there are; what an earlier membership held is void."""
        membership = Membership(self._lobby)
        try:
            with file.transaction(durable=False):
                member = file.join(membership.token, os.getpid())
                for each in self.feeds.values():
                    file.add_consumer(each.token, member, each.queue)
        except BaseException:
            membership.close()
            raise
        self._membership, self._member = membership, member
        for each in self.feeds.values():
            each.unsettled.clear()
        if self.feeds:
            self._call(self._lost)
        self.problem = ""

    def _leave(self, file: QueueFile) -> None:
        membership, self._membership = self._membership, None
        if membership is None:
            return
        try:
            with file.transaction(durable=False):
                file.dismiss(self._member)
        except sqlite3.Error as problem:
            self._log.warning("broker.left_without_notice", cause=str(problem))
        membership.close()

    def _fail(self, problem: Exception) -> None:
        text = f"the embedded broker cannot use {self._directory}: {problem}"
        if self.problem != text:
            foreseen = isinstance(problem, sqlite3.Error | OSError | BrokerError)
            self._log.error("broker.unusable", cause=text, exc_info=None if foreseen else problem)
        self.problem = text
        self._wake.wait(RETRY)
        self._wake.clear()

    def _refuse_rest(self) -> None:
        self.problem = "closed"
        refused = [(job, None, BrokerUnavailable("the broker is closed")) for job in self._jobs]
        self._jobs.clear()
        self._call(_resolve, refused)

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop was closed without closing the broker: nobody listens any more
            self._stopping = True


def _resolve(results: list[tuple[Job, Any, Exception | None]]) -> None:
    for job, result, error in results:
        if job.done is None:
            continue
        if error is None and job.done.done():
            job.unheard(result)
        elif error is None:
            job.done.set_result(result)
        elif not job.done.done():
            job.done.set_exception(error)


def _is_busy(problem: sqlite3.Error) -> bool:
    return getattr(problem, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

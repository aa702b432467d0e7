"""The executor: runs process functions as instances, stages what they write, and asks for it to be persisted."""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from maestro import logs
from maestro.broker.base import BrokerError
from maestro.events import EXECUTION, MASTER, REPROCESSING
from maestro.sandbox.api_core import ApiCore
from maestro.sandbox.installed import PROCESSES
from maestro.sandbox.ledger import Key, Ledger, ReadRecord, Run, Unit
from maestro.sandbox.maestro_client import MaestroRefused
from maestro.sandbox.process_memory import ProcessMemory
from maestro.sandbox.processes import BadPayload, Fields, Persists, Process, ProcessFailed, Write
from maestro.sandbox.rows import Row, Rows
from maestro.sandbox.traits import Traits

Json = dict[str, Any]

#: Events accepted and not run yet; more make the sender wait.
_BACKLOG = 1024
#: Instances that run, or await the broker's confirm, at the same time.
_WORKERS = 64
#: Fields that a persist event takes over from the event that started the instance.
_CARRIED = ("tag", "version", "image", "referenceDate", "idempotencyKey", "appOrigin", "owner", "reprocessing")


class Platform(Protocol):
    """Takes what instances send: the Event Manager."""

    async def persist(self, event: Json) -> None:
        """Take a persist request. Raises `BrokerError`."""

    async def process_done(self, event: Json) -> None:
        """Take a `.done` event. Raises `BrokerError`."""

    async def process_failed(self, event: Json) -> None:
        """Take an `.error` event. Raises `BrokerError` or `MaestroRefused`."""


class SyncPersist(Protocol):
    """Persists synchronously: Maestro."""

    async def persist(self, event: Json) -> None:
        """Return once Maestro has answered. Raises `MaestroRefused`."""


@dataclass(slots=True)
class Faults:
    """How many of the next instances of a process (by event name) go wrong. For tests."""

    #: They end in an error instead of a persist event.
    fail: Counter[str] = field(default_factory=Counter)
    #: They are never heard of again.
    mute: Counter[str] = field(default_factory=Counter)


class Executor:
    """Runs the instances of every system, in the order their events were accepted."""

    def __init__(
        self,
        *,
        rows: Rows,
        ledger: Ledger,
        memory: ProcessMemory,
        core: ApiCore,
        platform: Platform,
        maestro: SyncPersist,
        traits: Traits,
    ) -> None:
        self._rows = rows
        self._ledger = ledger
        self._memory = memory
        self._core = core
        self._platform = platform
        self._maestro = maestro
        self._start_delay = traits.start_delay
        self._dice = traits.dice("starts")
        self._accepted: asyncio.Queue[Json] = asyncio.Queue(_BACKLOG)
        self._log = logs.get(service="executor")
        self.faults = Faults()
        #: Persist events published, by scope.
        self.published: Counter[str] = Counter()

    async def accept(self, event: Json) -> None:
        """Take the event that starts an instance; waits while the backlog is full."""
        await self._accepted.put(event)

    async def run(self) -> None:
        """Run what is accepted, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_WORKERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            event = await self._accepted.get()
            instance = str(uuid.uuid4())
            try:
                started = self.start(instance, event)
                if self._start_delay:
                    await asyncio.sleep(self._dice.uniform(0.0, self._start_delay))
                await self._conclude(event, self.compute(instance, event, started))
            except (BadPayload, ProcessFailed, BrokerError, MaestroRefused) as problem:
                await self._report(instance, event, str(problem))
            except Exception as problem:  # noqa: BLE001 - one broken event must not end the executor
                await self._report(instance, event, repr(problem))

    def start(self, instance: str, event: Json) -> float:
        """Begin an instance; return when that is, in seconds since the epoch. It reads only later."""
        process = PROCESSES[event["name"]]
        started = time.time()
        branch = _branch(process, event)
        self._memory.remember(instance, {"image": process.image, **event, "instanceId": instance})
        self._core.register(instance, event, branch, is_fork=_opens(process, event), started=started)
        return started

    def compute(self, instance: str, event: Json, started: float) -> Run:
        """Run one instance. Nothing awaits in here: all it reads is of one moment.

        Raises:
            BadPayload: what another process has handed on to it.
            ProcessFailed: it cannot do its work.
        """
        process = PROCESSES[event["name"]]
        payload = process.checked(event.get("payload"))
        branch = _branch(process, event)
        if self._spend(self.faults.fail, process.name):
            raise ProcessFailed("made to fail")
        reads: dict[Key, ReadRecord] = {}
        seen: dict[tuple[str, str], Row] = {}
        system = event["systemId"]

        def look(entity: str, key: str) -> Row | None:
            row = self._rows.visible(system, entity, key, branch)
            if row is not None:
                seen[entity, key] = row
            return row

        def read(entity: str, key: str) -> Fields | None:
            row = look(entity, key)
            name = Key(entity, key)
            reads[name] = ReadRecord(name, row.branch if row else branch, row.version if row else 0)
            return row.fields if row else None

        writes = process.run(payload, read)
        handed_on = process.hands_on(payload, read) if process.hands_on else None
        for write in writes:
            if not write.fresh:
                look(write.entity, write.key)
        scope = event.get("scope") or EXECUTION
        run = Run(
            instance=instance,
            system=system,
            process=process.name,
            branch=branch,
            scope=scope,
            reprocessable=process.reprocessable,
            reads=tuple(reads.values()),
            writes=frozenset(Key(write.entity, write.key) for write in writes),
            replay_of=Unit(event["reprocessing"]["instance_id"], branch) if scope == REPROCESSING else None,
            tag=event.get("tag", ""),
            started=started,
            dataset=tuple(seen.values()),
            handed_on=handed_on,
        )
        self._stage(run, writes, seen)
        return run

    def _stage(self, run: Run, writes: list[Write], seen: dict[tuple[str, str], Row]) -> None:
        self._rows.stage(run.instance, run.system, run.branch, writes, seen)
        self._ledger.record(run)
        self._memory.remember_computation(run.instance, run.dataset, self._rows.staged(run.instance))

    async def _conclude(self, event: Json, run: Run) -> None:
        """Ask for the data to be persisted; of a process that wrote nothing say that it is done."""
        process = PROCESSES[run.process]
        if self._spend(self.faults.mute, process.name):
            return
        if not run.writes:
            self._ledger.finish(run.instance)
            payload = {"instanceId": run.instance} if run.handed_on is None else run.handed_on
            await self._platform.process_done(done_event(event, run, payload))
            return
        self._core.set_status(run.instance, "persist_requested")
        persist = _persist_event(event, run)
        if process.persists is Persists.SYNCHRONOUSLY:
            await self._maestro.persist(persist)
        else:
            await self._platform.persist(persist)
        self.published[run.scope] += 1

    async def _report(self, instance: str, event: Json, problem: str) -> None:
        self._log.warning("process failed", process=event.get("name"), instance=instance, problem=problem)
        self._core.set_status(instance, "error")
        ended = {
            **event,
            "name": _bare(event) + ".error",
            "instanceId": instance,
            "timestamp": now(),
            "payload": {"instance_id": instance, "message": problem, "origin": event},
        }
        try:
            await self._platform.process_failed(ended)
        except Exception as lost:  # noqa: BLE001 - nobody is left to tell but the log
            self._log.error("error event lost", instance=instance, problem=repr(lost))

    @staticmethod
    def _spend(counter: Counter[str], name: str) -> bool:
        if counter[name] <= 0:
            return False
        counter[name] -= 1
        return True


def done_event(origin: Mapping[str, Any], run: Run, payload: Mapping[str, Any]) -> Json:
    """Return the `.done` event of an instance, with all that its origin event carried."""
    return {
        **origin,
        "name": _bare(origin) + ".done",
        "instanceId": run.instance,
        "scope": run.scope,
        "branch": run.branch,
        "timestamp": now(),
        "payload": dict(payload),
    }


def now() -> str:
    """Return the current time as the platform writes it: UTC, no zone."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat()


def _bare(event: Mapping[str, Any]) -> str:
    return str(event.get("name")).removesuffix(".request")


def _opens(process: Process, event: Mapping[str, Any]) -> bool:
    payload = event.get("payload")
    return process.forks and isinstance(payload, dict) and bool(payload.get("branch"))


def _branch(process: Process, event: Mapping[str, Any]) -> str:
    return str(event["payload"]["branch"] if _opens(process, event) else event.get("branch") or MASTER)


def _persist_event(event: Json, run: Run) -> Json:
    carried = {key: event[key] for key in _CARRIED if key in event}
    return {
        "tag": str(uuid.uuid4()),
        **carried,
        "name": f"{run.system}.persist.request",
        "systemId": run.system,
        "instanceId": run.instance,
        "branch": run.branch,
        "scope": run.scope,
        "timestamp": now(),
        "processId": run.process,
        "payload": event.get("payload"),
    }

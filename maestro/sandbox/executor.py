"""The executor: runs process functions as instances, stages what they write, and asks for it to be persisted."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson

from maestro import logs
from maestro.broker.base import Broker, BrokerError, Message
from maestro.broker.topology import PERSIST
from maestro.events import EXECUTION, MASTER, REPROCESSING, celery_body
from maestro.sandbox.api_core import ApiCore
from maestro.sandbox.ledger import Key, Ledger, ReadRecord, Run, Unit
from maestro.sandbox.process_memory import ProcessMemory
from maestro.sandbox.processes import PROCESSES, Fields, Process, ProcessFailed, Write
from maestro.sandbox.rows import Rows

Json = dict[str, Any]

#: Events accepted and not run yet; more make the sender wait.
_BACKLOG = 1024
#: Persist events that await the broker's confirm at the same time.
_WORKERS = 64
#: Fields that a persist event takes over from the event that started the instance.
_CARRIED = ("tag", "version", "image", "referenceDate", "idempotencyKey", "appOrigin", "owner", "reprocessing")


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
        broker: Broker,
        on_error: Callable[[Json], Awaitable[None]],
    ) -> None:
        self._rows = rows
        self._ledger = ledger
        self._memory = memory
        self._core = core
        self._broker = broker
        self._on_error = on_error
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
                persist = self._execute(instance, event)
                if persist is not None:
                    await self._publish(persist)
            except (ProcessFailed, BrokerError) as problem:
                await self._report(instance, event, str(problem))
            except Exception as problem:  # noqa: BLE001 - one broken event must not end the executor
                await self._report(instance, event, repr(problem))

    def _execute(self, instance: str, event: Json) -> Json | None:
        """Run one instance; return its persist event, None when it is to fall silent.

        Nothing awaits in here: all an instance reads is of one moment.
        """
        process = PROCESSES[event["name"]]
        payload = _payload(process, event)
        opened = getattr(payload, "branch", "") if process.forks else ""
        branch = opened or event.get("branch") or MASTER
        self._memory.remember(instance, {**event, "instanceId": instance})
        self._core.register(instance, event["systemId"], process.name, is_fork=bool(opened))
        if self._spend(self.faults.fail, process.name):
            raise ProcessFailed("made to fail")
        run, writes = self._compute(instance, event, process, payload, branch)
        self._rows.stage(instance, run.system, branch, writes)
        self._ledger.record(run)
        self._core.set_status(instance, "persist_requested")
        if self._spend(self.faults.mute, process.name):
            return None
        return _persist_event(event, run)

    def _compute(
        self, instance: str, event: Json, process: Process, payload: object, branch: str
    ) -> tuple[Run, list[Write]]:
        system = event["systemId"]
        reads: dict[Key, ReadRecord] = {}

        def read(entity: str, key: str) -> Fields | None:
            row = self._rows.visible(system, entity, key, branch)
            name = Key(entity, key)
            reads[name] = ReadRecord(name, row.branch if row else branch, row.version if row else 0)
            return row.fields if row else None

        writes = process.run(payload, read)
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
        )
        return run, writes

    async def _publish(self, persist: Json) -> None:
        identity = str(uuid.uuid4())
        body = celery_body(identity, orjson.dumps(persist))
        await self._broker.publish(PERSIST, persist["systemId"], Message(body, identity))
        self.published[persist["scope"]] += 1

    async def _report(self, instance: str, event: Json, problem: str) -> None:
        self._log.warning("process failed", process=event.get("name"), instance=instance, problem=problem)
        self._core.set_status(instance, "error")
        ended = {
            **event,
            "name": str(event.get("name")).removesuffix(".request") + ".error",
            "instanceId": instance,
            "timestamp": now(),
            "payload": {"instance_id": instance, "message": problem, "origin": event},
        }
        try:
            await self._on_error(ended)
        except Exception as lost:  # noqa: BLE001 - nobody is left to tell but the log
            self._log.error("error event lost", instance=instance, problem=repr(lost))

    @staticmethod
    def _spend(counter: Counter[str], name: str) -> bool:
        if counter[name] <= 0:
            return False
        counter[name] -= 1
        return True


def now() -> str:
    """Return the current time as the platform writes it: UTC, no zone."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat()


def _payload(process: Process, event: Mapping[str, Any]) -> Any:
    try:
        return msgspec.convert(event.get("payload"), process.payload)
    except msgspec.ValidationError as problem:
        raise ProcessFailed(f"payload of {process.name}: {problem}") from problem


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

"""A actor_client with canned answers that remembers what it was asked."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, cast

import orjson
from aiohttp import web

from maestro.http.actor_client import UnknownSystem
from maestro.http.evidence import Asked
from maestro.http.outcome import Outcomes
from maestro.http.overwrites import Overwriting
from maestro.http.replies import reply
from maestro.http.unusual import Unusual
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import Question
from maestro.platform import Platform
from maestro.telemetry.metrics import ActorState, Snapshot


class NothingUnusual(Unusual):
    """Where nothing is held there is nothing to ask for."""

    async def told(self, system_id: str, instance_id: str, branch: str) -> dict[str, Any]:
        return await super().told(system_id, "", branch)


class FakePages:
    """A domain whose commits write as many rows as one likes, and who asked for which page."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, int, int]] = []
        #: What each page holds.
        self.rows: list[dict[str, Any]] = []
        #: Rows as instances read them.
        self.read: dict[str, dict[tuple[str, str], Any]] = {}
        #: Where nothing was replayed nobody is asked.
        self.outcomes = Outcomes(cast("Platform", None), 1.0)
        self.unusual = NothingUnusual(cast("Platform", None), 1.0)

    async def page(self, system_id: str, instance_id: str, after: int, limit: int) -> web.Response:
        self.asked.append((system_id, instance_id, after, limit))
        return reply(b'{"total":%d,"entities":%s,"next":null}' % (len(self.rows), orjson.dumps(self.rows)))

    async def explained(self, asked: Asked) -> list[dict[str, Any]]:
        return [
            {"instanceId": unit.instance_id, "branch": unit.branch, "named": unit.named, "missed": list(unit.missed),
             "computation": unit.computation, "read": [], "rows": 0, "addsRows": 0, "problem": ""}
            for unit in asked.units
        ]  # fmt: skip

    async def valued(self, entries: Sequence[Overwriting]) -> list[dict[str, Any]]:
        return [{"values": [], "same": 0, "more": 0, "problem": entry.computation} for entry in entries]

    async def replaced(self, instance_id: str, wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], Any]:
        return {key: row for key, row in self.read.get(instance_id, {}).items() if key in wanted}


Canned = Answer | Exception | Callable[[str, Question], Answer]


class FakeActorClient:
    def __init__(self, *systems: str) -> None:
        self.known = set(systems)
        self.answers: dict[type, Canned] = {}
        self.asked: list[tuple[str, Question, float]] = []
        self.installed: list[str] = []
        self.install_error: Exception | None = None
        self.problems: dict[str, str] = {}
        #: The newest records' cursors of passivated systems.
        self.resting: dict[str, str] = {}
        self.states: tuple[ActorState, ...] = ()
        #: When set, questions wait for it before they are answered.
        self.gate: asyncio.Event | None = None
        self.waiting = 0
        self.most_waiting = 0

    async def ask(self, system_id: str, question: Question, *, timeout: float) -> Answer:  # noqa: ASYNC109 - the protocol's
        if system_id not in self.known:
            raise UnknownSystem(system_id)
        self.asked.append((system_id, question, timeout))
        if self.gate is not None:
            self.waiting += 1
            self.most_waiting = max(self.most_waiting, self.waiting)
            try:
                async with asyncio.timeout(timeout):
                    await self.gate.wait()
            finally:
                self.waiting -= 1
        canned = self.answers.get(type(question), Answer(Code.OK, b'{"canned":true}'))
        if isinstance(canned, Exception):
            raise canned
        return canned if isinstance(canned, Answer) else canned(system_id, question)

    def systems(self) -> tuple[str, ...]:
        return tuple(sorted(self.known))

    def knows(self, system_id: str) -> bool:
        return system_id in self.known

    async def install(self, system_id: str) -> None:
        if self.install_error is not None:
            raise self.install_error
        self.installed.append(system_id)
        self.known.add(system_id)

    async def at_rest(self, system_ids: Collection[str]) -> Mapping[str, str]:
        return {system_id: self.resting[system_id] for system_id in system_ids if system_id in self.resting}

    def passivated(self) -> int:
        return 0

    def actors(self) -> tuple[ActorState, ...]:
        return self.states

    def measured(self) -> Snapshot:
        return Snapshot()

    async def readiness(self) -> Mapping[str, str]:
        return self.problems

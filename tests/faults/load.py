"""Work for Maestro while things break: a seeded stream of persist events over several systems, and who answers it.

Every event, what it impacts, what its replays impact and what an admin decides is drawn beforehand. So the history of
a system that the rules allow is known before it happens: `Plan.expected`.
"""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import aiohttp

from tests.support.stage import Stage, event, eventually, unit

#: Events published side by side, one of each system: within a system each is confirmed before the next is sent.
PUBLISHED_AT_ONCE = 8
#: Seconds that an answer of a Maestro that is being killed may take.
PATIENCE = 240.0
JSON = dict[str, Any]
#: What every commit writes: a commit that is made twice shows as a row too many.
CREATED: JSON = {"id": "new", "_metadata": {"type": "conta", "rid": "new", "branch": "master", "changeTrack": "create"}}
#: Seconds until an instance is `finished`; of one in so many that is never heard of.
FINISHED_AFTER, LOST = 0.06, 50


def _finished_after(instance: str) -> float | None:
    return None if sum(instance.encode()) % LOST == 0 else FINISHED_AFTER


@dataclass(slots=True)
class Held:
    """An event that impacts units, and what is decided about it."""

    instance: str
    decision: str
    units: list[str]
    #: What a unit's replay impacts, by unit.
    cascades: dict[str, list[str]] = field(default_factory=dict)

    @property
    def replayed(self) -> list[str]:
        """The units in the order of their replays."""
        line = list(self.units)
        for name in line:  # grows while it is walked: a cascade's units queue up behind
            line.extend(one for one in self.cascades.get(name, ()) if one not in line)
        return line


@dataclass
class Plan:
    """What one system is given to do."""

    system: str
    auto: bool
    events: list[str] = field(default_factory=list)
    held: dict[str, Held] = field(default_factory=dict)

    @classmethod
    def draw(cls, system: str, count: int, dice: Random, *, auto: bool, impacting: float) -> "Plan":
        """Draw `count` events, of which a share is `impacting`."""
        plan = cls(system, auto, [f"{system}.i{number:05}" for number in range(count)])
        for instance in plan.events:
            if dice.random() < impacting:
                decision = "approve" if auto or dice.random() < 0.7 else "skip"
                plan.held[instance] = _held(instance, decision, dice)
        return plan

    def end(self, count: int) -> None:
        """Keep the first `count` events."""
        self.events = self.events[:count]
        self.held = {instance: held for instance, held in self.held.items() if instance in self.events}

    @property
    def expected(self) -> list[str]:
        """What is committed, in the only order that the rules allow: events by name, replays by their unit's name."""
        found: list[str] = []
        for instance in self.events:
            held = self.held.get(instance)
            if held is None:
                found.append(instance)
            elif held.decision == "approve":
                found += [instance, *held.replayed]
        return found


def _held(instance: str, decision: str, dice: Random) -> Held:
    units = [f"{instance}.u{number}" for number in range(dice.randint(1, 3))]
    held = Held(instance, decision, units)
    if dice.random() < 0.4:
        held.cascades[dice.choice(units)] = [f"{instance}.c{number}" for number in range(dice.randint(1, 2))]
    return held


class Load:
    """The plans of several systems, carried out on a stage."""

    def __init__(self, systems: Iterable[str], count: int, dice: Random, *, impacting: float = 0.02) -> None:
        """Every other system decides by itself (auto-approval); for the others the load's admin does."""
        self.plans = {
            system: Plan.draw(system, count, dice, auto=number % 2 == 0, impacting=impacting)
            for number, system in enumerate(systems)
        }
        self._sends: defaultdict[str, itertools.count[int]] = defaultdict(lambda: itertools.count(1))
        self._left = {system: iter(plan.events) for system, plan in self.plans.items()}
        #: When each skip was asked for first, by the held instance (seconds of the event loop's clock).
        self.skips: dict[str, float] = {}
        #: Documents of which a decision was answered with 200, as often as it was.
        self.decided: list[str] = []
        #: Replays' results that RabbitMQ accepted: instance, in order.
        self.results: list[str] = []
        #: Events that RabbitMQ accepted.
        self.accepted: list[str] = []

    @property
    def environ(self) -> dict[str, str]:
        """What Maestro is to be told about the systems."""
        return {f"AUTO_REPROCESSING_{plan.system}": "1" for plan in self.plans.values() if plan.auto}

    def prepare(self, it: Stage) -> None:
        """Tell the double what is impacted and that each commit creates a row, and run its replays."""
        it.siblings.default_entities = [CREATED]
        it.siblings.finished_after = _finished_after
        for plan in self.plans.values():
            for held in plan.held.values():
                it.siblings.impacts[held.instance] = [unit(name) for name in held.units]

        async def execute(sent: JSON) -> None:
            if sent.get("scope") == "reprocessing":
                await self._answer(it, sent)

        it.siblings.on_sendevent = execute

    async def _answer(self, it: Stage, sent: JSON) -> None:
        name = sent["reprocessing"]["instance_id"]
        replay = f"{name}#{next(self._sends[name])}"
        system, instance, _ = name.split(".")
        held = self.plans[system].held[f"{system}.{instance}"]
        it.siblings.impacts[replay] = [unit(one) for one in held.cascades.get(name, ())]
        await it.answer(sent, instanceId=replay)
        self.results.append(replay)

    # --- events --------------------------------------------------------------------------------------------------

    async def publish(self, it: Stage, count: int) -> int:
        """Publish each system's next `count` events; return how many that were in all."""
        chunks = {system: list(itertools.islice(left, count)) for system, left in self._left.items()}
        await asyncio.gather(*(self._publish(it, system, chunk) for system, chunk in chunks.items()))
        return sum(map(len, chunks.values()))

    async def _publish(self, it: Stage, system: str, chunk: list[str]) -> None:
        for instance in chunk:
            await it.publish(event(instance, system), system=system, celery_id=f"id-{instance}")
            self.accepted.append(instance)

    def end(self) -> None:
        """Plan no more than what was published."""
        for plan in self.plans.values():
            plan.end(len(plan.events) - sum(1 for _ in self._left[plan.system]))

    # --- decisions -----------------------------------------------------------------------------------------------

    async def decide(self, it: Stage) -> None:
        """Decide what is pending, as planned, again and again; a Maestro that is away is waited for."""
        manual = [plan for plan in self.plans.values() if not plan.auto]
        while True:
            for plan in manual:
                await self._decide_pending(it, plan)
            await asyncio.sleep(0.05)

    async def _decide_pending(self, it: Stage, plan: Plan) -> None:
        try:
            found = await it.get(f"/v1.0.0/reprocessing/{plan.system}/pending", ok=False)
            for doc in found.get("list", ())[:1]:
                held = plan.held[doc["pendingEvent"]["instanceId"]]
                if held.decision == "skip":
                    self.skips.setdefault(held.instance, asyncio.get_running_loop().time())
                answer = await it.post(f"/v1.0.0/reprocessing/{doc['id']}/{held.decision}", {"user": "ana"}, ok=False)
                if answer["_status"] == 200:
                    self.decided.append(doc["id"])
        except (aiohttp.ClientError, TimeoutError):
            return  # asked again: a decision that was made is not pending any more

    # --- the end -------------------------------------------------------------------------------------------------

    async def settled(self, it: Stage, patience: float = PATIENCE) -> None:
        """Wait until every system has nothing left to do."""
        for system in self.plans:
            try:
                await eventually(lambda system=system: self._at_rest(it, system), f"{system} is at rest", patience)
            except AssertionError as late:
                missing = set(self.plans[system].expected) - set(it.siblings.commits)
                state = await it.get(f"/v1.0.0/systems/{system}", ok=False)
                raise AssertionError(
                    f"{late}\n{state}\nnot committed: {sorted(missing)[:9]}\n{it.log.read_text()[-3000:]}"
                ) from None

    async def _at_rest(self, it: Stage, system: str) -> bool:
        try:
            state = await it.get(f"/v1.0.0/systems/{system}", ok=False)
        except (aiohttp.ClientError, TimeoutError):
            return False
        if state["_status"] != 200 or state["state"] != "open" or state["inbox"] or state["running"]:
            return False
        queues = state["queues"]
        if not queues or any(count for name, count in queues.items() if ".error" not in name):
            return False
        wanted = sum(held.decision == "skip" for held in self.plans[system].held.values())
        mine = {name for name in it.siblings.commits if name.startswith(f"{system}.i") and "#" not in name}
        return len(mine) == len(self.plans[system].events) - wanted

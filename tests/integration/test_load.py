"""Many events over many systems, checked from outside: only by what the siblings saw, and in which order.

Every reprocessing is approved by itself and no call fails, so of each system the platform must have seen, for its
events e1 … eN in the order they were published:

- I1: each is committed exactly once, held or not; all queues are empty at the end, the error queues too.
- I2: Discovery is asked about each exactly once, in that order, and they are committed in that order. (A held one is
  committed before any later one is judged: a system with a pending or a running reprocessing is not open.)
- I3: from the question about an event that impacts something to the notification that its reprocessing is finished,
  the system's only commits are the held one and the replays'; nothing is asked about a later event.
- I5: in that window come the replays, in the order the rules fix, one at a time: sent, asked about, committed.
- I6: `proceed` is refused while a replay is under way.
"""

import asyncio
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from maestro.broker.topology import SystemQueues
from tests.support.siblings import Call
from tests.support.stage import Stage, event, eventually, stage, unit

SYSTEMS = tuple(f"sys{number}" for number in range(8))
EVENTS = 4_000
IMPACTING = 0.03
#: Published side by side; they reach a queue in the order of the calls.
PUBLISHED_AT_ONCE = 500
#: Seconds for all of it on a busy machine.
PATIENCE = 240.0

pytestmark = [pytest.mark.rabbitmq, pytest.mark.slow, pytest.mark.timeout(360)]


@dataclass
class Held:
    """An event that impacts something: what each replay impacts, and the units in the order they must be replayed."""

    instance: str
    units: list[str]
    #: What the first replay of a unit impacts: a new one (cascade), or one that is replayed already.
    impacts: dict[str, list[str]]
    replayed: list[str]
    #: Replays so far, by unit.
    rounds: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, instance: str, dice: random.Random) -> "Held":
        units = [f"{instance}.u{number}" for number in range(dice.randint(1, 3))]
        impacts: dict[str, list[str]] = {}
        replayed = list(units)
        if dice.random() < 0.3:
            impacts[units[0]] = [f"{instance}.cascaded"]
            replayed.append(f"{instance}.cascaded")
        if len(units) > 1 and dice.random() < 0.3:
            impacts.setdefault(units[-1], []).append(units[0])
            replayed.append(units[0])
        return cls(instance, units, impacts, replayed)

    @property
    def cascaded(self) -> int:
        """Units and rounds that replays added."""
        return len(self.replayed) - len(self.units)


class Load:
    """The events, and what each must lead to."""

    def __init__(self) -> None:
        dice = random.Random(20180720)
        self.published: dict[str, list[str]] = {system: [] for system in SYSTEMS}
        self.held: dict[str, Held] = {}
        for number in range(EVENTS):
            system = SYSTEMS[number % len(SYSTEMS)]
            instance = f"{system}.e{number}"
            self.published[system].append(instance)
            if dice.random() < IMPACTING:
                self.held[instance] = Held.of(instance, dice)
        #: Lock checks made while a replay was under way, and how many were not refused.
        self.checks = 0
        self.wrong_checks: list[str] = []

    def held_of(self, system: str) -> list[Held]:
        return [self.held[instance] for instance in self.published[system] if instance in self.held]

    @property
    def replays(self) -> int:
        return sum(len(one.replayed) for one in self.held.values())

    def prepare(self, it: Stage) -> None:
        """Tell the double what is impacted, and have each replay checked, named after unit and round, and executed."""
        for one in self.held.values():
            it.siblings.impacts[one.instance] = [unit(name) for name in one.units]

        async def execute(sent: dict[str, Any]) -> None:
            if sent.get("scope") == "reprocessing":
                await self._check_lock(it, sent["reprocessing"]["system_id"])
                await it.answer(sent, instanceId=self._name_replay(it, sent["reprocessing"]["instance_id"]))

        it.siblings.on_sendevent = execute

    def _name_replay(self, it: Stage, name: str) -> str:
        """Name the next replay of a unit, and tell the double what that impacts."""
        one = self.held[name.rpartition(".")[0]]
        one.rounds[name] += 1
        replay = f"{name}#{one.rounds[name]}"
        if one.rounds[name] == 1 and name in one.impacts:
            it.siblings.impacts[replay] = [unit(impacted) for impacted in one.impacts[name]]
        return replay

    async def _check_lock(self, it: Stage, system: str) -> None:
        answer = await it.get(f"/v1.0.0/gateway/{system}/proceed", ok=False)
        self.checks += 1
        if answer["_status"] != 403:
            self.wrong_checks.append(f"{system}: {answer['_status']}")

    async def publish(self, it: Stage) -> None:
        """Publish all, the systems' events interleaved."""
        order = [instance for column in zip(*self.published.values(), strict=True) for instance in column]
        for start in range(0, len(order), PUBLISHED_AT_ONCE):
            some = order[start : start + PUBLISHED_AT_ONCE]
            await asyncio.gather(*(it.publish(event(name, _system(name)), system=_system(name)) for name in some))


async def test_thousands_of_events_over_eight_systems(tmp_path: Path, vhost_url: str) -> None:
    load = Load()
    approved = {f"AUTO_REPROCESSING_{system}": "1" for system in SYSTEMS}
    async with stage(tmp_path, vhost_url, SYSTEMS, **approved, MAESTRO_LOG__LEVEL="warning") as it:
        load.prepare(it)
        await load.publish(it)
        await it.siblings.wait_for(lambda: len(it.siblings.commits) >= EVENTS + load.replays, PATIENCE)
        for system in SYSTEMS:
            await it.open_again(system)
            await _all_queues_are_empty(it, system)
            _check_counters(load, system, (await it.state(system))["counters"])

        commits = Counter(it.siblings.commits)
        expected = [name for names in load.published.values() for name in names] + [
            f"{name}#{number}" for one in load.held.values() for name, number in _rounds(one.replayed)
        ]
        assert commits == Counter(expected), "I1, I5, I7: each exactly once, and nothing else"
        assert load.checks == load.replays
        assert not load.wrong_checks, "I6"
        calls = _by_system(it.siblings.log)
        for system in SYSTEMS:
            _check_order(load, system, calls[system])


def _check_order(load: Load, system: str, calls: list[str]) -> None:
    """Compare what the siblings saw of one system, call by call, with the only history that the rules allow."""
    expected: list[str] = []
    for instance in load.published[system]:
        expected.append(f"impacted {instance}")
        held = load.held.get(instance)
        if held is None:
            expected.append(f"commit {instance}")
            continue
        expected += ["starting", f"impacted {instance}", f"commit {instance}"]  # each start asks again
        for name, number in _rounds(held.replayed):
            expected += [f"send {name}", f"impacted {name}#{number}", f"commit {name}#{number}"]
        expected.append("finished")
    for at, (seen, wanted) in enumerate(zip(calls, expected, strict=False)):
        assert seen == wanted, f"{system}: call {at}, after {calls[max(0, at - 5) : at]}"
    assert len(calls) == len(expected)


def _by_system(log: list[Call]) -> dict[str, list[str]]:
    """Return what each system's siblings were told, in order: questions to Discovery, commits, sends, notifications."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for call in log:
        if call.name in ("impacted", "commit"):
            found[_system(call.instance_id)].append(f"{call.name} {call.instance_id}")
        elif call.name == "send":
            sent = call.json()
            if sent.get("scope") == "reprocessing":
                name = sent["reprocessing"]["instance_id"]
                found[_system(name)].append(f"send {name}")
            else:
                system, _, kind = sent["name"].partition(".reprocessing.")
                found[system].append(kind)
    return found


def _rounds(names: list[str]) -> list[tuple[str, int]]:
    """Return each name with how often it has come up so far, itself included."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append((name, seen[name]))
    return found


def _check_counters(load: Load, system: str, counters: dict[str, int]) -> None:
    held = load.held_of(system)
    assert counters["commit"] == len(load.published[system]) - len(held)
    assert counters["pending"] == len(held)
    assert counters["replayed"] == sum(len(one.replayed) for one in held)
    assert counters["cascaded"] == sum(one.cascaded for one in held)
    assert counters["error"] == counters["superseded"] == 0


async def _all_queues_are_empty(it: Stage, system: str) -> None:
    queues = SystemQueues(system)
    for name in (
        queues.persist, queues.wait, queues.events, queues.control, queues.reprocessings, queues.persist_error,
        queues.reprocessings_error,
    ):  # fmt: skip
        await eventually(lambda name=name: _is_empty(it, name), f"{name} is empty")


async def _is_empty(it: Stage, queue: str) -> bool:
    return await it.depth(queue) == 0


def _system(instance: str) -> str:
    return instance.partition(".")[0]

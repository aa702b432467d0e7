"""Ingress has those systems woken that something is held for: at once, once each, and again while they do not come."""

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from maestro.broker.base import Delivery
from maestro.broker.topology import SystemQueues
from maestro.ingress import service
from maestro.ingress.service import IngressService
from maestro.links.items import SYSTEM, Hello
from maestro.settings.model import Settings
from maestro.store.rest_mark import RestMark, RestMarks
from maestro.telemetry.definitions import WAKE_SECONDS, WAKE_UPS
from tests.support.brokers import eventually


class FakeSession:
    def __init__(self) -> None:
        self.posted: list[object] = []

    def post(self, item: object, *, lazy: bool = False) -> None:
        del lazy
        self.posted.append(item)


class World:
    def __init__(self, data_dir: Path) -> None:
        (data_dir / "systems").mkdir()
        self.marks = RestMarks(data_dir)
        self.woken: list[tuple[str, ...]] = []
        self.ingress = IngressService(Settings(data_dir=data_dir), 1, wake=self.woken.append)

    def rest(self, *systems: str) -> None:
        for system in systems:
            self.marks.leave(system, RestMark("", "", 0.0))

    def delivered(self, system: str) -> None:
        queue = SystemQueues(system).persist
        self.ingress._line(system)._arrived(Delivery(queue, b"body", "id", {}, redelivered=False, tag=object()))

    def comes(self, system: str) -> FakeSession:
        session = FakeSession()
        self.marks.remove(system)
        self.ingress.met(Hello(SYSTEM, 2, system_id=system), session)  # type: ignore[arg-type]
        return session


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(service, "WAKE_AGAIN", 0.05)
    return World(tmp_path)


async def test_those_that_are_wanted_together_are_one_message(world: World) -> None:
    world.rest("a", "b")
    for system in ("a", "b", "a"):
        world.delivered(system)
    await asyncio.sleep(0.02)
    assert world.woken == [("a", "b")]


async def test_that_many_are_wanted_together_costs_each_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    systems = tuple(f"s{number}" for number in range(10_000))
    monkeypatch.setattr(world.ingress, "_marks", SimpleNamespace(has=lambda _system: True))
    world.ingress._fresh = list(systems)
    began = time.process_time()
    world.ingress._wake_fresh()
    assert time.process_time() - began < 0.5
    assert world.woken == [systems]


async def test_one_after_the_other_each_is_asked_for_at_once(world: World) -> None:
    world.rest("a", "b", "c")
    for system in ("a", "b", "c"):
        world.delivered(system)
        await asyncio.sleep(0.02)
        assert world.woken[-1] == (system,)
        assert world.comes(system).posted
    found = world.ingress.snapshot()
    assert next(one.value for one in found.samples if one.metric == WAKE_UPS.name) == 3
    (took,) = (one for one in found.distributions if one.metric == WAKE_SECONDS.name)
    assert sum(took.counts) == 3


async def test_it_is_asked_again_until_it_comes(world: World) -> None:
    world.rest("a")
    world.delivered("a")
    await asyncio.sleep(0.14)
    assert len(world.woken) >= 3
    world.comes("a")
    asked = len(world.woken)
    await asyncio.sleep(0.12)
    assert len(world.woken) == asked


async def test_a_system_that_just_left_is_asked_for_once_its_mark_is_there(world: World) -> None:
    world.delivered("a")
    await asyncio.sleep(0.02)
    assert world.woken == [], "it is ending, or being replaced"
    world.rest("a")
    await asyncio.sleep(0.08)
    assert world.woken[0] == ("a",)


async def test_one_that_took_its_leave_is_asked_for_as_soon_as_its_mark_is_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "WAKE_AGAIN", 60.0)
    world.comes("a")
    world.ingress._line("a")._leave(1)
    world.delivered("a")
    world.delivered("b")
    await asyncio.sleep(0.02)
    assert world.woken == [], "it closes its store"
    world.rest("a", "b")
    await eventually(lambda: world.woken == [("a",)], "woken")
    await asyncio.sleep(0.02)
    assert world.woken == [("a",)], "once, and nobody who just shows no sign of life"

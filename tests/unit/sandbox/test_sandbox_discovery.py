"""Discovery is blind where the platform's real one is, and each of its rules can be switched off alone."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maestro.sandbox.ledger import Unit
from maestro.sandbox.sandbox import Sandbox
from maestro.sandbox.traits import Traits
from maestro.sandbox.web import Refused
from tests.unit.sandbox.doubles import MemoryBroker

DAY, MONTH = "2008-01-02", "2008-01"
FIX = "rectify.quote.request"


class Platform:
    """The sandbox without its services; what is committed is `finished` only once the test says so."""

    def __init__(self, folder: Path, **traits: Any) -> None:
        self.sandbox = Sandbox(("s",), MemoryBroker(), folder, traits=Traits(finished_window=0.0, **traits))
        self._numbers = iter(range(1, 1000))

    def start(self, name: str, payload: dict[str, Any], **fields: Any) -> tuple[str, dict[str, Any], float]:
        instance = f"i{next(self._numbers)}"
        payload = {"currency": "USD", **payload}
        event = {
            "name": name,
            "systemId": "s",
            "branch": "master",
            "tag": f"t-{instance}",
            "payload": payload,
            **fields,
        }
        return instance, event, self.sandbox.executor.start(instance, event)

    def compute(self, name: str, payload: dict[str, Any], **fields: Any) -> str:
        begun = self.start(name, payload, **fields)
        self.sandbox.executor.compute(*begun)
        return begun[0]

    def run(self, name: str, payload: dict[str, Any], *, finished: bool = True, **fields: Any) -> str:
        instance = self.compute(name, payload, **fields)
        self.commit(instance, finished=finished)
        return instance

    def commit(self, instance: str, *, finished: bool = True) -> None:
        self.sandbox.domain.commit(instance)
        if finished:
            self.sandbox.core.set_status(instance, "finished")

    def replay(self, name: str, payload: dict[str, Any], of: str) -> str:
        return self.run(name, payload, scope="reprocessing", reprocessing={"id": "r", "instance_id": of})

    def fix(self, rate: float, opens: str = "", **fields: Any) -> str:
        return self.compute(FIX, {"date": DAY, "rate": rate, "branch": opens}, **fields)

    def named(self, instance: str) -> list[str]:
        run = self.sandbox.ledger.run(instance)
        assert run is not None
        return [unit.instance for unit, _ in self.sandbox.discovery.impacted(run)]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Any]:
    made: list[Platform] = []

    def new(**traits: Any) -> Platform:
        platform = Platform(tmp_path / str(len(made)), **traits)
        made.append(platform)
        platform.run("push.quote.request", {"date": DAY, "rate": 1.0})
        return platform

    yield new
    for platform in made:
        platform.sandbox.rows.close()


def convert(platform: Platform, name: str, **fields: Any) -> str:
    return platform.run("convert.amount.request", {"date": DAY, "amount": 2.0, "name": name}, **fields)


def test_who_read_the_row_is_named(make: Any) -> None:
    platform = make()
    reader = convert(platform, "c1")
    assert platform.named(platform.fix(2.0)) == [reader]


@pytest.mark.parametrize("sees", [True, False])
def test_who_is_not_called_finished_is_not_named(make: Any, *, sees: bool) -> None:
    platform = make(discovery_by_status=not sees)
    reader = convert(platform, "c1", finished=False)
    assert platform.named(platform.fix(2.0)) == [reader] * sees
    platform.sandbox.core.set_status(reader, "reprocessing_pending_approval")
    assert platform.named(platform.fix(2.0)) == [reader] * sees


@pytest.mark.parametrize("sees", [True, False])
def test_the_second_correction_names_nobody(make: Any, *, sees: bool) -> None:
    """The first one moved the row's moment past the reader's start, and the replay is never named."""
    platform = make(discovery_by_start=not sees)
    reader = convert(platform, "c1")
    first = platform.fix(2.0)
    assert platform.named(first) == [reader]
    platform.commit(first)
    platform.replay("convert.amount.request", {"date": DAY, "amount": 2.0, "name": "c1"}, of=reader)
    assert platform.named(platform.fix(3.0)) == [reader] * sees


def test_who_began_before_a_change_and_read_after_it_is_not_named(make: Any) -> None:
    platform = make()
    begun = platform.start("convert.amount.request", {"date": DAY, "amount": 2.0, "name": "c1"})
    platform.commit(platform.fix(2.0))
    platform.sandbox.executor.compute(*begun)
    platform.commit(begun[0])
    assert platform.named(platform.fix(3.0)) == []


def test_an_instance_already_committed_is_answered_as_before(make: Any) -> None:
    platform = make()
    reader = convert(platform, "c1")
    first = platform.fix(2.0)
    platform.commit(first)
    assert platform.named(first) == [reader]


def test_created_rows_impact_nobody(make: Any) -> None:
    platform = make()
    platform.run("monthly.average.request", {"month": MONTH})
    late = platform.compute("push.quote.request", {"date": "2008-01-03", "rate": 1.0})
    assert platform.named(late) == []


@pytest.mark.parametrize("one", [True, False])
def test_one_of_a_tag_is_named_and_none_of_the_commits_own(make: Any, *, one: bool) -> None:
    platform = make(discovery_one_of_a_tag=one)
    readers = {convert(platform, f"c{number}", tag="shared") for number in range(5)}
    named = platform.named(platform.fix(2.0))
    assert set(named) <= readers
    assert len(named) == (1 if one else 5)
    assert len(platform.named(platform.fix(2.0, tag="shared"))) == (0 if one else 5)


def test_the_order_differs_from_answer_to_answer(make: Any) -> None:
    platform = make()
    readers = [convert(platform, f"c{number}") for number in range(6)]
    fix = platform.fix(2.0)
    answers = [platform.named(fix) for _ in range(10)]
    assert all(sorted(answer) == sorted(readers) for answer in answers)
    assert len(set(map(tuple, answers))) > 1


def test_it_fails_open_while_api_core_is_away(make: Any) -> None:
    platform, strict = make(), make(discovery_fails_open=False)
    for one in (platform, strict):
        convert(one, "c1")
        one.sandbox.core.away = True
    assert platform.named(platform.fix(2.0)) == []
    with pytest.raises(Refused):
        strict.named(strict.fix(2.0))


def test_on_closed_branches_alone_whoever_read_the_row_is_named(make: Any) -> None:
    platform = make()
    unfinished = convert(platform, "c1", finished=False)
    closed = convert(platform, "c2", branch="b")
    platform.sandbox.core.set_branch("s", "b", "closed")
    assert sorted(platform.named(platform.fix(2.0))) == sorted([unfinished, closed])
    on_open = convert(platform, "c3")
    assert platform.named(platform.fix(2.0)) == [on_open]


def test_a_scenario_names_the_trunks_readers_as_forking_units(make: Any) -> None:
    platform = make()
    reader = convert(platform, "c1")
    run = platform.sandbox.ledger.run(platform.fix(2.0, opens="b"))
    assert platform.sandbox.discovery.impacted(run) == [(Unit(reader, "b"), True)]


def test_a_trunk_change_names_a_scenarios_reader_of_the_trunk(make: Any) -> None:
    platform = make()
    reader = convert(platform, "c1", branch="b")
    run = platform.sandbox.ledger.run(platform.fix(2.0))
    assert platform.sandbox.discovery.impacted(run) == [(Unit(reader, "b"), False)]


def test_what_was_built_upon_is_not_stale_and_what_was_not_is(make: Any) -> None:
    platform = make()
    for _ in range(2):
        platform.run("running.total.request", {"amount": 1.0})
    reader = convert(platform, "c1")
    assert platform.sandbox.domain.stale() == []
    platform.commit(platform.fix(2.0))
    assert platform.sandbox.domain.stale() == [{"instanceId": reader, "branch": "master"}]
    platform.replay("convert.amount.request", {"date": DAY, "amount": 2.0, "name": "c1"}, of=reader)
    assert platform.sandbox.domain.stale() == []


async def test_finished_comes_late_in_bursts_or_never(tmp_path: Path) -> None:
    platform = Platform(tmp_path, finished_after=0.05, finished_lost=0.3, finished_burst_share=0.2, finished_burst=0.3)
    instances = [
        platform.compute("push.quote.request", {"date": f"2008-02-{day:02}", "rate": 1.0}) for day in range(1, 29)
    ]
    for instance in instances:
        platform.sandbox.outcomes.finish(instance)
    status = platform.sandbox.core.status
    assert all(status(instance) == "running" for instance in instances)
    lost = set(platform.sandbox.outcomes.lost)
    assert 0 < len(lost) < len(instances)

    async with asyncio.timeout(5):
        await asyncio.gather(*platform.sandbox.outcomes._tasks)
    assert {instance for instance in instances if status(instance) != "finished"} == lost
    platform.sandbox.rows.close()


async def test_two_finished_in_the_same_moment_make_an_instance_unchangeable(tmp_path: Path) -> None:
    sandbox = Sandbox(("s",), MemoryBroker(), tmp_path, traits=Traits(finished_window=0.02))
    for instance in ("met", "apart"):
        sandbox.core.register(instance, {"systemId": "s", "name": "n"}, "master", is_fork=False, started=0.0)
    await asyncio.gather(*(sandbox.core.change_status("met", "finished") for _ in range(2)))
    for _ in range(2):
        await sandbox.core.change_status("apart", "finished")
    assert (sandbox.core.status("met"), sandbox.core.status("apart")) == ("running", "finished")
    with pytest.raises(Refused, match="Multiple rows"):
        await sandbox.core.change_status("met", "finished")
    with pytest.raises(Refused, match="no process instance"):
        await sandbox.core.change_status("nobody", "finished")
    sandbox.rows.close()

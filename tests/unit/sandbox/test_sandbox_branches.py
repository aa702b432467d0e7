"""Whatever is corrected on whatever branch, in any order: replaying what Discovery names makes every view right."""

import math
import tempfile
import uuid
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from maestro.events import MASTER
from maestro.rules.impact import Impacted, relevant
from maestro.sandbox.sandbox import Sandbox
from maestro.sandbox.traits import KIND
from tests.unit.sandbox.doubles import MemoryBroker

BRANCHES = (MASTER, "b", "c")
DAYS = ("2008-01-02", "2008-01-03", "2008-02-01", "2008-02-04")
#: There from the start; the others come late.
FIRST = DAYS[:3]


class Platform:
    """The sandbox's rules without its services: each event is committed, and what it impacts replayed, at once."""

    def __init__(self, folder: Path) -> None:
        self.sandbox = Sandbox(("s",), MemoryBroker(), folder, traits=KIND)
        self.quotes: dict[str, dict[str, float]] = {branch: {} for branch in BRANCHES}

    def run(self, name: str, payload: dict[str, Any], branch: str = MASTER) -> None:
        event = {"name": name, "systemId": "s", "branch": branch, "payload": {"currency": "USD", **payload}}
        instance = self._execute(event)
        units = self._impacted(instance, branch, on_master=branch == MASTER)
        self.sandbox.domain.commit(instance)
        while units:
            units += self._replay(units.pop(0), units, on_master=branch == MASTER)

    def push(self, day: str, rate: float, branch: str = MASTER, name: str = "push.quote.request") -> None:
        self.quotes[branch][day] = rate
        opens = {"branch": branch} if name.startswith("rectify") and branch != MASTER else {}
        self.run(name, {"date": day, "rate": rate, **opens}, branch)

    def value(self, entity: str, period: str, branch: str) -> float | None:
        row = self.sandbox.rows.visible("s", entity, f"USD:{period}", branch)
        return row.fields["value"] if row else None

    def _replay(self, unit: Impacted, outstanding: list[Impacted], *, on_master: bool) -> list[Impacted]:
        original = self.sandbox.memory._origins[unit.instance_id]
        reference = {"id": "r", "instance_id": unit.instance_id}
        event = {**original, "branch": unit.branch, "scope": "reprocessing", "reprocessing": reference}
        instance = self._execute(event)
        found = self._impacted(instance, unit.branch, on_master=on_master and unit.branch == MASTER, own=unit)
        self.sandbox.domain.commit(instance)
        return [one for one in found if one.key not in {other.key for other in outstanding}]

    def _execute(self, event: dict[str, Any]) -> str:
        instance = str(uuid.uuid4())
        started = self.sandbox.executor.start(instance, event)
        assert self.sandbox.executor.compute(instance, event, started)
        return instance

    def _impacted(self, instance: str, branch: str, *, on_master: bool, own: Impacted | None = None) -> list[Impacted]:
        run = self.sandbox.ledger.run(instance)
        assert run is not None
        assert run.branch == branch
        found = [Impacted(unit.instance, unit.branch, forks) for unit, forks in self.sandbox.discovery.impacted(run)]
        return list(relevant(found, own_instance=instance, on_master=on_master, own_unit=own and own.key))


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def check(platform: Platform) -> None:
    for branch in BRANCHES:
        seen = platform.quotes[MASTER] | platform.quotes[branch]
        averages = {
            month: mean([rate for day, rate in seen.items() if day.startswith(month)])
            for month in ("2008-01", "2008-02")
        }
        found = {month: platform.value("average", month, branch) for month in averages}
        assert found == averages, branch
        assert platform.value("rate", "2008", branch) == mean(list(averages.values())), branch
    assert platform.sandbox.domain.stale() == []
    assert platform.sandbox.rows.doubled() == []


steps = st.one_of(
    st.tuples(st.just("quote"), st.sampled_from(BRANCHES), st.sampled_from(DAYS), st.integers(1, 3).map(float)),
    st.tuples(st.just("average"), st.sampled_from(BRANCHES), st.sampled_from(("2008-01", "2008-02"))),
    st.tuples(st.just("rate"), st.sampled_from(BRANCHES)),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(steps, max_size=12))
def test_every_view_equals_a_computation_from_scratch(story: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        platform = Platform(Path(folder))
        for number, day in enumerate(FIRST):
            platform.push(day, float(number))
        for month in ("2008-01", "2008-02"):
            platform.run("monthly.average.request", {"month": month})
        platform.run("yearly.rate.request", {"year": 2008})
        check(platform)
        for kind, branch, *rest in story:
            if kind == "quote":
                known = rest[0] in platform.quotes[MASTER] | platform.quotes[branch]
                platform.push(*rest, branch, "rectify.quote.request" if known else "push.quote.request")
            elif kind == "average":
                platform.run("monthly.average.request", {"month": rest[0]}, branch)
            else:
                platform.run("yearly.rate.request", {"year": 2008}, branch)
            check(platform)
        platform.sandbox.rows.close()

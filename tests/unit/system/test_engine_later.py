"""The engine over a store that confirms its commits later, as one that is not on this machine does."""

import asyncio
from collections.abc import Sequence

import pytest

from maestro.rules import facts
from maestro.rules.commands import AckDelivery, Command
from maestro.rules.commands import Commit as CommitEvent
from maestro.rules.machine import Machine
from maestro.rules.state import Lock, Rules, System
from maestro.store.base import Commit, StoreError, Write
from maestro.store.memory import MemoryStore
from maestro.system.engine import Engine
from maestro.system.repository import Repository

ARRIVAL = facts.EventArrived("k1", "i1", "sysA.persist.request", "master", "t", ref=1)
SECOND = facts.EventArrived("k2", "i2", "sysA.persist.request", "master", "t", ref=2)
BODY = b'{"args":[{"instanceId":"i1","systemId":"sysA"}]}'


class LateStore(MemoryStore):
    """Confirms commits when it is told to, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.under_way: list[asyncio.Future[None]] = []

    def commit(self, writes: Sequence[Write], *, durable: bool) -> Commit:
        super().commit(writes, durable=durable)
        self.under_way.append(asyncio.get_running_loop().create_future())
        return self.under_way[-1]

    async def confirm(self, problem: StoreError | None = None) -> None:
        first = self.under_way.pop(0)
        if problem is None:
            first.set_result(None)
        else:
            first.set_exception(problem)
        await asyncio.sleep(0)


class Bench:
    def __init__(self) -> None:
        self.store = LateStore()
        self.done: list[Command] = []
        self.problems: list[Exception] = []
        self.published: list[Lock | None] = []
        self.saved = 0
        self.machine = Machine(System("sysA"))
        self.engine = Engine(
            self.machine, Repository(self.store, "sysA", Rules()), self.store, carry_out=self.done.append,
            publish_lock=self.published.append, saved=self._saved, broken=self.problems.append,
        )  # fmt: skip

    def _saved(self, saves: Sequence[object]) -> None:
        self.saved += len(saves)

    def judged(self) -> None:
        self.engine.feed(facts.ImpactFound(self.machine.system.judging_token, ()))

    def kinds(self) -> list[type[Command]]:
        return [type(command) for command in self.done]


async def test_a_command_waits_for_its_commit() -> None:
    bench = Bench()
    bench.engine.feed(ARRIVAL, BODY)
    bench.judged()
    assert CommitEvent not in bench.kinds(), "its verdict is not stored yet"
    assert bench.saved == 0
    assert bench.engine.unsaved
    await bench.store.confirm()
    assert CommitEvent in bench.kinds()
    assert bench.saved
    assert not bench.engine.unsaved


async def test_what_needs_nothing_keeps_its_place_behind_what_waits() -> None:
    bench = Bench()
    bench.engine.feed(ARRIVAL, BODY)
    bench.judged()
    before = list(bench.done)
    acts: list[str] = []
    bench.engine.once_stored(lambda: acts.append("shown"))
    bench.engine.feed(facts.Committed(bench.machine.system.judging_token))
    bench.engine.feed(SECOND, BODY)
    assert bench.done == before
    assert acts == []
    while bench.store.under_way:
        await bench.store.confirm()
    assert acts == ["shown"]
    kinds = bench.kinds()[len(before) :]
    assert kinds[0] is CommitEvent
    assert len(kinds) > 1


async def test_an_acknowledgement_waits_for_the_commit_that_holds_it() -> None:
    bench = Bench()
    bench.engine.feed(ARRIVAL, BODY)
    bench.judged()
    await bench.store.confirm()
    bench.engine.feed(facts.Committed(bench.machine.system.judging_token))
    bench.engine.flush()
    while bench.store.under_way:
        assert AckDelivery not in bench.kinds()
        await bench.store.confirm()
    bench.engine.flush()
    while bench.store.under_way:
        await bench.store.confirm()
    assert AckDelivery in bench.kinds()


async def test_commits_confirmed_out_of_order_are_taken_in_order() -> None:
    bench = Bench()
    bench.engine.feed(ARRIVAL, BODY)
    bench.judged()
    acts: list[str] = []
    bench.engine.once_stored(lambda: acts.append("first"))
    bench.engine.sync()
    bench.engine.once_stored(lambda: acts.append("second"))
    first, second = bench.store.under_way
    second.set_result(None)
    await asyncio.sleep(0)
    assert acts == []
    first.set_result(None)
    await asyncio.sleep(0)
    assert acts == ["first", "second"]


async def test_a_commit_that_fails_later_ends_it() -> None:
    bench = Bench()
    bench.engine.feed(ARRIVAL, BODY)
    bench.judged()
    before = list(bench.done)
    acts: list[str] = []
    bench.engine.once_stored(lambda: acts.append("shown"))
    await bench.store.confirm(StoreError("fenced"))
    assert [str(problem) for problem in bench.problems] == ["fenced"]
    bench.engine.feed(SECOND, BODY)
    bench.engine.flush()
    bench.engine.once_stored(lambda: acts.append("later"))
    assert bench.done == before
    assert acts == []
    assert bench.store.under_way == []


async def test_a_lock_is_published_as_it_was_committed_and_no_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    taken = Lock("r1", "ana", 0.0, 1, 0)
    locks: list[Lock | None] = [None]
    monkeypatch.setattr(System, "lock", lambda _system: locks[-1])
    bench.engine.feed(ARRIVAL, BODY)
    locks.append(taken)
    bench.judged()
    assert bench.published == []
    locks.append(None)
    bench.engine.feed(SECOND, BODY)
    assert bench.published == []
    await bench.store.confirm()
    assert bench.published == [taken], "that it moved again has nothing to write, but to tell"
    await bench.store.confirm()
    assert bench.published == [taken, None]


async def test_settled_waits_for_what_is_committed_by_now() -> None:
    bench = Bench()
    await bench.engine.settled()
    bench.engine.feed(ARRIVAL, BODY)
    bench.judged()
    waiting = asyncio.create_task(bench.engine.settled())
    given_up = asyncio.create_task(bench.engine.settled())
    await asyncio.sleep(0)
    given_up.cancel()
    bench.engine.sync()
    assert not waiting.done()
    await bench.store.confirm()
    await asyncio.wait_for(waiting, 1)
    assert len(bench.store.under_way) == 1

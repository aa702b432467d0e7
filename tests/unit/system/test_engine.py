"""The engine stops for good where memory and store part: nothing is stored or done after that."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from maestro.rules import facts
from maestro.rules.commands import AckDelivery, Command, Look, Topic
from maestro.rules.document import Document, HistoryEntry
from maestro.rules.impact import Impacted, Origin
from maestro.rules.machine import Machine
from maestro.rules.rendering import document_json
from maestro.rules.state import CommitUnderWay, Lock, OutboxKind, OutboxMessage, Rules, System
from maestro.rules.status import Status
from maestro.rules.step import SaveUnit
from maestro.store.base import Commit, Write
from maestro.store.memory import MemoryStore
from maestro.system.engine import GATHER_UP_TO, LARGE, Engine
from maestro.system.repository import DELIVERIES, Repository

ARRIVAL = facts.EventArrived("k1", "i1", "sysA.persist.request", "master", "t", ref=1)
BODY = b'{"args":[{"instanceId":"i1","systemId":"sysA"}]}'


class Bench:
    """An engine over a store in memory that remembers what it ordered and why it failed."""

    def __init__(self, **options: int) -> None:
        self.store = MemoryStore()
        self.done: list[Command] = []
        self.problems: list[Exception] = []
        self.machine = Machine(System("sysA"))
        self.engine = Engine(
            self.machine, Repository(self.store, "sysA", Rules()), self.store, carry_out=self.done.append,
            publish_lock=lambda _lock: None, saved=lambda _saves: None, broken=self.problems.append, **options,
        )  # fmt: skip

    def commit(self, number: int) -> None:
        self.engine.feed(facts.EventArrived(f"k{number}", f"i{number}", "e", "master", "t", ref=number), BODY)
        self.engine.feed(facts.ImpactFound(self.machine.system.judging_token, ()))
        self.engine.feed(facts.Committed(self.machine.system.judging_token))
        self.visible()

    def visible(self) -> None:
        """API core calls the instance committed last finished."""
        look = next(command for command in reversed(self.done) if isinstance(command, Look))
        self.engine.feed(facts.Looked(look.key, look.token, "finished"))

    def acked(self) -> list[int]:
        return [command.ref for command in self.done if isinstance(command, AckDelivery)]


async def test_rules_that_raise_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()

    def raise_it(*_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(bench.machine, "handle", raise_it)
    bench.engine.feed(ARRIVAL, BODY)
    monkeypatch.undo()
    bench.engine.feed(ARRIVAL, BODY)
    bench.engine.flush()
    assert [str(problem) for problem in bench.problems] == ["a bug"]
    assert bench.done == []
    assert list(bench.store.rows(DELIVERIES)) == []


async def test_a_store_that_fails_ends_it() -> None:
    bench = Bench()
    bench.engine.feed(ARRIVAL, BODY)
    asked = list(bench.done)
    bench.store.full = True
    bench.engine.feed(facts.ImpactFound(bench.machine.system.judging_token, ()))
    bench.store.full = False
    bench.engine.feed(facts.Committed(bench.machine.system.judging_token))
    bench.engine.flush()
    assert len(bench.problems) == 1
    assert bench.done == asked
    assert list(bench.store.rows(DELIVERIES)) == []


async def test_what_cannot_be_stored_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever keeps it out of the store: what was ordered with it is not done by a later commit."""
    bench = Bench()
    bench.engine.feed(ARRIVAL, BODY)
    asked = list(bench.done)

    def raise_it(*_: Any, **__: Any) -> Any:
        raise TypeError("str is not valid UTF-8: surrogates not allowed")

    monkeypatch.setattr(bench.store, "commit", raise_it)
    bench.engine.feed(facts.ImpactFound(bench.machine.system.judging_token, ()))
    bench.engine.flush()
    monkeypatch.undo()
    bench.engine.feed(facts.Committed(bench.machine.system.judging_token))
    bench.engine.flush()
    assert [type(problem) for problem in bench.problems] == [TypeError]
    assert bench.done == asked
    assert list(bench.store.rows(DELIVERIES)) == []


async def test_a_command_that_cannot_be_carried_out_ends_it() -> None:
    bench = Bench()

    def raise_it(_: Command) -> None:
        raise RuntimeError("a bug")

    bench.engine._carry_out = raise_it
    bench.engine.feed(ARRIVAL, BODY)
    bench.engine._carry_out = bench.done.append
    bench.engine.once_stored(lambda: bench.done.append(AckDelivery(1)))
    assert [str(problem) for problem in bench.problems] == ["a bug"]
    assert bench.done == []


async def test_it_is_idle_once_no_commit_is_under_way() -> None:
    """A run's commit is no event that is judged."""
    bench = Bench()
    bench.machine.system.commits_under_way[7] = CommitUnderWay("i9", "", 0.0)
    idle = asyncio.ensure_future(bench.engine.idle())
    await asyncio.sleep(0)
    assert not idle.done()
    del bench.machine.system.commits_under_way[7]
    bench.engine.feed(facts.Woken(Topic.STALL, ""))
    await asyncio.wait_for(idle, 1.0)


async def test_a_lock_that_was_loaded_and_ends_in_the_first_step_is_published_as_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    published: list[Lock | None] = []
    locks = iter([Lock("r1", "ana", 0.0, 1, 0)])
    monkeypatch.setattr(System, "lock", lambda _system: next(locks, None))
    engine = Engine(
        bench.machine, bench.engine.repository, bench.store, carry_out=bench.done.append,
        publish_lock=published.append, saved=lambda _saves: None, broken=bench.problems.append,
    )  # fmt: skip
    engine.feed(facts.Resumed())
    engine.flush()
    assert published == [None]


async def test_what_is_shown_is_stored() -> None:
    bench = Bench()
    bench.engine.feed(ARRIVAL, BODY)
    bench.engine.feed(facts.ImpactFound(bench.machine.system.judging_token, ()))
    bench.engine.feed(facts.Committed(bench.machine.system.judging_token))
    bench.engine.store()
    [(_, row)] = bench.store.rows(DELIVERIES)
    assert row["done"]
    assert not any(isinstance(command, AckDelivery) for command in bench.done), "its acknowledgement waits for the sync"


async def test_a_completion_is_stored_at_once_when_nothing_is_next() -> None:
    bench = Bench()
    bench.engine.feed(ARRIVAL, BODY)
    bench.engine.feed(facts.ImpactFound(bench.machine.system.judging_token, ()))
    bench.engine.feed(facts.Committed(bench.machine.system.judging_token))
    [(_, row)] = bench.store.rows(DELIVERIES)
    assert row["done"]


async def test_a_completion_is_stored_with_the_next_verdict() -> None:
    bench = Bench()
    bench.engine.feed(ARRIVAL, BODY)
    bench.engine.feed(facts.EventArrived("k2", "i2", "sysA.persist.request", "master", "t", ref=2), BODY)
    bench.engine.feed(facts.ImpactFound(bench.machine.system.judging_token, ()))
    bench.engine.feed(facts.Committed(bench.machine.system.judging_token))
    [(_, row)] = bench.store.rows(DELIVERIES)
    assert not row.get("done")
    bench.visible()
    bench.engine.feed(facts.ImpactFound(bench.machine.system.judging_token, ()))
    assert [row.get("done", False) for _, row in bench.store.rows(DELIVERIES)] == [True, False]
    assert not any(row.get("sight") for _, row in bench.store.rows(DELIVERIES)), "it was seen in time"


async def test_a_completion_is_stored_with_what_it_owes_when_the_look_takes_longer() -> None:
    bench = Bench()
    bench.engine.feed(ARRIVAL, BODY)
    bench.engine.feed(facts.EventArrived("k2", "i2", "sysA.persist.request", "master", "t", ref=2), BODY)
    bench.engine.feed(facts.ImpactFound(bench.machine.system.judging_token, ()))
    bench.engine.feed(facts.Committed(bench.machine.system.judging_token))
    look = next(command for command in bench.done if isinstance(command, Look))
    bench.engine.feed(facts.Looked(look.key, look.token, "running"))
    [(_, row)] = bench.store.rows(DELIVERIES)
    assert (row["done"], row["sight"]) == (True, "look")


async def test_that_a_status_text_was_answered_is_stored_at_once() -> None:
    bench = Bench()
    bench.machine.system.outbox[1] = OutboxMessage(1, OutboxKind.STATUS, "i1", "reprocessing_pending_approval")
    bench.engine.feed(facts.OutboxMessageBegun(1))
    bench.engine.feed(ARRIVAL, BODY)
    bench.engine.feed(facts.ImpactFound(bench.machine.system.judging_token, ()))
    [(_, row)] = bench.store.rows(DELIVERIES)
    assert row["text_late"], "it may still come"
    bench.engine.feed(facts.OutboxMessageDone(1))
    [(_, row)] = bench.store.rows(DELIVERIES)
    assert "text_late" not in row, "a next life would wait 30 s for a text that has come"


@pytest.mark.parametrize(("prefetch", "together"), [(1, 1), (2, 1), (6, 3), (1000, GATHER_UP_TO)])
async def test_acknowledgements_gather_while_the_broker_has_more_to_hand_over(prefetch: int, together: int) -> None:
    bench = Bench(prefetch=prefetch)
    for number in range(1, together):
        bench.commit(number)
    assert bench.acked() == []
    bench.commit(together)
    assert bench.acked() == list(range(1, together + 1))


class TellingStore(MemoryStore):
    """Remembers which lock each of its commits tells."""

    def __init__(self) -> None:
        super().__init__()
        self.lock: bytes | None = None
        self.told: list[bytes | None] = []

    def show_lock(self, facts: bytes) -> None:
        self.lock = facts

    def commit(self, writes: Sequence[Write], *, durable: bool) -> Commit:
        self.told.append(self.lock)
        return super().commit(writes, durable=durable)


async def test_the_store_tells_the_lock_as_it_was_loaded_and_with_each_move(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.store = bench.engine._store = store = TellingStore()
    bench.engine.repository = Repository(store, "sysA", Rules())
    bench.engine.tell_lock()
    assert store.told == [b""]
    lock = Lock("doc", "ana", 0.0, 0, 1)
    monkeypatch.setattr(System, "lock", lambda _system: lock)
    bench.engine.feed(ARRIVAL, BODY)  # that the lock moved is reason enough for a commit
    assert [orjson.loads(told or b"{}").get("reprocessing") for told in store.told] == [None, "doc"]
    monkeypatch.setattr(System, "lock", lambda _system: None)
    bench.engine.feed(facts.ImpactFound(bench.machine.system.judging_token, ()))
    assert store.told[2] == b""


async def test_a_large_document_is_prepared_in_the_end_though_it_changes_with_each_part() -> None:
    bench = Bench()
    document = Document("d1", "sysA", 1, "t", "master", False, "i1", b"{}", b"{}")  # noqa: FBT003 - a field
    document.history = [HistoryEntry(Status.RUNNING, 1.5e9, "maestro")]
    units = document.add(Origin(Impacted(f"p{n:04}", "master"), b"{}", "") for n in range(LARGE + 1))
    preparing = asyncio.create_task(bench.engine.prepare(document))
    for turn in range(10):
        await asyncio.sleep(0)
        units[0].problem = f"changed {turn}"
        bench.engine._pictures.saved([SaveUnit(document, units[0])])
    assert preparing.done()
    assert bench.engine.rendered(document) == document_json(document, units)


async def test_the_parts_of_a_document_that_shrank_are_not_kept() -> None:
    bench = Bench()
    document = Document("d", "sysA", 1, "", "master", False, "i1", b"{}", b"{}")  # noqa: FBT003 - a field
    document.history = [HistoryEntry(Status.PENDING, 1.5e9, "maestro")]
    for count in (LARGE + 1, LARGE):
        document.replace_units(Origin(Impacted(f"p{n:04}", "master"), b"{}", "") for n in range(count))
        bench.engine._rendered.clear()
        assert bench.engine.rendered(document) == document_json(document, document.order)
    assert not bench.engine._pictures._by_document

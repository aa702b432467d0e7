"""Queues are filled operation by operation: what is ordered meanwhile does not overtake, and the end is answered."""

import asyncio
from typing import Any

import pytest

from maestro.messages.cascade import CascadeDone, DequeueReprocessing, EmptyUnitQueues, EnqueueUnits, ToCascade
from maestro.rules import commands as do
from maestro.rules.document import Document
from maestro.rules.facts import Fact, QueuesUpdated
from maestro.rules.impact import Impacted, Origin
from maestro.system import cascade_client
from maestro.system.cascade_client import CascadeClient

UNITS = 5


class Cascade:
    """A session that keeps what is posted, and the engine that is fed what comes of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cascade_client, "PART_BYTES", 1)  # a unit in each operation
        self.posted: list[ToCascade] = []
        self.fed: list[Fact] = []
        document = Document("d1", "sysA", 1, "tag", "master", False, "i1", b"{}", b"{}")  # noqa: FBT003 - a field
        document.add(Origin(Impacted(f"p{n}", "master"), b"{}", "") for n in range(UNITS))
        self.machine = self.system = self
        self.documents = {document.id: document}
        self.client = CascadeClient(self)  # type: ignore[arg-type]  # as much of an engine as it needs
        self.client.attach(self)  # type: ignore[arg-type]  # and of a session

    def post(self, operation: ToCascade, **_: Any) -> None:
        self.posted.append(operation)

    def feed(self, fact: Fact) -> None:
        self.fed.append(fact)

    def order(self, command: do.Command) -> None:
        self.client.handlers()[type(command)](command)

    def done(self, *problems: str) -> None:
        """Answer all that was posted, in order, with these problems."""
        for operation, problem in zip(self.posted, (*problems, *[""] * len(self.posted)), strict=False):
            self.client.done(CascadeDone(operation.op, problem))
        self.posted = []

    def units(self) -> list[str]:
        return [id_ for one in self.posted if isinstance(one, EnqueueUnits) for id_, _ in one.units]


async def turns() -> None:
    for _ in range(UNITS + 1):
        await asyncio.sleep(0)


async def test_queues_are_filled_one_operation_in_a_turn_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    it = Cascade(monkeypatch)
    it.order(do.FillQueues("d1", 7))
    assert len(it.posted) == 1
    assert it.client.busy
    await turns()
    assert it.units() == [f"d1.{n}.1" for n in range(UNITS)]
    assert [one.fresh for one in it.posted if isinstance(one, EnqueueUnits)] == [True] + [False] * (UNITS - 1)


async def test_the_fill_is_answered_once_with_its_first_problem_when_all_of_it_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    it = Cascade(monkeypatch)
    it.order(do.FillQueues("d1", 7))
    it.done("refused")  # quicker than the next one is ordered
    assert it.fed == []
    await turns()
    it.done()
    assert it.fed == [QueuesUpdated("d1", 7, "refused")]
    assert not it.client.busy


async def test_what_is_ordered_meanwhile_comes_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    it = Cascade(monkeypatch)
    it.order(do.FillQueues("d1", 7))
    it.order(do.CleanUpQueues("d1", 8, failed=False))
    it.order(do.FillQueues("d1", 9))
    await turns()
    await turns()
    kinds = [type(one) for one in it.posted]
    fill = [EnqueueUnits] * UNITS
    assert kinds == [*fill, DequeueReprocessing, EmptyUnitQueues, *fill]
    await turns()
    it.done()
    assert it.fed == [QueuesUpdated("d1", token, "") for token in (7, 8, 9)]


async def test_a_new_session_is_asked_what_was_ordered_and_then_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    it = Cascade(monkeypatch)
    it.order(do.FillQueues("d1", 7))
    await asyncio.sleep(0)
    it.posted = []
    it.client.attach(it)  # type: ignore[arg-type]  # as above
    await turns()
    assert it.units() == [f"d1.{n}.1" for n in range(UNITS)]


async def test_a_document_without_units_to_send_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    it = Cascade(monkeypatch)
    for unit in it.documents["d1"].order:
        unit.problem, unit.state = "none", type(unit.state).DONE
    it.order(do.FillQueues("d1", 7))
    it.done()
    await turns()
    assert it.fed == [QueuesUpdated("d1", 7, "")]


@pytest.mark.parametrize(("position", "sent"), [(0, 0), (2, 1)])  # a unit is sent once its follower is made
async def test_an_event_that_cannot_be_made_is_a_problem_and_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch, position: int, sent: int
) -> None:
    it = Cascade(monkeypatch)
    it.documents["d1"].order[position].origin = b"no JSON"
    it.order(do.FillQueues("d1", 7))
    it.order(do.CleanUpQueues("d1", 8, failed=False))
    await turns()
    await turns()
    assert len(it.units()) == sent
    assert [type(one) for one in it.posted[sent:]] == [DequeueReprocessing, EmptyUnitQueues]
    it.done()
    await turns()
    filled, cleaned = sorted(it.fed, key=lambda fact: fact.token)  # type: ignore[union-attr]  # both have one
    assert isinstance(filled, QueuesUpdated)
    assert "cannot be made" in filled.problem
    assert cleaned == QueuesUpdated("d1", 8, "")
    assert not it.client.busy


def test_the_queues_of_another_run_are_left_alone_when_one_finishes(monkeypatch: pytest.MonkeyPatch) -> None:
    it = Cascade(monkeypatch)
    it.order(do.CleanUpQueues("d1", 9, failed=False, empty=False))
    assert [type(one) for one in it.posted] == [DequeueReprocessing]
    it.done()
    assert it.fed == [QueuesUpdated("d1", 9, "")]

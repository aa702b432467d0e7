"""Why a unit is in a document: the rows that it read and that are changed."""

import asyncio
from typing import Any

import pytest

from maestro.http.evidence import AT_ONCE, NOT_LOOKED_AT, Asked, Evidence, UnitAsked
from maestro.platform import Platform, history
from maestro.platform.history import Rows
from maestro.platform.process_memory import ProcessMemory
from tests.support.siblings import RecordingSiblings


def row(id_: str, track: str | None = None, writer: str = "") -> dict[str, Any]:
    return {"id": id_, "_metadata": {"type": "conta", "branch": "master", "changeTrack": track, "instance_id": writer}}


def head(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"dataset": {"entities": {"conta": list(rows)}}}


async def explained(siblings: RecordingSiblings, *units: UnitAsked, held: str = "c") -> list[dict[str, Any]]:
    async with await Platform.open(siblings.settings(tries=1)) as platform:
        asked = Asked("sysA", held, "master", len(units), list(units), None)
        return await Evidence(platform, 5.0).explained(asked)


async def test_the_rows_that_were_read_and_are_changed_are_named() -> None:
    async with RecordingSiblings() as siblings:
        siblings.entities["c"] = [row("c1", "update"), row("c9", "destroy"), row("new", "create")]
        siblings.heads["p1~2"] = head(row("c1", writer="a"), row("c2", writer="a"), row("own", "create"))
        [one] = await explained(siblings, UnitAsked("p1", "master", "ledger", (), "p1~2"))

    assert one["read"] == [{"type": "conta", "id": "c1", "branch": "master", "version": "a", "wrote": False}]
    assert (one["rows"], one["addsRows"], one["problem"]) == (1, 1, "")


async def test_a_dataset_that_is_too_large_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_PARTS", 50)
    async with RecordingSiblings() as siblings:
        siblings.entities["c"] = [row("c1", "update")]
        siblings.heads["p1"] = head(*(row(f"c{number}") for number in range(50)))
        siblings.heads["p2"] = head(row("c1"))
        one, other = await explained(
            siblings, UnitAsked("p1", "master", "both", (), "p1"), UnitAsked("p2", "master", "both", (), "p2")
        )
    assert "more than 50 parts" in one["problem"]
    assert (other["rows"], other["problem"]) == (1, "")


async def test_few_answers_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    inside, most = 0, 0
    asked = ProcessMemory.dataset

    async def counted(self: ProcessMemory, instance_id: str, *, tries: int | None = None) -> Rows | None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        try:
            return await asked(self, instance_id, tries=tries)
        finally:
            inside -= 1

    monkeypatch.setattr(ProcessMemory, "dataset", counted)
    async with RecordingSiblings() as siblings:
        siblings.entities["c"] = [row("c1", "update")]
        names = [f"p{number}" for number in range(50)]
        siblings.heads.update({name: head(row("c1")) for name in names})
        found = await explained(siblings, *(UnitAsked(name, "master", "both", (), name) for name in names))
    assert [one["rows"] for one in found] == [1] * 50
    assert most == AT_ONCE


def many(number: int) -> Asked:
    units = [UnitAsked(f"p{at}", "master", "both", (), f"p{at}") for at in range(number)]
    return Asked("sysA", "c", "master", number, units, None)


async def test_the_time_in_which_a_look_waits_for_its_place_is_not_the_siblings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a page the last units came to nothing where each answer was slow, and none too slow."""

    async def slow(*_: object, **__: object) -> Rows:
        await asyncio.sleep(0.4)
        return {}

    monkeypatch.setattr(ProcessMemory, "dataset", slow)
    async with RecordingSiblings() as siblings, await Platform.open(siblings.settings(tries=1)) as platform:
        found = await Evidence(platform, 2.0).explained(many(10))
    assert [one["problem"] for one in found] == [""] * 10


async def test_what_was_not_looked_at_in_the_time_of_a_page_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hanging(*_: object, **__: object) -> Rows:
        await asyncio.sleep(3600)
        return {}

    monkeypatch.setattr(ProcessMemory, "dataset", hanging)
    async with RecordingSiblings() as siblings, await Platform.open(siblings.settings(tries=1)) as platform:
        evidence, asked = Evidence(platform, 0.25), many(50)
        async with asyncio.timeout(20):
            pages = await asyncio.gather(*(evidence.explained(asked) for _ in range(4)))
    for found in pages:
        assert [one["instanceId"] for one in found] == [unit.instance_id for unit in asked.units]
        assert found[-1]["problem"] == NOT_LOOKED_AT
        assert all(one["problem"] and not one["rows"] for one in found)
    assert "no answer within 0.2 s" in pages[0][0]["problem"]


async def test_a_row_that_is_none_is_said() -> None:
    async with RecordingSiblings() as siblings:
        siblings.heads["p1"] = {"dataset": {"entities": {"conta": [{"id": "c1"}]}}}
        [one] = await explained(siblings, UnitAsked("p1", "master", "both", (), "p1"))
    assert "not the agreed answer" in one["problem"]


async def test_of_a_late_unit_the_commits_that_it_missed_count() -> None:
    async with RecordingSiblings() as siblings:
        siblings.entities["missed"] = [row("c2", "update")]
        siblings.heads["w"] = head(row("c1"), row("c2", "update", "a"))
        [one] = await explained(siblings, UnitAsked("w", "master", "ledger", ("missed",), "w"), held="")

    assert one["read"] == [{"type": "conta", "id": "c2", "branch": "master", "version": "a", "wrote": True}]


async def test_what_a_sibling_does_not_say_is_said() -> None:
    async with RecordingSiblings() as siblings:
        siblings.heads["p1"] = head(row("c1"))
        siblings.fail("domain", "entities", 9, 503)
        siblings.fail("process_memory", "head", 9, 503, when=lambda call: call.instance_id == "p2")
        one, other, third = await explained(
            siblings,
            UnitAsked("p1", "master", "both", (), "p1"),
            UnitAsked("p2", "master", "both", (), "p2"),
            UnitAsked("p3", "master", "both", (), "p3"),
        )

    assert "503" in one["problem"]
    assert "503" in other["problem"]
    assert third["problem"] == "Process Memory has no dataset of it"

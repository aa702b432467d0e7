"""The outbox: delivered beside each other, in order for one instance, after the lock, and never when dropped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from maestro.rules.document import Document, HistoryEntry
from maestro.rules.outbox import add_outbox_message, drop_texts
from maestro.rules.state import OutboxKind, System
from maestro.rules.status import Status
from maestro.rules.step import Step
from maestro.system import outbox as sending
from maestro.system.open_system import OpenSystem
from tests.support.in_process import served
from tests.support.siblings import RecordingSiblings


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "PAUSE", 0.05)


@asynccontextmanager
async def outbox(tmp_path: Path, siblings: RecordingSiblings) -> AsyncIterator[tuple[OpenSystem, System]]:
    async with served(tmp_path, siblings) as it:
        opened = it.service._open
        assert opened is not None
        yield opened, opened._system


def text(opened: OpenSystem, instance: str, status: str) -> None:
    step = Step()
    add_outbox_message(opened._system, OutboxKind.STATUS, instance, status, step)
    opened._outbox.nudge(step.saves)


def error_event(opened: OpenSystem, instance: str) -> None:
    step = Step()
    add_outbox_message(opened._system, OutboxKind.ERROR_EVENT, instance, "why", step, 1)
    opened._outbox.nudge(step.saves)


def dropped(opened: OpenSystem, instance: str) -> Any:
    """Drop an instance's texts; return whose commit they must not outlast."""
    owner: Any = type("Owner", (), {"text_late": False})()
    step = Step()
    assert drop_texts(opened._system, instance, owner, step)
    opened._outbox.nudge(step.saves)
    return owner


class Unscanned(dict[int, Any]):
    """An outbox that is not read from end to end."""

    def __iter__(self) -> Any:
        raise AssertionError("it is scanned")

    keys = values = items = __iter__


def set_texts(siblings: RecordingSiblings) -> list[tuple[str, str]]:
    sent = [call.json()[0] for call in siblings.calls("set_instance_status")]
    return [(one["id"], one["status"]) for one in sent]


async def test_one_that_api_core_does_not_take_holds_up_no_other(tmp_path: Path, siblings: RecordingSiblings) -> None:
    siblings.unknown.add("i1")
    async with outbox(tmp_path, siblings) as (opened, system):
        text(opened, "i1", "a")
        text(opened, "i2", "b")
        await siblings.wait_for(lambda: siblings.statuses.get("i2") == "b", 5)
        await siblings.wait_for(lambda: [one.instance_id for one in system.outbox.values()] == ["i1"], 5)
        siblings.unknown.clear()
        await siblings.wait_for(lambda: siblings.statuses.get("i1") == "a", 5)


async def test_those_of_one_instance_keep_their_order(tmp_path: Path, siblings: RecordingSiblings) -> None:
    siblings.fail("apicore", "set_instance_status", 2, 400)
    async with outbox(tmp_path, siblings) as (opened, system):
        text(opened, "i1", "first")
        text(opened, "i1", "second")
        await siblings.wait_for(lambda: not system.outbox, 5)
    assert [status for _, status in set_texts(siblings)] == ["first", "first", "first", "second"]


async def test_one_that_is_dropped_is_not_sent_again(tmp_path: Path, siblings: RecordingSiblings) -> None:
    siblings.fail("apicore", "set_instance_status", 99, 400)
    async with outbox(tmp_path, siblings) as (opened, _):
        text(opened, "i1", "late")
        await siblings.wait_for(lambda: siblings.count("set_instance_status") >= 1, 5)
        dropped(opened, "i1")
        sent = siblings.count("set_instance_status")
        siblings.heal()
        await asyncio.sleep(0.3)
        assert siblings.count("set_instance_status") <= sent + 1, "no more than the call that was under way"


async def test_one_that_is_dropped_before_its_call_begins_is_not_sent(
    tmp_path: Path, siblings: RecordingSiblings
) -> None:
    async with outbox(tmp_path, siblings) as (opened, system):
        text(opened, "i1", "late")
        opened._outbox._start_due(asyncio.get_running_loop().time())
        owner = dropped(opened, "i1")
        assert not owner.text_late, "no call was begun"
        text(opened, "i1", "next")
        await siblings.wait_for(lambda: not system.outbox, 5)
    assert set_texts(siblings) == [("i1", "next")]


async def test_what_the_lock_refuses_is_sent_after_it(
    tmp_path: Path, siblings: RecordingSiblings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maestro.system.repository.Repository.error_event", lambda *_: b'{"name":"x.error"}')
    siblings.refused["x.error"] = "the platform is locked to sysA"
    async with outbox(tmp_path, siblings) as (opened, system):
        locks = Document("r1", "sysA", 1, "", "master", False, "i0", b"{}", b"{}")  # noqa: FBT003 - a field
        locks.history = [HistoryEntry(Status.RUNNING, 0.0, "ana")]
        monkeypatch.setattr(System, "locked_by", locks)
        error_event(opened, "i1")
        await siblings.wait_for(lambda: siblings.count("send") == 1, 5)
        await asyncio.sleep(0.3)
        assert siblings.count("send") == 1, "it waits for the end of the lock"
        siblings.refused.clear()
        monkeypatch.setattr(System, "locked_by", None)
        opened._outbox.nudge(())
        await siblings.wait_for(lambda: [one["name"] for one in siblings.events] == ["x.error"], 5)
        await siblings.wait_for(lambda: not system.outbox, 5)


async def test_one_that_is_dropped_while_it_waits_holds_up_none_behind_it(
    tmp_path: Path, siblings: RecordingSiblings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "PAUSE", 60.0)
    siblings.fail("apicore", "set_instance_status", 1, 400)
    async with outbox(tmp_path, siblings) as (opened, system):
        text(opened, "i1", "first")
        await siblings.wait_for(lambda: siblings.count("set_instance_status") == 1, 5)
        await siblings.wait_for(lambda: not opened._outbox.busy, 5)
        dropped(opened, "i1")
        text(opened, "i1", "next")
        await siblings.wait_for(lambda: not system.outbox, 5)
        assert not opened._outbox._lines
        assert not opened._outbox._failed


async def test_a_commit_costs_no_look_at_what_waits(
    tmp_path: Path, siblings: RecordingSiblings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "PAUSE", 60.0)
    siblings.unknown.add("i1")
    async with outbox(tmp_path, siblings) as (opened, system):
        text(opened, "i1", "a")
        await siblings.wait_for(lambda: siblings.count("set_instance_status") == 1, 5)
        await siblings.wait_for(lambda: not opened._outbox.busy, 5)
        text(opened, "i1", "b")
        system.outbox = Unscanned(system.outbox)
        opened._outbox.nudge(())
        assert not opened._outbox._more.is_set(), "nothing is due"
        text(opened, "i2", "c")
        await siblings.wait_for(lambda: siblings.statuses.get("i2") == "c", 5)
        system.outbox = dict(dict.items(system.outbox))


async def test_what_nobody_subscribes_to_is_told_once(
    tmp_path: Path, siblings: RecordingSiblings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maestro.system.repository.Repository.error_event", lambda *_: b'{"name":"x.error"}')
    siblings.refused["x.error"] = "event x.error has no subscribers"
    async with outbox(tmp_path, siblings) as (opened, system):
        with capture_logs() as lines:
            for instance in ("i1", "i2", "i3"):
                error_event(opened, instance)
            await siblings.wait_for(lambda: not system.outbox, 5)
    assert [line["event"] for line in lines].count("outbox message refused") == 1
    assert siblings.count("send") == 3


async def test_api_core_out_of_reach_makes_no_text_late(tmp_path: Path, siblings: RecordingSiblings) -> None:
    async with outbox(tmp_path, siblings) as (opened, system):
        await siblings.stop()
        text(opened, "i1", "a")
        await asyncio.sleep(0.2)
        assert system.outbox
        assert not system.outbox_begun, "nothing of it left this process"
        await siblings.start()
        await siblings.wait_for(lambda: not system.outbox, 5)


async def test_a_text_is_not_sent_about_an_instance_that_is_finished(
    tmp_path: Path, siblings: RecordingSiblings
) -> None:
    siblings.statuses["i1"] = "finished"
    async with outbox(tmp_path, siblings) as (opened, system):
        text(opened, "i1", "reprocessing_pending_approval")
        await siblings.wait_for(lambda: not system.outbox, 5)
    assert set_texts(siblings) == []

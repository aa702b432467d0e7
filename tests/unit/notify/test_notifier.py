"""What waits is looked at and told: once, again after failures, not again after a restart; and what is kept."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from maestro.messages.todo import TodoItem, Waits
from maestro.notify import notifier as notifying
from maestro.notify.notifier import FILE, Notifier
from maestro.notify.plan import Step
from maestro.notify.texts import Message
from maestro.settings.notify import NotifySettings
from maestro.telemetry.metrics import MetricsRegistry


class FakeWay:
    """A way that remembers what it was to send."""

    def __init__(self, name: str = "slack") -> None:
        self.name = name
        self.shown = f"{name}://…"
        self.sent: list[tuple[Step | None, Message]] = []
        self.problem = ""

    async def send(self, message: Message, step: Step | None) -> str:
        if not self.problem:
            self.sent.append((step, message))
        return self.problem


class Site:
    """What waits, and the ways there are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.items: list[TodoItem] = []
        self.ways = [FakeWay("slack"), FakeWay("email")]
        self.registry = MetricsRegistry()
        self.looks = 0
        self.problem: Exception | None = None

    async def look(self) -> tuple[list[TodoItem], tuple[str, ...]]:
        self.looks += 1
        if self.problem is not None:
            raise self.problem
        return self.items, ("sysA",)

    def counted(self) -> dict[tuple[str, ...], float]:
        return {one.labels: one.value for one in self.registry.snapshot().samples if one.value}

    @asynccontextmanager
    async def running(self, **more: Any) -> AsyncIterator[Notifier]:
        fast = {"every": 0.01, "backoff": 0.01, "backoff_max": 0.02, "tries": 3}
        made = Notifier(
            NotifySettings.model_validate(fast | more), "https://x.example", self.folder, self.look, self.registry
        )
        task = asyncio.create_task(made.run())
        try:
            yield made
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site(tmp_path)
    monkeypatch.setattr(notifying, "ways_of", lambda _: made.ways)
    return made


def item(number: int = 1, kind: Waits = Waits.PENDING) -> TodoItem:
    return TodoItem(kind=kind, system="sysA", reprocessing=f"r{number}", units=number)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for offers no event
            await asyncio.sleep(0.005)


async def looked(site: Site, times: int = 3) -> None:
    seen = site.looks
    await until(lambda: site.looks >= seen + times)


async def test_all_that_waits_is_one_message_by_each_way_and_told_once(site: Site) -> None:
    site.items = [item(1), item(2)]
    async with site.running():
        await until(lambda: all(way.sent for way in site.ways))
        await looked(site)
        site.items.append(item(3, Waits.PAUSED))
        await until(lambda: all(len(way.sent) == 2 for way in site.ways))
        await looked(site)
    for way in site.ways:
        assert [(step, len(said.lines)) for step, said in way.sent] == [(Step.FIRST, 2), (Step.FIRST, 1)]
    assert site.counted() == {("slack", "delivered"): 2, ("email", "delivered"): 2}


async def test_what_may_become_of_a_notice_shows_from_the_start(site: Site) -> None:
    async with site.running():
        shown = {one.labels: one.value for one in site.registry.snapshot().samples}
    outcomes = ("delivered", "failed", "given_up")
    assert shown == {(way, outcome): 0.0 for way in ("slack", "email") for outcome in outcomes}


async def test_a_restart_tells_nothing_again(site: Site) -> None:
    site.items = [item(1)]
    async with site.running():
        await until(lambda: all(way.sent for way in site.ways))
        await looked(site)
    async with site.running():
        await looked(site)
        site.items.append(item(2))
        await until(lambda: all(len(way.sent) == 2 for way in site.ways))
    assert [len(said.lines) for _, said in site.ways[0].sent] == [1, 1]


async def test_what_was_told_in_the_last_moment_is_kept(site: Site) -> None:
    for number in range(1, 20):
        site.items = [item(number)]
        async with site.running():
            await until(lambda number=number: len(site.ways[0].sent) == number)  # type: ignore[misc]  # a default binds it
    assert [said.lines[0].due and said.lines[0].due.item.units for _, said in site.ways[0].sent] == list(range(1, 20))


async def test_reminders_and_escalations_go_by_the_time_that_was_kept(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.items = [item(1)]
    real = notifying.time.time
    for hours, step in ((0.0, Step.FIRST), (1.1, Step.REMINDER), (4.1, Step.ESCALATION), (40.0, None)):
        monkeypatch.setattr(notifying.time, "time", lambda hours=hours: real() + hours * 3600)
        told = len(site.ways[0].sent)
        async with site.running():
            if step is None:
                await looked(site)
            else:
                await until(lambda told=told: len(site.ways[0].sent) > told)  # type: ignore[misc]  # a default binds it
    assert [step for step, _ in site.ways[0].sent] == [Step.FIRST, Step.REMINDER, Step.ESCALATION]


async def test_a_way_that_fails_is_tried_again_and_holds_up_no_other(site: Site) -> None:
    slack, email = site.ways
    slack.problem = "status 503"
    site.items = [item(1)]
    async with site.running(tries=100) as made:
        await until(lambda: bool(email.sent) and site.counted().get(("slack", "failed"), 0) >= 2)
        site.items = [item(2)]
        await looked(site)
        slack.problem = ""
        await until(lambda: bool(slack.sent))
        [state, _] = made.states
    assert [line.due and line.due.item.reprocessing for line in slack.sent[0][1].lines] == ["r2"], "as it is by then"
    assert (state.failed, state.problem, state.delivered) == (0, "", 1)


async def test_a_notice_is_given_up_after_its_tries_and_the_next_is_told(site: Site) -> None:
    slack, _ = site.ways
    slack.problem = "status 404"
    site.items = [item(1)]
    with capture_logs() as lines:
        async with site.running():
            await until(lambda: site.counted().get(("slack", "given_up"), 0) == 1)
            await looked(site)
            slack.problem = ""
            site.items.append(item(2))
            await until(lambda: bool(slack.sent))
    assert site.counted()["slack", "failed"] == 3
    assert len(slack.sent[0][1].lines) == 1
    [given_up] = [line for line in lines if line["event"] == "notify.given_up"]
    assert (given_up["way"], given_up["cause"], given_up["tries"]) == ("slack", "status 404", 3)


async def test_a_look_that_fails_is_taken_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying, "RESTART", 0.01)
    site.problem = RuntimeError("a defect")
    site.items = [item(1)]
    async with site.running():
        await until(lambda: site.looks >= 2)
        site.problem = None
        await until(lambda: bool(site.ways[0].sent))


@pytest.mark.parametrize("content", [b"", b"{", b'{"known":{"x":7}}', b"\xff"])
async def test_a_file_that_cannot_be_read_is_said_and_what_waits_told_again(site: Site, content: bytes) -> None:
    (site.folder / FILE).write_bytes(content)
    site.items = [item(1)]
    with capture_logs() as lines:
        async with site.running():
            await until(lambda: bool(site.ways[0].sent))
    assert [line["log_level"] for line in lines if line["event"] == "notify.forgotten"] == ["error"]


async def test_what_is_kept_is_for_its_owner_only(site: Site) -> None:
    site.items = [item(1)]
    async with site.running():
        await until(lambda: bool(site.ways[0].sent) and (site.folder / FILE).exists())
    assert (site.folder / FILE).stat().st_mode & 0o077 == 0


async def test_a_test_goes_by_the_ways_that_are_named(site: Site) -> None:
    site.ways[1].problem = "552 mailbox full"
    async with site.running() as made:
        assert await made.test() == {"slack": "", "email": "552 mailbox full"}
        assert await made.test(["slack"]) == {"slack": ""}
        with pytest.raises(KeyError):
            await made.test(["pigeon"])
    assert [step for step, _ in site.ways[0].sent] == [None, None]


async def test_without_a_way_nothing_is_looked_at(site: Site) -> None:
    site.ways.clear()
    async with site.running():
        await asyncio.sleep(0.05)
    assert site.looks == 0

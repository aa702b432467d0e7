"""Every line of a task carries the ids of what it is about, and no line those of something else."""

import asyncio
from typing import Any

from structlog.testing import capture_logs

from maestro import logs
from maestro.logs import with_ids


def ids(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in ("event", "log_level")}


def test_lines_inside_carry_the_ids_and_what_they_say_wins() -> None:
    with capture_logs(processors=[with_ids]) as lines:
        log = logs.get(system="sysA")
        with logs.correlated(instance="i1"):
            with logs.correlated(request="r1"):
                log.info("a")
                log.info("b", instance="i2")
            log.info("c")
        log.info("d")
    assert [ids(line) for line in lines] == [
        {"system": "sysA", "instance": "i1", "request": "r1"},
        {"system": "sysA", "instance": "i2", "request": "r1"},
        {"system": "sysA", "instance": "i1"},
        {"system": "sysA"},
    ]


async def test_tasks_side_by_side_keep_theirs() -> None:
    async def work(name: str) -> None:
        with logs.correlated(instance=name):
            await asyncio.sleep(0)
            logs.get().info("x")

    with capture_logs(processors=[with_ids]) as lines:
        await asyncio.gather(work("i1"), work("i2"))
    assert [ids(line) for line in lines] == [{"instance": "i1"}, {"instance": "i2"}]


async def test_a_task_carries_what_it_is_about_now_and_no_other_does() -> None:
    async def work() -> None:
        for name in ("i1", "i2"):
            logs.carry({"instance": name})
            await asyncio.sleep(0)
            logs.get().info("x")
        logs.carry({})
        logs.get().info("x")

    with capture_logs(processors=[with_ids]) as lines:
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        logs.get().info("beside")
        await task
    assert [(line["event"], ids(line)) for line in lines] == [
        ("beside", {}), ("x", {"instance": "i1"}), ("x", {"instance": "i2"}), ("x", {}),
    ]  # fmt: skip

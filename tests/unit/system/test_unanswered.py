"""A sibling that takes a question and does not answer is seen after the first try, while the others are still made."""

from pathlib import Path

import orjson
import pytest

from maestro.messages.questions import DescribeSystem
from tests.support.in_process import InProcess, served
from tests.support.siblings import RecordingSiblings
from tests.support.stage import eventually, unit


async def stalled(it: InProcess) -> dict[str, str] | None:
    found: dict[str, str] | None = orjson.loads((await it.ask(DescribeSystem())).body)["stalled"]
    return found


@pytest.mark.parametrize(("service", "call"), [("discovery", "impacted"), ("process_memory", "origin")])
async def test_a_hanging_sibling_stalls_its_system_until_it_answers(
    tmp_path: Path, siblings: RecordingSiblings, service: str, call: str
) -> None:
    platform = siblings.settings(answer_timeout=0.3, tries=100)
    siblings.impacts["i1"] = [unit("p1")]
    siblings.fail(service, call, 10**9, "hang")
    async with served(tmp_path, siblings, platform=platform) as it:
        it.publish("i1")
        stall = await eventually(lambda: stalled(it), "the system is stalled")
        assert stall["sibling"] == service
        assert stall["cause"] == f"{service}.{call}: no answer within 0.3 s"
        assert siblings.count(call) < 20, "the tries are not over"
        siblings.heal()

        async def over() -> bool:
            return await stalled(it) is None

        await eventually(over, "it goes on")

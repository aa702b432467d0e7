"""Both values of what was overwritten: asked of Process Memory when somebody looks."""

from typing import Any

import orjson
import pytest

from maestro.http import overwrites
from maestro.http.overwrites import Overwrites, Overwriting
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import ListStale
from maestro.platform import Platform
from tests.support.siblings import RecordingSiblings
from tests.unit.http.conftest import Client
from tests.unit.http.fake_actor_client import FakeActorClient


def wrote(siblings: RecordingSiblings, instance: str, **rows: Any) -> None:
    """Have an instance write rows, by id: a value, or None for one that it destroys."""
    told = [
        {"id": id_, "saldo": value, "_metadata": {"changeTrack": "destroy" if value is None else "update"}}
        for id_, value in rows.items()
    ]
    siblings.read[instance] = {"dataset": {"entities": {}}}
    siblings.heads[instance] = {"dataset": {"entities": {"conta": told}}}


async def valued(siblings: RecordingSiblings, *entries: Overwriting, timeout: float = 5.0) -> list[dict[str, Any]]:  # noqa: ASYNC109
    async with await Platform.open(siblings.settings(tries=1)) as platform:
        return await Overwrites(platform, timeout).valued(entries)


async def test_both_values_are_told_of_the_latest_commit_that_was_missed() -> None:
    async with RecordingSiblings() as siblings:
        wrote(siblings, "w", a=100, b=7, c=1, mine=5)
        wrote(siblings, "m1", a=80, c=3)
        wrote(siblings, "m2", a=90, b=7, theirs=1)
        [one] = await valued(siblings, Overwriting("master", "w", ["m1", "m2"]))

    told = [[value[name] for name in ("id", "before", "after", "difference", "by")] for value in one["values"]]
    assert told == [
        ["c", 3, 1, -2.0, "m1"],
        ["a", 90, 100, 10.0, "m2"],
    ]
    assert (one["same"], one["more"], one["problem"]) == (1, 0, "")


async def test_what_one_of_them_destroyed_has_no_value() -> None:
    async with RecordingSiblings() as siblings:
        wrote(siblings, "w", a=None, b=7)
        wrote(siblings, "m", a=80, b=None)
        [one] = await valued(siblings, Overwriting("master", "w", ["m"]))

    assert {(value["id"], value["change"], value["before"], value["after"]) for value in one["values"]} == {
        ("a", "destroyed", 80, None), ("b", "changed", None, 7),
    }  # fmt: skip


async def test_what_is_not_to_be_had_is_said() -> None:
    async with RecordingSiblings() as siblings:
        wrote(siblings, "w", a=1)
        wrote(siblings, "v", z=1)
        wrote(siblings, "m", a=2)
        siblings.fail("process_memory", "history", 1, 400, when=lambda call: call.instance_id == "broken")
        found = await valued(
            siblings,
            Overwriting("master", "gone", ["m"]),
            Overwriting("master", "w", ["gone", "m"]),
            Overwriting("master", "v", ["m"]),
            Overwriting("master", "broken", ["m"]),
            Overwriting("master", "w", []),
        )

    assert found[0]["problem"] == "Process Memory has no history of gone"
    assert (len(found[1]["values"]), found[1]["problem"]) == (1, "Process Memory has no history of gone")
    assert found[2]["problem"] == overwrites.NO_ROW
    assert "400" in found[3]["problem"]
    assert found[4]["problem"] == overwrites.NO_ROW


@pytest.mark.parametrize("how", ["hang", "garbage", "half", 500])
async def test_who_answers_nothing_of_use_is_waited_for_no_longer_than_an_answer_may_take(how: Any) -> None:
    async with RecordingSiblings() as siblings:
        siblings.fail("process_memory", "history", 99, how)
        found = await valued(siblings, *(Overwriting("master", f"w{n}", ["m"]) for n in range(20)), timeout=0.5)
    assert all(one["problem"] and not one["values"] for one in found)


async def test_values_are_bounded() -> None:
    async with RecordingSiblings() as siblings:
        wrote(siblings, "w", **{f"r{n}": n for n in range(1, 101)})
        wrote(siblings, "m", **{f"r{n}": 2 * n for n in range(1, 101)})
        [one] = await valued(siblings, Overwriting("master", "w", ["m"]))
    assert (len(one["values"]), one["more"]) == (overwrites.KEPT, 100 - overwrites.KEPT)


async def test_over_http_only_overwrites_are_valued(client: Client, actor_client: FakeActorClient) -> None:
    unit = {"instanceId": "w", "branch": "master", "computation": "w2", "missed": ["c"]}
    page = {"total": 2, "left": 0, "next": None, "stale": [unit | {"state": "stale"}, unit | {"state": "overwrite"}]}
    actor_client.answers[ListStale] = Answer(Code.OK, orjson.dumps(page))
    path = "/v1.0.0/systems/sysA/stale"

    assert (await client.get(path)).json == page
    stale, overwrite = (await client.get(f"{path}?values=true&limit=500&after=3&state=")).json["stale"]
    assert "overwrite" not in stale
    assert overwrite["overwrite"]["problem"] == "w2"
    assert actor_client.asked[-1][1] == ListStale("", 3, overwrites.AT_MOST)
    assert (await client.get(f"{path}?values=yes")).is_error(400, "values")
    actor_client.answers[ListStale] = Answer(Code.INVALID, message="state: must be one of")
    assert (await client.get(f"{path}?values=true&state=x")).is_error(400, "state")

"""Policies, out of the whole service: what they decide and demand, over a crash and a change of configuration."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.support.cli import maestro
from tests.support.stage import SYSTEM, Stage, event, eventually, stage, unit

CLOSED = {
    "name": "closed-period", "effects": ["two_approvers", "refuse_skip"], "data_before": "2024-02-01",
    "date_from": ["payload.date"], "events": ["rectify.*"],
}  # fmt: skip
FEW = {"name": "few-rows", "effects": ["approve"], "rows_to": 2, "events": ["push.*"], "budget_replays": 5}


def configured(*policies: dict[str, Any]) -> dict[str, str]:
    return {"MAESTRO_POLICY": json.dumps(policies)}


@pytest_asyncio.fixture
async def it(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path, **configured(CLOSED, FEW)) as shared:
        yield shared


async def held(it: Stage, name: str = "rectify.quote.request", **payload: Any) -> dict[str, Any]:
    starts(it, "i1", name, **payload)
    it.siblings.impacts["i1"] = [unit("p1")]
    await it.publish(event("i1"))
    return await it.pending()


def starts(it: Stage, instance: str, name: str, **payload: Any) -> None:
    it.siblings.origins[instance] = {
        "name": name, "systemId": SYSTEM, "instanceId": instance, "tag": "t", "branch": "master",
        "timestamp": "2026-11-23T14:12:31.884268", "payload": payload,
    }  # fmt: skip


def rows(number: int) -> list[dict[str, Any]]:
    return [{"_metadata": {"type": "quote", "changeTrack": "create", "rid": f"r{n}"}} for n in range(number)]


async def test_a_closed_period_over_a_crash(it: Stage) -> None:
    doc = await held(it, date="2024-01-02")
    path = f"/v1.0.0/reprocessing/{doc['id']}"
    demand = doc["policies"]
    assert (demand["approval"], demand["skipRefused"]) == ("two_approvers", True)
    (by,) = demand["by"]
    assert (by["name"], by["effects"]) == ("closed-period", ["two_approvers", "refuse_skip"])
    assert by["why"] == "event rectify.quote.request; data of 2024-01-02, before 2024-02-01"

    refused = await it.post(f"{path}/skip", {"user": "ana"}, ok=False)
    assert refused["_status"] == 409
    assert f"may not be skipped: policy closed-period ({by['digest']}) says so: event rectify" in refused["message"]
    first = await it.post(f"{path}/approve", {"user": "ana"}, ok=False)
    assert first["_status"] == 202
    await it.kill()
    await it.start()
    again = await it.document(doc["id"])
    assert again["policies"]["by"] == demand["by"]
    assert again["firstApproval"]["user"] == "ana"
    assert "i1" not in it.siblings.commits
    await it.post(f"{path}/approve", {"user": "ben"})
    done = await it.reaches(doc, "finished")
    assert done["policies"]["by"] == demand["by"]

    entries = (await it.get("/v1.0.0/audit"))["entries"]
    said = f"closed-period ({by['digest']}): two_approvers, refuse_skip"
    assert [one["facts"].get("policies") for one in entries if one["what"] == "approve"] == [said, said]
    (skip,) = [one for one in entries if one["what"] == "skip"]
    assert (skip["outcome"], "may not be skipped: policy closed-period" in skip["message"]) == ("failed", True)


async def test_what_each_policy_says_of_a_document(it: Stage) -> None:
    doc = await held(it, date="soon")
    found = await it.get(f"/v1.0.0/reprocessing/{doc['id']}/policies")
    assert (found["approval"], found["skipRefused"], found["status"]) == ("two_approvers", True, "pending_approval")
    closed, few = found["policies"]
    assert (closed["applies"], closed["effects"]) == (None, ["two_approvers", "refuse_skip"])
    assert [(one["setting"], one["found"], one["holds"]) for one in closed["conditions"]] == [
        ("events", "rectify.quote.request", True),
        ("data_before", None, None),
    ]
    assert (few["applies"], few["effects"], few["configured"]) == (False, [], ["approve"])

    ran = await maestro(it, "policy", "explain", doc["id"][:8])
    assert ran.code == 0
    assert "now: two people must approve; it may not be skipped" in ran.out
    assert f"closed-period ({closed['digest']}): applies: not known; it says two_approvers, refuse_skip" in ran.out
    assert "applies: no; it would say approve" in ran.out
    shown = await maestro(it, "show", doc["id"][:8])
    assert "the date of the data is not known (data_before = 2024-02-01)" in shown.out
    skipped = await maestro(it, "skip", doc["id"][:8], "--yes")
    assert skipped.code == 5
    assert "may not be skipped: policy closed-period" in skipped.err


async def test_the_policies_of_a_system(it: Stage) -> None:
    listed = await it.get(f"/v1.0.0/systems/{SYSTEM}/policies")
    assert [one["name"] for one in listed["policies"]] == ["closed-period", "few-rows"]
    assert listed["policies"][1]["conditions"] == {"events": "push.*", "rows_to": "2"}
    assert listed["policies"][1]["budget"] == {"replays": 5, "minutes": None}
    ran = await maestro(it, "policy", "list")
    assert [line.split()[:2] for line in ran.out.splitlines()[1:]] == [
        [SYSTEM, "closed-period"], [SYSTEM, "few-rows"],
    ]  # fmt: skip


@pytest.mark.parametrize(("number", "approved"), [(2, True), (3, False)])
async def test_domain_is_asked_how_many_rows_change(it: Stage, *, number: int, approved: bool) -> None:
    starts(it, "i1", "push.quote.request")
    it.siblings.entities["i1"] = rows(number)
    it.siblings.impacts["i1"] = [unit("p1")]
    await it.publish(event("i1"))
    if approved:
        (found,) = await eventually(lambda: it.get(f"/v1.0.0/reprocessing/{SYSTEM}/find"), "it is held")
        doc = await it.reaches(found, "finished")
        by = next(entry for entry in doc["history"] if entry["status"] == "approved")
        assert by["user"] == "platform"
        assert by["cause"].startswith("approved by policy few-rows (")
        assert doc["budget"]["replays"] == 5
    else:
        doc = await it.pending()
        assert doc["policies"]["approval"] == "ask"
    assert doc["rows"] == number


async def test_a_dry_run_on_the_history(it: Stage, tmp_path: Path) -> None:
    doc = await held(it, date="2024-03-05")
    await it.post(f"/v1.0.0/reprocessing/{doc['id']}/skip", {"user": "ana"})
    new = tmp_path / "new.toml"
    new.write_text('[[policy]]\nname = "all"\neffects = ["approve"]\n', "utf-8")
    ran = await maestro(it, "policy", "dry-run", "--config", str(new), MAESTRO_POLICY="")
    assert ran.code == 0, ran.err
    assert "they would have approved 1 of 1 at once" in ran.out
    assert [line for line in ran.out.splitlines() if line.startswith(doc["id"][:8])] != []
    told = (await maestro(it, "policy", "dry-run", SYSTEM, "--config", str(new), "--json", MAESTRO_POLICY="")).json
    assert told["summary"]["approved"] == 1
    assert told["documents"][0] | {"held": ""} == {
        "id": doc["id"], "system": SYSTEM, "held": "", "decided": "skipped", "approval": "approve",
        "skipRefused": False, "notKnown": False, "by": ["all"],
    }  # fmt: skip
    none = tmp_path / "none.toml"
    none.write_text("", "utf-8")
    refused = await maestro(it, "policy", "dry-run", "--config", str(none), MAESTRO_POLICY="")
    assert refused.code == 2
    assert "there is no [[policy]] in it" in refused.err


async def test_a_policy_that_is_gone_after_a_restart(tmp_path: Path) -> None:
    async with stage(tmp_path, **configured(CLOSED)) as it:
        doc = await held(it, date="2024-01-02")
        await it.kill()
        it._environ["MAESTRO_POLICY"] = "[]"
        await it.start()
        again = await it.document(doc["id"])
        assert again["policies"] is None
        assert again["history"][-1]["cause"] == "by the policies as they are now: a person is asked"
        await it.post(f"/v1.0.0/reprocessing/{doc['id']}/skip", {"user": "ana"})

"""Decisions on the command line, against `maestro serve`: what is shown, what binds, what the exit codes say."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.cli import maestro, on_terminal
from tests.support.stage import Stage, eventually, stage, unit
from tests.support.tenant import Tenant, new_tenant

pytestmark = pytest.mark.asyncio(loop_scope="module")
PENDING = "pending_approval"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def it(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with stage(tmp_path_factory.mktemp("stage")) as shared:
        yield shared


@pytest_asyncio.fixture(loop_scope="module")
async def tenant(it: Stage) -> Tenant:
    return await new_tenant(it)


async def held(tenant: Tenant, *units: str) -> dict[str, Any]:
    tenant.impacts("i1", *(unit(one) for one in units))
    await tenant.publish("i1")
    return await tenant.it.pending(tenant.system)


async def test_approve_shows_the_consequences_and_binds_to_what_it_showed(it: Stage, tenant: Tenant) -> None:
    doc = await held(tenant, "p1", "p2")
    await tenant.publish_all("i2", "i3")
    await eventually(lambda: _waiting(it, tenant, 2), "two wait")

    refused = await maestro(it, "approve", doc["id"])
    assert refused.code == 2
    assert refused.out == ""
    for line in (
        "replays at least 2 instances; a cascade may add more",
        f"locks {tenant.system} meanwhile",
        "2 events wait behind it",
        "there is no terminal to ask on: repeat with --yes",
    ):
        assert line in refused.err
    assert (await it.document(doc["id"]))["status"] == PENDING

    tenant.impacts("i1", unit("p2"), unit("p3"))
    assert (await maestro(it, "recheck", doc["id"][:8])).code == 0
    stale = await maestro(it, "approve", doc["id"], "--yes", "--digest", doc["digest"])
    assert stale.code == 5
    assert f"+ {tenant.id('p3')} on master" in stale.err
    assert f"- {tenant.id('p1')} on master" in stale.err
    assert "is not what was previewed" in stale.err
    as_json = await maestro(it, "approve", doc["id"], "--yes", "--digest", doc["digest"], "--json")
    assert (as_json.code, as_json.json["status"]) == (5, "409")
    assert as_json.json["added"] == [{"instanceId": tenant.id("p3"), "branch": "master"}]

    done = await maestro(it, "approve", doc["id"][:8], "--yes", "--reason", "a wrong quote", "--user", "ana", "--json")
    assert done.code == 0
    assert done.json["history"][-1] | {"timestamp": "", "at": ""} == {
        "status": "approved", "user": "ana", "reason": "a wrong quote", "timestamp": "", "at": "",
    }  # fmt: skip
    finished = await it.reaches(doc, "finished")
    assert {one["instanceId"] for one in finished["units"]} == {tenant.id("p2"), tenant.id("p3")}
    late = await maestro(it, "approve", doc["id"], "--yes", "--json")
    assert (late.code, late.json["status"]) == (5, "409")
    assert "is finished since " in late.err
    assert ", approved by ana at " in late.err
    assert "only what waits for a decision can be decided" in late.err


async def _waiting(it: Stage, tenant: Tenant, count: int) -> bool:
    return (await it.state(tenant.system))["waiting"] == count


async def test_approving_shows_what_it_is_and_its_rows_before_and_after(it: Stage, tenant: Tenant) -> None:
    it.siblings.origins[tenant.id("i1")] = {
        "name": "rectify.quote.request", "systemId": tenant.system, "instanceId": tenant.id("i1"),
        "payload": {"currency": "USD", "rate": 1.61414},
    }  # fmt: skip
    it.siblings.entities[tenant.id("i1")] = [
        {"currency": "USD", "rate": 1.6 + n, "before": {"currency": "USD", "rate": 1.4},
         "_metadata": {"type": "quote", "changeTrack": "update"}}
        for n in range(7)
    ]  # fmt: skip
    doc = await held(tenant, "p1")
    asked = await on_terminal(it, "approve", doc["id"], answer="n", columns=80)
    assert asked.code == 1
    said = " ".join(asked.out.split())
    for part in (
        f"Approve “rectify quote USD · 1.61414”, {doc['id']} of {tenant.system}",
        "7 rows (7 update quote)", "update quote (currency=USD): rate=1.4 -> rate=1.6", "and 2 rows more: maestro show",
        "Approve and replay 1? [y/N]:",
    ):  # fmt: skip
        assert part in said, said
    assert max(len(line) for line in asked.out.splitlines()) <= 80
    assert (await it.document(doc["id"]))["status"] == PENDING


async def test_recheck_names_what_came_and_went(it: Stage, tenant: Tenant) -> None:
    doc = await held(tenant, "p1")
    tenant.impacts("i1", unit("p2"))
    shown = await maestro(it, "recheck", doc["id"])
    assert shown.code == 0
    assert "it impacts 1 instance" in shown.out
    assert f"+ {tenant.id('p2')} on master" in shown.out
    assert f"- {tenant.id('p1')} on master" in shown.out
    tenant.fail("discovery", "impacted", times=9, how=503)
    failed = await maestro(it, "recheck", doc["id"])
    assert failed.code == 1
    assert "discovery" in failed.err
    it.siblings.heal()


async def test_skip_names_the_rows_that_will_not_reach_the_domain_and_reconsider_takes_them_back(
    it: Stage, tenant: Tenant
) -> None:
    doc = await held(tenant, "p1")
    it.siblings.entities[tenant.id("i1")] = [
        {"value": n, "_metadata": {"type": "quote", "changeTrack": "update"}} for n in range(3)
    ] + [{"value": 9, "_metadata": {"type": "rate", "changeTrack": "create"}}]
    refused = await maestro(it, "skip", doc["id"])
    assert refused.code == 2
    assert "these rows will NOT reach the domain: 4 rows (3 update quote, 1 create rate)" in refused.err

    declined = await on_terminal(it, "skip", doc["id"], answer="n")
    assert declined.code == 1
    assert "nothing was done" in declined.out
    assert (await it.document(doc["id"]))["status"] == PENDING

    tenant.impacts("i1", unit("p1"), unit("p2"))
    assert (await maestro(it, "recheck", doc["id"])).code == 0
    stale = await maestro(it, "skip", doc["id"], "--yes", "--digest", doc["digest"])
    assert stale.code == 5
    assert f"+ {tenant.id('p2')} on master" in stale.err

    agreed = await on_terminal(it, "skip", doc["id"], "--reason", "a duplicate", answer="y")
    assert agreed.code == 0
    assert "Skip and discard the commit?" in agreed.out
    listed = await maestro(it, "skipped", tenant.system, "--json")
    assert listed.json["skipped"][0]["skipped"]["reason"] == "a duplicate"
    assert "a duplicate" in (await maestro(it, "skipped", tenant.system)).out
    assert tenant.commits == []

    tenant.impacts("i1")
    again = await maestro(it, "reconsider", doc["id"], "--yes")
    assert (again.code, again.out) == (0, "it impacts nothing now: committed\n")
    assert tenant.commits == ["i1"]
    twice = await maestro(it, "reconsider", doc["id"], "--yes", "--json")
    assert (twice.code, twice.json["status"]) == (5, "409")
    assert re.fullmatch(
        f"maestro: reprocessing {doc['id']} was already reconsidered by .+ at .+ as event [0-9]+\n", twice.err
    )


async def test_reconsidered_is_held_again_or_waits(it: Stage, tenant: Tenant) -> None:
    doc = await held(tenant, "p1")
    await maestro(it, "skip", doc["id"], "--yes")
    again = await maestro(it, "reconsider", doc["id"], "--yes", "--json")
    assert (again.code, again.json["status"]) == (0, "reprocessing_request")
    second = await it.pending(tenant.system)
    await maestro(it, "skip", second["id"], "--yes")
    tenant.impacts("i9", unit("p9"))
    await tenant.publish("i9")
    await it.pending(tenant.system)
    waits = await maestro(it, "reconsider", second["id"], "--yes")
    assert waits.code == 0
    assert "is not open: it waits at position 1" in waits.out


async def test_a_budget_pauses_and_resume_retry_cancel_go_on(it: Stage, tenant: Tenant) -> None:
    doc = await held(tenant, "p1", "p2", "p3")
    approved = await maestro(it, "approve", doc["id"], "--yes", "--max-replays", "1")
    assert approved.code == 0
    assert "pauses for a second decision after 1 replay" in approved.err
    await it.reaches(doc, "paused")

    shown = await maestro(it, "resume", doc["id"])
    assert shown.code == 2
    assert "so far: 1 done, 2 left, 3 instances; what is done stays done" in shown.err
    assert f"keeps {tenant.system} locked meanwhile" in shown.err
    resumed = await maestro(it, "resume", doc["id"], "--yes", "--max-replays", "1", "--json")
    assert resumed.json["budget"] == {"replays": 1, "minutes": None, "replayed": 0}
    await eventually(lambda: _paused_after(it, doc, 2), "paused after two")

    cancelled = await maestro(it, "cancel", doc["id"], "--yes")
    assert cancelled.code == 0
    assert "nothing of it runs now: ends at once; so far: 2 done, 1 left" in cancelled.err
    assert "1 instance not replayed keeps results of before the commit, until a retry replays it" in cancelled.err
    await it.reaches(doc, "cancelled")
    assert "2 done, 1 not done, 3 instances" in (await maestro(it, "show", doc["id"])).out
    retried = await maestro(it, "retry", doc["id"][:8], "--yes")
    assert retried.code == 0
    assert "replays at least 1 instance" in retried.err
    await it.reaches(doc, "finished")
    assert (await maestro(it, "pause", doc["id"])).code == 5


async def _paused_after(it: Stage, doc: dict[str, Any], replayed: int) -> bool:
    now = await it.document(doc["id"])
    return now["status"] == "paused" and now["progress"]["replayed"] == replayed


async def test_pause_waits_for_the_replay_in_flight(it: Stage, tenant: Tenant) -> None:
    it.mute.add(tenant.system)
    doc = await held(tenant, "p1", "p2")
    await maestro(it, "approve", doc["id"], "--yes")
    sent = await tenant.sent(1)
    paused = await maestro(it, "pause", doc["id"], "--reason", "lunch")
    assert paused.code == 0
    assert "it pauses after the current replay, and keeps its lock" in paused.out
    await it.answer(sent)
    assert (await it.reaches(doc, "paused"))["history"][-1]["reason"] == "lunch"


async def test_exit_codes(it: Stage, tenant: Tenant) -> None:
    doc = await held(tenant, "p1")
    unknown = await maestro(it, "approve", "nosuch", "--yes", "--json")
    assert (unknown.code, unknown.out) == (4, "")
    assert "nor one whose id begins so" in unknown.err
    assert (await maestro(it, "waiting", "nosystem", "--json")).json["status"] == "404"
    for command in ("waiting", "skipped", "pending", "history"):
        nowhere = await maestro(it, command, "nosystem")
        assert (nowhere.code, nowhere.out, nowhere.err) == (4, "", "maestro: system 'nosystem' is not known\n")
    assert (await maestro(it, "approve", doc["id"], "--yes", "--reason", "x" * 2000)).code == 2
    assert (await maestro(it, "approve", doc["id"], "--max-replays", "0")).code == 2
    assert (await maestro(it, "pause", doc["id"])).code == 5
    away = await maestro(it, "pending", MAESTRO_URL="http://127.0.0.1:1")
    assert (away.code, away.out) == (3, "")
    assert "not reachable: http://127.0.0.1:1: Connection refused" in away.err
    assert (await maestro(it, "pending", "--url", "ftp://x")).code == 2
    assert (await maestro(it, "pending", "--token-file", "/nowhere")).code == 2
    stranger = await maestro(it, "systems", "--url", f"http://127.0.0.1:{it.siblings.port}")
    assert stranger.code == 3
    assert "not as Maestro does" in stranger.err


async def test_a_prefix_must_tell_one_from_the_others(it: Stage, tenant: Tenant) -> None:
    await held(tenant, "p1")
    every = (await maestro(it, "history", "--json")).json
    assert len(every) > 1
    # The empty beginning is everybody's.
    ambiguous = await maestro(it, "show", "")
    assert ambiguous.code == 2


async def test_a_decision_for_the_whole_tag(it: Stage, tenant: Tenant) -> None:
    for name, branch in (("i1", "master"), ("i2", "b1"), ("i3", "b1")):
        tenant.impacts(name, unit(f"p-{name}", branch), *([unit("more", branch)] if name == "i3" else []))
        await tenant.publish(name, tag="t1", branch=branch)
    doc = await it.pending(tenant.system)
    wrong = await maestro(it, "skip", doc["id"], "--yes", "--covers-limit", "3")
    assert (wrong.code, "--covers-limit is for a decision with --covers-tag" in wrong.err) == (2, True)
    shown = await maestro(it, "skip", doc["id"], "--covers-tag")
    assert "covers tag t1: what else becomes pending of it, soon, up to 1 replay each" in shown.err
    done = await maestro(it, "skip", doc["id"], "--yes", "--covers-tag", "--reason", "both", "--user", "ana", "--json")
    assert "it covers tag t1 until" in done.json["history"][-1]["cause"]

    async def both() -> list[dict[str, Any]] | None:
        skipped: list[dict[str, Any]] = await it.get(f"/v1.0.0/reprocessing/{tenant.system}/find?status=skipped")
        return skipped if len(skipped) > 1 else None

    second = (await eventually(both, "the second is covered"))[1]["history"][-1]
    assert (second["user"], second["reason"]) == ("ana", "both")
    assert second["cause"].startswith(f"covered by the decision about {doc['id']}; preview ")
    third = await it.pending(tenant.system)
    assert third["pendingEvent"]["instanceId"] == tenant.id("i3")
    assert [entry["status"] for entry in third["history"]] == [PENDING]

"""Many admins at once: of each document's decisions exactly one wins, and the others are told who and when."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.faults.figures import note
from tests.support.procs import processes
from tests.support.stage import Stage, eventually, stage, unit
from tests.support.tenant import JSON, Tenant, new_tenant

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rabbitmq, pytest.mark.timeout(300)]
AT_ONCE = 50


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def it(module_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with stage(tmp_path_factory.mktemp("stage"), module_url) as shared:
        yield shared


async def ask(it: Stage, id_: str, how: str, user: str) -> JSON:
    return await it.post(f"/v1.0.0/reprocessing/{id_}/{how}", {"user": user}, ok=False)


async def rush(it: Stage, dice: Random, ids: list[str], ways: tuple[str, ...]) -> list[tuple[str, str, str, JSON]]:
    """Ask for 50 decisions at once; return (id, how, user, answer) of each."""
    asked = [(dice.choice(ids), dice.choice(ways), f"user{number}") for number in range(AT_ONCE)]
    answers = await asyncio.gather(*(ask(it, *one) for one in asked))
    return [(*one, answer) for one, answer in zip(asked, answers, strict=True)]


@pytest.mark.quick
@pytest.mark.parametrize("ways", [("approve", "skip"), ("approve", "skip", "cancel", "retry")], ids="-".join)
async def test_fifty_decisions_of_one_document(it: Stage, dice: Random, ways: tuple[str, ...]) -> None:
    tenant = await new_tenant(it)
    it.mute.add(tenant.system)
    tenant.impacts("i", unit("p1"))
    await tenant.publish("i")
    pending = await tenant.pending()
    outcomes = await rush(it, dice, [pending["id"]], ways)
    found = await it.document(pending["id"])
    assert Counter(answer["_status"] for *_, answer in outcomes).keys() <= {200, 409}
    decided = [user for _, how, user, answer in outcomes if answer["_status"] == 200 and how in ("approve", "skip")]
    assert len(decided) == 1
    assert found["history"][1]["user"] == decided[0]
    others = [user for _, how, user, answer in outcomes if answer["_status"] == 200 and user != decided[0]]
    for _, how, user, answer in outcomes:
        if answer["_status"] == 409 and how in ("approve", "skip"):
            assert any(name in answer["message"] for name in (decided[0], *others)), (user, answer["message"])
            assert "20" in answer["message"], "it says when"
    commits = tenant.commits
    assert commits.count("i") <= 1
    note("50 decisions", ways=ways, statuses=dict(Counter(answer["_status"] for *_, answer in outcomes)))


async def test_fifty_decisions_of_many_documents(it: Stage, dice: Random) -> None:
    """Each system has one that is pending; the documents do not disturb each other."""
    tenants = await asyncio.gather(*(new_tenant(it) for _ in range(5)))
    pending: dict[str, Tenant] = {}
    for tenant in tenants:
        tenant.impacts("i", unit("p1"))
        await tenant.publish_all("i", "w")
        pending[(await tenant.pending())["id"]] = tenant
    outcomes = await rush(it, dice, list(pending), ("approve", "skip"))
    for id_, tenant in pending.items():
        mine = [(how, user, answer) for asked, how, user, answer in outcomes if asked == id_]
        won = [(how, user) for how, user, answer in mine if answer["_status"] == 200]
        assert len(won) == 1, f"{id_}: {won}"
        assert all(won[0][1] in answer["message"] for _, _, answer in mine if answer["_status"] == 409)
        await tenant.commits_are(*(("i", "re1", "w") if won[0][0] == "approve" else ("w",)))


@pytest.mark.parametrize("how", ["cancel", "retry"])
async def test_fifty_of_one_kind_later_in_its_life(it: Stage, dice: Random, how: str) -> None:
    tenant = await new_tenant(it)
    it.mute.add(tenant.system)
    tenant.impacts("i", unit("p1"))
    doc = await tenant.approved("i")
    sent = await tenant.sent(1)
    if how == "retry":
        await it.decide(doc, "cancel")
        await it.answer(sent, "r1")
        await tenant.ended(doc, "cancelled")
    outcomes = await rush(it, dice, [doc["id"]], (how,))
    statuses = Counter(answer["_status"] for *_, answer in outcomes)
    assert statuses[200] == 1, statuses
    assert statuses[409] == AT_ONCE - 1
    [winner] = [user for _, _, user, answer in outcomes if answer["_status"] == 200]
    assert all(winner in answer["message"] for *_, answer in outcomes if answer["_status"] == 409), outcomes[0]
    note(f"50 times {how}", statuses=dict(statuses))


async def read_again(it: Stage, id_: str) -> JSON | None:
    found = await it.get(f"/v1.0.0/reprocessing/{id_}", ok=False)
    assert found["_status"] != 404, "what was shown to an admin is not lost"
    return found if found["_status"] == 200 else None


async def test_a_decision_while_the_system_is_killed(it: Stage, dice: Random) -> None:
    """Whatever the admins are told: one decision holds, it is on record with its user, and none is told otherwise."""
    tenant = await new_tenant(it)
    tenant.impacts("i", unit("p1"))
    await tenant.publish_all("i", "w")
    pending = await tenant.pending()
    asked = [("approve" if dice.random() < 0.5 else "skip", f"user{number}") for number in range(AT_ONCE)]

    async def persist(how: str, user: str) -> Any:
        try:
            return await ask(it, pending["id"], how, user)
        except (aiohttp.ClientError, TimeoutError):
            return None

    asking = [asyncio.create_task(persist(*one)) for one in asked]
    await asyncio.sleep(dice.uniform(0.0, 0.03))
    os.kill(processes(it.folder / "data")[f"system {tenant.system}"].pid, signal.SIGKILL)
    answers = await asyncio.gather(*asking)
    told = [
        (how, user) for (how, user), answer in zip(asked, answers, strict=True) if answer and answer["_status"] == 200
    ]
    assert len(told) <= 1
    found = await eventually(lambda: read_again(it, pending["id"]), "the document is there again")
    if found["status"] == "pending_approval":
        assert not told
        found = await it.decide(pending, "approve")
    decision = found["history"][1]
    assert not told or decision["user"] == told[0][1]
    expected = ("w",) if decision["status"] == "skipped" else ("i", "re1", "w")
    await tenant.siblings.wait_for(lambda: "w" in tenant.commits, 60)
    assert tuple(dict.fromkeys(tenant.commits)) == expected

"""Poison in good traffic: to the error queue with its reason, once; its neighbours do not notice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from random import Random

import orjson
import pytest
import pytest_asyncio

from maestro.broker.base import Message
from maestro.broker.topology import ERROR_HEADER, PERSIST
from maestro.events import celery_body
from tests.faults.figures import note
from tests.support.stage import Stage, stage, unit
from tests.support.tenant import JSON, Tenant, new_tenant

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rabbitmq, pytest.mark.timeout(300)]
GOOD = 60
MEGABYTES_20 = 20 * 1024 * 1024


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def it(module_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with stage(tmp_path_factory.mktemp("stage"), module_url) as shared:
        yield shared


def poison(tenant: Tenant) -> dict[str, tuple[bytes, str]]:
    """Bad bodies by what is wrong with them, each with a word of its reason."""
    event = tenant.event("bad")
    deep = b'{"args": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    replay = {"id": "00000000-0000-8000-8000-000000000000", "instance_id": "p1", "system_id": tenant.system}
    changed: dict[str, tuple[JSON, str]] = {
        "another system": ({"systemId": "another"}, "systemId"),
        "no instance": ({"instanceId": ""}, "instanceId"),
        "an instance that is no text": ({"instanceId": [1]}, "instanceId"),
        "an unknown scope": ({"scope": "reproduction"}, "scope"),
        "an unknown reprocessing": ({"scope": "reprocessing", "reprocessing": replay}, "not running"),
        "a reprocessing that is no object": ({"scope": "reprocessing", "reprocessing": "x"}, "reprocessing"),
    }
    return {
        "not JSON": (b"\x00\xff not JSON", ""),
        "an empty body": (b"", ""),
        "a list": (b"[1, 2]", ""),
        "a number": (b"7", ""),
        "half an object": (b'{"args": [{"instanceId"', ""),
        "deep nesting": (deep, ""),
        "20 MB": (celery_body("big", orjson.dumps(event | {"payload": "x" * MEGABYTES_20})), "bytes"),
        **{
            name: (celery_body(f"bad-{number}", orjson.dumps(event | fields)), reason)
            for number, (name, (fields, reason)) in enumerate(changed.items())
        },
    }


@pytest.mark.quick
async def test_poison_is_put_aside_and_its_neighbours_proceed(it: Stage, dice: Random) -> None:
    tenant, neighbour = await new_tenant(it), await new_tenant(it)
    bad = poison(tenant)
    good = [f"g{number}" for number in range(GOOD)]
    mixed: list[str] = [*good]
    for name in bad:
        mixed.insert(dice.randrange(len(mixed) + 1), name)
    await asyncio.gather(publish(tenant, mixed, bad), neighbour.publish_all(*good))
    await tenant.commits_are(*good)
    await neighbour.commits_are(*good)
    found = await tenant.errors(len(bad))
    assert Counter(body for body, _ in found) == Counter(body for body, _ in bad.values()), "unchanged, and once"
    reasons = {body: headers[ERROR_HEADER] for body, headers in found}
    for name, (body, reason) in bad.items():
        assert reasons[body], name
        assert reason in reasons[body], name
    state = await tenant.open_again()
    assert state["counters"]["error"] == len(bad)
    await tenant.depth_is(tenant.queues.persist, 0)
    note("poison", bodies=len(bad), good=2 * GOOD)


async def publish(tenant: Tenant, mixed: list[str], bad: dict[str, tuple[bytes, str]]) -> None:
    for name in mixed:
        if name in bad:
            await tenant.it.broker.publish(PERSIST, tenant.system, Message(bad[name][0], f"m-{name}", moved=True))
        else:
            await tenant.publish(name)


@pytest.mark.quick
async def test_a_replays_result_that_comes_twice_counts_once(it: Stage) -> None:
    """The same message again is a redelivery; another result of the same send is superseded."""
    tenant = await new_tenant(it)
    it.mute.add(tenant.system)
    tenant.impacts("i", unit("p1"), unit("p2"))
    doc = await tenant.approved("i")
    sent = await tenant.sent(1)
    result = tenant.event("r1", scope="reprocessing", branch=sent["branch"], reprocessing=sent["reprocessing"])
    for _ in range(3):
        await it.publish(result, system=tenant.system, celery_id="the-same")
    await it.answer(sent, "r1b")
    await it.answer(await tenant.sent(2), "r2")
    await tenant.ended(doc, "finished")
    assert tenant.commits == ["i", "r1", "r2"]
    [(body, headers)] = await tenant.errors(1)
    assert orjson.loads(body)["args"][0]["instanceId"] == tenant.id("r1b")
    assert "superseded" in headers[ERROR_HEADER]

"""The lock is exact: `proceed` is refused from before the first effect of a reprocessing until after its last."""

import pytest
from aiohttp.web import BaseRequest

from tests.support.platform_state import Call
from tests.support.stage import Stage, unit
from tests.support.tenant import Tenant

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rabbitmq]


async def test_unknown_and_empty_systems_may_proceed(it: Stage) -> None:
    for system in ("", "nobody"):
        answer = await it.get(f"/v1.0.0/gateway/{system}/proceed", ok=False)
        assert answer["_status"] == 200
        assert answer["_headers"]["Content-Length"] == "0"


async def test_the_refusal_says_why(tenant: Tenant) -> None:
    tenant.it.mute.add(tenant.system)
    tenant.impacts("i", unit("p1"), unit("p2"))
    doc = await tenant.approved("i")
    sent = await tenant.sent(1)
    locked = await tenant.proceed()
    assert locked["_status"] == 403
    assert int(locked["_headers"]["Retry-After"]) > 0
    assert locked["_headers"]["Content-Type"].startswith("application/json")
    assert locked["reprocessing"] == doc["id"]
    assert locked["owner"] == "ana"
    assert locked["reason"]
    assert locked["since"] == (await tenant.it.document(doc["id"]))["history"][-1]["at"]
    assert locked["progress"] == {"replayed": 0, "outstanding": 2}
    await tenant.it.answer(sent, "r1")
    second = await tenant.sent(2)
    assert (await tenant.proceed())["progress"] == {"replayed": 1, "outstanding": 1}
    assert (await tenant.state())["lock"]["reprocessing"] == doc["id"]
    await tenant.it.answer(second, "r2")
    await tenant.ended(doc, "finished")
    assert (await tenant.state())["lock"] is None


async def test_pending_and_approved_do_not_lock(tenant: Tenant) -> None:
    tenant.impacts("i", unit("p1"))
    await tenant.publish("i")
    await tenant.pending()
    assert (await tenant.proceed())["_status"] == 200


async def test_it_is_locked_at_every_effect_and_not_at_the_notifications(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every sibling asks `proceed` while it handles a call, as the Event Manager does."""
    seen: list[tuple[str, int]] = []

    record = tenant.siblings._record

    async def ask_first(request: BaseRequest) -> Call | None:
        call = await record(request)
        if call is not None and tenant.owns(call) and call.name in ("send", "commit"):
            what = call.json().get("scope", "news") if call.name == "send" else call.name
            seen.append((what, (await tenant.proceed())["_status"]))
        return call

    tenant.impacts("i", unit("p1"), unit("p2"))
    tenant.impacts("re1", unit("p3"))
    await tenant.publish("i")
    pending = await tenant.pending()
    monkeypatch.setattr(tenant.siblings, "_record", ask_first)
    await tenant.it.decide(pending, "approve")
    await tenant.ended(pending, "finished")
    assert seen == [
        ("news", 200), ("commit", 403), *[("reprocessing", 403), ("commit", 403)] * 3, ("news", 200),
    ]  # fmt: skip

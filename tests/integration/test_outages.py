"""An outage of a sibling is nobody's fault: events keep their place, it is said, and all goes on by itself."""

from collections.abc import Iterator
from typing import Any

import pytest

from maestro.broker.topology import ERROR_HEADER
from tests.support.stage import Stage, eventually, unit
from tests.support.tenant import Tenant

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rabbitmq]


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    return {"MAESTRO_PLATFORM__MIRROR_DOCUMENTS": "false"}


@pytest.fixture(autouse=True)
def changes(it: Stage) -> Iterator[None]:
    """Every commit changes a row: one that only creates rows waits for nobody. All siblings are well afterwards."""
    metadata = {"type": "row", "rid": "r1", "branch": "master", "changeTrack": "update"}
    it.siblings.default_entities = [{"id": "r1", "_metadata": metadata}]
    yield
    it.siblings.heal()


async def stalled(tenant: Tenant) -> dict[str, Any]:
    """Wait until the system is stalled; return what it says of it."""

    async def there() -> Any:
        return (await tenant.state())["stalled"]

    found: dict[str, Any] = await eventually(there, "the system is stalled")
    return found


async def goes_on(tenant: Tenant) -> None:
    """All is well again: nothing stalled, nothing on the error queue."""
    assert (await tenant.open_again())["stalled"] is None
    await tenant.depth_is(tenant.queues.persist_error, 0)


@pytest.mark.parametrize("how", [400, 503, "reset"])
async def test_discovery_away_for_seconds(tenant: Tenant, how: int | str) -> None:
    tenant.fail("discovery", "impacted", 9999, how)
    names = [f"i{number}" for number in range(20)]
    await tenant.publish_all(*names)
    stall = await stalled(tenant)
    assert stall["sibling"] == "discovery"
    assert "discovery.impacted" in stall["cause"]
    ready = await tenant.it.get("/readyz")
    assert tenant.system in [one["system"] for one in ready["stalled"]]
    assert (await tenant.proceed())["_status"] == 200
    metrics = await tenant.it.metrics()
    value = next(line for line in metrics if line.startswith(f'maestro_stalled_seconds{{system="{tenant.system}"}}'))
    assert float(value.rpartition(" ")[2]) > 0
    assert tenant.commits == []
    tenant.siblings.heal()
    await tenant.commits_are(*names)
    await goes_on(tenant)


async def test_api_core_away_between_a_commit_and_the_look(tenant: Tenant) -> None:
    tenant.fail("apicore", "is_fork", 9999, 400)
    await tenant.publish_all("a", "b")
    assert (await stalled(tenant))["sibling"] == "apicore"
    assert tenant.calls("impacted") == ["a"], "the next question waits"
    tenant.siblings.heal()
    await tenant.commits_are("a", "b")
    await goes_on(tenant)
    # A call to API core failed between the question and the look: it is put again.
    await eventually(lambda: asked_again(tenant, "a"), "the doubtful question is put again")


async def asked_again(tenant: Tenant, short: str) -> bool:
    return tenant.calls("impacted").count(short) == 2


async def test_what_discovery_names_when_it_is_asked_again_was_missed(tenant: Tenant) -> None:
    tenant.fail("apicore", "is_fork", 9999, 400, "a")
    await tenant.publish("a")
    await tenant.commits_are("a")
    await stalled(tenant)
    tenant.impacts("a", unit("p1"))
    tenant.siblings.heal()

    async def told() -> bool:
        wanted = ("maestro_alarms_total", f'system="{tenant.system}"', 'alarm="missed"')
        lines = [line for line in await tenant.it.metrics() if all(one in line for one in wanted)]
        return [line.rpartition(" ")[2] for line in lines] in (["1"], ["1.0"])

    await eventually(told, "it is an alarm")


@pytest.mark.parametrize(
    ("service", "call", "instance"),
    [
        ("discovery", "impacted", "r1"),
        ("process_memory", "origin", "p9"),
        ("event_manager", "send", ""),
    ],
)
async def test_a_sibling_away_in_a_run(tenant: Tenant, service: str, call: str, instance: str) -> None:
    tenant.it.mute.add(tenant.system)
    tenant.impacts("i", unit("p1"))
    tenant.impacts("r1", unit("p9"))
    doc = await tenant.approved("i")
    sent = await tenant.sent(1)
    # Of all systems: another one's canary would show that the sibling is there, and the run would be at fault.
    tenant.siblings.fail(service, call, 9999, 400)
    await tenant.it.answer(sent, "r1")
    assert (await stalled(tenant))["sibling"] == service
    assert (await tenant.proceed())["_status"] == 403, "it waits under its lock"
    tenant.siblings.heal()
    await tenant.it.answer(await tenant.sent(2), "r9")
    await tenant.ended(doc, "finished")
    await tenant.commits_are("i", "r1", "r9")
    await goes_on(tenant)


async def test_somebody_sets_the_event_in_hand_aside(tenant: Tenant) -> None:
    tenant.fail("discovery", "impacted", 9999, 400, "poison")
    await tenant.publish_all("poison", "next")
    await stalled(tenant)
    path = f"/v1.0.0/systems/{tenant.system}/stalled/set-aside"
    answer = await tenant.it.post(path, {"user": "ana", "reason": "it is poison"})
    assert answer == {"number": 1, "instanceId": tenant.id("poison")}
    await tenant.commits_are("next")
    [(_, headers)] = await tenant.errors(1)
    assert headers[ERROR_HEADER].startswith("set aside by ana: it is poison")
    tenant.siblings.heal()
    assert (await tenant.it.post(path, {"user": "ana"}, ok=False))["_status"] == 409

"""Systems at rest have no process; what comes for one wakes it, and nothing is lost, doubled or answered wrongly."""

import asyncio
import random
from pathlib import Path

import orjson
import pytest

from tests.support.cli import maestro
from tests.support.procs import processes
from tests.support.stage import SYSTEM, Stage, event, eventually, stage, unit
from tests.support.tenant import Tenant, new_tenant

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Seconds until a system at rest is passivated here.
IDLE = 0.4


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    return {"MAESTRO_ACTORS__IDLE_AFTER": str(IDLE)}


def marked(it: Stage, system: str) -> bool:
    return (it.folder / "data" / "systems" / f"{system}.db.rest").exists()


async def passivated(tenant: Tenant) -> None:
    """Wait until the system has no process and is listed as passivated."""

    async def there() -> bool:
        listed = {one["id"]: one["state"] for one in await tenant.it.get("/v1.0.0/systems")}
        gone = f"system {tenant.system}" not in processes(tenant.it.folder / "data")
        return listed[tenant.system] == "passivated" and gone

    await eventually(there, f"{tenant.system} is passivated")
    assert marked(tenant.it, tenant.system)


async def new(it: Stage) -> Tenant:
    tenant = await new_tenant(it)
    await passivated(tenant)
    return tenant


async def test_a_delivery_wakes_it_and_is_committed_once(on_both: Stage) -> None:
    tenant = await new(on_both)
    for name in ("a", "b", "c"):
        await tenant.publish(name)
        await tenant.commits_are(*"abc"[: "abc".index(name) + 1])
        await passivated(tenant)


async def test_a_sync_persist_wakes_it(on_both: Stage) -> None:
    tenant = await new(on_both)
    answer = await on_both.post("/v1.0.0/persist/sync", tenant.event("a"))
    assert answer["status"] == "commited"
    assert tenant.commits == ["a"]


async def test_what_every_system_is_asked_does_not_wake_it_and_is_answered(on_both: Stage) -> None:
    tenant = await new(on_both)
    pids = processes(on_both.folder / "data")
    for _ in range(3):
        assert (await tenant.proceed())["_status"] == 200
        assert (await on_both.get("/readyz"))["status"] == "ok"
        assert (await tenant.state())["state"] == "passivated"
        assert (await on_both.get(f"/v1.0.0/todo?system={tenant.system}"))["total"] == 0
        assert (await on_both.get(f"/v1.0.0/history?system={tenant.system}"))["records"] == []
        async with on_both.http.get(f"{on_both.url}/metrics") as scraped:
            text = await scraped.text()
        assert f'maestro_system_state{{state="passivated",system="{tenant.system}"}} 1.0' in text.replace(
            f'system="{tenant.system}",state="passivated"', f'state="passivated",system="{tenant.system}"'
        )
        assert 'maestro_systems{state="passivated"}' in text
    assert f"system {tenant.system}" not in pids
    assert marked(on_both, tenant.system)


async def test_who_watches_it_does_not_keep_it_awake_and_sees_it_come_back(on_both: Stage) -> None:
    tenant = await new_tenant(on_both)
    states: list[str] = []

    async def watch() -> None:
        async with on_both.http.get(f"{on_both.url}/v1.0.0/systems/{tenant.system}/stream") as stream:
            assert stream.status == 200
            async for line in stream.content:
                if line.startswith(b"data:"):
                    states.append(orjson.loads(line[5:])["system"]["state"])  # noqa: PERF401 - looked at meanwhile

    watching = asyncio.create_task(watch())
    try:
        await passivated(tenant)

        async def seen() -> bool:
            return states[-1:] == ["passivated"]

        await eventually(seen, "the watcher sees it at rest")
        await asyncio.sleep(2 * IDLE)
        assert marked(on_both, tenant.system), "to be watched does not wake it"
        await tenant.publish("a")
        await tenant.commits_are("a")

        async def back() -> bool:
            return "open" in states[states.index("passivated") :]

        await eventually(back, "the watcher sees it come back")
    finally:
        watching.cancel()


async def test_a_reprocessing_keeps_it_awake_and_a_decision_about_an_ended_one_wakes_it(on_both: Stage) -> None:
    tenant = await new(on_both)
    tenant.impacts("b", unit("a"))
    await tenant.publish("b")
    doc = await tenant.pending()
    await asyncio.sleep(3 * IDLE)
    assert not marked(on_both, tenant.system)
    await on_both.decide(doc, "skip")
    await passivated(tenant)
    history = await on_both.get(f"/v1.0.0/history?system={tenant.system}")
    assert [one["id"] for one in history["records"]] == [doc["id"]]
    await passivated(tenant)
    refused = await on_both.post(f"/v1.0.0/reprocessing/{doc['id']}/approve", {"user": "ana"}, ok=False)
    assert refused["_status"] == 409
    await passivated(tenant)
    await on_both.post(f"/v1.0.0/reprocessing/{doc['id']}/reconsider", {"user": "ana"})
    approved = await on_both.decide(await tenant.pending(), "approve")
    await tenant.ended(approved, "finished")
    await passivated(tenant)
    assert (await tenant.proceed())["_status"] == 200


async def test_a_lock_check_is_right_while_an_automatic_run_begins_and_ends(tmp_path: Path) -> None:
    """Auto-approved: from the delivery that wakes it to the lock nobody but Maestro acts."""
    environ = {"MAESTRO_ACTORS__IDLE_AFTER": str(IDLE), "AUTO_REPROCESSING_auto": "yes"}
    async with stage(tmp_path, "", **environ) as it:
        tenant = await new_tenant(it, "auto")
        wrong: list[str] = []

        async def checked(call: str, expected: int) -> None:
            answer = await tenant.proceed()
            if answer["_status"] != expected:
                wrong.append(f"{call}: {answer['_status']}")

        record = it.siblings._record

        async def ask_first(request):  # noqa: ANN001, ANN202 - as the siblings' own
            call = await record(request)
            if call is not None and call.name == "commit":
                await checked("commit", 403)
            return call

        it.siblings._record = ask_first  # type: ignore[method-assign]
        for number in range(4):
            await passivated(tenant)
            await checked("passivated", 200)
            tenant.impacts(f"b{number}", unit("a"))
            await tenant.publish(f"b{number}")
            done = 2 * (number + 1)
            await it.siblings.wait_for(lambda wanted=done: len(tenant.commits) >= wanted, 30.0)
        await passivated(tenant)
        assert wrong == []


async def test_the_doctor_sees_no_fault_in_it(tmp_path: Path) -> None:
    async with stage(tmp_path, "", MAESTRO_ACTORS__IDLE_AFTER=str(IDLE)) as it:
        tenant = await new(it)
        await passivated(Tenant(it, SYSTEM))
        ran = await maestro(it, "doctor", "--json")
        findings = ran.json["findings"]
        about = [one for one in findings if SYSTEM in str(one) or tenant.system in str(one)]
        assert about
        assert [one for one in findings if one["level"] == "problem"] == []
        listed = await maestro(it, "systems")
        assert listed.out.count("passivated") == 2


async def test_a_restart_does_not_start_it(tmp_path: Path) -> None:
    async with stage(tmp_path, "", MAESTRO_ACTORS__IDLE_AFTER=str(IDLE)) as it:
        one, other = await new(it), await new(it)
        await one.publish("a")
        await one.commits_are("a")
        await passivated(one)
        await it.stop()
        await it.start()
        for tenant in (one, other):
            assert f"system {tenant.system}" not in processes(tmp_path / "data")
            assert (await tenant.proceed())["_status"] == 200
            assert (await tenant.state())["state"] == "passivated"
        await one.publish("b")
        await one.commits_are("a", "b")
        await it.kill()
        await it.start()
        await other.publish("c")
        await other.commits_are("c")
        assert one.commits == ["a", "b"]


async def test_a_clean_stop_soon_after_it_fell_quiet_leaves_it_at_rest(tmp_path: Path) -> None:
    async with stage(tmp_path, "", MAESTRO_ACTORS__IDLE_AFTER="4") as it:
        tenant = await new_tenant(it)
        await tenant.publish("a")
        await tenant.commits_are("a")
        await asyncio.sleep(1.5)
        await it.stop()
        assert marked(it, tenant.system)
        await it.start()
        assert f"system {tenant.system}" not in processes(tmp_path / "data")


async def test_other_settings_start_it(tmp_path: Path) -> None:
    environ = {"MAESTRO_ACTORS__IDLE_AFTER": str(IDLE)}
    async with stage(tmp_path, "", **environ) as it:
        tenant = await new(it)
        await it.stop()
        it._environ["MAESTRO_LEDGER__SCOPE"] = "all"
        it._environ["MAESTRO_ACTORS__IDLE_AFTER"] = "600"
        await it.start()
        assert f"system {tenant.system}" in processes(tmp_path / "data")


async def test_nothing_is_lost_or_doubled_in_the_moment_of_passivation(on_both: Stage) -> None:
    tenant = await new(on_both)
    dice = random.Random(7)
    names = []
    for number in range(24):
        name = f"i{number:02d}"
        names.append(name)
        if number % 4 == 3:
            await on_both.post("/v1.0.0/persist/sync", tenant.event(name))
        else:
            await tenant.publish(name)
        await tenant.commits_are(*names)
        await asyncio.sleep(IDLE * dice.uniform(0.9, 1.4))


async def test_many_that_are_woken_at_once_start_a_few_at_a_time(tmp_path: Path) -> None:
    systems = tuple(f"many{number:03d}" for number in range(60))
    environ = {"MAESTRO_ACTORS__IDLE_AFTER": "1", "MAESTRO_ACTORS__START_AT_ONCE": "4"}
    async with stage(tmp_path, "", systems=systems, **environ) as it:

        async def all_at_rest() -> bool:
            return {one["state"] for one in await it.get("/v1.0.0/systems")} == {"passivated"}

        await eventually(all_at_rest, "all are passivated", 90)
        await asyncio.gather(*(it.publish(event(f"{system}.a", system), system=system) for system in systems))
        await it.siblings.wait_for(lambda: len(it.siblings.commits) >= len(systems), 60)
        assert sorted(it.siblings.commits) == sorted(f"{system}.a" for system in systems)
        await eventually(all_at_rest, "all are passivated again", 90)

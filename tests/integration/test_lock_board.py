"""Lock checks answered from the lock board are exact, whatever happens to who writes it and who reads it."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp.web import BaseRequest

from maestro.board.file import find_board
from tests.support.platform_state import Call
from tests.support.procs import kill, processes
from tests.support.stage import Stage, eventually, stage, unit
from tests.support.tenant import Tenant, new_tenant

pytestmark = pytest.mark.asyncio(loop_scope="module")

SYSTEMS = [f"auto{number}" for number in range(4)]
#: Times that the lock is taken and given up.
TRIALS = 500
#: Auto-approved, so that a cycle of lock and unlock takes milliseconds; a lost replay is sent again soon.
ENVIRON = {
    **{f"AUTO_REPROCESSING_{system}": "yes" for system in SYSTEMS},
    "MAESTRO_ACTORS__SILENT_AFTER": "1", "MAESTRO_ACTORS__REPLACE_AFTER": "8",
    "MAESTRO_PLATFORM__MIRROR_DOCUMENTS": "false",
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def it(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with stage(tmp_path_factory.mktemp("stage"), "", **ENVIRON) as shared:
        for system in SYSTEMS:
            await new_tenant(shared, system)
        yield shared


class Checks:
    """What `proceed` said while a sibling handled a call: an effect, or the news before and after."""

    def __init__(self, it: Stage) -> None:
        self.it = it
        self.seen: Counter[tuple[str, int]] = Counter()

    @contextmanager
    def asked_at_each_call(self) -> Iterator[None]:
        record = self.it.siblings._record

        async def ask_first(request: BaseRequest) -> Call | None:
            call = await record(request)
            if call is not None and call.name in ("send", "commit"):
                await self.check(call)
            return call

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.it.siblings, "_record", ask_first)
            yield

    async def check(self, call: Call) -> None:
        system = next(name for name in SYSTEMS if name.encode() in call.body or name in call.path)
        what = call.json().get("scope", "news") if call.name == "send" else call.name
        answer = await self.it.get(f"/v1.0.0/gateway/{system}/proceed", ok=False)
        self.seen[what, answer["_status"]] += 1


async def cycle(tenant: Tenant, name: str) -> None:
    """Run one reprocessing: the lock is taken, two commits and a replay are made, it is given up."""
    tenant.impacts(name, unit(f"{name}-p"))
    ended = tenant.notifications().count("finished") + 1
    await tenant.publish(name)
    await tenant.siblings.wait_for(lambda: tenant.notifications().count("finished") >= ended, 60)


async def cycles(it: Stage, count: int, name: str) -> None:
    async def of(system: str) -> None:
        tenant = Tenant(it, system)
        for number in range(count // len(SYSTEMS)):
            await cycle(tenant, f"{name}{number}")

    await asyncio.gather(*(of(system) for system in SYSTEMS))


@pytest.mark.slow
async def test_no_check_after_the_taking_of_the_lock_says_open(it: Stage) -> None:
    checks = Checks(it)
    with checks.asked_at_each_call():
        await cycles(it, TRIALS, "t-")
    assert checks.seen == {
        ("news", 200): 2 * TRIALS, ("commit", 403): 2 * TRIALS, ("reprocessing", 403): TRIALS,
    }  # fmt: skip


async def test_no_check_is_wrong_while_owners_are_killed_and_frozen(it: Stage) -> None:
    checks = Checks(it)
    chance = random.Random(7)

    async def break_things() -> None:
        for _ in range(8):
            await asyncio.sleep(chance.uniform(0.2, 0.8))
            owner = processes(it.folder / "data").get(f"system {chance.choice(SYSTEMS)}")
            if owner is None or not owner.alive:
                continue
            os.kill(owner.pid, chance.choice([signal.SIGKILL, signal.SIGSTOP]))
            await asyncio.sleep(chance.uniform(0.0, 0.2))
            if owner.alive:
                os.kill(owner.pid, signal.SIGCONT)

    with checks.asked_at_each_call():
        breaking = asyncio.create_task(break_things())
        async with asyncio.timeout(90):
            for number in range(100):
                await cycles(it, len(SYSTEMS), f"k{number}-")
                if breaking.done():
                    break
        await breaking
    assert checks.seen["commit", 403] > len(SYSTEMS)
    assert not checks.seen["commit", 200]
    assert not checks.seen["reprocessing", 200]


async def test_a_frozen_owner_is_believed_for_seconds_and_then_nobody_answers(it: Stage) -> None:
    tenant = await new_tenant(it)
    assert (await tenant.proceed())["_status"] == 200
    owner = await recorded(it, tenant.system)
    os.kill(owner, signal.SIGSTOP)
    try:
        async with asyncio.timeout(0.5):  # so nobody was asked
            assert (await tenant.proceed())["_status"] == 200

        async def unavailable() -> bool:
            return (await tenant.proceed())["_status"] == 503

        await eventually(unavailable, "a frozen owner is not believed any more")
    finally:
        os.kill(owner, signal.SIGCONT)
    await eventually(lambda: proceeds(tenant), "it is open again")


@pytest.mark.parametrize("killed", ["owner", "supervisor"])
async def test_killed_under_the_lock_it_is_never_open_until_the_end(it: Stage, killed: str) -> None:
    tenant = await new_tenant(it)
    it.mute.add(tenant.system)
    tenant.impacts("i", unit("p1"))
    doc = await tenant.approved("i")
    sent = await tenant.sent(1)
    assert (await tenant.proceed())["_status"] == 403
    owner = await recorded(it, tenant.system)
    os.kill(owner if killed == "owner" else processes(it.folder / "data")["supervisor"].pid, signal.SIGKILL)
    seen: set[int] = set()

    async def locked_by_the_next() -> bool:
        seen.add(status := (await tenant.proceed())["_status"])
        state = await it.get(f"/v1.0.0/systems/{tenant.system}", ok=False)
        return status == 403 and state["_status"] == 200 and await recorded(it, tenant.system) != owner

    await eventually(locked_by_the_next, "its next life says that it is locked")
    assert 200 not in seen
    await it.answer(sent, "r1")
    await tenant.ended(doc, "finished")


async def test_a_frozen_gateway_sees_the_lock_that_was_taken_meanwhile(it: Stage) -> None:
    tenant = Tenant(it, SYSTEMS[0])
    it.mute.add(tenant.system)
    tenant.impacts("frozen", unit("frozen-p"))
    already = len(tenant.sends())
    assert it.process is not None
    os.kill(it.process.pid, signal.SIGSTOP)
    try:
        await tenant.publish("frozen")
        sent = await tenant.sent(already + 1)
        asked = asyncio.create_task(tenant.proceed())
        done, _ = await asyncio.wait([asked], timeout=0.2)
        assert not done
    finally:
        os.kill(it.process.pid, signal.SIGCONT)
    assert (await asked)["_status"] == 403
    it.mute.discard(tenant.system)
    await it.answer(sent)
    await eventually(lambda: proceeds(tenant), "it is open again")


async def test_a_board_that_is_deleted_costs_speed_only(it: Stage) -> None:
    tenant = await new_tenant(it)
    board = find_board(it.folder / "data")
    assert board is not None
    board.unlink()
    assert (await tenant.proceed())["_status"] == 200
    kill(processes(it.folder / "data")[f"system {SYSTEMS[0]}"])
    await eventually(lambda: proceeds(Tenant(it, SYSTEMS[0])), "its next life is asked")
    await cycles(it, len(SYSTEMS), "without-")


async def test_killed_and_started_again_a_locked_system_is_never_open(tmp_path: Path) -> None:
    async with stage(tmp_path) as own:
        tenant = Tenant(own, "sysA")
        own.mute.add("sysA")
        tenant.impacts("i", unit("p1"))
        doc = await tenant.approved("i")
        sent = await tenant.sent(1)
        left = find_board(tmp_path / "data")
        assert left is not None
        await own.kill()
        assert left.exists()
        await own.start()
        assert (await tenant.proceed())["_status"] == 403
        assert not left.exists()
        await own.answer(sent, "r1")
        await tenant.ended(doc, "finished")
        board = find_board(tmp_path / "data")
        assert board is not None
        await own.stop()
        assert not board.exists()
        assert find_board(tmp_path / "data") is None


async def test_switched_off_the_actors_are_asked(tmp_path: Path) -> None:
    async with stage(tmp_path, MAESTRO_HTTP__LOCK_BOARD="false") as own:
        assert find_board(tmp_path / "data") is None
        tenant = Tenant(own, "sysA")
        assert (await tenant.proceed())["_status"] == 200
        tenant.impacts("i", unit("p1"))
        await tenant.ended(await tenant.approved("i"), "finished")


async def proceeds(tenant: Tenant) -> bool:
    return (await tenant.proceed())["_status"] == 200


async def recorded(it: Stage, system: str) -> int:
    """Return the process of a system's actor."""

    async def there() -> int:
        found = processes(it.folder / "data").get(f"system {system}")
        return found.pid if found is not None and found.alive else 0

    return await eventually(there, f"{system} is recorded")

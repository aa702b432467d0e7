"""The wall clock is set an hour back and forward under work: time-outs stay sane, and the order is kept."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.figures import note
from tests.support.procs import kill, processes
from tests.support.stage import PATIENCE, ROOT, eventually, stage, unit
from tests.support.tenant import JSON, Tenant, new_tenant

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(300)]
HOUR = 3600.0
REPLAY_TIMEOUT = 8.0
CLOCK = ROOT / "tests" / "faults" / "clock"


def clock(file: Path) -> Callable[[float], None]:
    """Return what sets the clock, in one step."""

    def set_ahead(seconds: float) -> None:
        scratch = file.with_suffix(".new")
        scratch.write_text(str(seconds))
        scratch.replace(file)

    return set_ahead


@pytest.mark.parametrize(
    "ahead", [pytest.param(-HOUR, id="back", marks=pytest.mark.quick), pytest.param(HOUR, id="forward")]
)
async def test_the_clock_is_set(tmp_path: Path, vhost_url: str, ahead: float) -> None:
    file = tmp_path / "clock"
    environ = {
        "TEST_CLOCK": str(file), "PYTHONPATH": f"{CLOCK}:{ROOT}", "MAESTRO_REPROCESSING__REPLAY_ATTEMPTS": "1",
        "MAESTRO_REPROCESSING__REPLAY_TIMEOUT": str(REPLAY_TIMEOUT),
    }  # fmt: skip
    set_clock = clock(file)
    async with stage(tmp_path, vhost_url, **environ) as it:
        late, busy, held = [await new_tenant(it) for _ in range(3)]
        it.mute.add(late.system)
        late.impacts("i", unit("p1"))
        held.impacts("i", unit("p1"))
        await held.publish_all("i", "w1")
        pending = await held.pending()
        doc = await late.approved("i")
        await late.sent(1)
        at = time.monotonic()
        set_clock(ahead)
        kill(processes(tmp_path / "data")[f"system {busy.system}"])  # its next life has a smaller or larger epoch
        await busy.publish_all(*(f"i{number}" for number in range(20)))
        await busy.commits_are(*(f"i{number}" for number in range(20)))
        await it.reaches(doc, "failure", REPLAY_TIMEOUT + PATIENCE)  # not an hour late
        waited = time.monotonic() - at
        assert ahead > 0 or waited > REPLAY_TIMEOUT / 2, "nor at once"
        await held.publish("w2")
        set_clock(0)
        await held.publish("w3")
        await it.decide(pending, "approve")
        await held.commits_are("i", "re1", "w1", "w2", "w3")
        assert not [entry for entry in history(await it.document(pending["id"])) if not entry["timestamp"]]
        note("clock set", ahead=ahead, replay_timed_out_after=round(waited, 2), limit=REPLAY_TIMEOUT)


def history(doc: JSON) -> list[JSON]:
    return list(doc["history"])


async def test_a_restart_after_the_clock_was_set_back(tmp_path: Path, vhost_url: str) -> None:
    """All epochs of the new life are smaller than the old ones: a lock is exact, and work goes on all the same."""
    file = tmp_path / "clock"
    set_clock = clock(file)
    set_clock(HOUR)
    async with stage(tmp_path, vhost_url, TEST_CLOCK=str(file), PYTHONPATH=f"{CLOCK}:{ROOT}") as it:
        tenant = await new_tenant(it)
        it.mute.add(tenant.system)
        tenant.impacts("i", unit("p1"))
        doc = await tenant.approved("i")
        sent = await tenant.sent(1)
        await it.kill()
        set_clock(0)
        await it.start()
        await eventually(lambda: locked(tenant), "it is locked again")
        await it.answer(sent, "r1")
        await tenant.ended(doc, "finished")
        assert tenant.commits == ["i", "r1"]


async def locked(tenant: Tenant) -> bool:
    return (await tenant.proceed())["_status"] == 403

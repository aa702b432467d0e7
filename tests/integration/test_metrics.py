"""What a real Maestro tells Prometheus after a day's work in small, and while one of its systems is frozen."""

import json
import os
import re
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from maestro.actors.run_record import RunRecord
from tests.support.metric_names import expressions, names_in, recorded
from tests.support.stage import SYSTEM, Stage, eventually, stage, unit
from tests.support.tenant import Tenant, new_tenant

Scrape = dict[str, dict[tuple[str, ...], float]]


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path) as it:
        yield it


async def scraped(it: Stage, *, system: str = "") -> Scrape:
    """Return sample values by name, then by label values in the order of their names; of one system or all."""
    async with it.http.get(f"{it.url}/metrics") as response:
        assert response.status == 200
        text = await response.text()
    found: Scrape = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = dict(sample.labels)
            if system and labels.pop("system", system) != system:
                continue
            found.setdefault(sample.name, {})[tuple(labels[name] for name in sorted(labels))] = sample.value
    return found


async def a_days_work(it: Stage, tenant: Tenant) -> None:
    """Commit, hold, wait, cascade, retry a sibling, refuse bad input, fail for good."""
    tenant.impacts("i2", unit("p1"))
    tenant.impacts("re1", unit("p2"))
    tenant.fail("discovery", "impacted", 1, 503, "i1")
    tenant.fail("domain", "commit", 1, 503, "i1")  # in doubt, until it is known that it was not made
    await tenant.publish("i1")
    await tenant.publish("i2")
    doc = await tenant.pending()
    await tenant.publish("i3")
    await tenant.waits(1)
    await it.publish(b"no celery message", system=tenant.system)
    await it.decide(doc, "approve")
    await tenant.ended(doc, "finished")
    await tenant.open_again()
    tenant.fail("discovery", "impacted", 99, 404, "i4")  # while the canary is answered: its own fault
    await tenant.publish("i4")
    await tenant.errors(1)


async def test_everything_that_files_speak_of_is_in_a_real_scrape(it: Stage) -> None:
    tenant = await new_tenant(it, "sysM")
    await a_days_work(it, tenant)
    await it.get(f"/v1.0.0/gateway/{tenant.system}/proceed")
    await scraped(it)  # has the queues measured, for the next one

    async def complete() -> Scrape | None:
        found = await scraped(it, system=tenant.system)
        whole = await scraped(it)
        told = {labels[0] for labels in whole["maestro_link_frames_total"]}
        measured = found.get("maestro_queue_messages", {}).get(("error",), 0) >= 1  # within 15 s
        # Each tells its figures now and again: cascade's first ones may be of before its first operation.
        operated = "maestro_cascade_operation_seconds_count" in whole
        return found if measured and operated and {"ingress", "cascade"} <= told else None

    found = await eventually(complete, "all processes have told their figures")
    assert found["maestro_events_total"] == {
        ("commit",): 2, ("pending",): 1, ("waiting",): 1, ("error",): 2, ("duplicate",): 1, ("superseded",): 0,
    }  # fmt: skip
    assert found["maestro_errors_total"]["no_event",] == 1
    assert found["maestro_errors_total"]["discovery",] == 1
    assert found["maestro_sibling_retries_total"]["ok", "discovery"] == 1
    assert found["maestro_commit_seconds_count"] == {("event",): 3, ("held",): 1, ("replay",): 2}
    assert found["maestro_replays_total"][()] == 2
    assert found["maestro_replay_sends_total"][()] == 2
    assert found["maestro_cascade_units_total"][()] == 1
    assert found["maestro_reprocessings_total"]["finished",] == 1
    assert found["maestro_lock_held_seconds_total"][()] > 0
    assert found["maestro_lock_age_seconds"][()] == 0
    assert found["maestro_store_commit_seconds_count"]["true",] >= 5
    assert sum(found["maestro_lock_checks_total"].values()) >= 1
    assert found["maestro_process_cpu_seconds_total"]["system",] > 0
    everything = await scraped(it)
    assert everything["maestro_ready"][()] == 1
    used = {name for _, text in expressions() for name in names_in(text)} - recorded()
    # Nobody is told of anything here, the stores are files, and there is no cluster.
    assert used - set(everything) == {
        "maestro_notices_total", "maestro_store_waits_seconds", "maestro_node_lease_age_seconds",
        "maestro_node_systems", "maestro_systems_unowned", "maestro_nodes", "maestro_node_draining",
        "maestro_leases_broken_total", "maestro_leases_lost_total", "maestro_systems_claimed_total",
        "maestro_hand_overs_total", "maestro_commits_fenced_total", "maestro_commits_lost_total",
    }  # fmt: skip


async def test_a_frozen_system_is_down_and_the_scrape_in_time(it: Stage) -> None:
    record = msgspec.json.decode((it.folder / "data" / "run.json").read_bytes(), type=RunRecord)
    pid = record.actors[f"system {SYSTEM}"].pid
    other = await new_tenant(it, "sysN")
    os.kill(pid, signal.SIGSTOP)

    async def down() -> bool:
        found = await scraped(it)
        return bool(found["maestro_system_up"] == {(SYSTEM,): 0.0, (other.system,): 1.0})

    try:
        started = time.monotonic()
        await scraped(it)
        assert time.monotonic() - started < 3.0, "2 s, and what a busy machine adds"
        await eventually(down, "it is down")
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_restart_of_an_actor_is_counted(it: Stage) -> None:
    record = msgspec.json.decode((it.folder / "data" / "run.json").read_bytes(), type=RunRecord)
    os.kill(record.actors[f"system {SYSTEM}"].pid, signal.SIGKILL)

    async def counted() -> bool:
        found = await scraped(it)
        return found["maestro_actor_restarts_total"]["system", SYSTEM] == 1 and found["maestro_system_up"][SYSTEM,] == 1

    await eventually(counted, "the restart is counted, and the system is up again")


async def test_log_lines_are_found_by_their_ids(it: Stage) -> None:
    tenant = await new_tenant(it, "sysL")
    tenant.impacts("i2", unit("p1"))
    tenant.fail("discovery", "impacted", 1, 503, "i1")
    tenant.fail("domain", "commit", 1, 503, "i1")  # in doubt, until it is known that it was not made
    key = await tenant.publish("i1")
    await tenant.publish("i2")
    doc = await tenant.pending()
    tenant.fail("discovery", "impacted", 1, 503, "re1")
    headers = {"X-Request-Id": "ana-1"}
    decide = f"{it.url}/v1.0.0/reprocessing/{doc['id']}/approve"
    async with it.http.post(decide, json={"user": "ana"}, headers=headers) as answer:
        assert answer.headers["X-Request-Id"] == "ana-1"
    await tenant.ended(doc, "finished")
    lines = [json.loads(line) for line in it.log.read_text().splitlines() if line.startswith("{")]

    def find(event: str, **facts: str) -> list[dict[str, Any]]:
        return [line for line in lines if line["event"] == event and facts.items() <= line.items()]

    assert find("sibling call failed", system="sysL", instance="sysL.i1", delivery=key)
    assert find("event judged", instance="sysL.i1", delivery=key, verdict="commit")
    assert find("sibling call failed", reprocessing=doc["id"], instance="sysL.re1", call="impacted")
    assert find("reprocessing", reprocessing=doc["id"], status="finished")
    assert find("http.approve", request="ana-1", id=doc["id"])
    assert all("reprocessing" not in line for line in find("event judged")), "ids do not stray to other lines"


async def test_no_secret_is_told(tmp_path: Path) -> None:
    async with stage(tmp_path, MAESTRO_BROKER__PUBLISH_TIMEOUT="7") as it, it.http.get(f"{it.url}/metrics") as response:
        text = await response.text()
    assert not re.search(r"password|secret|token|amqp:", text, re.IGNORECASE)
    assert str(tmp_path) not in text

"""What a system reads off its state: ages, lock time, depths."""

import time
from pathlib import Path

from maestro.rules.document import Document, HistoryEntry
from maestro.rules.state import Lock, System
from maestro.rules.status import Status
from maestro.rules.step import SaveDocument
from maestro.store.sqlite import open_store
from maestro.system.metrics import SystemMetrics
from maestro.telemetry.definitions import OF_SYSTEM
from maestro.telemetry.metrics import MetricsRegistry


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Bench:
    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.system = System("sysA")
        self.store = open_store(folder / "sysA.db")
        self.figures = SystemMetrics(self.system, MetricsRegistry(OF_SYSTEM), self.store, self.clock)

    def read(self, depths: dict[str, int] | None = None, age: float = 0.0) -> dict[str, float]:
        samples = self.figures.snapshot(depths, age).samples
        return {f"{one.metric}{{{','.join(one.labels)}}}": one.value for one in samples}

    def add(self, status: Status, since: float) -> Document:
        doc = Document(
            "d1",
            "sysA",
            1,
            "t",
            "master",
            forking=False,
            held_instance="i1",
            pending_event=b"{}",
            origin=b"{}",
            status=status,
        )
        doc.history.append(HistoryEntry(status, time.time() - since, "ana"))
        self.system.add_document(doc)
        return doc


def test_an_open_system(tmp_path: Path) -> None:
    found = Bench(tmp_path).read()
    assert found["maestro_system_state{open}"] == 1.0
    assert found["maestro_system_state{pending}"] == 0.0
    assert found["maestro_pending_age_seconds{}"] == 0.0
    assert found["maestro_lock_age_seconds{}"] == 0.0
    assert found["maestro_run_idle_seconds{}"] == 0.0
    assert found["maestro_events_total{commit}"] == 0
    assert found["maestro_store_bytes{}"] >= (tmp_path / "sysA.db").stat().st_size > 0
    assert found["maestro_store_free_bytes{}"] > 0
    assert not [name for name in found if name.startswith("maestro_queue")]


def test_what_is_pending_ages(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.add(Status.PENDING, since=50)
    found = bench.read()
    assert found["maestro_pending_reprocessings{}"] == 1
    assert 50 <= found["maestro_pending_age_seconds{}"] < 60
    assert found["maestro_system_state{pending}"] == 1.0


def test_lock_time_adds_up_over_locks_and_includes_the_present_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    lock = Lock("d1", "ana", 0.0, 0, 1)
    for held in (lock, lock):  # a lock's progress moves without a new lock
        bench.figures.lock_moved(held)
        bench.clock.now += 5
    bench.figures.lock_moved(None)
    bench.clock.now += 100
    assert bench.read()["maestro_lock_held_seconds_total{}"] == 10
    bench.figures.lock_moved(lock)
    bench.clock.now += 2
    assert bench.read()["maestro_lock_held_seconds_total{}"] == 12


def test_a_run_without_progress_ages_and_progress_resets_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    doc = bench.add(Status.RUNNING, since=1)
    bench.clock.now += 40
    found = bench.read()
    assert found["maestro_run_idle_seconds{}"] == 40
    assert found["maestro_system_state{running}"] == 1.0
    assert found["maestro_lock_age_seconds{}"] >= 1
    bench.figures.saved([SaveDocument(doc)])
    assert bench.read()["maestro_run_idle_seconds{}"] == 0


def test_depths_by_short_name_without_those_that_are_missing(tmp_path: Path) -> None:
    depths = {"persist.sysA.queue": 3, "persist.sysA.wait.queue": 2, "persist.sysA.queue.error": -1}
    found = Bench(tmp_path).read(depths, 4.0)
    assert found["maestro_queue_messages{persist}"] == 3
    assert found["maestro_queue_messages{wait}"] == 2
    assert "maestro_queue_messages{error}" not in found
    assert found["maestro_queue_measured_age_seconds{}"] == 4.0


def test_a_store_that_is_gone_is_no_error(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.store.path.unlink()
    assert "maestro_store_bytes{}" not in bench.read()

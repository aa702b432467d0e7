"""Rows of many systems, and of many events that wait."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bench import SETTLED, Bench, background, one_waiting, run, wait_for
from benchmarks.figures import Row
from benchmarks.processes import CpuMeter, cpu_seconds, kind, per_event, pids, pss_megabytes
from benchmarks.rows_locks import listens
from maestro.broker.topology import SystemQueues
from maestro.ports import free_port
from maestro.rules.document import Document, HistoryEntry, UnitState
from maestro.rules.impact import Impacted, Origin
from maestro.rules.state import Rules
from maestro.rules.status import Status
from maestro.rules.step import Save, SaveDocument, SaveUnit
from maestro.store.places import store_path
from maestro.store.sqlite import open_store
from maestro.system.repository import Repository

SYSTEM = "sys0"
EVENTS_EACH = 50
#: How the kernel is told to merge equal pages; pages it looks at before it pauses; times it goes through all memory: it
#: merges what it has seen unchanged.
KSM = Path("/sys/kernel/mm/ksm")
MERGED_AT_ONCE = 4000
SCANS = 4


def start(bench: Bench, systems: int, documents: int, units: int, idle_seconds: float) -> list[Row]:
    """Start with a history in every store; then measure memory, and the CPU of doing nothing."""
    ids = [f"sys{n}" for n in range(systems)]
    with bench.stage(ids) as stage:
        histories(stage.maestro.data_dir, ids, documents, units)
        with stage.serving() as seconds:
            with stage.publisher():  # opens once all queues are consumed
                time.sleep(SETTLED)
            meter = CpuMeter(stage.maestro.data_dir)
            time.sleep(idle_seconds)
            idle = meter.used()
            memory = [pss_megabytes(pid) for name, pid in pids(stage.maestro.data_dir).items() if name[:6] == "system"]
            everything = sum(map(pss_megabytes, pids(stage.maestro.data_dir).values()))
    name = f"{systems} systems with {documents} finished reprocessings of {units}"
    percent = 100 * sum(idle.values()) / idle_seconds
    by_kind = {what: round(100 * used / idle_seconds, 2) for what, used in idle.items()}
    return [
        Row(f"{name}: start to ready", seconds, "s", 2, at_most=True),
        Row(f"{name}: memory a system", sum(memory) / len(memory), "MB (PSS)", 10, at_most=True,
            more={"largest": round(max(memory), 1), "all processes": round(everything)}),
        Row(f"{name}: idle", percent, "% of a core", 2, at_most=True, more=by_kind),
    ]  # fmt: skip


def histories(data_dir: Path, systems: Sequence[str], documents: int, units: int) -> None:
    """Write what each system would have stored of `documents` finished reprocessings: one store, and copies of it."""
    first = store_path(data_dir, systems[0])
    first.parent.mkdir(parents=True, exist_ok=True)
    _history(first, systems[0], documents, units)
    for system in systems[1:]:
        path = store_path(data_dir, system)
        shutil.copy(first, path)
        shutil.copy(first.with_name(first.name + ".last"), path.with_name(path.name + ".last"))


def _history(path: Path, system: str, documents: int, units: int) -> None:
    store = open_store(path)
    repository = Repository(store, system, Rules())
    saves: list[Save] = []
    for number in range(documents):
        saves += _finished(system, number + 1, units)
    store.commit(repository.writes(saves), durable=True)
    store.close()


def _finished(system: str, number: int, units: int) -> Sequence[Save]:
    statuses = (Status.PENDING, Status.APPROVED, Status.RUNNING, Status.FINISHED)
    document = Document(
        id=f"{system}-{number:06d}", system_id=system, number=number, tag="tag", branch="master", forking=False,
        held_instance=f"i{number}", pending_event=b'{"systemId":"%s"}' % system.encode(), origin=b"{}",
        status=Status.FINISHED, history=[HistoryEntry(status, 1.5e9 + number, "ana") for status in statuses],
        held_committed=True, replayed=units,
    )  # fmt: skip
    event = b'{"name":"calculate","payload":"' + b"x" * 300 + b'"}'
    origins = (Origin(Impacted(f"p{n}", "master"), event, "2018-07-20T15:08:41") for n in range(units))
    added = document.add(origins)
    for unit in added:
        unit.state = UnitState.DONE
        unit.sends = 1
    return [SaveDocument(document), *(SaveUnit(document, unit) for unit in added)]


def drain(bench: Bench, count: int, live: float | None) -> list[Row]:
    """Let `count` events wait behind a pending reprocessing, skip that, and measure until the last one's commit.

    The floor is the calls of live events: an event that waits costs the same.
    """
    with bench.stage([SYSTEM]) as stage, stage.serving():
        with stage.publisher() as publisher:
            publisher.event(SYSTEM, "hold-1-")
            pending = wait_for(lambda: stage.maestro.pending(SYSTEM), "a reprocessing is pending")
            began = time.monotonic()
            for _ in range(count):
                publisher.event(SYSTEM)
            queue = SystemQueues(SYSTEM).wait
            wait_for(lambda: publisher.depth(queue) >= count, "all wait", 60 + count / 20, pause=0.1)
            parking = count / (time.monotonic() - began)
        with stage.asking(one_waiting(SYSTEM)) as idle:
            time.sleep(2)
        stage.double.reset()
        meter = CpuMeter(stage.maestro.data_dir)
        with stage.asking(one_waiting(SYSTEM)) as busy:
            began_ns = time.monotonic_ns()
            stage.maestro.skip(pending[0]["id"])
            stage.committed(count, 60 + count / 20)
        took = (stage.double.commits()[-1][1] - began_ns) / 1e9
        cpu = per_event(meter.used(), count)
        floor = run("benchmarks.floors", "calls", stage.double.port, 1, 2, "event")
    more = {"cpu us/event": cpu, "cpu us/event, all": round(sum(cpu.values()), 1), "parked/s": round(parking)}
    name = f"draining {count:,} waiting events"
    return [
        Row(name, count / took, "events/s", live, floor=floor, more=more),
        Row(f"{name}: questions, longest", busy.slowest, "ms", 100, at_most=True, floor=idle.slowest,
            more=busy.found[one_waiting(SYSTEM)]),
    ]  # fmt: skip


def memory(bench: Bench, systems: int, wanted: float, *, merged: bool = False) -> list[Row]:
    """Let each system commit some events, and measure what all processes have for themselves, shared pages divided.

    The floor is a bare aiohttp handler. `merged`: once the kernel has merged what is equal; it takes root.
    """
    ids = [f"sys{n}" for n in range(systems)]
    merging = {"MAESTRO_ACTORS__MERGE_MEMORY": "true"} if merged else {}
    with bench.stage(ids, **merging) as stage, stage.serving(), stage.publisher() as publisher:
        time.sleep(SETTLED)
        for _ in range(EVENTS_EACH):
            for system in ids:
                publisher.event(system)
        stage.committed(EVENTS_EACH * systems, 60)
        time.sleep(1)
        more: dict[str, object] = _merged() if merged else {}
        found = {name: pss_megabytes(pid) for name, pid in pids(stage.maestro.data_dir).items()}
    port = free_port()
    with background("benchmarks.floors", "handler", port) as bare:
        wait_for(lambda: listens(port), "the bare handler listens")
        floor = pss_megabytes(bare.pid)
    own = [size for name, size in found.items() if kind(name) == "systems"]
    by_kind = {name: round(size, 1) for name, size in found.items() if kind(name) != "systems"}
    name = f"memory, {systems} system{'s' * (systems > 1)}{', merged by the kernel' * merged}"
    return [
        Row(f"{name}: the whole", sum(found.values()), "MB (PSS)", wanted, at_most=True, floor=floor,
            more=by_kind | more),
        Row(f"{name}: each system", sum(own) / len(own), "MB (PSS)", 6, at_most=True,
            more={"largest": round(max(own), 1)}),
    ]  # fmt: skip


def _merged() -> dict[str, object]:
    """Have the kernel go through all memory, fast, until it has merged what is equal; return what that took."""
    before = {name: (KSM / name).read_text() for name in ("run", "pages_to_scan")}
    ksmd = next(int(one.parent.name) for one in Path("/proc").glob("[0-9]*/comm") if one.read_text() == "ksmd\n")
    cpu = cpu_seconds(ksmd)
    try:
        (KSM / "pages_to_scan").write_text(str(MERGED_AT_ONCE))
        (KSM / "run").write_text("1")
        until = int((KSM / "full_scans").read_text()) + SCANS
        wait_for(lambda: int((KSM / "full_scans").read_text()) >= until, "equal pages are merged", 200, pause=0.5)
        return {"merged, MB": round(int((KSM / "pages_sharing").read_text()) * 4096 / 2**20),
                "ksmd's CPU, s": round(cpu_seconds(ksmd) - cpu, 1)}  # fmt: skip
    finally:
        for name, text in before.items():
            (KSM / name).write_text(text)


def consume(bench: Bench, count: int) -> Row:
    """Measure a bare pika consumer: what RabbitMQ gives to one Python process."""
    with bench.stage([SYSTEM]) as stage:
        with stage.serving(), stage.publisher():
            pass  # the queues are declared now
        publisher = stage.open_publisher()
        for _ in range(count):
            publisher.event(SYSTEM)
        publisher.depth(SystemQueues(SYSTEM).persist)
        publisher.close()
        rate = run("benchmarks.floors", "consume", stage.url, SystemQueues(SYSTEM).persist, count)
    return Row("a bare pika consumer, an ack each", rate, "events/s")

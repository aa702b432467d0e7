"""Rows of systems at rest: what it costs to know them, and to wake one.

The marks are written here, as the systems would leave them: to run thousands once for that takes longer than all else.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.bench import SETTLED, Bench, Maestro, Stage, wait_for
from benchmarks.figures import Row, percentiles
from benchmarks.processes import CpuMeter, kind, pids, pss_megabytes
from benchmarks.rows_scale import histories
from maestro.settings.loading import load_settings
from maestro.store.files import file_state
from maestro.store.places import store_path
from maestro.store.rest_mark import RestMark, RestMarks
from maestro.system.rest_basis import rest_basis

#: Systems that are woken, one after the other, and all at once.
WOKEN, TOGETHER = 100, 50
#: Seconds in which the queues of all systems are made.
_MADE = 600.0


def at_rest(
    bench: Bench, systems: int, documents: int, units: int, idle_seconds: float, wanted: float, megabytes: float
) -> list[Row]:
    """Start with so many systems at rest, each with a history; then wake some.

    The floors: the start of a Maestro that knows no system, its memory, and an event of a system that is awake.
    """
    ids = [f"sys{n:05d}" for n in range(systems)]
    with bench.stage([]) as empty, empty.serving() as bare:
        time.sleep(1)
        floor = sum(map(pss_megabytes, pids(empty.maestro.data_dir).values()))
    name = f"{systems:,} systems at rest"
    with bench.stage(ids[: WOKEN + TOGETHER]) as stage:
        stage.systems = ids
        histories(stage.maestro.data_dir, ids, documents, units)
        _leave_marks(stage.maestro, ids)
        with stage.serving(), stage.publisher(_MADE):
            pass  # their queues are there from now on, as after a first run
        began = time.monotonic()
        with stage.serving() as seconds, stage.publisher(_MADE) as publisher:
            consumed = time.monotonic() - began
            time.sleep(SETTLED)
            meter = CpuMeter(stage.maestro.data_dir)
            time.sleep(idle_seconds)
            idle = meter.used()
            found = {what: pss_megabytes(pid) for what, pid in pids(stage.maestro.data_dir).items()}
            first, second = _one_by_one(stage, publisher.event, ids[:WOKEN])
            active = _active(stage, publisher.event, ids[:WOKEN], idle_seconds)
            together = _together(stage, publisher.event, ids[WOKEN : WOKEN + TOGETHER])
    return [
        Row(f"{name}: start to ready", seconds, "s", wanted, at_most=True, floor=bare,
            more={"all queues consumed after": round(consumed, 1)}),
        Row(f"{name}: memory, the whole", sum(found.values()), "MB (PSS)", megabytes, at_most=True, floor=floor,
            more={kind(what): round(size, 1) for what, size in found.items()}),
        Row(f"{name}: idle", 100 * sum(idle.values()) / idle_seconds, "% of a core", 10, at_most=True,
            more={what: round(100 * used / idle_seconds, 2) for what, used in idle.items()}),
        Row(f"{name}: an event that wakes one, to its commit, p50", first["p50 ms"], "ms", floor=second["p50 ms"],
            more={"woken": first, "awake": second}),
        Row(f"{name}, {WOKEN} active: memory, the whole", active.megabytes, "MB (PSS)", megabytes, at_most=True,
            floor=floor, more=active.latency),
        Row(f"{name}, {WOKEN} active: idle", 100 * active.idle, "% of a core", 10, at_most=True,
            more={f"% of a core at {WOKEN} events/s": round(100 * active.busy, 1)}),
        Row(f"{name}: {TOGETHER} woken at once, to the commit, p99", together["p99 ms"], "ms", more=together),
    ]  # fmt: skip


def _leave_marks(maestro: Maestro, ids: Sequence[str]) -> None:
    settings = load_settings(None, os.environ | maestro.environment)
    basis, marks = rest_basis(settings), RestMarks(maestro.data_dir)
    for system in ids:
        state = file_state(store_path(maestro.data_dir, system))
        assert state, "its history was written"
        body = b'{"id":"%s","state":"passivated","queues":{}}' % system.encode()
        todo = b'{"total":0,"counts":{},"items":[],"errors":0,"failed":0,"lastFailure":""}'
        marks.leave(system, RestMark(basis, state, 1.0, body, todo, b'{"samples":[],"distributions":[]}', b"{}", "1.x"))


def _one_by_one(
    stage: Stage, publish: Callable[[str], str], ids: Sequence[str]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return how long each system's first event took, and its second one."""
    took: tuple[list[float], list[float]] = ([], [])
    for system in ids:
        for found in took:
            stage.double.reset()
            publish(system)
            wait_for(lambda: stage.double.state()["commits"], f"{system} commits", pause=0.005)
            found.append(_latency(stage)[0])
    return percentiles(took[0]), percentiles(took[1])


@dataclass(frozen=True)
class _Active:
    """What awake systems cost: memory, cores used while each has an event a second and while none has one."""

    megabytes: float
    busy: float
    idle: float
    latency: dict[str, float]


def _active(stage: Stage, publish: Callable[[str], str], ids: Sequence[str], seconds: float) -> _Active:
    """Give each of these systems an event a second, then nothing, for so many seconds each."""
    stage.double.reset()
    meter = CpuMeter(stage.maestro.data_dir)
    began = time.monotonic()
    rounds = max(1, int(seconds))
    for number in range(rounds * len(ids)):
        time.sleep(max(0.0, began + number / len(ids) - time.monotonic()))
        publish(ids[number % len(ids)])
    stage.committed(rounds * len(ids), 60)
    busy = sum(meter.used().values()) / (time.monotonic() - began)
    megabytes = sum(map(pss_megabytes, pids(stage.maestro.data_dir).values()))
    latency = percentiles(_latency(stage))
    time.sleep(2)
    meter = CpuMeter(stage.maestro.data_dir)
    time.sleep(seconds)
    return _Active(megabytes, busy, sum(meter.used().values()) / seconds, latency)


def _together(stage: Stage, publish: Callable[[str], str], ids: Sequence[str]) -> dict[str, float]:
    stage.double.reset()
    for system in ids:
        publish(system)
    stage.committed(len(ids), 60)
    return percentiles(_latency(stage))


def _latency(stage: Stage) -> list[float]:
    """Return the seconds from each event's publication to its commit."""
    return [(at - int(instance.rpartition("-")[2])) / 1e9 for instance, at in stage.double.commits()]

"""The table of the benchmark: which rows there are, and how each is measured."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks.bench import Bench
from benchmarks.figures import Row
from benchmarks.rows_cluster import take_over, throughput
from benchmarks.rows_decisions import decisions, large_document
from benchmarks.rows_events import TRUST, delayed, no_impact, paced, sized
from benchmarks.rows_ledger import large_commit, look_up
from benchmarks.rows_locks import double_alone, lock_checks, remote_lock_checks
from benchmarks.rows_passivated import TOGETHER, WOKEN, at_rest
from benchmarks.rows_replays import growth, replays
from benchmarks.rows_scale import consume, drain, memory, start

#: Seconds that one run of a row may take.
LIMIT = 300


@dataclass(frozen=True)
class Measure:
    """How one row, or some that are measured together, are measured; `once`: too long to be repeated.

    `limit`: seconds that one run may take.
    """

    measure: Callable[[Bench], Row | list[Row]]
    once: bool = False
    limit: int = LIMIT


def rows(*, quick: bool) -> dict[str, Measure]:
    """Return what is measured, by name; a quick run has fewer events."""
    scale, seconds = (0.1, 2.0) if quick else (1.0, 5.0)
    return {
        "double": Measure(partial(double_alone, seconds=seconds)),
        **_events(scale, seconds),
        **_documents(scale, rounds=3 if quick else 8),
        **_systems(scale, seconds),
        **_locks(seconds),
    }


def _events(scale: float, seconds: float) -> dict[str, Measure]:
    def events(systems: int, latency: float, count: int, wanted: float | None, **more: object) -> Measure:
        return Measure(partial(no_impact, systems=systems, latency=latency, count=int(count * scale), wanted=wanted,
                               **more))  # fmt: skip

    def trusted(systems: int, latency: float, count: int, wanted: float) -> Measure:
        return events(
            systems, latency, count, wanted, what='events, finished = "trust"', floor="trusted", settings=TRUST
        )

    def with_ledger(systems: int, latency: float, count: int, wanted: float | None, ledger: int) -> Measure:
        what = f"events, a ledger of {ledger:,} rows"
        return events(systems, latency, count, wanted, what=what, floor="ledger", ledger=ledger)

    def payload(size: int, count: int, wanted: float | None) -> Measure:
        return Measure(partial(sized, payload=size, count=int(count * scale), wanted=wanted))

    return {
        "events-1-5ms": events(1, 0.005, 1000, 60),
        "events-8-5ms": events(8, 0.005, 5000, 480),
        "events-50-5ms": events(50, 0.005, 15000, 2000),
        "events-8-0ms": events(8, 0.0, 20000, 3300),
        "events-1-0ms": events(1, 0.0, 15000, 2400),
        "events-50-0ms": events(50, 0.0, 20000, 2600),
        "trust-1-5ms": trusted(1, 0.005, 1000, 92),
        "trust-8-5ms": trusted(8, 0.005, 5000, 720),
        "trust-8-0ms": trusted(8, 0.0, 20000, 4300),
        "ledger-8-5ms": with_ledger(8, 0.005, 5000, 470, 10_000),
        "ledger-8-0ms": with_ledger(8, 0.0, 15000, 2700, 10_000),
        "ledger-1m-8-0ms": with_ledger(8, 0.0, 15000, None, int(1_000_000 * scale)),
        "finished-60ms": Measure(partial(delayed, after=0.06, seconds=2 * seconds, rate=80)),
        "finished-10s": Measure(partial(delayed, after=10.0, seconds=4 * seconds, rate=80)),
        "payload-1k": payload(1_000, 5000, None),
        "payload-10k": payload(10_000, 5000, None),
        "payload-100k": payload(100_000, 1000, None),
        "payload-1m": payload(1_000_000, 300, 300),
        "consume": Measure(partial(consume, count=int(20000 * scale))),
        "drain": Measure(partial(drain, count=int(100_000 * scale), live=2400), once=True),
        "paced": Measure(partial(paced, systems=8, rate=200, seconds=seconds * 2)),
    }


def _documents(scale: float, rounds: int) -> dict[str, Measure]:
    units, million = int(20_000 * scale), int(1_000_000 * scale)
    return {
        "lookup": Measure(partial(look_up, rows=million, wanted_rows=10_000)),
        "entities": Measure(partial(large_commit, size=45_000_000)),
        "replays": Measure(partial(replays, count=int(1000 * scale))),
        "growth": Measure(partial(growth, limit=units, per_step=20)),
        "document": Measure(partial(large_document, units=units)),
        "decisions": Measure(partial(decisions, systems=50, rounds=rounds)),
    }


def _systems(scale: float, seconds: float) -> dict[str, Measure]:
    def resting(systems: int, wanted: float, megabytes: float, documents: int, units: int) -> Measure:
        work = partial(at_rest, systems=max(int(systems * scale), WOKEN + TOGETHER), documents=documents, units=units)
        return Measure(
            partial(work, idle_seconds=4 * seconds, wanted=wanted, megabytes=megabytes), once=True, limit=1800
        )

    def lost_node(systems: int, active: int) -> Measure:
        work = partial(take_over, systems=int(systems * scale), active=int(active * scale), wanted=10.0)
        return Measure(work, once=True, limit=1200)

    return {
        "start": Measure(partial(start, systems=int(200 * scale), documents=100, units=100, idle_seconds=4 * seconds)),
        "rest-200": resting(200, 2.0, 300, documents=100, units=10),
        "rest-2000": resting(2_000, 3.0, 600, documents=1, units=10),
        "rest-10000": resting(10_000, 5.0, 1500, documents=1, units=1),
        "nodes-50-5ms": Measure(partial(throughput, systems=50, latency=0.005, count=int(10_000 * scale)), limit=900),
        "nodes-50-0ms": Measure(partial(throughput, systems=50, latency=0.0, count=int(10_000 * scale)), limit=900),
        "takeover-3000": lost_node(3_000, 100),
        "takeover-10000": lost_node(10_000, 300),
        "memory-1": Measure(partial(memory, systems=1, wanted=70)),
        "memory-50": Measure(partial(memory, systems=50, wanted=330)),
        "memory-50-merged": Measure(partial(memory, systems=50, wanted=330, merged=True)),
    }


def _locks(seconds: float) -> dict[str, Measure]:
    return {
        "locks-1": Measure(partial(lock_checks, systems=1, seconds=seconds)),
        "locks-50": Measure(partial(lock_checks, systems=50, seconds=seconds)),
        "remote-locks-1": Measure(partial(remote_lock_checks, systems=1, seconds=seconds)),
        "remote-locks-50": Measure(partial(remote_lock_checks, systems=50, seconds=seconds)),
    }

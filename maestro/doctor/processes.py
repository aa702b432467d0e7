"""Whether the processes are those of one run, and all of them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from maestro.actors.processes import memory_is_merged
from maestro.actors.run_record import RunRecord
from maestro.doctor.finding import Finding, ok, problem, warning
from maestro.doctor.site import Site

CHECK: Final = "processes"
#: Without these there is no actor system; the services are replaced by themselves.
_ROOTS: Final = ("admin", "supervisor")


async def check_processes(site: Site) -> list[Finding]:
    """Whether a main process lives with its actors, and nobody else is at the stores."""
    return list(_findings(site))


def _findings(site: Site) -> Iterator[Finding]:
    record = site.record
    known = {os.getpid()}
    if site.record_problem:
        yield warning(CHECK, "run.json", site.record_problem, "maestro serve")
    elif record is None:
        yield ok(CHECK, "run.json", "no run left anything behind")
    else:
        known |= {record.main.pid, *(actor.pid for actor in record.actors.values())}
        yield from _of_run(record)
    if site.settings.actors.merge_memory and not memory_is_merged():
        message = "actors.merge_memory is on, and the kernel merges no pages"
        yield warning(CHECK, "memory", message, "echo 1 > /sys/kernel/mm/ksm/run (as root)")
    yield from _strangers(site.settings.data_dir, known)


def _of_run(record: RunRecord) -> Iterator[Finding]:
    alive = {name: actor for name, actor in record.actors.items() if actor.alive}
    if not record.main.alive:
        if alive:
            pids = " ".join(str(actor.pid) for actor in alive.values())
            message = f"main process {record.main.pid} is dead, these live on: {', '.join(alive)}"
            yield problem(CHECK, "orphans", message, f"kill -KILL {pids} (the next maestro serve does it, too)")
        else:
            message = f"main process {record.main.pid} ended without stopping; all is resumed by a start"
            yield warning(CHECK, f"run {record.run_id}", message, "maestro serve")
        return
    gone = [name for name in _ROOTS if name in record.actors and name not in alive]
    if gone:
        mend = f"kill -TERM {record.main.pid}; maestro serve"
        yield problem(CHECK, f"run {record.run_id}", f"{' and '.join(gone)} ended and was not replaced", mend)
    else:
        yield ok(CHECK, f"run {record.run_id}", f"main process {record.main.pid} with {len(alive)} others")


def _strangers(data_dir: Path, known: set[int]) -> Iterator[Finding]:
    """Name the processes that have a store open and belong to no recorded run."""
    folder = f"{(data_dir / 'systems').resolve()}/"
    for pid, path in _open_files():
        if pid not in known and path.startswith(folder):
            known.add(pid)
            message = f"process {pid} ({_command(pid)}) has {path} open and is none of this run"
            yield problem(CHECK, "orphans", message, f"ps -fp {pid}; kill -TERM {pid}")


def _open_files() -> Iterator[tuple[int, str]]:
    """Yield the files that processes have open, as far as this user may see them."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            links = list((entry / "fd").iterdir())
        except OSError:
            continue
        for link in links:
            try:
                yield int(entry.name), str(link.readlink())
            except OSError:
                continue


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()[:80]
    except OSError:
        return "gone"

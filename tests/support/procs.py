"""The processes of a Maestro under test, by the record it keeps of them."""

import os
import signal
from pathlib import Path

import orjson

from maestro.actors.processes import Process


def processes(data_dir: Path) -> dict[str, Process]:
    """Return every recorded process by what it is: "main", "ingress", "cascade", "system <id>", …"""
    record = orjson.loads((data_dir / "run.json").read_bytes())
    named = {"main": record["main"], **record["actors"]}
    return {name: Process(one["pid"], one["started"]) for name, one in named.items()}


def kill(process: Process) -> None:
    """SIGKILL a process, which must be alive."""
    assert process.alive
    os.kill(process.pid, signal.SIGKILL)

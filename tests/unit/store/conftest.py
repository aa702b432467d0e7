import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maestro.store.sqlite import SystemStore, open_store

ROOT = Path(__file__).parents[3]

#: Runs a script in a process of its own; `path` in it is the store's file.
Run = Callable[[str], "subprocess.Popen[bytes]"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "system.db"


@pytest.fixture
def store(path: Path) -> Iterator[SystemStore]:
    store = open_store(path)
    yield store
    store.close()


@pytest.fixture
def start(path: Path) -> Iterator[Run]:
    """Starts scripts; their stdout is a pipe, and none outlives the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(script: str) -> "subprocess.Popen[bytes]":
        head = f"""
            import os, sys
            from pathlib import Path
            from maestro.store.base import *
            from maestro.store.sqlite import open_store
            path = Path({str(path)!r})
        """
        code = textwrap.dedent(head) + textwrap.dedent(script)
        process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=10)


@pytest.fixture
def run(start: Run) -> Callable[[str], str]:
    """Runs a script to its end and returns what it printed."""

    def run(script: str) -> str:
        process = start(script)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 0
        return output.decode()

    return run

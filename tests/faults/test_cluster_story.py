"""What `scripts/cluster` runs: the story is right though a node is killed, and nothing is left however it ends."""

import asyncio
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from maestro.sandbox.demo.stage import processes_of
from tests.support.stage import ROOT, eventually

pytestmark = [pytest.mark.rabbitmq, pytest.mark.postgres, pytest.mark.timeout(900)]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the program puts its folders. PostgreSQL, which does not run as root, must get there, so not `tmp_path`."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    assert processes_of(folder) == []
    shutil.rmtree(folder)


def left_in(folder: Path, pattern: str = "*") -> list[Path]:
    return list(folder.glob(pattern))


async def started(folder: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "scripts.cluster_story", "--currencies", "BRL,USD", "--years", "2008",
        cwd=ROOT, env={**os.environ, "TMPDIR": str(folder)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


async def test_a_killed_node_is_taken_over_and_the_end_is_equal(folder: Path) -> None:
    process = await started(folder)
    output, _ = await process.communicate()
    said = output.decode()
    assert process.returncode == 0, said
    assert "equal: every result is what a from-scratch computation gives" in said
    [lost] = re.findall(r"^(\w+) was killed", said, re.MULTILINE)
    taken = re.findall(r"^  (\w+): (\w+) owned it after [\d.]+ s, and answered after [\d.]+ s$", said, re.MULTILINE)
    assert "cotacoes" in dict(taken)
    assert lost not in dict(taken).values()
    assert re.search(rf"^{lost} was started again after [\d.]+ s, and was ready", said, re.MULTILINE)
    assert left_in(folder) == []


async def test_an_interrupted_story_leaves_nothing_behind(folder: Path) -> None:
    process = await started(folder)

    async def nodes_start() -> bool:
        return len(left_in(folder, "maestro-demo-*/*.log")) == 4

    await eventually(nodes_start, "the sandbox and three nodes start", 120)
    process.send_signal(signal.SIGINT)
    output, _ = await process.communicate()
    assert process.returncode == 130, output.decode()
    assert output.decode().endswith("interrupted\n")
    assert left_in(folder) == []

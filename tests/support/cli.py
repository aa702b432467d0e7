"""The command line as its users have it: in a process of its own, with or without a terminal."""

import asyncio
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from tests.support.stage import ROOT, Stage

PATIENCE = 60.0


class Ran(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, which must be JSON and nothing else."""
        return orjson.loads(self.out)


def arguments(*words: str) -> list[str]:
    return [sys.executable, "-m", "maestro.cli.main", *words]


def environ(it: Stage | None = None, **more: str) -> dict[str, str]:
    """The environment of somebody who works on that stage's Maestro; without one, a bare one."""
    bare = {key: value for key, value in os.environ.items() if not key.startswith(("MAESTRO_", "PORT"))}
    stage = {**it.environ(), "MAESTRO_URL": it.url} if it else {}
    return {
        **bare,
        **stage,
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
        "COLUMNS": "200",
        "MAESTRO_LANGUAGE": "en",
        **more,
    }


async def maestro(it: Stage | None, *words: str, cwd: Path | None = None, **more: str) -> Ran:
    """Run a command without a terminal."""
    folder = cwd or (it.folder if it else ROOT)
    process = await asyncio.create_subprocess_exec(
        *arguments(*words), env=environ(it, **more), cwd=folder, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


async def on_terminal(it: Stage | None, *words: str, answer: str = "", columns: int = 200, **more: str) -> Ran:
    """Run a command on a terminal so wide; `answer` is typed once it asks; `more` of the environment."""
    return await asyncio.to_thread(_on_terminal, it, words, answer, columns, more)


def _on_terminal(it: Stage | None, words: tuple[str, ...], answer: str, columns: int, more: dict[str, str]) -> Ran:
    master, slave = pty.openpty()
    env = environ(it, TERM="xterm-256color", COLUMNS=str(columns), **more)
    cwd = it.folder if it else ROOT
    process = subprocess.Popen(arguments(*words), env=env, cwd=cwd, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    shown, deadline, answered = b"", time.monotonic() + PATIENCE, not answer
    try:
        while time.monotonic() < deadline:
            if not select.select([master], [], [], 0.1)[0]:
                continue
            try:
                part = os.read(master, 65536)
            except OSError:  # the other side is closed
                break
            shown += part
            if not part:
                break
            if not answered and any(asked in shown for asked in (b"[y/N]", b"[s/N]")):
                os.write(master, answer.encode() + b"\n")
                answered = True
        return Ran(process.wait(PATIENCE), shown.decode(), "")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(master)

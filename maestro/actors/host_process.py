"""The host's process as its starter holds it: spawned early, for it has much to import, and given its order later.

Imports nothing but the standard library, so that `maestro serve` can spawn it before it imports anything itself.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


class HostProcess:
    """`python -m maestro.actors.host`, which waits for its order. Without one it ends when its starter does."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            # -P: nothing is imported from the working folder, whatever lies there.
            [sys.executable, "-P", "-m", "maestro.actors.host"],
            stdin=subprocess.PIPE,
            env={**os.environ, **_import_path()},
        )

    @property
    def pid(self) -> int:
        """Its pid."""
        return self._process.pid

    def carry_out(self, order: bytes, timeout: float, end: Callable[[], None]) -> None:
        """Give it its order and wait for its end, at most `timeout` seconds; then `end` is to end what it started.

        Blocks: to be called on a thread of its own.
        """
        try:
            with suppress(subprocess.TimeoutExpired, BrokenPipeError):
                self._process.communicate(order, timeout)
        finally:
            if self._process.poll() is None:
                end()
                self._process.wait()

    def dismiss(self) -> None:
        """End it, if it got no order. Twice is no error."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
            self._process.kill()
            self._process.wait()


def _import_path() -> dict[str, str]:
    """Let the host import what this process can, wherever it was started from; from the working folder last.

    It is left out unless this very package is in it, or the user's PYTHONPATH names it.
    """
    here, home = os.path.realpath("."), os.path.realpath(Path(__file__).parents[2])
    named = {os.path.realpath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path}
    paths = [path for path in sys.path if path and (os.path.realpath(path) != here or here in named)]
    if here == home and here not in named:
        paths.append(here)
    return {"PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"}

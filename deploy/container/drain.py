"""Has this container's node hand its systems over, and waits until it owns none: what Kubernetes runs before a stop.

A stop without it loses nothing; its systems are only away for as long as their take-over takes. So any failure is one
line and exit code 1, and the stop goes on.
"""

import json
import os
import subprocess
import sys
import time

from maestro.settings.loading import load_settings
from maestro.store.installation import node_name

#: Seconds to wait; less than the pod's terminationGracePeriodSeconds, of which the stop itself needs some.
LIMIT = 90.0
#: Seconds between two looks, and for one.
PAUSE, ANSWER = 2.0, 20.0


def asked(*arguments: str) -> str:
    """Return what `maestro` prints."""
    command = ["maestro", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=ANSWER).stdout  # noqa: S603


def owned(name: str) -> int:
    """Return how many systems a node owns."""
    return sum(node["systems"] for node in json.loads(asked("nodes", "--json"))["nodes"] if node["name"] == name)


def main() -> None:
    """Drain, and wait."""
    deadline = time.monotonic() + LIMIT
    name = node_name(load_settings(None, os.environ))
    try:
        asked("drain", name)
        while left := owned(name):
            if time.monotonic() > deadline:
                sys.exit(f"{name} still owns {left} systems: the others take them over when it has stopped")
            time.sleep(PAUSE)
    except (subprocess.SubprocessError, OSError, ValueError) as problem:
        sys.exit(f"{name}: {problem}")


if __name__ == "__main__":
    main()

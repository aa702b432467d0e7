"""Python imports this first in every process that has this folder on its path: the wall clock obeys a file.

`TEST_CLOCK` names a file with the seconds that the clock is ahead. Monotonic time goes on as it does: a clock that is
set moves the wall clock only.
"""

import os
import time
from pathlib import Path

_file = Path(os.environ["TEST_CLOCK"])
_time, _time_ns = time.time, time.time_ns


def _ahead() -> float:
    try:
        return float(_file.read_text() or 0)
    except FileNotFoundError:
        return 0.0


time.time = lambda: _time() + _ahead()
time.time_ns = lambda: _time_ns() + int(_ahead() * 1e9)

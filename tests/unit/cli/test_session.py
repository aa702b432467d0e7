"""What every command shares."""

import subprocess
import sys


def test_a_reader_that_left_is_no_error() -> None:
    script = """
from maestro.cli.session import command

@command
def long(session):
    raise BrokenPipeError

long(url="http://x", token="", token_file=None, timeout=1.0, json=False)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")

"""An owner on the lock board, in a process of its own.

python -m tests.support.board_owner DATA_DIR SYSTEM EPOCH            obeys lines on stdin: open, locked, unknown, beat
python -m tests.support.board_owner DATA_DIR SYSTEM EPOCH TRUTH      takes and gives up the lock for ever

It prints "ready", or the name of the exception that its claim raised. TRUTH is the file that stands for the system's
store and for the world: see `Truth`.
"""

import mmap
import os
import subprocess
import sys
import time
from pathlib import Path

from maestro.board.errors import BoardError, SlotHeld
from maestro.board.file import find_board
from maestro.board.layout import State
from maestro.board.owner import OwnedSlot

ROOT = Path(__file__).parents[2]


class Truth:
    """What is the case, kept in a file that survives who writes it.

    `held` is odd from the moment that the taking of the lock was published until its giving up is begun: whoever
    begins a check and ends it within, must not be told that the system is open. `stored` is what a new owner loads.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(16))
        with path.open("r+b") as file:
            self._words = memoryview(mmap.mmap(file.fileno(), 16)).cast("Q")

    @property
    def held(self) -> int:
        return self._words[0]

    @property
    def stored(self) -> int:
        return self._words[1]

    def take(self) -> None:
        if self.held % 2 == 0:
            self._words[0] += 1

    def give_up(self) -> None:
        self._words[0] += 1

    def store(self, locked: int) -> None:
        self._words[1] = locked


class Owner:
    """The test's side of such a process."""

    def __init__(self, data_dir: Path, system: str, epoch: int, truth: Path | None = None) -> None:
        self.epoch = epoch
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.board_owner", str(data_dir), system, str(epoch), *filter(None, [
                str(truth) if truth else ""])],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.pid = self.process.pid

    def said(self) -> str:
        """Wait for its line."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ready(self) -> "Owner":
        assert self.said() == "ready"
        return self

    def tell(self, command: str) -> None:
        """Have it obey, and wait until it did."""
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        assert self.said() == command

    def end(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.wait(10)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(data_dir: Path, system: str, epoch: int, truth: Path | None) -> None:
    path = find_board(data_dir)
    assert path is not None
    while True:
        try:
            slot = OwnedSlot(path, system, epoch)
            break
        except (SlotHeld, BoardError) as problem:
            if truth is None:
                say(type(problem).__name__)
                return
            time.sleep(0.001)
    say("ready")
    if truth is not None:
        cycle(slot, Truth(truth))
    for line in sys.stdin:
        command = line.strip()
        if command == "beat":
            slot.beat()
        elif command == "close":
            slot.close()
        else:
            slot.publish(State[command.upper()])
        say(command)


def cycle(slot: OwnedSlot, truth: Truth) -> None:
    """Take the lock and give it up, until killed; carry on where the one before was killed."""
    parent = os.getppid()
    locked = truth.stored
    while os.getppid() == parent:
        slot.beat()
        if locked:
            slot.publish(State.LOCKED)
            truth.take()
            truth.give_up()
            truth.store(0)
        slot.publish(State.OPEN)
        truth.store(1)
        locked = 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]) if sys.argv[4:] else None)

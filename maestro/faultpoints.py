"""Points in the code where a test makes a fault happen. Off, and one branch, unless `MAESTRO_FAULTPOINTS` is set.

    MAESTRO_FAULTPOINTS="system.after_store_commit:kill:3, ingress.after_park_confirmed@ingress:delay:0.5"

A fault is `<point>[@<who>]:<action>[:<number>]`. Who is a system's id, or `ingress`, `cascade`, `supervisor`; without
it every process that passes the point is meant.

| action | what happens |
|---|---|
| `kill:N` | the process kills itself with SIGKILL when it passes for the Nth time in its life (default 1) |
| `raise:N` | `FaultInjected` is raised at that passing |
| `delay:S` | each passing takes S seconds more, in which the thread does nothing else (default 1) |

`MAESTRO_FAULTPOINTS=@<file>` reads the faults from a file, one a line, at each passing: they can be changed while
Maestro runs. Then a `kill` or `raise` happens once in all: it is noted in `<file>.fired`, and not repeated in the
process's next life.

The points are named where they are passed: `grep -rn "faultpoints.reach" maestro`.
"""

import os
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

VARIABLE: Final = "MAESTRO_FAULTPOINTS"
_ACTIONS: Final = ("kill", "raise", "delay")


class FaultInjected(Exception):  # noqa: N818 - named for what it is: no error of anybody's
    """What a `raise` fault raises."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, as it is written."""

    text: str
    point: str
    who: str
    action: str
    number: float


def parse(text: str) -> tuple[Fault, ...]:
    """Read faults, separated by commas or line ends.

    Raises:
        ValueError: one is none.
    """
    return tuple(_fault(part.strip()) for part in text.replace("\n", ",").split(",") if part.strip())


def _fault(text: str) -> Fault:
    place, _, what = text.partition(":")
    point, _, who = place.partition("@")
    action, _, number = what.partition(":")
    if not point or action not in _ACTIONS:
        raise ValueError(f"{VARIABLE}: {text!r} is not <point>[@<who>]:kill|raise|delay[:<number>]")
    return Fault(text, point, who, action, float(number or 1))


class Injector:
    """Makes the faults happen that `setting` (the value of the variable) names."""

    def __init__(self, setting: str) -> None:
        self._file = Path(setting[1:]) if setting.startswith("@") else None
        self._fixed = () if self._file else parse(setting)
        self._passed: Counter[Fault] = Counter()
        #: Who this process is.
        self.who = ""

    def reach(self, point: str) -> None:
        """Pass a point."""
        for fault in self._faults():
            if fault.point == point and fault.who in ("", self.who):
                self._passed[fault] += 1
                self._happen(fault)

    def _faults(self) -> tuple[Fault, ...]:
        if self._file is None:
            return self._fixed
        try:
            return parse(self._file.read_text())
        except FileNotFoundError:
            return ()

    def _happen(self, fault: Fault) -> None:
        if fault.action == "delay":
            time.sleep(fault.number)
        elif self._passed[fault] == int(fault.number) and self._first(fault):
            if fault.action == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise FaultInjected(fault.text)

    def _first(self, fault: Fault) -> bool:
        """Note that a fault of the file happens; False when it has happened before."""
        if self._file is None:
            return True
        note = self._file.with_name(self._file.name + ".fired")
        if note.exists() and fault.text in note.read_text().splitlines():
            return False
        with note.open("a") as fired:
            fired.write(f"{fault.text}\n")
        return True


_setting = os.environ.get(VARIABLE, "")
_injector: Final = Injector(_setting) if _setting else None


def reach(point: str) -> None:
    """Pass a point: nothing happens, unless the environment says so."""
    if _injector is not None:
        _injector.reach(point)


def this_is(who: str) -> None:
    """Say who this process is: a system's id, `ingress`, `cascade` or `supervisor`."""
    if _injector is not None:
        _injector.who = who

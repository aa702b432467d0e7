"""Draws the rules' tables into docs/architecture.md: `python -m scripts.diagrams` writes, `--check` fails when stale.

A diagram stands between the marks `<!-- NAME: drawn by scripts/diagrams.py -->` and `<!-- end of NAME -->`.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from maestro.rules import stages
from maestro.rules.status import LIVE, TRANSITIONS, Status

DOCUMENT = Path(__file__).parents[1] / "docs" / "architecture.md"


def statuses() -> Iterator[str]:
    """Yield the life of a reprocessing: `TRANSITIONS`, one arrow a pair of statuses."""
    yield "stateDiagram-v2"
    yield f"    [*] --> {Status.PENDING}"
    for status, after in TRANSITIONS.items():
        arrows: dict[Status, list[str]] = {}
        for trigger, following in after.items():
            arrows.setdefault(following, []).append(trigger)
        for following, triggers in arrows.items():
            yield f"    {status} --> {following}: {', '.join(triggers)}"
        if status not in LIVE and not after:
            yield f"    {status} --> [*]"


def run_stages() -> Iterator[str]:
    """Yield what a run waits for: the commands that ask, the stage, the facts that answer."""
    return _waits(stages.RUN_COMMANDS, stages.RUN)


def judging_stages() -> Iterator[str]:
    """Yield what the judging slot waits for, likewise."""
    return _waits(stages.JUDGING_COMMANDS, stages.JUDGING)


def _waits(
    commands: Mapping[Any, tuple[type, ...]], answers: Mapping[type, Mapping[Any, Callable[..., None]]]
) -> Iterator[str]:
    yield "flowchart LR"
    stage: StrEnum
    for stage, asked in commands.items():
        answering = [fact.__name__ for fact, row in answers.items() if stage in row]
        before = " & ".join(f"{stage}_{one.__name__}[{one.__name__}]" for one in asked) or f"{stage}_wake[wake-up]"
        yield f"    {before} --> {stage}([{stage}])"
        if answering:
            yield f"    {stage} --> " + " & ".join(f"{stage}_{name}[/{name}/]" for name in answering)


DIAGRAMS = {"statuses": statuses, "run stages": run_stages, "judging stages": judging_stages}


def drawn(text: str) -> str:
    """Return the page with all diagrams as the tables say now. Raises `ValueError` when a mark is missing."""
    for name, draw in DIAGRAMS.items():
        start, end = f"<!-- {name}: drawn by scripts/diagrams.py -->", f"<!-- end of {name} -->"
        block = "\n".join([start, "```mermaid", *draw(), "```", end])
        marked = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
        text, found = marked.subn(block.replace("\\", r"\\"), text)
        if found != 1:
            raise ValueError(f"{name}: its marks stand {found} times in {DOCUMENT.name}")
    return text


def main() -> int:
    """Write the page, or with `--check` say whether it is stale."""
    text = DOCUMENT.read_text(encoding="utf-8")
    if text == (now := drawn(text)):
        return 0
    if "--check" in sys.argv[1:]:
        print(f"{DOCUMENT} is stale: python -m scripts.diagrams", file=sys.stderr)  # noqa: T201 - it is a command line
        return 1
    DOCUMENT.write_text(now, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

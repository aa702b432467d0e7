"""Tells the story on the terminal: progress, the decisions, the cascades, the verdict."""

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.tree import Tree

from maestro.sandbox.demo.report import Report, describe
from maestro.sandbox.demo.story import Decided

#: Differences that are listed; the rest is counted.
_SHOWN = 20


class Show:
    """A `Teller` with a progress bar per phase."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            console=console, transient=False,
        )  # fmt: skip
        self._phase: TaskID | None = None

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing."""
        self._progress.stop()

    def begins(self, phase: str, total: int) -> None:
        """Open a bar."""
        self._phase = self._progress.add_task(phase, total=total)

    def progressed(self, count: int) -> None:
        """Move the open bar; what comes after its end only waited, and is told by `says`."""
        if self._phase is not None and not self._progress.tasks[self._phase].finished:
            self._progress.update(self._phase, completed=count)

    def says(self, text: str) -> None:
        """Print a line above the bars."""
        self._console.print(text, highlight=False)

    def ends(self, report: Report) -> None:
        """Print the decisions, the cascades and the verdict."""
        self._console.print(_decisions(report.decided))
        for decided in report.decided:
            if decided.correction.approved:
                self._console.print(_cascade(decided))
        for line in _verdict(report):
            self._console.print(line, highlight=False)


def _decisions(decided: Iterable[Decided]) -> Table:
    table = Table("quote", "rate", "branch", "decision", "status", title="Corrections", box=SIMPLE, pad_edge=False)
    for one in decided:
        correction = one.correction
        decisions = [entry["user"] for entry in one.document["history"] if entry["status"] == correction.decision]
        table.add_row(
            f"{correction.quote.currency} {correction.quote.day}",
            f"{correction.old} → {correction.new}",
            correction.branch,
            f"{correction.decision} by {decisions[0] if decisions else 'nobody'}",
            one.document["status"],
        )
    return table


def _cascade(decided: Decided) -> Tree:
    """Draw what was replayed: averages below the correction, and the rates that read them below those."""
    quote = decided.correction.quote
    tree = Tree(f"{quote.currency} {quote.day} on {decided.correction.branch}")
    events: list[dict[str, Any]] = decided.document["events"]
    averages = [event for event in events if "month" in event["payload"]]
    rates = [event for event in events if "year" in event["payload"]]
    conversions = [event for event in events if "amount" in event["payload"]]
    branches = {event["branch"]: tree.add(_replay(event, "month")) for event in averages}
    for event in rates:
        branches.get(event["branch"], tree).add(_replay(event, "year"))
    for event in conversions:
        tree.add(f"conversion {event['payload']['name']} on {event['branch']}")
    return tree


def _replay(event: dict[str, Any], period: str) -> str:
    name = {"month": "average", "year": "rate"}[period]
    return f"{name} {event['payload']['currency']} {event['payload'][period]} on {event['branch']}"


def _verdict(report: Report) -> Iterable[str]:
    counters = report.counters
    yield (
        f"{report.events} persist events in {report.seconds:.1f} s: {counters.waiting} waited, "
        f"{counters.replayed} replayed, {counters.cascaded} of them by cascade"
    )
    yield f"{sum(len(document['events']) for document in report.late)} results were found stale, and replayed late"
    yield from (f"[red]did not go as decided: {line}" for line in report.misfires)
    yield from (f"[red]{describe(difference)}" for difference in report.differences[:_SHOWN])
    if len(report.differences) > _SHOWN:
        yield f"[red]… and {len(report.differences) - _SHOWN} more"
    yield from (f"[red]written twice: the rows of {instance}" for instance in report.doubled[:_SHOWN])
    yield from (f"[red]stale: {unit}" for unit in report.stale[:_SHOWN])
    yield (
        "[green]equal: every average and rate is what a from-scratch computation gives"
        if report.equal else "[red]not equal"
    )  # fmt: skip

"""Tells the story on the terminal: progress, the decisions, the cascades, the verdict."""

from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.tree import Tree

from maestro.sandbox.demo.player import Decided
from maestro.sandbox.demo.report import Report
from maestro.sandbox.demo.story import Story

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
        story = report.plan.story
        self._console.print(_decisions(story, report.decided))
        for decided in report.decided:
            if decided.correction.approved:
                self._console.print(_cascade(story, decided))
        for line in _verdict(report):
            self._console.print(line, highlight=False)


def _decisions(story: Story, decided: Iterable[Decided]) -> Table:
    columns = (story.input.name, story.input.value, "branch", "decision", "status")
    table = Table(title="Corrections", box=SIMPLE, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")  # rather broken than cut
    for one in decided:
        correction = one.correction
        decisions = [entry["user"] for entry in one.document["history"] if entry["status"] == correction.decision]
        table.add_row(
            str(correction),
            f"{correction.old} → {correction.new}",
            correction.branch,
            f"{correction.decision} by {decisions[0] if decisions else 'nobody'}",
            one.document["status"],
        )
    return table


def _cascade(story: Story, decided: Decided) -> Tree:
    """Draw what was replayed: each level below the one that it reads, per branch, and the uses."""
    tree = Tree(f"{decided.correction} on {decided.correction.branch}")
    above: dict[str, Tree] = {}
    for level in (*story.levels, story.use):
        entity = level.entity
        events = [event for event in decided.document["events"] if event["name"] == level.process]
        branches = {}
        for event in events:
            branch, payload = event["branch"], event["payload"]
            parent = tree if level is story.use else above.get(branch, tree)
            branches[branch] = parent.add(f"{entity.name} {payload[entity.subject]} {payload[entity.part]} on {branch}")
        above |= branches
    return tree


def _verdict(report: Report) -> Iterable[str]:
    counters = report.counters
    yield (
        f"{report.events} persist events in {report.seconds:.1f} s: {counters.waiting} waited, "
        f"{counters.replayed} replayed, {counters.cascaded} of them by cascade"
    )
    yield f"{sum(len(document['events']) for document in report.late)} results were found stale, and replayed late"
    yield from (f"[red]did not go as decided: {line}" for line in report.misfires)
    yield from (f"[red]{difference}" for difference in report.differences[:_SHOWN])
    if len(report.differences) > _SHOWN:
        yield f"[red]… and {len(report.differences) - _SHOWN} more"
    yield from (f"[red]written twice: the rows of {instance}" for instance in report.doubled[:_SHOWN])
    yield from (f"[red]stale: {unit}" for unit in report.stale[:_SHOWN])
    yield (
        "[green]equal: every result is what a from-scratch computation gives"
        if report.equal else "[red]not equal"
    )  # fmt: skip

"""One reprocessing as people read it."""

from collections.abc import Iterator
from typing import Final

from maestro.cli.naming import named
from maestro.cli.output import Output
from maestro.cli.plain import age, count, local, span
from maestro.client.shapes import Budget, Document, Likely, Unit
from maestro.statuses import Status

#: Units listed; `--json` has them all.
_UNITS: Final = 200


def print_document(out: Output, doc: Document) -> None:
    """Print a reprocessing: facts, units, history."""
    for name, value in _facts(doc):
        out.say(f"{name:<10} {value}")
    units = doc.units or ()
    if units:
        out.say()
        columns = (">#", "INSTANCE", "BRANCH", "STATE", ">ROUND", ">SENDS", "REPLAYED AS", ">TOOK", "BROUGHT BY")
        out.table(columns, (_unit_row(n, one, units) for n, one in enumerate(units[:_UNITS])), "")
        if len(units) > _UNITS:
            out.say(f"the first {_UNITS} of {count(len(units), 'instance')}; --json has all")
    out.say()
    rows = ((local(one.timestamp), one.status, one.user, one.reason or one.cause or "-") for one in doc.history)
    out.table(("WHEN", "STATUS", "BY", "WHY"), rows, "no history")


def _facts(doc: Document) -> Iterator[tuple[str, str]]:  # noqa: C901, PLR0912 - one for each line
    yield "id", doc.id
    yield "system", doc.system_id
    yield "status", _status(doc)
    event = doc.pending_event
    if doc.late:
        yield "late", "its units are stale already: nothing is held"
    yield "what", named(doc)
    yield "event", f"{event.name} of instance {event.instance_id} on branch {doc.branch}, tag {doc.tag}"
    if doc.history:
        yield "held", f"since {local(doc.history[0].timestamp)} ({age(doc.history[0].timestamp)} ago)"
    yield "commit", "made" if doc.held_committed else "not made"
    yield "replays", progress(doc)
    if doc.estimate:
        yield "about", f"{span(doc.estimate.seconds)} ({doc.estimate.basis})"
    if doc.likely:
        yield "likely", likely_text(doc.likely)
    if doc.budget:
        yield "budget", f"{budget_text(doc.budget.replays, doc.budget.minutes)}, {_used(doc.budget)}"
    first = doc.first_approval
    if first and not first.decided:
        asked = Status.APPROVED if first.decision == "approve" else f"to {first.decision}"
        yield asked, f"by {first.user} at {local(first.timestamp)}; another must, too"
    if doc.policies:
        yield "policies", doc.policies.says
        yield from (("policy", f"{it.name}: {', '.join(it.effects)}, for: {it.why}") for it in doc.policies.by)
    if doc.held_named_by:
        yield "warning", f"the replay of {doc.held_named_by} impacts the held instance, which is not replayed by itself"
    if doc.reimpacted:
        yield "stale", f"{count(len(doc.reimpacted), 'instance')} impacted again after the last allowed round"
    for one in doc.set_aside or ():
        yield "set aside", f"{one.instance_id} on {one.branch}: {one.problem}"
    for unit in doc.not_finished:
        yield "not finished", f"{unit.instance_id} on {unit.branch}: named, and judged once its own commit is made"
    for one in doc.left_out or ():
        why = one.reason or one.problem
        yield "left out", f"{one.instance_id} on {one.branch} by {one.user} at {local(one.timestamp)}: {why}"
    if doc.reconsidered:
        yield "judged", f"again, as event {doc.reconsidered}"
    yield "digest", doc.digest or "-"


def _status(doc: Document) -> str:
    soon = becoming(doc)
    return f"{doc.status}, {soon}" if soon else doc.status


def becoming(doc: Document) -> str:
    """Say what was asked for and is not done yet: that it be cancelled, or paused; empty when nothing was."""
    asked = Status.CANCELLED if doc.cancelling else Status.PAUSED if doc.pausing else ""
    if not asked:
        return ""
    return f"{asked} after the current replay" if doc.running else f"being {asked}"


def progress(doc: Document) -> str:
    """Say how far a run is, or came."""
    done, left, added = doc.progress.replayed, doc.progress.outstanding, doc.progress.cascaded
    instances = count(doc.progress.units, "instance")
    if doc.status == Status.SKIPPED:
        return f"none; {instances} {'stays' if doc.progress.units == 1 else 'stay'} as computed"
    rest = f", {left:,} {'left' if doc.live else 'not done'}" if left or doc.live else ""
    return f"{done:,} done{rest}, {instances}" + (f" (+{added:,} by cascade)" if added else "")


def likely_text(likely: Likely) -> str:
    """Say what past runs of the same kind became, and of what that is known."""
    between = f"{likely.least} to {likely.most} by {count(likely.runs, 'past run')} of {likely.name}"
    time = f", about {span(likely.seconds)}" if likely.seconds else ""
    text = f"usually {count(likely.units, 'replay')} in all ({between}){time}"
    worst = likely.surprise
    return f"{text}; the most: {worst.shown} became {worst.made}" if worst.made > worst.shown else text


def budget_text(replays: int | None, minutes: float | None) -> str:
    """Say after what a run pauses."""
    parts = [count(replays, "replay") if replays else "", f"{minutes:g} minutes" if minutes else ""]
    return " or ".join(part for part in parts if part)


def _used(budget: Budget) -> str:
    return f"{count(budget.replayed, 'replay')} used"


def _unit_row(number: int, one: Unit, units: tuple[Unit, ...]) -> tuple[object, ...]:
    by = units[one.cause].instance_id if 0 <= one.cause < len(units) else "-"
    took = "-" if one.duration is None else f"{one.duration:.1f} s"
    branch = f"{one.branch} (forking)" if one.forking else one.branch
    return (number, one.instance_id, branch, one.state, one.round, one.sends, one.replay_instance_id or "-", took, by)

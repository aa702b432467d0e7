"""One reprocessing as people read it."""

from collections.abc import Iterator, Sequence
from typing import Final

from maestro.cli.naming import named, said_of
from maestro.cli.output import Output
from maestro.cli.plain import age, local, span
from maestro.client.shapes.documents import Budget, Document, Likely, Unit
from maestro.client.shapes.units import FoundUnit
from maestro.language import figure, t, tn, told
from maestro.statuses import Status

#: Units listed; `maestro units` has them all.
UNITS: Final = 20
#: Characters of a fact's name, at least.
_NAME: Final = 10


def print_document(out: Output, doc: Document, units: Sequence[FoundUnit]) -> None:
    """Print a reprocessing: facts, its first units, history."""
    facts = list(_facts(doc))
    wide = max(_NAME, *(len(name) for name, _ in facts))
    for name, value in facts:
        out.say(f"{name:<{wide}} {value}")
    if units:
        out.say()
        columns = (
            ">#", "EVENT", "INSTANCE", "BRANCH", "STATE", ">ROUND", ">SENDS", "REPLAYED AS", ">TOOK", "BROUGHT BY"
        )  # fmt: skip
        out.table(columns, (_unit_row(one, doc.units or ()) for one in units[:UNITS]), "")
        n = len(doc.units or ())
        if n > UNITS:
            said = t("the first {shown} of {n} units; `maestro units {id}` lists all", shown=UNITS, n=n, id=doc.id[:8])
            out.say(said)
    out.say()
    rows = (_entry_row(doc, index) for index in range(len(doc.history)))
    out.table(("WHEN", "STATUS", "BY", "WHY"), rows, t("no history"))


def _entry_row(doc: Document, index: int) -> tuple[str, ...]:
    """Show an entry of the history. What left the status as it was says first what was done."""
    one = doc.history[index]
    cause = told(one.cause)
    if doc.is_note(index):
        return local(one.timestamp), t("note"), one.user, ": ".join(part for part in (cause, one.reason) if part) or "-"
    return local(one.timestamp), told(one.status), one.user, one.reason or cause or "-"


def _facts(doc: Document) -> Iterator[tuple[str, str]]:  # noqa: C901, PLR0912 - one for each line
    yield t("id"), doc.id
    yield t("system"), doc.system_id
    yield t("status"), _status(doc)
    event = doc.pending_event
    if doc.late:
        yield t("late"), t("its units are stale already: nothing is held")
    yield t("what"), named(doc)
    if doc.late:
        yield t("branch"), doc.branch or "-"
    else:
        values = {"name": event.name, "instance": event.instance_id, "branch": doc.branch, "tag": doc.tag}
        yield t("event"), t("{name} of instance {instance} on branch {branch}, tag {tag}", **values)
    if doc.history:
        since = doc.history[0].timestamp
        yield t("held"), t("since {time} ({age} ago)", time=local(since), age=age(since))
    if not doc.late:
        yield t("commit"), t("made") if doc.held_committed else t("not made")
    yield t("replays"), progress(doc)
    if doc.estimate:
        yield t("about"), f"{span(doc.estimate.seconds)} ({told(doc.estimate.basis)})"
    if doc.likely:
        yield t("likely"), likely_text(doc.likely)
    if doc.budget:
        yield t("budget"), f"{budget_text(doc.budget.replays, doc.budget.minutes)}, {_used(doc.budget)}"
    first = doc.first_approval
    if first and not first.decided:
        asked = told(Status.APPROVED) if first.decision == "approve" else t("to {decision}", decision=first.decision)
        yield asked, t("by {user} at {time}; another must, too", user=first.user, time=local(first.timestamp))
    if doc.policies:
        yield t("policies"), told(doc.policies.says)
        for it in doc.policies.by:
            effects = ", ".join(map(told, it.effects))
            yield t("policy"), t("{name}: {effects}, for: {why}", name=it.name, effects=effects, why=told(it.why))
    if doc.held_named_by:
        said = t(
            "the replay of {instance} impacts the held instance, which is not replayed by itself",
            instance=doc.held_named_by,
        )
        yield t("warning"), said
    if doc.reimpacted:
        said = tn(
            "{n} instance impacted again after the last allowed round",
            "{n} instances impacted again after the last allowed round",
            len(doc.reimpacted),
        )
        yield t("stale"), said
    for one in doc.set_aside or ():
        yield t("set aside"), f"{_on(one.instance_id, one.branch)}: {told(one.problem)}"
    for unit in doc.not_finished or ():
        said = t("named, and judged once its own commit is made")
        yield t("not finished"), f"{_on(unit.instance_id, unit.branch)}: {said}"
    for one in doc.left_out or ():
        unit_ = _on(one.instance_id, one.branch)
        said = t("{unit} by {user} at {time}", unit=unit_, user=one.user, time=local(one.timestamp))
        yield t("left out"), f"{said}: {one.reason or told(one.problem)}"
    if doc.reconsidered:
        yield t("judged"), t("again, as event {number}", number=str(doc.reconsidered))
    yield t("digest"), doc.digest or "-"


def _on(instance: str, branch: str) -> str:
    return t("{instance} on {branch}", instance=instance, branch=branch)


def _status(doc: Document) -> str:
    soon = becoming(doc)
    return f"{told(doc.status)}, {soon}" if soon else told(doc.status)


def becoming(doc: Document) -> str:
    """Say what was asked for and is not done yet: that it be cancelled, or paused; empty when nothing was."""
    if doc.cancelling:
        return t("cancelled after the current replay") if doc.running else t("being cancelled")
    if doc.pausing:
        return t("paused after the current replay") if doc.running else t("being paused")
    return ""


def progress(doc: Document) -> str:
    """Say how far a run is, or came."""
    done, left, added = doc.progress.replayed, doc.progress.outstanding, doc.progress.cascaded
    units = doc.progress.units
    if doc.status == Status.SKIPPED:
        return tn("none; {n} instance stays as computed", "none; {n} instances stay as computed", units)
    parts = [tn("{n} done", "{n} done", done)]
    if doc.live:
        parts.append(tn("{n} left", "{n} left", left))
    elif left:
        parts.append(tn("{n} not done", "{n} not done", left))
    parts.append(tn("{n} instance", "{n} instances", units))
    return ", ".join(parts) + (t(" (+{n} by cascade)", n=added) if added else "")


def likely_text(likely: Likely) -> str:
    """Say what past runs of the same kind became, and of what that is known."""
    between = tn(
        "{least} to {most} by {n} past run of {name}",
        "{least} to {most} by {n} past runs of {name}",
        likely.runs, least=likely.least, most=likely.most, name=likely.name,
    )  # fmt: skip
    text = tn(
        "usually {n} replay in all ({between})", "usually {n} replays in all ({between})", likely.units, between=between
    )
    text += t(", about {time}", time=span(likely.seconds)) if likely.seconds else ""
    worst = likely.surprise
    more = worst.made > worst.shown
    return text + (t("; the most: {shown} became {made}", shown=worst.shown, made=worst.made) if more else "")


def budget_text(replays: int | None, minutes: float | None) -> str:
    """Say after what a run pauses."""
    parts = [
        tn("{n} replay", "{n} replays", replays) if replays else "",
        t("{minutes} minutes", minutes=figure(minutes, "g")) if minutes else "",
    ]
    return t(" or ").join(part for part in parts if part)


def _used(budget: Budget) -> str:
    return tn("{n} replay used", "{n} replays used", budget.replayed)


def _unit_row(one: FoundUnit, units: tuple[Unit, ...]) -> tuple[object, ...]:
    by = units[one.cause].instance_id if 0 <= one.cause < len(units) else "-"
    took = "-" if one.duration is None else f"{figure(one.duration, '.1f')} s"
    branch = t("{branch} (forking)", branch=one.branch) if one.forking else one.branch
    return (
        one.position + 1,
        said_of(one.name, one.about),
        one.instance_id,
        branch,
        told(one.state),
        one.round,
        one.sends,
        one.replay_instance_id or "-",
        took,
        by,
    )

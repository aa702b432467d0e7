"""What a decision will do, in numbers, before it is made."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from maestro.cli.commit_page import row_cells
from maestro.cli.document_page import budget_text, likely_text, progress
from maestro.cli.naming import named
from maestro.cli.plain import age, span
from maestro.cli.unusual_page import summary, uncompared
from maestro.client.api import Maestro
from maestro.client.errors import ClientError, Rejected
from maestro.client.shapes.documents import Document, EntitiesPage
from maestro.language import figure, t, tn, told
from maestro.statuses import Status

#: Rows of a commit that are looked at to say of which kinds they are.
_ROWS: Final = 1000
#: Kinds of rows, and instances, that are named.
_KINDS: Final = 12
#: Rows that are shown with their values before and after.
_SHOWN: Final = 5


def title(verb: str, doc: Document) -> str:
    """Say what is decided about what."""
    event = doc.pending_event
    values = {"id": doc.id, "system": doc.system_id, "instance": event.instance_id, "branch": doc.branch}
    where = (
        t("{id} of {system}, on {branch}", **values)
        if doc.late
        else t("{id} of {system}: instance {instance} on {branch}", **values)
    )
    held = t(", held for {age}", age=age(doc.history[0].timestamp)) if doc.history else ""
    return f"{verb} “{named(doc)}”, {where}{held}"


def of_approval(maestro: Maestro, doc: Document, budget: dict[str, float] | None) -> Iterator[str]:
    """Say what an approval will do."""
    yield from _demanded(doc)
    yield from _first_approval(doc, "approve")
    if doc.late:
        yield t("commits nothing: the data is there already")
    else:
        instance = doc.pending_event.instance_id
        yield t("commits the data of instance {instance}: {rows}", instance=instance, rows=_rows(maestro, doc))
        yield from _changes(maestro, doc)
        yield from _standing_out(maestro, doc)
    yield from _replays(doc, doc.progress.units, budget)
    yield _waiting(maestro, doc)


def _changes(maestro: Maestro, doc: Document) -> Iterator[str]:
    """Show the first rows, each with its values before and after."""
    try:
        page = maestro.entities(doc.id, _SHOWN).value
    except ClientError:
        return
    for row in page.entities:
        change, kind, same, before, after = row_cells(row)
        where = "" if same == "-" else f" ({same})"
        yield f"  {change} {kind}{where}: {before} -> {after}"
    if page.total > len(page.entities):
        more = page.total - len(page.entities)
        yield tn("  and {n} row more: maestro show {id}", "  and {n} rows more: maestro show {id}", more, id=doc.id[:8])


def _standing_out(maestro: Maestro, doc: Document) -> Iterator[str]:
    """Say which new numbers stand out, or that nothing tells whether they do."""
    try:
        page = maestro.unusual(doc.id).value
    except ClientError:
        return
    if page.unusual or (page.values and uncompared(page) == len(page.values)):
        yield t("{summary}: maestro show {id}", summary=summary(page), id=doc.id[:8])


def _demanded(doc: Document) -> Iterator[str]:
    for one in doc.policies.by if doc.policies else ():
        values = {"name": one.name, "effects": ", ".join(map(told, one.effects)), "why": told(one.why)}
        yield t("policy {name} says {effects}, for: {why}", **values)


def _first_approval(doc: Document, decision: str) -> Iterator[str]:
    first = doc.first_approval
    if first and first.decision == decision and not first.decided:
        yield t("{user} approved it {age} ago; this is the second approval", user=first.user, age=age(first.timestamp))


def of_skip(maestro: Maestro, doc: Document) -> Iterator[str]:
    """Say what a skip will do."""
    yield from _demanded(doc)
    if doc.late:
        yield t("discards nothing: no commit is held")
        yield tn(
            "{n} result stays as it is, and is listed as accepted",
            "{n} results stay as they are, and are listed as accepted",
            doc.progress.units,
        )
    else:
        yield t("these rows will NOT reach the domain: {rows}", rows=_rows(maestro, doc))
        yield tn(
            "{n} instance that they would change stays as computed",
            "{n} instances that they would change stay as computed",
            doc.progress.units,
        )
    yield _waiting(maestro, doc)


def of_going_on(maestro: Maestro, doc: Document, budget: dict[str, float] | None) -> Iterator[str]:
    """Say what a retry or a resumption will do."""
    yield from _first_approval(doc, "resume" if doc.status == Status.PAUSED else "retry")
    if not doc.held_committed:
        yield t("commits the data of instance {instance} first", instance=doc.pending_event.instance_id)
    yield t("so far: {progress}; what is done stays done", progress=progress(doc))
    yield from _replays(doc, doc.progress.outstanding, budget)
    yield _waiting(maestro, doc)


def of_cancel(maestro: Maestro, doc: Document) -> Iterator[str]:
    """Say what a cancel will do."""
    if doc.status == Status.APPROVED and not doc.held_committed:
        yield t("it has not started: nothing is committed or replayed")
    else:
        yield (
            t("stops after the current replay; so far: {progress}", progress=progress(doc))
            if doc.running
            else t("nothing of it runs now: ends at once; so far: {progress}", progress=progress(doc))
        )
        yield _kept(doc.progress.outstanding)
    yield _waiting(maestro, doc)


def of_reconsideration(maestro: Maestro, doc: Document) -> Iterator[str]:
    """Say what judging a skipped event again will do."""
    yield t("its event is judged again, behind all that wait: committed if it impacts nothing now, else held again")
    yield t("it can be done once")
    yield _waiting(maestro, doc)


def _replays(doc: Document, units: int, budget: dict[str, float] | None) -> Iterator[str]:
    if not units:
        yield t("replays nothing")
        return
    branches = len({unit.branch for unit in doc.units or ()})
    yield (
        t("replays at least {n} instances on {branches} branches; a cascade may add more", n=units, branches=branches)
        if branches > 1
        else tn(
            "replays at least {n} instance; a cascade may add more",
            "replays at least {n} instances; a cascade may add more",
            units,
        )
    )
    if doc.likely:
        yield likely_text(doc.likely)
    yield _lock(doc)
    if doc.estimate:
        values = {"time": span(doc.estimate.seconds), "basis": told(doc.estimate.basis)}
        yield (
            t("what is shown alone takes about {time} ({basis})", **values)
            if doc.likely
            else t("takes about {time} ({basis})", **values)
        )
    if budget:
        limit = budget_text(_whole(budget.get("replays")), budget.get("minutes"))
        yield t("pauses for a second decision after {limit}", limit=limit)


def _lock(doc: Document) -> str:
    if doc.forking:
        return t("does not lock {system}", system=doc.system_id)
    if doc.status == Status.PAUSED:
        return t("keeps {system} locked meanwhile", system=doc.system_id)
    return t("locks {system} meanwhile", system=doc.system_id)


def _kept(left: int) -> str:
    return tn(
        "{n} instance not replayed keeps results of before the commit, until a retry replays it",
        "{n} instances not replayed keep results of before the commit, until a retry replays them",
        left,
    )


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def _waiting(maestro: Maestro, doc: Document) -> str:
    try:
        number = maestro.system(doc.system_id).value.waiting
    except Rejected as problem:
        return t("how many events wait is not known: {problem}", problem=told(str(problem)))
    return tn("{n} event waits behind it", "{n} events wait behind it", number)


def _rows(maestro: Maestro, doc: Document) -> str:
    try:
        page = maestro.entities(doc.id, _ROWS).value
    except Rejected as problem:
        return t("the domain does not say which ({problem})", problem=told(str(problem)))
    return tn("{n} row", "{n} rows", page.total) + _kinds(page)


def _kinds(page: EntitiesPage) -> str:
    kinds = Counter(map(_kind, page.entities)).most_common()
    if not kinds:
        return ""
    named = ", ".join(f"{figure(number)} {kind}" for kind, number in kinds[:_KINDS])
    named += ", …" if len(kinds) > _KINDS else ""
    return t(" (of the first {n}: {kinds})", n=_ROWS, kinds=named) if page.next else f" ({named})"


def _kind(row: dict[str, Any]) -> str:
    about = row.get("_metadata")
    about = about if isinstance(about, dict) else {}
    return f"{about.get('changeTrack') or 'write'} {about.get('type') or 'row'}"

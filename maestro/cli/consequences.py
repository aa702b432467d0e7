"""What a decision will do, in numbers, before it is made."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from maestro.cli.commit_page import row_cells
from maestro.cli.document_page import budget_text, likely_text, progress
from maestro.cli.naming import named
from maestro.cli.plain import age, count, span
from maestro.client.api import Maestro
from maestro.client.errors import ClientError, Rejected
from maestro.client.shapes import Document, EntitiesPage
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
    held = f", held for {age(doc.history[0].timestamp)}" if doc.history else ""
    where = f"{doc.id} of {doc.system_id}: instance {event.instance_id} on {doc.branch}{held}"
    return f"{verb} “{named(doc)}”, {where}"


def of_approval(maestro: Maestro, doc: Document, budget: dict[str, float] | None) -> Iterator[str]:
    """Say what an approval will do."""
    yield from _demanded(doc)
    yield from _first_approval(doc, "approve")
    if doc.late:
        yield "commits nothing: the data is there already"
    else:
        yield f"commits the data of instance {doc.pending_event.instance_id}: {_rows(maestro, doc)}"
        yield from _changes(maestro, doc)
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
        yield f"  and {count(page.total - len(page.entities), 'row')} more: maestro show {doc.id[:8]}"


def _demanded(doc: Document) -> Iterator[str]:
    for one in doc.policies.by if doc.policies else ():
        yield f"policy {one.name} says {', '.join(one.effects)}, for: {one.why}"


def _first_approval(doc: Document, decision: str) -> Iterator[str]:
    first = doc.first_approval
    if first and first.decision == decision and not first.decided:
        yield f"{first.user} approved it {age(first.timestamp)} ago; this is the second approval"


def of_skip(maestro: Maestro, doc: Document) -> Iterator[str]:
    """Say what a skip will do."""
    yield from _demanded(doc)
    yield f"these rows will NOT reach the domain: {_rows(maestro, doc)}"
    yield f"{count(doc.progress.units, 'instance')} that they would change {_stay(doc.progress.units)} as computed"
    yield _waiting(maestro, doc)


def of_going_on(maestro: Maestro, doc: Document, budget: dict[str, float] | None) -> Iterator[str]:
    """Say what a retry or a resumption will do."""
    yield from _first_approval(doc, "resume" if doc.status == Status.PAUSED else "retry")
    if not doc.held_committed:
        yield f"commits the data of instance {doc.pending_event.instance_id} first"
    yield f"so far: {progress(doc)}; what is done stays done"
    yield from _replays(doc, doc.progress.outstanding, budget)
    yield _waiting(maestro, doc)


def of_cancel(maestro: Maestro, doc: Document) -> Iterator[str]:
    """Say what a cancel will do."""
    if doc.status == Status.APPROVED and not doc.held_committed:
        yield "it has not started: nothing is committed or replayed"
    else:
        stops = "stops after the current replay" if doc.running else "nothing of it runs now: ends at once"
        yield f"{stops}; so far: {progress(doc)}"
        yield _kept(doc.progress.outstanding)
    yield _waiting(maestro, doc)


def of_reconsideration(maestro: Maestro, doc: Document) -> Iterator[str]:
    """Say what judging a skipped event again will do."""
    yield "its event is judged again, behind all that wait: committed if it impacts nothing now, else held again"
    yield "it can be done once"
    yield _waiting(maestro, doc)


def _replays(doc: Document, units: int, budget: dict[str, float] | None) -> Iterator[str]:
    if not units:
        yield "replays nothing"
        return
    branches = {unit.branch for unit in doc.units or ()}
    where = f" on {len(branches)} branches" if len(branches) > 1 else ""
    yield f"replays at least {count(units, 'instance')}{where}; a cascade may add more"
    if doc.likely:
        yield likely_text(doc.likely)
    yield _lock(doc)
    if doc.estimate:
        yield f"takes about {span(doc.estimate.seconds)} ({doc.estimate.basis})"
    if budget:
        yield f"pauses for a second decision after {budget_text(_whole(budget.get('replays')), budget.get('minutes'))}"


def _lock(doc: Document) -> str:
    if doc.forking:
        return f"does not lock {doc.system_id}"
    return (
        f"keeps {doc.system_id} locked meanwhile" if doc.status == Status.PAUSED else f"locks {doc.system_id} meanwhile"
    )


def _kept(left: int) -> str:
    verb, them = ("keeps", "it") if left == 1 else ("keep", "them")
    return f"{count(left, 'instance')} not replayed {verb} results of before the commit, until a retry replays {them}"


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def _waiting(maestro: Maestro, doc: Document) -> str:
    try:
        number = maestro.system(doc.system_id).value.waiting
    except Rejected as problem:
        return f"how many events wait is not known: {problem}"
    return f"{count(number, 'event')} {'waits' if number == 1 else 'wait'} behind it"


def _stay(number: int) -> str:
    return "stays" if number == 1 else "stay"


def _rows(maestro: Maestro, doc: Document) -> str:
    try:
        page = maestro.entities(doc.id, _ROWS).value
    except Rejected as problem:
        return f"the domain does not say which ({problem})"
    return f"{count(page.total, 'row')}{_kinds(page)}"


def _kinds(page: EntitiesPage) -> str:
    kinds = Counter(map(_kind, page.entities)).most_common()
    if not kinds:
        return ""
    named = ", ".join(f"{number:,} {kind}" for kind, number in kinds[:_KINDS])
    more = ", …" if len(kinds) > _KINDS else ""
    return f" ({'of the first ' + str(_ROWS) + ': ' if page.next else ''}{named}{more})"


def _kind(row: dict[str, Any]) -> str:
    about = row.get("_metadata")
    about = about if isinstance(about, dict) else {}
    return f"{about.get('changeTrack') or 'write'} {about.get('type') or 'row'}"

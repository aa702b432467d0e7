"""`maestro errors groups | list | show | redrive`: events that failed for good, and the way back to be judged again."""

import time
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
import typer

from maestro.cli.exits import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, fail
from maestro.cli.filled import filled
from maestro.cli.looking import Limit, PositionAfter
from maestro.cli.pages import pages_of, printed
from maestro.cli.plain import local, plain
from maestro.cli.session import AnySystem, Session, SystemId, User, Yes, command
from maestro.client.errors import NotReachable, Rejected, refused
from maestro.client.finding import check_length, least_of
from maestro.client.shapes.error_queue import ErrorGroup, ErrorMessage
from maestro.language import figure, mark, t, tn, told

#: Messages that the gateway shows at once.
_PAGE: Final = 50
#: Groups that are asked for at once.
_GROUPS: Final = 500
#: Seconds between two looks whether what was given back is judged.
_LOOK: Final = 0.25
#: Looks in a row that must find nothing in hand: between queue and system an event is seen in neither.
_IDLE: Final = 4
_NOT_FOUND: Final = 404

app = typer.Typer(
    help="Events that failed for good: look at them, give them back to be judged again.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command("list")
@command
def list_(
    session: Session,
    system: AnySystem = "",
    *,
    group: Annotated[str, typer.Option(metavar="KEY", help="Only this group, by its key.", callback=filled)] = "",
    after: PositionAfter = 0,
    limit: Annotated[int, typer.Option(min=1, max=_PAGE, metavar="N", help="Show at most so many.")] = 20,
) -> int:
    """List the oldest messages of the error queue of a system, or of all; they stay where they are."""
    pages = pages_of(session, system, lambda one: session.maestro.errors(one, limit, group, after))
    if printed(session, system, pages):
        return pages.code
    rows = (
        (id_, one.id, instance_of(one), local(one.failed_at), figure(one.size), told(one.reason) or "-")
        for id_, page in pages
        for one in page.value.errors
    )
    columns = ("SYSTEM", "ID", "INSTANCE", "FAILED", ">BYTES", "REASON")
    session.out.table(columns, rows, pages.empty(t("the error queue is empty")))
    for id_, page in pages:
        shown = len(page.value.errors)
        values = {"system": id_, "shown": shown, "total": page.value.total, "from": after + 1, "to": after + shown}
        if page.value.total > shown:
            session.out.say(
                t("{system}: {from} to {to} of {total}", **values)
                if after and shown
                else t("{system}: the oldest {shown} of {total}", **values)
            )
    return pages.code


@app.command()
@command
def groups(session: Session, system: AnySystem = "", *, after: PositionAfter = 0, limit: Limit = 100) -> int:
    """List why the events on the error queue failed: how many for each reason, the first and the last time."""
    pages = pages_of(session, system, lambda one: session.maestro.error_groups(one, after, limit))
    if printed(session, system, pages):
        return pages.code
    columns = ("SYSTEM", "GROUP", ">EVENTS", "FIRST", "LAST", "WHICH", "REASON")
    rows = ((id_, *_group_row(one)) for id_, page in pages for one in page.value.groups)
    session.out.table(columns, rows, pages.empty(t("the error queue is empty")))
    for id_, page in pages:
        found = page.value
        values = {"system": id_, "shown": len(found.groups), "looked": found.looked_at}
        if found.count > after + len(found.groups):
            said = tn("{system}: {shown} of {n} group", "{system}: {shown} of {n} groups", found.count, **values)
            session.out.say(said)
        if found.total > found.looked_at:
            session.out.say(
                tn(
                    "{system}: the oldest {looked} of {n} message were looked at",
                    "{system}: the oldest {looked} of {n} messages were looked at",
                    found.total,
                    **values,
                )
            )
    return pages.code


def _group_row(one: ErrorGroup) -> tuple[object, ...]:
    which = ", ".join(one.events) or "-"
    return (one.key, figure(one.count), local(one.first), local(one.last), which, told(one.reason) or "-")


@app.command()
@command
def show(
    session: Session,
    system: SystemId,
    message: Annotated[
        str, typer.Argument(metavar="ID", help="The message's id, or how no other's begins.", callback=filled)
    ],
) -> None:
    """Show one message of a system's error queue: reason, headers, body."""
    found = _chosen(session, system, message)
    if session.out.json:
        session.out.raw(msgspec.json.encode(found))
        return
    size = figure(found.size) + (t(" (the body below is its beginning)") if found.truncated else "")
    facts = [(t("id"), found.id), (t("reason"), told(found.reason) or "-"), (t("failed"), local(found.failed_at))]
    facts += [(t("bytes"), size), *((t("header"), f"{name}: {value}") for name, value in found.headers.items())]
    wide = max(len(name) for name, _ in facts)
    for name, value in facts:
        session.out.say(f"{name:<{max(wide, 6)}}  {value}")
    body = found.body if isinstance(found.body, str) else _indented(found.body)
    for line in body.splitlines():
        session.out.say(line)


class Outcome(msgspec.Struct, omit_defaults=True):
    """What became of one message."""

    id: str
    #: redriven, missing (it was not there any more), failed, or failed_again (judged, and back on the error queue).
    outcome: str
    message: str = ""


@app.command()
@command
def redrive(
    session: Session,
    system: SystemId,
    messages: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="Messages, by id or how no other's begins.", callback=filled),
    ] = None,
    *,
    group: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help="All of this group, as it is shown now; may be repeated.", callback=filled),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that are there now.")] = False,
    yes: Yes = False,
    user: User = "",
    wait: Annotated[
        float,
        typer.Option(min=0, metavar="SECONDS", help="Wait so long for them to be judged, to see which fail again."),
    ] = 10.0,
) -> int:
    """Give messages back to be judged again, in order. Interrupted, the rest stays where it is."""
    if bool(messages) + bool(group) + everything != 1:
        fail(t("give either ids, --group or --all"), EXIT_USAGE)
    if group:
        return _redrive_groups(session, system, group, session.user(user), wait, yes=yes)
    least = least_of(unasked=yes)
    ids = [_chosen(session, system, one, least).id for one in messages or ()]
    total = len(ids) or session.maestro.errors(system, 1).value.total
    if total:
        session.out.confirm(
            tn("Redrive {n} message of {system}", "Redrive {n} messages of {system}", total, system=system),
            (t("each is judged again, behind all that wait; what fails again comes back to the error queue"),),
            tn("Redrive {n}?", "Redrive {n}?", total),
            yes=yes,
        )
    return _Redrive(session, system, user).run(ids, total, wait)


def _redrive_groups(
    session: Session, system: str, keys: Sequence[str], user: str | None, wait: float, *, yes: bool
) -> int:
    """Redrive groups as they are shown now, or nothing; say how many failed again. Return the exit code."""
    known = {one.key: one for one in _groups(session, system)}
    if unknown := [key for key in keys if key not in known]:
        raise refused(_NOT_FOUND, f"no group {unknown[0]} on the error queue of {system}")
    chosen = [known[key] for key in dict.fromkeys(keys)]
    total = sum(one.count for one in chosen)
    session.out.confirm(
        tn("Redrive {n} message of {system}", "Redrive {n} messages of {system}", total, system=system),
        (*map(_group, chosen), t("what fails from now on stays there; if one of these is gone, none is moved")),
        tn("Redrive {n}?", "Redrive {n}?", total),
        yes=yes,
    )
    done = session.maestro.redrive_groups(system, chosen, user).value.redriven
    _until_judged(session, system, wait)
    now = {one.key: one.count for one in _groups(session, system)} if wait else {}
    again = {one.key: now[one.key] for one in chosen if one.key in now}
    if session.out.json:
        session.out.raw(msgspec.json.encode({"redriven": done, "thereNow": again}))
    session.out.say(tn("{n} message redriven", "{n} messages redriven", done))
    for key, number in again.items():
        session.out.say(
            tn(
                "group {key}: {n} event on the error queue now",
                "group {key}: {n} events on the error queue now",
                number,
                key=key,
            )
        )
    return EXIT_FAILED if again else 0


def _groups(session: Session, system: str) -> Sequence[ErrorGroup]:
    """Return all groups."""
    found: list[ErrorGroup] = []
    while True:
        page = session.maestro.error_groups(system, len(found), _GROUPS).value
        found += page.groups
        if not page.groups or len(found) >= page.count:
            return found


def _group(one: ErrorGroup) -> str:
    events = tn("group {key}: {n} event", "group {key}: {n} events", one.count, key=one.key)
    when = t(", failed {first} to {last}", first=local(one.first), last=local(one.last)) if one.first else ""
    return f"{events}{when}: {told(one.reason)}"


def _until_judged(session: Session, system: str, wait: float) -> None:
    """Wait until the system has had nothing in hand for a moment, for at most `wait` seconds."""
    deadline = time.monotonic() + wait
    idle = 0
    while idle < _IDLE and time.monotonic() < deadline:
        now = session.maestro.system(system).value
        queued = (now.queues or {}).get(f"persist.{system}.queue", 0)
        idle = 0 if now.inbox or queued else idle + 1
        time.sleep(_LOOK)


#: What became of a message, in words.
_OUTCOMES: Final = (mark("redriven"), mark("missing"), mark("failed"), mark("failed again"))


class _Redrive:
    """Gives messages back one by one, and tells the outcome of each as soon as it is known."""

    def __init__(self, session: Session, system: str, user: str) -> None:
        self._session = session
        self._maestro = session.maestro
        self._out = session.out
        self._system = system
        self._user = session.user(user)
        self._outcomes: dict[str, Outcome] = {}
        #: Every message seen on the queue, by id: what is refused for its shape comes back under another one.
        self._seen: dict[str, ErrorMessage] = {}

    def run(self, ids: Sequence[str], total: int, wait: float) -> int:
        """Redrive these, or else the oldest `total`; return the exit code."""
        code = 0
        try:
            if ids:
                self._look()
                self._each(ids, len(ids))
            else:
                self._all(total)
            self._await_judgement(wait)
        except KeyboardInterrupt:
            self._out.note(t("interrupted: what is not listed as redriven is still on the error queue"))
            code = EXIT_INTERRUPTED
        except (Rejected, NotReachable) as problem:
            self._out.note(t("stopped: {problem}; the rest is still on the error queue", problem=told(str(problem))))
            code = EXIT_FAILED
        self._report()
        return code or (0 if all(one.outcome == "redriven" for one in self._outcomes.values()) else EXIT_FAILED)

    def _all(self, total: int) -> None:
        """Go on while the front of the queue has messages not met yet: what fails again comes back to its end."""
        while len(self._outcomes) < total:
            shown = self._look()
            new = list(dict.fromkeys(one.id for one in shown if one.id not in self._outcomes))
            if not new:
                return
            self._each(new[: total - len(self._outcomes)], total)

    def _each(self, ids: Sequence[str], total: int) -> None:
        for id_ in ids:
            outcome = Outcome(id_, "failed", "not known: interrupted")
            self._outcomes[id_] = outcome
            try:
                answer = self._maestro.redrive(self._system, (id_,), self._user).value
            except (Rejected, NotReachable) as problem:
                outcome.message = plain(problem)
                raise
            outcome.outcome, outcome.message = "redriven" if answer.redriven else "missing", ""
            self._out.say(f"{figure(len(self._outcomes))}/{figure(total)} {id_}: {told(outcome.outcome)}")

    def _await_judgement(self, wait: float) -> None:
        """See which of them fail again, once the system has had nothing in hand for a moment."""
        if not self._given_back():
            return
        _until_judged(self._session, self._system, wait)
        if wait:
            self._mark_failed_again()

    def _mark_failed_again(self) -> None:
        before = dict(self._seen)
        for one in self._look():
            # Under its own id, or under a new one with the body of one that was given back.
            same = (id_ for id_, other in before.items() if one.id not in before and other.body == one.body)
            again = self._outcomes.get(one.id) or self._outcomes.get(next(same, ""))
            if again is not None and again.outcome == "redriven":
                again.outcome, again.message = "failed_again", plain(one.reason)

    def _look(self) -> tuple[ErrorMessage, ...]:
        shown = self._maestro.errors(self._system, _PAGE).value.errors
        self._seen |= {one.id: one for one in shown}
        return shown

    def _given_back(self) -> int:
        return sum(one.outcome in ("redriven", "failed_again") for one in self._outcomes.values())

    def _report(self) -> None:
        outcomes = list(self._outcomes.values())
        redriven = self._given_back()
        if self._out.json:
            self._out.raw(msgspec.json.encode({"redriven": redriven, "items": outcomes}))
        for one in outcomes:
            if one.outcome in ("failed", "failed_again"):
                self._out.say(f"{one.id}: {told(one.outcome.replace('_', ' '))}: {told(one.message)}")
        self._out.say(tn("{n} message redriven", "{n} messages redriven", redriven))


def instance_of(message: ErrorMessage) -> str:
    """Return the instance a message is about; `-` when its body does not tell."""
    args = message.body.get("args") if isinstance(message.body, dict) else None
    event = args[0] if isinstance(args, list) and args else None
    return str(event.get("instanceId", "-")) if isinstance(event, dict) else "-"


def _chosen(session: Session, system: str, text: str, least: int = 1) -> ErrorMessage:
    """Return the message that is meant, of those the gateway shows. Raises `TooShort`, `Rejected`: none, or several."""
    page = session.maestro.errors(system, _PAGE).value
    exact = [one for one in page.errors if one.id == text]
    if not exact:
        check_length(text, least)
    found = exact[:1] or [one for one in page.errors if one.id.startswith(text)]
    if len(found) == 1:
        return found[0]
    if found:
        raise refused(400, f"{text}: several messages' ids begin so")
    where = f" among the oldest {_PAGE} of {page.total:,}" if page.total > _PAGE else ""
    raise refused(_NOT_FOUND, f"no message {text} on the error queue of {system}{where}")


def _indented(body: object) -> str:
    return msgspec.json.format(msgspec.json.encode(body), indent=2).decode()

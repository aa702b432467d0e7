"""A decision that covers its tag (semantics: Covers its tag).

One user action on an open branch becomes several persist events of one tag, which are held one after the other. A
decision with `covers` is stored as a *cover* and taken for the documents of the same tag and event name that become
pending within `tag_window` seconds, if they are no larger than the cover allows, the policies are content with the
decision, and that person may still decide.
What does not fit waits for a person. Who may is known outside: it is asked for (`CheckDeciders`) each time.
"""

from dataclasses import dataclass
from typing import Final

from maestro.json_text import text_of
from maestro.messages.answers import Code
from maestro.messages.decisions import UNLIMITED, Budget, Covers
from maestro.rules import commands as do
from maestro.rules import demanding, facts
from maestro.rules.asking import refuse
from maestro.rules.commands import Decider
from maestro.rules.cover import Cover
from maestro.rules.document import Approval, Document
from maestro.rules.preview import digest
from maestro.rules.rendering import wire_time
from maestro.rules.state import System
from maestro.rules.status import Status
from maestro.rules.step import DropCover, SaveCover, Step

NO_TAG: Final = "covers: reprocessing {id} has no tag"


@dataclass(frozen=True, slots=True)
class Covered:
    """A pending document that a cover decides, and what its history says of that."""

    document: Document
    cover: Cover
    cause: str


def event_name(doc: Document) -> str:
    """Return the name of the held event."""
    return text_of(doc.pending_event, "name")


def possible(doc: Document, fact: facts.Approved | facts.Skipped, step: Step) -> bool:
    """Whether the decision may cover what it says; else refuse."""
    if fact.covers is None or doc.tag:
        return True
    refuse(fact, Code.CONFLICT, NO_TAG.format(id=doc.id), step)
    return False


def remember(
    system: System, doc: Document, fact: facts.Approved | facts.Skipped, step: Step, *, budget: Budget = UNLIMITED
) -> str:
    """Store that a decision which is being made covers its tag; return what the history says of it."""
    if fact.covers is None:
        return ""
    approves = isinstance(fact, facts.Approved)
    limit = doc.total if fact.covers.limit is None else fact.covers.limit
    deciders: tuple[Decider, ...] = (_decider(fact.user, fact.reason, fact.covers),)
    first = doc.first_approval if approves and demanding.two_approvers(system, doc) else None
    if first is not None:
        if first.covers is None:
            return f"it covers nothing else: {first.user} approved this one alone"
        deciders = (_decider(first.user, first.reason, first.covers), *deciders)
        limit = limit if first.covers.limit is None else min(limit, first.covers.limit)
    until = system.now + system.rules.tag_window
    cover = Cover(doc.id, doc.tag, event_name(doc), approves, deciders, limit, system.now, until, budget)
    for known in list(system.covers.values()):
        if known.until < system.now or known.subject == cover.subject:
            _drop(system, known, step)
    system.covers[cover.subject] = cover
    step.save(SaveCover(cover))
    return f"it covers tag {doc.tag} until {wire_time(until)} UTC, up to {limit} units each"


def withdraw(system: System, doc: Document, step: Step) -> None:
    """Have the cover of a document's tag, if there is one, decide nothing more: somebody changed their mind."""
    cover = system.covers.get((doc.tag, event_name(doc))) if doc.tag and system.covers else None
    if cover is not None:
        _drop(system, cover, step)


def offer(system: System, doc: Document, step: Step) -> None:
    """Have a pending document decided by the cover of its tag, once it is known that its deciders still may.

    Not once the cover's time is over: a restart does not decide what was left to a person.
    """
    cover = _fitting(system, doc)
    if cover is not None and system.now <= cover.until:
        doc.cover_token = system.token()
        step.do(do.CheckDeciders(doc.id, doc.cover_token, cover.deciders))


def taken(system: System, fact: facts.DecidersChecked) -> Covered | None:
    """Return the document that is decided now that its deciders are checked; None: it waits for a person."""
    doc = system.documents.get(fact.id)
    if doc is None or doc.cover_token != fact.token or fact.problem:
        return None
    cover = _fitting(system, doc)  # it may have grown, or been decided, meanwhile
    if cover is None:
        return None
    if cover.approves and demanding.two_approvers(system, doc):
        first = cover.deciders[0]
        doc.first_approval = Approval(first.user, system.now, first.reason, doc.revision, spent=True)
    shown = digest(doc.held_instance, doc.units)
    return Covered(doc, cover, f"covered by the decision about {cover.document_id}; preview {shown}, {doc.total} units")


def _decider(user: str, reason: str, covers: Covers) -> Decider:
    return Decider(user, reason, covers.via, covers.expires, covers.token)


def _fitting(system: System, doc: Document) -> Cover | None:
    cover = system.covers.get((doc.tag, event_name(doc))) if doc.tag and system.covers else None
    if cover is None or doc.status is not Status.PENDING or system.pending() is not doc:
        return None
    in_time = cover.since <= doc.history[0].at <= cover.until
    if cover.approves:
        enough = len(cover.deciders) > 1 or not demanding.two_approvers(system, doc)
    else:
        enough = demanding.may_be_skipped(system, doc)
    return cover if in_time and enough and doc.total <= cover.limit else None


def _drop(system: System, cover: Cover, step: Step) -> None:
    del system.covers[cover.subject]
    step.save(DropCover(cover))

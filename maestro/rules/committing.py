"""The commit: begun with its verdict stored, and never made twice on a guess (semantics: The commit).

Domain's commit is not idempotent, may take hours, and may store the data and fail then. So a call that was begun and
brought no `ok` leaves its commit *in doubt*, and its system stalled, so that order is kept. What happens next:

    call ── ok ─────────────────────────────────────────────> made
     │ ├─ nothing was sent ──> call again, at growing intervals
     │ └─ no `ok`, or the process died ──> in doubt ──> look for proof, until the commit has ended
     │                                          │ rows, Domain's outcome ──> made
     └────── not made, or harmless to repeat <──┤ (past the usual tries: refused)
                                                └ no proof possible ──> a person's word

The functions here say how a case goes on; `concluding` carries out what they conclude.
"""

from collections.abc import Iterator
from enum import StrEnum
from math import inf

from maestro import backoff
from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.delivery import Delivery, Verdict
from maestro.rules.document import Document
from maestro.rules.doubt import Case, CaseState, CommitEnd, Doubt, Finding, Use
from maestro.rules.state import System
from maestro.rules.step import SaveCommits, SaveDocument, SaveDoubt, Step
from maestro.rules.unit import UnitState

#: Seconds between two tries while a sibling is out of reach, at most.
LONGEST_PAUSE = 60.0
#: Seconds between two looks for proof, at most; the first comes after `FIRST_LOOK`, each next after twice the time.
LONGEST_LOOK = 10.0
FIRST_LOOK = 0.25
#: Seconds for which the map may be no answer yet: API core and Domain take 10 s to know a new one.
MAP_IS_READY = 15.0
#: Seconds after which no answer about the instance's rows, from a Domain that answers, counts as none.
NEVER_KNOWN = 600.0
#: Seconds that the platform's clocks may be off ours.
CLOCKS = 60.0


#: Making it again changes no data.
HARMLESS = frozenset({Finding.HARMLESS, Finding.HARMLESS_NO_ROWS})


class Conclusion(StrEnum):
    """What is to be done about a case now."""

    CALL = "call"
    MADE = "made"
    REFUSED = "refused"
    UNPROVED = "unproved"


def resume(system: System, use: Use, key: str, instance_id: str, step: Step) -> int:
    """Take up a commit that was begun in a former life: it is in doubt. Return the token of the question."""
    cause = "Maestro ended while the commit was under way"
    case = Case(use, key, instance_id, CaseState.DOUBT, since=system.now, cause=cause, calls=2)
    system.cases[case.what] = case
    case.perhaps = system.rules.commit_repeatable or owner_of(system, case).repeated
    if system.rules.commit_repeatable:
        _pause(system, case, 0.0, step)
    else:
        _ask(system, case, step)
    return case.token


def after_call(  # noqa: PLR0911 - one for each end
    system: System, case: Case, end: CommitEnd, cause: str, step: Step
) -> Conclusion | None:
    """A call ended without `ok`."""
    case.cause, case.token = cause, 0
    if end is CommitEnd.NOT_BEGUN:
        case.unsent_since = case.unsent_since or system.now
        if case.use is not Use.EVENT and system.now - case.unsent_since >= system.rules.outage_limit:
            return Conclusion.REFUSED
        _wait_to_call(system, case, step)
        return None
    case.unsent_since = 0.0
    if end is CommitEnd.NO_DOMAIN:
        case.tries += 1
        if case.tries >= system.rules.commit_tries:
            return Conclusion.REFUSED
        _wait_to_call(system, case, step)
        return None
    if end is CommitEnd.NO_ROUTE:
        if case.looked_up:
            return Conclusion.REFUSED
        case.looked_up = True
        return Conclusion.CALL
    case.tries += 1
    if system.rules.commit_repeatable:
        case.perhaps, case.since, case.ended = True, case.since or system.now, end is CommitEnd.REFUSED
        if end is CommitEnd.REFUSED and case.tries >= system.rules.commit_tries:
            return Conclusion.REFUSED
        if case.tries == 1:
            return Conclusion.CALL
        _wait_to_call(system, case, step)
        return None
    case.state, case.since, case.pauses = CaseState.DOUBT, system.now, 0
    case.ended = end is CommitEnd.REFUSED
    case.settled = case.heard_at = case.unknown_since = 0.0
    _ask(system, case, step)
    return None


def after_proof(system: System, case: Case, proof: facts.ProofFound, step: Step) -> Conclusion | None:
    """Proof was looked for. Absence proves nothing before the commit has ended."""
    case.token = 0
    _count_heard(system, case, proof.finding)
    only_one = only_commit(system, case)
    alone = only_one and young_enough(system, proof.began)
    is_made = (alone and proof.finding is Finding.ROWS) or (only_one and is_stored(system, case))
    if is_made and _is_over(system, case):
        return Conclusion.MADE
    if not has_ended(system, case):
        _look_again(system, case, step)
        return None
    beside = owner_of(system, case).beside
    absent = alone and proof.finding in (Finding.NO_ROWS, Finding.HARMLESS_NO_ROWS)
    if (absent or proof.finding in HARMLESS) and not beside:
        case.perhaps = not absent
        if absent:
            note_repeated(owner_of(system, case), step, repeated=False)
        return _again(system, case, step)
    wait_for = {Finding.SILENT: inf, Finding.UNKNOWN: NEVER_KNOWN, Finding.NO_MAP: MAP_IS_READY}.get(proof.finding, 0.0)
    case.unknown_since = case.unknown_since or system.now
    if system.now - case.unknown_since < wait_for:
        _look_again(system, case, step)
        return None
    return Conclusion.UNPROVED


def after_outcome(system: System, case: Case, fact: facts.InstanceEnded, step: Step) -> Conclusion | None:
    """The platform says how the instance's commit ended: presence proves, an error says that it has ended.

    An error may be the late outcome of an earlier call: it counts for the first one only.
    """
    if case.state is CaseState.CALLED:
        return None  # the call's answer is awaited: what it changes is not over before
    if fact.stored:
        return Conclusion.MADE if only_commit(system, case) and _is_over(system, case) else None
    if case.state is CaseState.DOUBT and case.calls == 1:
        case.ended = True
        if not case.token:
            _ask(system, case, step)
    return None


def has_ended(system: System, case: Case) -> bool:
    """Whether nothing of the commit can be under way at Domain any more."""
    return case.ended or case.settled >= settle_time(system)


def _is_over(system: System, case: Case) -> bool:
    """Whether nothing can follow what was found to be made: of one that was called again it may be the former call."""
    return not owner_of(system, case).repeated or has_ended(system, case)


def is_stored(system: System, case: Case) -> bool:
    """Whether Domain's outcome came: of what is called again perhaps that of a former call."""
    if case.use is Use.EVENT:
        return system.deliveries[case.key].stored
    doc = system.documents[case.key]
    return doc.held_stored if case.use is Use.HELD else doc.current is not None and doc.current.stored


def settle_time(system: System) -> float:
    """Return the seconds, with Domain answering, after which a commit that was begun counts as ended."""
    return max(system.rules.commit_settle, 3 * system.longest_commit)


def on_woken(system: System, what: str, step: Step) -> Conclusion | None:
    """A pause is over: look for proof, or call."""
    case = system.cases.get(what)
    if case is None or case.token:
        return None
    if case.state is CaseState.DOUBT and not system.rules.commit_repeatable:
        _ask(system, case, step)
        return None
    return Conclusion.CALL


def begin(system: System, own: Delivery | Document, step: Step) -> None:
    """A commit is called: note of it, and of those under way beside it, that they may replace each other's rows.

    There are some beside a run without lock, and one that was given up by hand may not have ended until it is resolved.
    """
    beside = any(not doubt.ended for doubt in system.open_doubts)
    if system.live or system.unfinished:
        for other in under_way(system):
            if other is not own and _may_touch(own, other):
                beside = True
                _note_beside(other, step, beside=True)
    _note_beside(own, step, beside=beside)


def under_way(system: System) -> Iterator[Delivery | Document]:
    """Yield whose commits are called, and not known to be made or not: events, and documents of runs."""
    yield from (doc for doc in system.live.values() if is_called(doc))
    yield from (delivery for delivery in system.unfinished if not delivery.not_begun)
    judged = system.judged
    if judged is not None and judged.verdict is Verdict.COMMIT and not judged.not_begun:
        yield judged


def is_called(doc: Document) -> bool:
    """Whether the held commit of a run, or a replay's, was called, and is not known to be made or not."""
    unit = doc.current
    replays = unit is not None and unit.state is UnitState.COMMITTING and unit.begun
    return doc.running and (replays or (doc.held_begun and not doc.held_committed))


def _may_touch(one: Delivery | Document, other: Delivery | Document) -> bool:
    """Whether two commits may change the same rows, as far as it is known what they change.

    Which rows one creates is not known: the other may have read them, and change them.
    """
    if one.footprint is None or other.footprint is None:
        return True
    if (one.footprint.created and other.footprint.changed) or (other.footprint.created and one.footprint.changed):
        return True
    return not set(one.footprint.rows(_branch(one))).isdisjoint(other.footprint.rows(_branch(other)))


def _branch(owner: Delivery | Document) -> str:
    """Return the branch that a commit is made on."""
    if isinstance(owner, Document) and owner.held_committed and owner.current is not None:
        return owner.current.branch
    return owner.branch


def _note_beside(owner: Delivery | Document, step: Step, *, beside: bool) -> None:
    if owner.beside is beside:
        return
    owner.beside = beside
    _save(owner, step)


def _save(owner: Delivery | Document, step: Step) -> None:
    if isinstance(owner, Delivery):
        step.save_decided(owner)
    else:
        step.save(SaveDocument(owner))


def owner_of(system: System, case: Case) -> Delivery | Document:
    """Return whose commit it is: the event's delivery, or the document of the run."""
    return system.deliveries[case.key] if case.use is Use.EVENT else system.documents[case.key]


def put_off(system: System, case: Case, step: Step) -> bool:
    """Put a call off while another commit is in doubt: made beside that, it would spoil the proof."""
    if all(other is case or other.state is not CaseState.DOUBT for other in system.cases.values()):
        return False
    case.state, case.token = CaseState.TO_CALL, 0
    system.stall(case.what, "domain", f"commit of {case.instance_id} waits for another one that is in doubt")
    _pause(system, case, backoff.pause(case.pauses, FIRST_LOOK, LONGEST_LOOK), step)
    return True


def called(system: System, case: Case, token: int, step: Step) -> None:
    """The commit is called again."""
    case.state, case.token = CaseState.CALLED, token
    case.calls += 1
    note_repeated(owner_of(system, case), step, repeated=case.perhaps and not system.rules.commit_repeatable)


def note_repeated(owner: Delivery | Document, step: Step, *, repeated: bool) -> None:
    """Note whether a former call may have made what is called now: that holds after a crash, too."""
    if owner.repeated is not repeated:
        owner.repeated = repeated
        _save(owner, step)


def made(system: System, use: Use, key: str, took: float, step: Step) -> None:
    """A commit is made: nothing of it is in doubt any more. One that took long is remembered."""
    if system.cases:
        leave(system, Case(use, key, "", CaseState.CALLED).what)
    if use is not Use.EVENT:
        note_repeated(system.documents[key], step, repeated=False)
    if took > system.longest_commit:
        remarkable = 3 * took > system.rules.commit_settle
        system.longest_commit = took
        if remarkable:
            step.save(SaveCommits(took, system.remembers_from))


def leave_in_doubt(system: System, delivery: Delivery, cause: str, step: Step) -> None:
    """Leave an event's commit to a person's word: nobody knows whether it was made."""
    key, last = str(delivery.number), system.ledger.last
    doubt = Doubt(key, Use.EVENT, delivery.instance_id, delivery.key, "", system.now, cause, last=last)
    delivery.doubt = doubt.key
    system.doubts[doubt.key] = doubt
    step.save(SaveDoubt(doubt))


def leave(system: System, what: str) -> None:
    """A case is closed: the system waits for it no more."""
    system.cases.pop(what, None)
    system.stalls.pop(what, None)


def only_commit(system: System, case: Case) -> bool:
    """Whether no other commit of the case's instance is recorded, begun or possible, as far as is remembered."""
    own = case.key if case.use is Use.EVENT else ""
    if case.use is Use.REPLAY:
        current = system.documents[case.key].current
        own = current.result_key if current is not None else ""
    return only(system, case.instance_id, own, case.key if case.use is Use.HELD else "")


def only(system: System, instance_id: str, delivery: str, document: str) -> bool:
    """Whether no commit of the instance is recorded, begun or possible but that of a delivery, or of a held event.

    That one may have been in doubt before, and somebody said that it is to be made again.
    """
    if instance_id in system.forgotten:
        return False
    if any(one.instance_id == instance_id and not one.is_of(delivery, document) for one in system.doubts.values()):
        return False
    if any(
        one.instance_id == instance_id and one.verdict is Verdict.COMMIT and one.key != delivery
        for one in system.deliveries.values()
    ):
        return False
    return not any(
        doc.held_instance == instance_id and (doc.held_committed or doc.held_begun) and doc.id != document
        for doc in system.documents.values()
    )


def young_enough(system: System, began: float | None) -> bool:
    """Whether the instance began since every commit is remembered: none of its commits is forgotten."""
    return not system.remembers_from or (began is not None and began > system.remembers_from + CLOCKS)


def _count_heard(system: System, case: Case, finding: Finding) -> None:
    """Count the time for which Domain has answered without a break. A jump of the clock counts as one look at most."""
    if finding is Finding.SILENT:
        case.settled = case.heard_at = case.unknown_since = 0.0
        return
    if finding not in (Finding.UNKNOWN, Finding.NO_MAP):
        case.unknown_since = 0.0
    if case.heard_at:
        case.settled += min(max(0.0, system.now - case.heard_at), 2 * _longest_look(system))
    case.heard_at = system.now


def _longest_look(system: System) -> float:
    return min(LONGEST_LOOK, max(FIRST_LOOK, settle_time(system) / 6))


def _ask(system: System, case: Case, step: Step) -> None:
    system.stall(case.what, "domain", f"commit of {case.instance_id} in doubt: {case.cause}")
    case.state, case.token = CaseState.DOUBT, system.token()
    step.do(do.AskProof(case.token, case.instance_id, bool(system.remembers_from)))


def _look_again(system: System, case: Case, step: Step) -> None:
    system.stall(case.what, "domain", f"commit of {case.instance_id} in doubt: {case.cause}")
    _pause(system, case, backoff.pause(case.pauses, FIRST_LOOK, _longest_look(system)), step)


def _wait_to_call(system: System, case: Case, step: Step) -> None:
    """The next call is due after a pause: as the usual tries have it, then longer."""
    case.state = CaseState.TO_CALL
    sibling = "apicore" if case.cause.startswith("apicore.") else "domain"
    system.stall(case.what, sibling, f"commit of {case.instance_id} not begun: {case.cause}")
    _pause(system, case, backoff.pause(case.pauses, system.rules.commit_backoff, LONGEST_PAUSE), step)


def _pause(system: System, case: Case, seconds: float, step: Step) -> None:
    case.pauses += 1
    step.do(do.WakeAt(do.Topic.COMMIT, case.what, system.now + seconds))


def _again(system: System, case: Case, step: Step) -> Conclusion | None:
    """It is not made, or repeating it changes nothing: the next try, or the last one is over."""
    if case.tries >= system.rules.commit_tries:
        return Conclusion.REFUSED
    case.state = CaseState.TO_CALL
    if not case.tries:  # a former life called it: this one's tries begin
        return Conclusion.CALL
    case.pauses = 0
    _pause(system, case, system.rules.commit_backoff * 2.0 ** (case.tries - 1), step)
    return None

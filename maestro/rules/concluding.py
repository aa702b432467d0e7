"""What becomes of a commit that had no `ok` at once: the conclusions of `committing`, carried out for each use.

An event's commit ends on its error queue, a held one's and a replay's end their run.
"""

from maestro.rules import committing, ending, facts, judging, kept, remembering, replaying, visibility
from maestro.rules.committing import Conclusion
from maestro.rules.delivery import Delivery, Verdict
from maestro.rules.document import MAESTRO, Document, Stage
from maestro.rules.doubt import Case, CaseState, Doubt, Use, Word
from maestro.rules.outbox import drop_texts
from maestro.rules.settling import finish, forget_commit
from maestro.rules.state import JudgingStage, System
from maestro.rules.status import Trigger
from maestro.rules.step import ForgetDoubt, SaveDelivery, SaveDocument, SaveDoubt, SaveUnit, Step
from maestro.rules.unit import UnitState

#: Domain says so when a commit failed; other errors of an instance say nothing of its commit.
DOMAIN_FAILED = "system.process.persist"
#: Resolved doubts that are kept, so that what comes back from an error queue is known.
RESOLVED_KEPT = 1_000


def on_commit_failed(system: System, fact: facts.CommitFailed, step: Step) -> None:
    """A call ended without `ok`."""
    case = _under_way(system, fact.token)
    if case is not None:
        system.cases[case.what] = case
        if committing.is_stored(system, case) and not committing.owner_of(system, case).repeated:
            _conclude(system, case, Conclusion.MADE, step)
        else:
            _conclude(system, case, committing.after_call(system, case, fact.end, fact.cause, step), step)


def on_proof_found(system: System, fact: facts.ProofFound, step: Step) -> None:
    """Somebody looked for proof."""
    case = next((one for one in system.cases.values() if one.token == fact.token), None)
    if case is not None:
        _conclude(system, case, committing.after_proof(system, case, fact, step), step)
        if case.state is CaseState.DOUBT and case.what in system.cases and _ends_by_hand(system, case):
            give_up(system, case, step)  # one look was all that is waited for


def on_woken(system: System, what: str, step: Step) -> None:
    """A pause is over."""
    case = system.cases.get(what)
    if case is not None:
        _conclude(system, case, committing.on_woken(system, what, step), step)


def on_instance_ended(system: System, fact: facts.InstanceEnded, step: Step) -> None:
    """An outcome: it may say how a commit ended that is awaited, in doubt, or left to a person."""
    if not fact.stored and not fact.name.startswith(DOMAIN_FAILED):
        return
    for case in [one for one in system.cases.values() if one.instance_id == fact.instance_id]:
        _conclude(system, case, committing.after_outcome(system, case, fact, step), step)
    if not fact.stored:
        return
    _note_stored(system, fact.instance_id, step)
    for doubt in system.open_doubts:
        if doubt.instance_id == fact.instance_id and only_doubt(system, doubt) and is_over(system, doubt):
            resolve(system, doubt, Word.MADE, MAESTRO, "Domain's outcome says so", step)


def _ends_by_hand(system: System, case: Case) -> bool:
    """Whether somebody ended the run while the call was in hand: what it leaves in doubt is waited for no more."""
    return case.use is not Use.EVENT and system.documents[case.key].ending is not None


def give_up(system: System, case: Case, step: Step) -> None:
    """Give up a case by hand: what may have been begun is left in doubt, what was not is refused."""
    doubtful = case.state is not CaseState.TO_CALL or case.perhaps
    _conclude(system, case, Conclusion.UNPROVED if doubtful else Conclusion.REFUSED, step)


def only_doubt(system: System, doubt: Doubt) -> bool:
    """Whether rows or an outcome of the instance can only be of the commit that is left in doubt."""
    held = doubt.document if doubt.use is Use.HELD else ""
    return committing.only(system, doubt.instance_id, doubt.delivery, held)


def is_over(system: System, doubt: Doubt) -> bool:
    """Whether nothing can follow what was found to be made: else it may be of a former call."""
    owner = system.deliveries.get(doubt.delivery) if doubt.use is Use.EVENT else system.documents.get(doubt.document)
    return doubt.ended or owner is None or not owner.repeated


def end_by_hand(system: System, doc: Document, step: Step) -> None:
    """A run is ended by hand: a call in hand is awaited, a commit in doubt is left so."""
    for use in (Use.HELD, Use.REPLAY):
        case = case_of(system, use, doc.id)
        if case is not None and case.state is not CaseState.CALLED:
            give_up(system, case, step)


def case_of(system: System, use: Use, key: str) -> Case | None:
    """Return the case of an event's (by the delivery's key) or a document's commit."""
    return system.cases.get(Case(use, key, "", CaseState.CALLED).what)


def resolve(system: System, doubt: Doubt, word: str, user: str, reason: str, step: Step) -> None:
    """Record what became of a commit in doubt. What was not made may be judged, or retried.

    What was made is done: it must become visible, and the ledger looks who missed it and what it missed.
    """
    doubt.verdict, doubt.user, doubt.at, doubt.reason = word, user, system.now, reason
    step.save(SaveDoubt(doubt))
    doc = system.documents.get(doubt.document)
    if word == Word.MADE and not doubt.ended:  # perhaps only now
        kept.outdate(system, doc, step)
    if doc is not None:
        _settle_document(system, doubt, doc, step)
    delivery = system.deliveries.get(doubt.delivery)
    if delivery is not None:
        _settle_delivery(system, doubt, delivery, step)
    resolved = [one for one in system.doubts.values() if not one.open]
    for old in resolved[: max(0, len(resolved) - RESOLVED_KEPT)]:
        del system.doubts[old.key]
        step.save(ForgetDoubt(old.key))
        known = system.deliveries.get(old.delivery)
        if known is not None and known.doubt == old.key:
            forget_commit(system, known, step)


def _settle_document(system: System, doubt: Doubt, doc: Document, step: Step) -> None:
    """Note in a document what became of its commit in doubt; what is made is made for its run, too."""
    made = doubt.verdict == Word.MADE
    said = f"the commit of {doubt.instance_id} in doubt is made"
    if not made:
        said = f"the commit of {doubt.instance_id} in doubt is to be made again"
    doc.note(system.now, doubt.user, said, doubt.reason)
    doc.repeated = not made and doubt.user == MAESTRO and not system.rules.commit_repeatable  # a person knows better
    if doubt.use is Use.HELD:
        doc.held_committed, doc.held_begun, doc.held_stored = made, False, False
        if made:
            drop_texts(system, doc.held_instance, doc, step)
            visibility.owe(system, doc, step)
            remembering.held_committed(system, doc, step, in_doubt_since=doubt.last)
    elif made and doubt.use is Use.REPLAY and doubt.unit[0]:
        remembering.doubtful_replay_committed(system, doubt, doc.generation, step)
    if doubt.use is Use.REPLAY and doc.current is not None and doubt.is_about(doc.current):
        # Its run may still be being ended: no next life takes the commit up again.
        doc.current.begun = doc.current.stored = False
        step.save(SaveUnit(doc, doc.current))
    step.save(SaveDocument(doc))


def make_again(system: System, doubt: Doubt, step: Step) -> None:
    """Resolve a commit in doubt of a domain whose commits may be repeated (`platform.commit_repeatable`)."""
    resolve(system, doubt, Word.MAKE_AGAIN, MAESTRO, "the domain takes a commit again", step)


def _settle_delivery(system: System, doubt: Doubt, delivery: Delivery, step: Step) -> None:
    """What is made is done, wherever its copies are; what is not may be given back from the error queue."""
    if doubt.verdict == Word.MADE:
        system.counters.commit += doubt.use is Use.EVENT
        delivery.verdict, delivery.reason = Verdict.COMMIT, ""
        if doubt.use is Use.EVENT:
            drop_texts(system, delivery.instance_id, delivery, step)
            visibility.owe(system, delivery, step)
            remembering.event_committed(system, delivery, step)
        delivery.replay = doubt.use is Use.REPLAY  # no commit of flow 1, though its result was rejected meanwhile
        if delivery.done:
            step.save(SaveDelivery(delivery))
        else:
            finish(system, delivery, step)
    elif doubt.use is Use.EVENT:
        delivery.doubt, delivery.stored = "", False
        if delivery.done:
            finish(system, delivery, step)
        else:
            step.save(SaveDelivery(delivery))


def apply_resolved(system: System, doc: Document, step: Step) -> None:
    """A document is retried: replays whose commit was in doubt are done, or are committed again, as was said."""
    for doubt in system.doubts.values():
        if doubt.document != doc.id or doubt.use is not Use.REPLAY or doubt.open:
            continue
        for unit in doc.units.values():
            if unit.settled or not doubt.is_about(unit):
                continue
            if doubt.verdict == Word.MADE:
                unit.state, unit.done_at = UnitState.DONE, system.now
                unit.begun = unit.stored = False
                doc.replayed += 1
            else:
                unit.begun = False
            step.save(SaveUnit(doc, unit), SaveDocument(doc))
    doc.load(list(doc.order))


def _under_way(system: System, token: int) -> Case | None:
    """Return the case of the commit whose call carries the token; one without trouble so far becomes a case."""
    for case in system.cases.values():
        if case.token == token:
            return case
    delivery = system.judged
    if delivery is not None and system.judging_stage is JudgingStage.COMMIT and system.judging_token == token:
        return Case(Use.EVENT, delivery.key, delivery.instance_id, CaseState.CALLED, token)
    for doc in system.live.values():
        if doc.token == token and doc.stage is Stage.HELD_COMMIT:
            return _of_run(doc, Use.HELD, doc.held_instance, token)
        if doc.token == token and doc.stage is Stage.REPLAY_COMMIT and doc.current is not None:
            return _of_run(doc, Use.REPLAY, doc.current.result_instance, token)
    return None


def _of_run(doc: Document, use: Use, instance_id: str, token: int) -> Case:
    again = doc.repeated  # a former run called it, and that call has ended
    return Case(use, doc.id, instance_id, CaseState.CALLED, token, calls=1 + again, perhaps=again, ended=again)


def _conclude(system: System, case: Case, conclusion: Conclusion | None, step: Step) -> None:
    """Carry out what was concluded; while nothing was, keep stored whether the commit may have been begun."""
    conclusion = _as_it_may_be(system, case, conclusion)
    if conclusion is Conclusion.CALL and committing.put_off(system, case, step):
        conclusion = None
    if case.state is CaseState.DOUBT and conclusion is not None:
        ended = str(Conclusion.CALL if conclusion is Conclusion.REFUSED else conclusion)
        system.doubts_ended[ended] = system.doubts_ended.get(ended, 0) + 1
    match conclusion:
        case None:
            if case.state is CaseState.TO_CALL and not case.perhaps:
                _note_begun(system, case, step, begun=False)
        case Conclusion.CALL:
            _call(system, case, step)
        case Conclusion.MADE:
            _made(system, case, step)
        case Conclusion.REFUSED:
            _note_begun(system, case, step, begun=False)
            _forget_former(system, case, step)
            _failed(system, case, case.cause, step)
        case Conclusion.UNPROVED:
            doubt = _leave_in_doubt(system, case, step)
            _failed(system, case, doubt.reason_given, step)


def _forget_former(system: System, case: Case, step: Step) -> None:
    """A held commit that was in doubt and was called again is proved not to be made: that holds for both calls."""
    former = system.doubts.get(case.key) if case.use is Use.HELD else None
    if former is not None and not former.open:
        former.called_again = True
        step.save(SaveDoubt(former))


def _as_it_may_be(system: System, case: Case, conclusion: Conclusion | None) -> Conclusion | None:
    """Return what is concluded: of what is to end nothing is begun, what a former call may have made is in doubt."""
    if case.use is not Use.EVENT and (case.state is CaseState.TO_CALL or conclusion is Conclusion.CALL):
        doc = system.documents[case.key]
        if doc.ending is not None or doc.cancelling:
            conclusion = Conclusion.REFUSED
    return Conclusion.UNPROVED if conclusion is Conclusion.REFUSED and case.perhaps else conclusion


def _call(system: System, case: Case, step: Step) -> None:
    _note_begun(system, case, step, begun=True)
    if case.use is Use.EVENT:
        judging.order_commit(system, system.deliveries[case.key], step, again=True)
        committing.called(system, case, system.judging_token, step)
        return
    doc = system.documents[case.key]
    if case.use is Use.HELD:
        replaying.order_held_commit(system, doc, step)
    else:
        assert doc.current is not None
        replaying.order_replay_commit(system, doc, doc.current, step, again=True)
    committing.called(system, case, doc.token, step)


def _note_begun(system: System, case: Case, step: Step, *, begun: bool) -> None:
    """Store whether the commit may have been begun: after a crash it is in doubt, or simply made."""
    if case.use is Use.EVENT:
        delivery = system.deliveries[case.key]
        if delivery.not_begun is begun:
            delivery.not_begun = not begun
            step.save(SaveDelivery(delivery))
        return
    doc = system.documents[case.key]
    if case.use is Use.HELD and doc.held_begun is not begun:
        doc.held_begun = begun
        step.save(SaveDocument(doc))
    elif case.use is Use.REPLAY and doc.current is not None and doc.current.begun is not begun:
        doc.current.begun = begun
        step.save(SaveUnit(doc, doc.current))


def _made(system: System, case: Case, step: Step) -> None:
    if case.use is Use.EVENT:
        judging.commit_made(system, system.deliveries[case.key], 0.0, step)
        return
    doc = system.documents[case.key]
    if case.use is Use.HELD:
        replaying.held_commit_made(system, doc, 0.0, step)
    else:
        assert doc.current is not None
        replaying.replay_commit_made(system, doc, doc.current, 0.0, step)


def _failed(system: System, case: Case, cause: str, step: Step) -> None:
    committing.leave(system, case.what)
    if case.use is Use.EVENT:
        judging.fail(system, system.deliveries[case.key], cause, step)
        return
    doc = system.documents[case.key]
    doc.stage = None
    if doc.ending is None:  # else its clean-up is next
        trigger = Trigger.ABORT_PERSIST if case.use is Use.HELD else Trigger.FAIL
        ending.end(system, doc, trigger, cause, MAESTRO, step)


def _key_of(system: System, case: Case) -> str:
    """Return the key that a case has, or would have, as a commit in doubt."""
    if case.use is Use.EVENT:
        return str(system.deliveries[case.key].number)
    unit = system.documents[case.key].current
    if case.use is Use.HELD or unit is None:
        return case.key
    return f"{case.key}.{unit.position}.{unit.sends}"


def as_doubt(system: System, case: Case) -> Doubt:
    """Return what a case would be for a person."""
    key, doc = _key_of(system, case), system.documents.get(case.key)
    delivery, document = (case.key, "") if case.use is Use.EVENT else ("", case.key)
    doubt = Doubt(
        key, case.use, case.instance_id, delivery, document, case.since, case.cause,
        ended=committing.has_ended(system, case), overtaken=committing.owner_of(system, case).beside,
    )  # fmt: skip
    unit = doc.current if doc is not None and case.use is Use.REPLAY else None
    if unit is not None:
        doubt.delivery, doubt.unit, doubt.forking, doubt.logged = unit.result_key, unit.key, unit.forking, unit.logged
    return doubt


def word_on_case(system: System, case: Case, word: str, step: Step) -> None:
    """A person says what became of a commit that is still being looked after."""
    case.perhaps = False
    _conclude(system, case, Conclusion.MADE if word == Word.MADE else Conclusion.CALL, step)


def _leave_in_doubt(system: System, case: Case, step: Step) -> Doubt:
    """No proof is possible: a person has the word."""
    doubt = as_doubt(system, case)
    doubt.last = system.ledger.last
    if case.use is Use.EVENT:
        system.deliveries[case.key].doubt = doubt.key
    kept.outdate(system, system.documents.get(doubt.document), step)  # it may be made
    system.doubts[doubt.key] = doubt
    step.save(SaveDoubt(doubt))
    return doubt


def _note_stored(system: System, instance_id: str, step: Step) -> None:
    """Domain's outcome may come before its `ok`: with it stored, a crash leaves no doubt."""
    delivery = system.judged
    if delivery is not None and system.judging_stage is JudgingStage.COMMIT and delivery.instance_id == instance_id:
        delivery.stored = committing.only(system, instance_id, delivery.key, "")
        step.save(SaveDelivery(delivery))
        return
    for doc in system.live.values():
        unit = doc.current
        if doc.stage is Stage.HELD_COMMIT and doc.held_instance == instance_id:
            doc.held_stored = committing.only(system, instance_id, "", doc.id)
            step.save(SaveDocument(doc))
        elif doc.stage is Stage.REPLAY_COMMIT and unit is not None and unit.result_instance == instance_id:
            unit.stored = committing.only(system, instance_id, unit.result_key, "")
            step.save(SaveUnit(doc, unit))

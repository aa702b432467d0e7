"""A person's word on a commit in doubt, and what must be clear before a document is retried.

Nothing makes a commit in doubt again before that: neither a retry nor an event that comes back from its error queue.
"""

from maestro.messages.answers import Code
from maestro.rules import commands as do
from maestro.rules import committing, concluding, facts, judging
from maestro.rules.committing import HARMLESS, young_enough
from maestro.rules.document import MAESTRO
from maestro.rules.doubt import Case, CaseState, Doubt, Finding, Use, Word
from maestro.rules.rendering import wire_time, zoned_time
from maestro.rules.state import System
from maestro.rules.step import SaveDoubt, Step


def on_doubt_resolved(system: System, fact: facts.DoubtResolved, step: Step) -> None:
    """Take the word for it, once."""
    if fact.verdict not in list(Word):
        _refuse(fact, Code.INVALID, f"verdict: must be one of {', '.join(Word)}", step)
        return
    if not fact.reason:
        _refuse(fact, Code.INVALID, "reason: is missing", step)
        return
    case = next((one for one, doubt in _in_hand(system) if doubt.key == fact.key), None)
    doubt = system.doubts.get(fact.key)
    if case is not None:
        said = concluding.as_doubt(system, case)
        said.verdict, said.user, said.at, said.reason = fact.verdict, fact.user, system.now, fact.reason
        system.doubts[said.key] = said
        step.save(SaveDoubt(said))
        concluding.word_on_case(system, case, fact.verdict, step)
        step.do(do.Reply(fact.ticket, Code.OK, fields=doubt_fields(said)))
    elif doubt is None:
        _refuse(fact, Code.NOT_FOUND, f"no commit in doubt {fact.key}", step)
    elif not doubt.open:
        said_before = f"{doubt.verdict} by {doubt.user} at {wire_time(doubt.at)} UTC"
        _refuse(fact, Code.CONFLICT, f"commit in doubt {doubt.key} was already resolved: {said_before}", step)
    else:
        concluding.resolve(system, doubt, fact.verdict, fact.user, fact.reason, step)
        step.do(do.Reply(fact.ticket, Code.OK, fields=doubt_fields(doubt)))


def known_doubts(system: System) -> list[Doubt]:
    """Return the commits in doubt, oldest first: those whose end is being found out, and those left to a person."""
    return sorted([*doubts_in_hand(system), *system.open_doubts], key=lambda doubt: doubt.since)


def doubts_in_hand(system: System) -> list[Doubt]:
    """Return the commits in doubt that are still looked after: proof may come."""
    return [doubt for _, doubt in _in_hand(system)]


def _in_hand(system: System) -> list[tuple[Case, Doubt]]:
    cases = [case for case in system.cases.values() if case.state is CaseState.DOUBT]
    return [(case, concluding.as_doubt(system, case)) for case in cases]


def on_set_aside(system: System, fact: facts.SetAside, step: Step) -> None:
    """Set the event in hand aside: a commit of it that may have been begun is left in doubt."""
    delivery = system.judged
    case = concluding.case_of(system, Use.EVENT, delivery.key) if delivery is not None else None
    if delivery is None or case is None or case.state is CaseState.CALLED:
        judging.on_set_aside(system, fact, step)
    elif system.rules.require_reason and not fact.reason:
        step.do(do.Reply(fact.ticket, Code.INVALID, "reason: is missing"))
    else:
        why = f": {fact.reason}" if fact.reason else ""
        case.cause = f"set aside by {fact.user}{why} ({case.cause})"
        concluding.give_up(system, case, step)
        fields: do.Fields = (("number", delivery.number), ("instanceId", delivery.instance_id))
        step.do(do.Reply(fact.ticket, Code.OK, fields=fields))


def doubt_fields(doubt: Doubt) -> do.Fields:
    """Return a doubt as people see it."""
    fields: do.Fields = (
        ("key", doubt.key),
        ("use", str(doubt.use)),
        ("instanceId", doubt.instance_id),
        ("delivery", doubt.delivery),
        ("reprocessing", doubt.document),
        ("since", zoned_time(doubt.since)),
        ("cause", doubt.cause),
    )
    if doubt.open:
        return fields
    said: do.Fields = (
        ("verdict", doubt.verdict),
        ("user", doubt.user),
        ("at", zoned_time(doubt.at)),
        ("reason", doubt.reason),
    )
    return fields + said


def holds_up(system: System, fact: facts.Retried, step: Step) -> bool:
    """Whether a retry must wait for a proof of a commit that the document's last run left in doubt.

    It goes on with the document as it is now: one that waits keeps others from changing that (`asking.is_retried`).
    """
    doubt = _open_doubt(system, fact.id)
    if doubt is None:
        return False
    if system.rules.commit_repeatable:
        concluding.make_again(system, doubt, step)
        return holds_up(system, fact, step)
    token = system.token()
    system.retries[token] = fact
    step.do(do.AskProof(token, doubt.instance_id, began=bool(system.remembers_from)))
    return True


def proof_for_retry(system: System, proof: facts.ProofFound, step: Step) -> facts.Retried | None:
    """Return the retry that waited for this proof, if it may go on; refuse it otherwise.

    That there are no rows proves nothing here: other commits were made since, and may have replaced them. And nothing
    is made again that may be under way, not even what is harmless; nor a held commit over what was committed since, for
    the data it carries is older. A replay is sent again then. Beside a run without lock others are committed, and it
    would undo them.
    """
    fact = system.retries.pop(proof.token)
    doubt = _open_doubt(system, fact.id)
    if doubt is None:
        return fact
    alone = concluding.only_doubt(system, doubt) and young_enough(system, proof.began)
    if proof.finding is Finding.ROWS and alone and concluding.is_over(system, doubt):
        concluding.resolve(system, doubt, Word.MADE, MAESTRO, "its rows are in the domain", step)
    elif proof.finding in HARMLESS and doubt.ended and _stays_harmless(system, doubt):
        concluding.resolve(system, doubt, Word.MAKE_AGAIN, MAESTRO, "making it again changes no data", step)
    else:
        message = f"commit in doubt: of {doubt.instance_id}; resolve {doubt.key} first"
        step.do(do.Reply(fact.ticket, Code.CONFLICT, message))
        return None
    return fact


def _stays_harmless(system: System, doubt: Doubt) -> bool:
    """Whether no other commit was or will be made between the one in doubt and the one that would be made again."""
    if system.documents[doubt.document].forking:
        return False
    return doubt.use is not Use.HELD or not (doubt.overtaken or any(True for _ in committing.under_way(system)))


def _open_doubt(system: System, document_id: str) -> Doubt | None:
    return next((doubt for doubt in system.open_doubts if doubt.document == document_id), None)


def _refuse(fact: facts.DoubtResolved, code: Code, message: str, step: Step) -> None:
    step.do(do.Reply(fact.ticket, code, message))

"""What the policies demand of the decision about a document: asked when it is held, and again at every decision.

The policies that are configured when a decision is made count, and the document as it is then. Only `approve` is
different: it counts when the document becomes pending, and never later, for then a person has been asked. A document
records what was demanded last (`Document.demand`); what a restart with other policies changes stands in its history.
"""

from maestro.json_text import text_of
from maestro.messages.answers import Code
from maestro.rules import facts, policies
from maestro.rules.asking import refuse
from maestro.rules.document import MAESTRO, Document
from maestro.rules.ledger import Footprint
from maestro.rules.policies import Demand, Effect, Known, Verdict
from maestro.rules.state import System
from maestro.rules.status import Status
from maestro.rules.step import SaveDocument, Step
from maestro.rules.unit import name_of


def known_of(doc: Document, at: float) -> Known:
    """Return what is known of a document's held commit at a moment (seconds since the epoch)."""
    name = text_of(doc.pending_event, "name") if doc.late else name_of(doc.origin)
    rows = 0 if doc.late else doc.rows
    return Known(name or None, doc.branch, doc.total, rows, doc.origin, policies.day_of(at))


def weigh(system: System, doc: Document, at: float, *given: Effect) -> Verdict:
    """Hold the policies, and what other settings demand, against a document as it is."""
    if system.rules.two_approvers:
        given = (*given, Effect.TWO_APPROVERS)
    # What is stale already is `late.policy`'s: a policy can ask for more, but not spare anybody the decision.
    return policies.verdict(system.rules.policies, known_of(doc, at), *given, spares=not doc.late)


def when_held(system: System, doc: Document, *given: Effect) -> Verdict:
    """Weigh a document that becomes pending, and record what is demanded."""
    verdict = weigh(system, doc, system.now, *given)
    if system.rules.policies:
        doc.demand = verdict.demand(system.now, asked=False)
    return verdict


def _now(system: System, doc: Document) -> Demand:
    demand = weigh(system, doc, system.now).demand(system.now, asked=True)
    if system.rules.policies:
        doc.demand = demand
    return demand


def look_again(system: System, doc: Document, step: Step) -> None:
    """The document changed while it is pending: record what is demanded of it as it is now."""
    before, now = doc.demand, _now(system, doc)
    if before is not None and (before.approval, before.by) == (now.approval, now.by):
        doc.demand = before
    elif system.rules.policies:
        step.save(SaveDocument(doc))


def two_approvers(system: System, doc: Document) -> bool:
    """Whether two different people must approve what is decided about a document now; what policies say is recorded."""
    return system.rules.two_approvers or (
        bool(system.rules.policies) and _now(system, doc).approval is Effect.TWO_APPROVERS
    )


def may_be_skipped(system: System, doc: Document) -> bool:
    """Whether no policy refuses to skip a document; what policies say is recorded."""
    return not system.rules.policies or not _now(system, doc).skip_refused


def refuses_skip(system: System, doc: Document, fact: facts.Skipped | facts.StatusSet, step: Step) -> bool:
    """Whether a policy refuses to skip a document: then the caller is told which, and why."""
    if may_be_skipped(system, doc) or doc.demand is None:
        return False
    by = "; ".join(f"policy {one} says so: {one.why}" for one in doc.demand.of(Effect.REFUSE_SKIP))
    refuse(fact, Code.CONFLICT, f"reprocessing {doc.id} may not be skipped: {by}", step)
    return True


def approved_by(demand: Demand | None) -> str:
    """Say which policies approved a document; empty: none did."""
    by = () if demand is None else demand.of(Effect.APPROVE)
    return f"approved by policy {', '.join(map(str, by))}" if by else ""


def resume(system: System, step: Step) -> None:
    """After a restart: where the policies demand something else of what is pending, its history says so."""
    for doc in system.live.values():
        before = doc.demand
        if doc.status is not Status.PENDING or (before is None and not system.rules.policies):
            continue
        now = _now(system, doc)
        if not system.rules.policies:
            doc.demand = None
        if before is None or doc.demand is None or not before.says_the_same(now):
            doc.note(system.now, MAESTRO, f"by the policies as they are now: {now.text}", "")
            step.save(SaveDocument(doc))


def rows_of(footprint: Footprint) -> int:
    """Return how many rows a commit creates, changes or destroys."""
    return footprint.created + sum(len(bases) for _, bases in footprint.changed)

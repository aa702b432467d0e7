"""Two different approvers, where the setting or a policy asks for them: the first is recorded, the second decides.

What puts a run on its way needs both: to approve, retry, resume and reconsider (semantics: Flow 3, the decision).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from maestro.messages.answers import Code
from maestro.messages.decisions import UNLIMITED, Budget
from maestro.rules import commands as do
from maestro.rules import demanding, facts, preview
from maestro.rules.asking import refuse
from maestro.rules.budget import stricter
from maestro.rules.document import Approval, Document
from maestro.rules.state import System
from maestro.rules.step import SaveDocument, Step

#: How a reconsideration is answered whose second approval is to come.
NOTED: Final = "approval_noted"
Approving = facts.Approved | facts.StatusSet | facts.Retried | facts.ResumeAsked | facts.ReconsiderAsked
_KINDS: Final[Mapping[type[Approving], str]] = {
    facts.Approved: "approve",
    facts.StatusSet: "approve",
    facts.Retried: "retry",
    facts.ResumeAsked: "resume",
    facts.ReconsiderAsked: "reconsider",
}


def enough(system: System, doc: Document, fact: Approving, step: Step) -> bool:
    """Whether this approval decides; else it is recorded as the first one, or refused as the first one's again.

    A first approval counts no more once it was for other units, for something else, or its token was revoked.
    """
    if not demanding.two_approvers(system, doc):
        void(doc)  # one that was given when two were asked for neither decides nor limits
        return True
    kind, first, shown = _KINDS[type(fact)], doc.first_approval, _shown(doc, fact)
    counts = first is not None and not first.spent and first.kind == kind and _is_of_the_same(first, doc, shown)
    if first is None or not counts or fact.first_revoked:
        budget = UNLIMITED if isinstance(fact, facts.StatusSet | facts.ReconsiderAsked) else fact.budget
        covers = fact.covers if isinstance(fact, facts.Approved) else None
        doc.first_approval = Approval(
            fact.user, system.now, fact.reason, doc.revision, kind, budget, fact.token, covers=covers, digest=shown
        )
        step.save(SaveDocument(doc))
        if isinstance(fact, facts.ReconsiderAsked):  # it is answered as a sync persist is
            step.do(do.Reply(fact.ticket, Code.ACCEPTED, fields=(("status", NOTED),)))
        else:
            step.do(do.Reply(fact.ticket, Code.ACCEPTED, document_id=doc.id))
        return False
    if first.user == fact.user:
        message = f"reprocessing {doc.id} was approved by {first.user} before; another user must approve it, too"
        refuse(fact, Code.CONFLICT, message, step)
        return False
    return True


def _shown(doc: Document, fact: Approving) -> str:
    """Return the digest of what is approved where that may be an earlier preview: of a late reprocessing."""
    if not doc.late or not isinstance(fact, facts.Approved | facts.StatusSet):
        return ""
    given = fact.digest if isinstance(fact, facts.Approved) else ""
    return given or preview.digest(doc.held_instance, doc.units)


def _is_of_the_same(first: Approval, doc: Document, shown: str) -> bool:
    return first.digest == shown if shown else first.revision == doc.revision


def granted(doc: Document, budget: Budget) -> Budget:
    """Return what both approvals allow, and spend the first one. Without a first one `budget` is all there is."""
    first = doc.first_approval
    if first is None or first.spent:
        return budget
    spend(doc)
    return stricter(first.budget, budget)


def void(doc: Document) -> None:
    """What the first approval was given for is no more: it is taken back. One that has decided stays on record."""
    if doc.first_approval is not None and not doc.first_approval.spent:
        doc.first_approval = None


def spend(doc: Document) -> None:
    """The first approval was followed by a second one: it stays on record, and counts for nothing further."""
    if doc.first_approval is not None:
        doc.first_approval = replace(doc.first_approval, spent=True)

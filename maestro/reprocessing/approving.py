"""Two different approvers, where a system's policy asks for them: the first is recorded, the second decides."""

from maestro.messages import Code
from maestro.reprocessing import commands as do
from maestro.reprocessing import facts
from maestro.reprocessing.asking import refuse
from maestro.reprocessing.document import Approval, Document
from maestro.reprocessing.state import System
from maestro.reprocessing.step import SaveDocument, Step


def enough(system: System, doc: Document, fact: facts.Approved | facts.StatusSet, step: Step) -> bool:
    """Whether this approval decides; else it is recorded as the first one, or refused as the first one's again.

    A first approval of other units than there are now counts no more.
    """
    if not system.rules.two_approvers:
        return True
    first = doc.first_approval
    if first is None or first.revision != doc.revision:
        covers = fact.covers if isinstance(fact, facts.Approved) else None
        doc.first_approval = Approval(fact.user, system.now, fact.reason, doc.revision, covers)
        step.save(SaveDocument(doc))
        step.do(do.Reply(fact.ticket, Code.ACCEPTED, document_id=doc.id))
        return False
    if first.user == fact.user:
        message = f"reprocessing {doc.id} was approved by {first.user} before; another user must approve it, too"
        refuse(fact, Code.CONFLICT, message, step)
        return False
    return True

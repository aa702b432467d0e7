"""What all decisions share: the document they name, whether they are allowed, and the answer to the caller."""

from typing import Protocol

from maestro.messages.answers import Code
from maestro.rules import commands as do
from maestro.rules.document import MAESTRO, Document
from maestro.rules.rendering import wire_time
from maestro.rules.state import System
from maestro.rules.status import TRANSITIONS, Trigger
from maestro.rules.step import Step


class Decision(Protocol):
    """A fact of `facts` by which a person decides about a document. All but a re-check have a `reason`."""

    @property
    def id(self) -> str:
        """The document."""

    @property
    def user(self) -> str:
        """Who decides."""

    @property
    def ticket(self) -> int:
        """Whom to answer."""


def found(system: System, fact: Decision, step: Step) -> Document | None:
    """Return the document the decision is about; else refuse. So is a decision without the reason it must have."""
    doc = system.documents.get(fact.id)
    if doc is None:
        refuse(fact, Code.NOT_FOUND, f"no reprocessing {fact.id}", step)
    elif system.rules.require_reason and getattr(fact, "reason", None) == "":
        refuse(fact, Code.INVALID, "reason: is missing", step)
    else:
        return doc
    return None


def allowed(system: System, fact: Decision, trigger: Trigger, step: Step) -> Document | None:
    """Return the document if its status allows `trigger` now; else refuse."""
    doc = found(system, fact, step)
    if doc is None:
        return None
    if trigger not in TRANSITIONS[doc.status] or doc.ending is not None or doc.cancelling:
        conflict(fact, doc, step)
        return None
    return doc


def conflict(fact: Decision, doc: Document, step: Step) -> None:
    """Refuse because of what the document is: say what that is, since when and by whom, and who decided it."""
    last = doc.taken
    state = str(doc.status)
    if doc.ending is not None:
        state = f"{doc.status}, ending by {doc.ending.user}"
    elif doc.cancelling:
        state = f"{doc.status}, being cancelled by {doc.cancelling}"
    elif doc.pausing:
        state = f"{doc.status}, being paused by {doc.pausing}"
    since = f"by {last.user} at {wire_time(last.at)} UTC"
    decision = next((entry for entry in doc.moves() if entry.user != MAESTRO), last)
    if decision is not last:  # what Maestro did since was carrying it out
        since += f"; {decision.status} by {decision.user} at {wire_time(decision.at)} UTC"
    refuse(fact, Code.CONFLICT, f"reprocessing {doc.id} is {state} ({since})", step)


def answer(fact: Decision, doc: Document, step: Step, fields: do.Fields = ()) -> None:
    """Answer with the document."""
    step.do(do.Reply(fact.ticket, Code.OK, document_id=doc.id, fields=fields))


def refuse(fact: Decision, code: Code, message: str, step: Step) -> None:
    """Answer why not."""
    step.do(do.Reply(fact.ticket, code, message))


def is_retried(system: System, fact: Decision, step: Step) -> bool:
    """Whether a retry of the document waits for a proof. Says so to who asks."""
    waiting = next((one for one in system.retries.values() if one.id == fact.id), None)
    if waiting is None:
        return False
    message = (
        f"reprocessing {fact.id} is being retried by {waiting.user}: that waits for a proof of its commit in doubt"
    )
    refuse(fact, Code.CONFLICT, message, step)
    return True

"""What people decide at the gateway becomes facts: with what the store alone knows of the document in question."""

from collections.abc import Callable

from msgspec import structs

from maestro.messages.decisions import Approve, Decision, LeaveOut, Reconsider, Resume, Retry, SetStatus, Skip
from maestro.rules import facts
from maestro.rules.state import System
from maestro.system.repository import Repository


def fact_of(  # noqa: PLR0911 - one for each kind of decision
    decision: Decision,
    ticket: int,
    system: System,
    repository: Repository,
    revoked: Callable[[str], bool] = lambda _token: False,
) -> facts.Fact:
    """Return the fact that somebody decided so; `ticket` is answered with what came of it. Raises `StoreDamaged`.

    `revoked`: whether the token of an id is no more; the first of two approvals that was given with it counts no more.
    """
    doc = system.documents.get(decision.id)
    first = doc.first_approval if doc is not None else None
    gone = first is not None and bool(first.token) and revoked(first.token)
    match decision:
        case Approve(id=id_, user=user, reason=reason, digest=digest, budget=budget, token=token, covers=covers):
            seen = repository.preview(id_, digest) if digest and id_ in system.documents else None
            return facts.Approved(id_, user, ticket, reason, digest, seen, budget, token, gone, covers)
        case Skip(id=id_, user=user, reason=reason, covers=covers, digest=digest):
            seen = repository.preview(id_, digest) if digest and id_ in system.documents else None
            return facts.Skipped(id_, user, ticket, reason, covers, digest, seen)
        case Retry(id=id_, user=user, reason=reason, budget=budget, token=token):
            units = repository.units(id_) if doc is not None and not doc.live else ()
            return facts.Retried(id_, user, ticket, units, reason, budget, token, gone)
        case Resume(id=id_, user=user, reason=reason, budget=budget, token=token):
            return facts.ResumeAsked(id_, user, ticket, reason, budget, token, gone)
        case Reconsider(id=id_, user=user, reason=reason, token=token):
            return facts.ReconsiderAsked(id_, user, ticket, reason, token, gone)
        case LeaveOut(id=id_, user=user, units=units_, reason=reason):
            stored = repository.units(id_) if doc is not None and not doc.live else ()
            return facts.LeaveOutAsked(id_, user, ticket, units_, stored, reason)
        case SetStatus(id=id_, status=status, user=user, reason=reason, token=token):
            return facts.StatusSet(id_, status, user, ticket, reason, token, gone)
        case _:
            return facts.PLAIN[type(decision)](ticket=ticket, **structs.asdict(decision))

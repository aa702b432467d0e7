"""What a command that failed is answered by: none is left without an answer."""

from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.doubt import CommitEnd, Finding
from maestro.rules.facts import Fact


def failure(command: do.Command, cause: str, sibling: str = "", asked_at: float = 0.0) -> Fact:  # noqa: C901, PLR0911, PLR0912 - each kind
    """Return the fact that a failed command ends in. `sibling`: who may be out of reach."""
    match command:
        case do.AskImpact(token=token) | do.FetchOrigins(token=token):
            return facts.JudgingFailed(token, cause, sibling)
        case do.AskFootprint(token=token):
            return facts.FootprintFound(token, None)
        case do.Commit(token=token) | do.CommitHeld(token=token) | do.CommitReplay(token=token):
            return facts.CommitFailed(token, CommitEnd.LOST, cause)
        case do.AskProof(token=token):
            return facts.ProofFound(token, Finding.SILENT)
        case do.AskCanary(what=what, token=token):
            return facts.CanaryAsked(what, token, answered=False)
        case do.Look(key=key, token=token) | do.SetFinished(key=key, token=token):
            return facts.LookFailed(key, token, cause, asked_at)
        case do.AskAgain(key=key, token=token):
            return facts.AskAgainFailed(key, token, cause)
        case do.AskFollowing(id=id_, send=send, instance_id=instance):
            return facts.FollowingKnown(id_, send, instance, follows=True)
        case do.Notify(id=id_, token=token):
            return facts.Notified(id_, token)
        case (
            do.AskStartImpact(id=id_, token=token)
            | do.SendReplay(id=id_, token=token)
            | do.AskReplayImpact(id=id_, token=token)
            | do.FetchReplayOrigins(id=id_, token=token)
        ):
            return facts.RunFailed(id_, token, cause, sibling)
        case do.AskRecheck(id=id_, token=token) | do.FetchRecheckOrigins(id=id_, token=token):
            return facts.RecheckFailed(id_, token, cause)
        case do.FetchOwed(number=number):
            return facts.OwedFetched(number, problem=cause)
        case do.FetchLateOrigins(token=token):
            return facts.LateOriginsFetched(token, problem=cause)
        case do.FindOldestEntries():
            return facts.OldestEntriesFound(problem=cause)
    raise AssertionError(command)

"""The rules as one machine: a fact goes in, a step comes out.

    facts ──> Machine.handle ──> Step: what to save, and what to do once it is saved

After each fact the run and the judging slot go on as far as they can; there is no other moment at which
anything happens.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from maestro.rules import (
    arriving,
    asking_again,
    concluding,
    covering,
    deciding,
    demanding,
    ending,
    facts,
    judging,
    late,
    leaving_out,
    not_finished,
    outage,
    outbox,
    outcomes,
    pausing,
    rechecking,
    recognising,
    reconsidering,
    remembering,
    replaying,
    resolving,
    settling,
    stages,
    troubled,
    visibility,
    waiting,
)
from maestro.rules import commands as do
from maestro.rules.facts import Fact
from maestro.rules.ledger_book import MissedQuestion
from maestro.rules.state import System
from maestro.rules.status import Status
from maestro.rules.step import Step


def _on_resumed(system: System, _fact: facts.Resumed, step: Step) -> None:
    """Put the line back on its queue, without what has left it; all else goes on by itself.

    Of an end that is still to be told it is not known whether it reached the queues: it is ordered again.
    """
    for doc in sorted(system.live.values(), key=lambda doc: doc.line):
        if doc.status is Status.APPROVED:
            step.do(do.Enqueue(doc.id))
        elif doc.running:
            step.do(do.Dequeue(doc.id))
            remembering.open_ledger(system, step)
    paused = system.running()
    if paused is not None and paused.resting:
        replaying.take_off_queues(paused, step)  # it is not known whether that was done when it was paused
    demanding.resume(system, step)
    if (pending := system.pending()) is not None:
        covering.offer(system, pending, step)
    for doc in system.owed.values():
        if not doc.live:
            ending.leave(system, doc, step)
    late.look_again(system, step)
    outbox.resume(system, step)
    visibility.resume(system, step)


def _on_outage_woken(system: System, what: str, step: Step) -> None:
    """It is time to put a question again that a sibling did not answer."""
    if what == outage.JUDGING:
        judging.try_again(system, step)
    else:
        troubled.try_again(system, what)


def _on_canary_asked(system: System, fact: facts.CanaryAsked, step: Step) -> None:
    """Whose fault a failed question is, is known now, or will be later."""
    on_canary_asked = judging.on_canary_asked if fact.what == outage.JUDGING else troubled.on_canary_asked
    on_canary_asked(system, fact, step)


def _on_asked_again(system: System, fact: facts.AskedAgain, step: Step) -> None:
    """A question about a commit that is made is answered: of a unit that may have missed it, or a doubtful one."""
    question = asking_again.answered(system, fact)
    if isinstance(question, MissedQuestion):
        not_finished.on_answered(system, question, fact, step)
    elif question is not None:
        visibility.on_answered(system, question, fact, step)


#: Who goes on when a wake-up of a topic is due.
_WOKEN: Final[Mapping[do.Topic, Callable[[System, str, Step], None]]] = {
    do.Topic.LATE: late.on_woken,
    do.Topic.OWED: remembering.on_woken,
    do.Topic.GIVE_BACK_COPIES: lambda _system, _key, _step: None,  # `judging.advance` looks what time it is
    do.Topic.COMMIT: concluding.on_woken,
    do.Topic.LOOK: visibility.on_woken,
    do.Topic.SET: visibility.on_set_due,
    do.Topic.QUESTION: asking_again.on_woken,
    do.Topic.OUTAGE: _on_outage_woken,
    do.Topic.STALL: lambda _system, _key, _step: None,  # that it is later says it all: `judging.advance` sees to it
}


def _on_woken(system: System, fact: facts.Woken, step: Step) -> None:
    _WOKEN[fact.topic](system, fact.key, step)


def _on_instance_ended(system: System, fact: facts.InstanceEnded, step: Step) -> None:
    """The platform says that a process ended: it is acknowledged once what it says is stored."""
    concluding.on_instance_ended(system, fact, step)
    outcomes.on_instance_ended(system, fact, step)
    if fact.ref is not None:
        step.do(do.AckOutcome(fact.ref, synced=bool(step.saves)))


#: All facts but those that answer a stage (`stages`).
_HANDLERS: Final[Mapping[type[Fact], Callable[[System, Any, Step], None]]] = {
    facts.Resumed: _on_resumed,
    facts.Woken: _on_woken,
    facts.InstanceEnded: _on_instance_ended,
    facts.FollowingKnown: outcomes.on_following_known,
    facts.EventArrived: arriving.on_arrived,
    facts.AnswerLost: recognising.on_answer_lost,
    facts.Parked: waiting.on_parked,
    facts.DeadLettered: settling.on_dead_lettered,
    facts.IngressAttached: arriving.on_ingress_attached,
    facts.WaitQueueDrained: waiting.on_wait_queue_drained,
    facts.CommitFailed: concluding.on_commit_failed,
    facts.ProofFound: deciding.on_proof_found,
    facts.DoubtResolved: resolving.on_doubt_resolved,
    facts.SetAside: resolving.on_set_aside,
    facts.CanaryAsked: _on_canary_asked,
    facts.Unanswered: outage.on_unanswered,
    facts.Looked: visibility.on_looked,
    facts.LookFailed: visibility.on_look_failed,
    facts.FinishedSet: visibility.on_finished_set,
    facts.FinishedRefused: visibility.on_finished_refused,
    facts.AskedAgain: _on_asked_again,
    facts.AskAgainFailed: asking_again.on_failed,
    facts.OutboxMessageBegun: outbox.on_outbox_message_begun,
    facts.OutboxMessageRefused: outbox.on_outbox_message_refused,
    facts.OutboxMessageUnanswered: outbox.on_outbox_message_unanswered,
    facts.OutboxMessageDone: outbox.on_outbox_message_done,
    facts.Approved: deciding.on_approved,
    facts.Skipped: deciding.on_skipped,
    facts.DecidersChecked: deciding.on_deciders_checked,
    facts.Retried: deciding.on_retried,
    facts.Cancelled: deciding.on_cancelled,
    facts.StatusSet: deciding.on_status_set,
    facts.PauseAsked: pausing.on_pause_asked,
    facts.ResumeAsked: pausing.on_resume_asked,
    facts.RecheckAsked: rechecking.on_recheck_asked,
    facts.RecheckFound: rechecking.on_recheck_found,
    facts.RecheckOriginsFetched: rechecking.on_recheck_origins_fetched,
    facts.RecheckFailed: rechecking.on_recheck_failed,
    facts.LeaveOutAsked: leaving_out.on_leave_out_asked,
    facts.ReconsiderAsked: reconsidering.on_reconsider_asked,
    facts.ReplayTimedOut: replaying.on_replay_timed_out,
    facts.PersistSwept: replaying.on_persist_swept,
    facts.ReplayErred: replaying.on_replay_erred,
    facts.OwedFetched: remembering.on_owed_fetched,
    facts.LateOriginsFetched: late.on_origins_fetched,
    facts.OldestEntriesFound: remembering.on_oldest_entries_found,
}


class Machine:
    """One system's rules, over its state."""

    def __init__(self, system: System) -> None:
        self.system = system

    def handle(self, fact: Fact, at: float) -> Step:
        """Take in what happened at `at` (seconds since the epoch); return what to save and what to do."""
        step = Step()
        self.system.now = at
        live = len(self.system.live)
        if not stages.take_in(self.system, fact, step):
            _HANDLERS[type(fact)](self.system, fact, step)
        if self.system.live or self.system.owed:
            replaying.advance(self.system, step)
        judging.advance(self.system, step)
        remembering.advance(self.system, step)
        if self.system.ledger.to_ask:
            not_finished.advance(self.system, step)
        if len(self.system.live) < live:
            late.look_again(self.system, step)
        if self.system.ledger.late_due:
            late.advance(self.system, step)
        return step

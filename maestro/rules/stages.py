"""Which answer a run, and the judging slot, wait for: two tables, fact -> stage -> how it goes on.

    command ──ordered by──> stage ──answered by──> fact ──table──> the function that goes on

A run waits for one answer at a time (`Document.stage`), the judging slot likewise (`System.judging_stage`). An answer
counts when it names the token that was given out last and the stage is in its row. Every other answer is superseded: it
changes nothing. The diagrams in `docs/architecture.md` are made of these tables (`scripts/diagrams`).
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from maestro.rules import cascading, ending, facts, judging, replaying, starting, troubled
from maestro.rules import commands as do
from maestro.rules.delivery import Delivery
from maestro.rules.document import Document, Stage
from maestro.rules.facts import Fact
from maestro.rules.state import JudgingStage, System
from maestro.rules.step import Step

RunHandler = Callable[[System, Document, Any, Step], None]
JudgingHandler = Callable[[System, Delivery, Any, Step], None]


def _go_on(_system: System, _doc: Document, _fact: Fact, _step: Step) -> None:
    """Nothing to take in: `replaying.advance` orders what comes next."""


#: How a run goes on. Its stage is over before the function is called.
RUN: Final[Mapping[type[Fact], Mapping[Stage, RunHandler]]] = {
    facts.Notified: {Stage.STARTING: replaying.on_start_announced, Stage.ANNOUNCE: ending.on_end_announced},
    facts.QueuesUpdated: {
        Stage.QUEUES: replaying.on_queues_filled,
        Stage.GROWTH: _go_on,
        Stage.LEAVING: _go_on,
        Stage.CLEAN_UP: ending.on_cleaned_up,
    },
    facts.StartImpactFound: {Stage.START_IMPACT: starting.on_impact_found},
    facts.HeldCommitted: {Stage.HELD_COMMIT: replaying.on_held_committed},
    facts.ReplaySent: {Stage.SEND: replaying.on_replay_sent},
    facts.UnitRefused: {Stage.SEND: replaying.on_unit_refused},
    facts.ReplayImpactFound: {Stage.IMPACT: cascading.on_replay_impact_found},
    facts.ReplayOriginsFetched: {
        Stage.START_ORIGINS: starting.on_origins_fetched,
        Stage.ORIGINS: cascading.on_replay_origins_fetched,
    },
    facts.ReplayCommitted: {Stage.REPLAY_COMMIT: replaying.on_replay_committed},
    facts.RunFailed: {
        Stage.START_IMPACT: troubled.on_run_failed,
        Stage.START_ORIGINS: troubled.on_run_failed,
        Stage.SEND: troubled.on_send_failed,
        Stage.IMPACT: troubled.on_run_failed,
        Stage.ORIGINS: troubled.on_run_failed,
    },
}
#: How the judging slot goes on. It keeps its stage until the function changes it.
JUDGING: Final[Mapping[type[Fact], Mapping[JudgingStage, JudgingHandler]]] = {
    facts.FootprintFound: {JudgingStage.LOOKS: judging.on_footprint_found},
    facts.ImpactFound: {JudgingStage.IMPACT: judging.on_impact_found},
    facts.OriginsFetched: {JudgingStage.ORIGINS: judging.on_origins_fetched},
    facts.Committed: {JudgingStage.COMMIT: judging.on_committed},
    facts.JudgingFailed: {
        JudgingStage.IMPACT: judging.on_judging_failed,
        JudgingStage.ORIGINS: judging.on_judging_failed,
    },
}

#: The commands that a stage's answer is due to. `Stage.OUTAGE` waits for a wake-up, not for an answer.
RUN_COMMANDS: Final[Mapping[Stage, tuple[type[do.Command], ...]]] = {
    Stage.STARTING: (do.Notify,),
    Stage.START_IMPACT: (do.AskStartImpact,),
    Stage.START_ORIGINS: (do.FetchReplayOrigins,),
    Stage.QUEUES: (do.FillQueues,),
    Stage.HELD_COMMIT: (do.CommitHeld,),
    Stage.SEND: (do.SendReplay,),
    Stage.IMPACT: (do.AskReplayImpact,),
    Stage.ORIGINS: (do.FetchReplayOrigins,),
    Stage.GROWTH: (do.GrowQueues,),
    Stage.REPLAY_COMMIT: (do.CommitReplay,),
    Stage.OUTAGE: (),
    Stage.CLEAN_UP: (do.CleanUpQueues,),
    Stage.LEAVING: (do.Dequeue,),
    Stage.ANNOUNCE: (do.Notify,),
}
JUDGING_COMMANDS: Final[Mapping[JudgingStage, tuple[type[do.Command], ...]]] = {
    JudgingStage.LOOKS: (do.AskFootprint,),
    JudgingStage.IMPACT: (do.AskImpact,),
    JudgingStage.ORIGINS: (do.FetchOrigins,),
    JudgingStage.COMMIT: (do.Commit,),
    JudgingStage.TROUBLE: (),
    JudgingStage.DOUBT: (),
}


def take_in(system: System, fact: Any, step: Step) -> bool:
    """Hand an answer to what waits for it, and drop one that is superseded. Returns whether the fact is in a table."""
    if (run := RUN.get(type(fact))) is not None:
        _run_answered(system, fact, run, step)
        return True
    if (judged := JUDGING.get(type(fact))) is not None:
        delivery, stage = system.judged, system.judging_stage
        if delivery is not None and stage is not None and fact.token == system.judging_token and stage in judged:
            judged[stage](system, delivery, fact, step)
        return True
    return False


def _run_answered(system: System, fact: Any, handlers: Mapping[Stage, RunHandler], step: Step) -> None:
    doc = system.documents.get(fact.id)
    if doc is None or doc.stage is None or doc.token != fact.token:
        return
    go_on = handlers.get(doc.stage)
    if go_on is not None:
        doc.stage = None
        go_on(system, doc, fact, step)

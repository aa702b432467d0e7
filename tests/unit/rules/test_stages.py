"""Which answer counts: the tables of stages, each pair of them, and what they leave out."""

from typing import Any, get_args

import pytest

from maestro.rules import facts, machine, stages
from maestro.rules.document import Stage
from maestro.rules.state import JudgingStage
from scripts import diagrams
from tests.unit.rules.driver import P1, Driver

SAMPLES: dict[type, dict[str, Any]] = {
    facts.Notified: {},
    facts.QueuesUpdated: {"problem": ""},
    facts.StartImpactFound: {"units": ()},
    facts.HeldCommitted: {},
    facts.ReplaySent: {},
    facts.UnitRefused: {"cause": "no operation"},
    facts.ReplayImpactFound: {"units": ()},
    facts.ReplayOriginsFetched: {"origins": ()},
    facts.ReplayCommitted: {},
    facts.RunFailed: {"cause": "away"},
    facts.FootprintFound: {"footprint": None},
    facts.ImpactFound: {"units": ()},
    facts.OriginsFetched: {
        "document_id": "d",
        "pending_event": b"{}",
        "origin": b"{}",
        "origins": (),
        "is_fork": False,
    },
    facts.Committed: {},
    facts.JudgingFailed: {"cause": "away"},
}


def test_every_fact_is_in_one_table() -> None:
    tables = (machine._HANDLERS, stages.RUN, stages.JUDGING)
    for fact in get_args(facts.Fact):
        assert sum(fact in table for table in tables) == 1, fact


def test_every_stage_is_asked_for_and_answered() -> None:
    for table, commands, waiting in (
        (stages.RUN, stages.RUN_COMMANDS, {Stage.OUTAGE}),
        (stages.JUDGING, stages.JUDGING_COMMANDS, {JudgingStage.TROUBLE, JudgingStage.DOUBT}),
    ):
        answered = {stage for row in table.values() for stage in row}
        assert answered | waiting == set(commands), "those that wait for a sibling, or a doubt's end, have no answer"
        assert {stage for stage, asked in commands.items() if not asked} == waiting


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("fact", stages.RUN)
def test_a_run_takes_an_answer_in_its_stages_only(fact: type, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    m = Driver()
    m.hold("i1", P1)
    doc = m.doc
    doc.stage, doc.token = stage, m.system.token()
    taken: list[Stage] = []
    for one in stages.RUN[fact]:
        monkeypatch.setitem(stages.RUN[fact], one, lambda _s, doc, *_, one=one: taken.append(one))

    m.tell(fact(id=doc.id, token=doc.token - 1, **SAMPLES[fact]))
    assert (taken, doc.stage) == ([], stage), "an answer to a former command"

    m.tell(fact(id="00000000-0000-8000-8000-000000000000", token=doc.token, **SAMPLES[fact]))
    assert (taken, doc.stage) == ([], stage), "an answer about another document"

    m.tell(fact(id=doc.id, token=doc.token, **SAMPLES[fact]))
    if stage in stages.RUN[fact]:
        assert (taken, doc.stage) == ([stage], None)
    else:
        assert (taken, doc.stage) == ([], stage)


@pytest.mark.parametrize("stage", JudgingStage)
@pytest.mark.parametrize("fact", stages.JUDGING)
def test_the_judging_slot_takes_an_answer_in_its_stages_only(
    fact: type, stage: JudgingStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    m = Driver()
    m.arrive("i1")
    system = m.system
    system.judging_stage = stage
    taken: list[JudgingStage] = []
    for one in stages.JUDGING[fact]:
        monkeypatch.setitem(stages.JUDGING[fact], one, lambda *_, one=one: taken.append(one))

    stages.take_in(system, fact(token=system.judging_token - 1, **SAMPLES[fact]), machine.Step())
    assert taken == [], "an answer to a former command"

    stages.take_in(system, fact(token=system.judging_token, **SAMPLES[fact]), machine.Step())
    assert taken == ([stage] if stage in stages.JUDGING[fact] else [])


def test_the_diagrams_of_the_documentation_are_drawn_from_the_tables() -> None:
    text = diagrams.DOCUMENT.read_text(encoding="utf-8")
    assert diagrams.drawn(text) == text, "stale: python -m scripts.diagrams"


def test_a_table_that_changes_makes_the_page_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    text = diagrams.DOCUMENT.read_text(encoding="utf-8")
    monkeypatch.setitem(stages.RUN[facts.Notified], Stage.QUEUES, lambda *_: None)
    assert diagrams.drawn(text) != text


def test_a_page_without_its_marks_is_an_error() -> None:
    with pytest.raises(ValueError, match="statuses: its marks stand 0 times"):
        diagrams.drawn("# Architecture")

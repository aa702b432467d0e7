"""What is said of units: why each is there, and what its replay changed."""

import pytest

from maestro.cli.evidence_page import print_evidence
from maestro.cli.numbers import Reader
from maestro.cli.outcome import _print
from maestro.cli.output import Output
from maestro.client.shapes.units import Evidence, FoundUnit, RowRead
from maestro.client.shapes.values import Labels, OutcomePage, OutcomeSummary, UnitOutcome
from maestro.language import speaking

UNITS = (
    FoundUnit("p1", position=6, name="monthly.average.request", about="USD · 2008-02"),
    FoundUnit("p2", "b1", position=7),
)
EVIDENCE = (
    Evidence(
        "p1", named="both", read=(RowRead("quote", "q1", version="i1"), RowRead("average", "a1", wrote=True)), rows=5,
        adds_rows=1,
    ),
    Evidence("p2", "b1", named="ledger", missed=("i7",), problem="domain.entities: no answer within 5 s"),
)  # fmt: skip


def test_why_units_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    print_evidence(Output(json=False), UNITS, EVIDENCE)
    assert capsys.readouterr().out.splitlines() == [
        "7  monthly average USD · 2008-02, p1 on master",
        "     named by Discovery and by the ledger",
        "     read quote q1 as i1 had written it, which is changed",
        "     read average a1, which is changed (and writes it itself)",
        "     and 3 rows more",
        "     its replay adds 1 row; that of the original stays",
        "8  -, p2 on b1",
        "     named by the ledger; missed 1 commit: i7",
        "     not known: domain.entities: no answer within 5 s",
    ]
    with speaking("pt-BR"):
        print_evidence(Output(json=False), UNITS[:1], EVIDENCE)
    assert "apontada pelo Discovery e pelo livro-razão" in capsys.readouterr().out


def test_of_one_of_which_nothing_was_replayed_it_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    waiting = tuple(UnitOutcome(f"p{n}", "master", "outstanding", problem="it was not replayed yet") for n in range(20))
    left_out = UnitOutcome("p9", "master", "left_out", problem="it was left out, and not replayed")
    summary = OutcomeSummary("nothing was replayed yet", 21, 21)
    _print(Output(json=False), OutcomePage(summary, 21, units=waiting), Reader(Labels()))
    assert capsys.readouterr().out == "nothing was replayed yet\n"
    _print(Output(json=False), OutcomePage(summary, 21, units=(*waiting, left_out)), Reader(Labels()))
    assert capsys.readouterr().out.splitlines()[1:] == ["", "p9 on master: it was left out, and not replayed"]

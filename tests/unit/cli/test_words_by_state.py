"""What is said of a reprocessing fits its state."""

import msgspec
import pytest

from maestro.cli.consequences import _replays, of_cancel, of_going_on, of_skip, title
from maestro.cli.deciding import _GIVEN_UP, _PAUSED, _PENDING, _RUNNING, _SKIPPED, _needed, _since
from maestro.cli.document_page import UNITS, _facts, becoming, print_document, progress
from maestro.cli.naming import named
from maestro.cli.numbers import Reader
from maestro.cli.output import Output
from maestro.cli.plain import local
from maestro.cli.unusual_page import said_of_past, summary
from maestro.cli.watching import _text
from maestro.client.api import Maestro
from maestro.client.shapes.documents import Document, Entry, Estimate, Event, Likely, Progress
from maestro.client.shapes.systems import System
from maestro.client.shapes.units import FoundUnit
from maestro.client.shapes.values import Labels, UnusualPage, UnusualValue
from maestro.client.target import Target
from maestro.language import speaking, told

NOWHERE = Maestro(Target("http://127.0.0.1:1"))


@pytest.fixture(autouse=True)
def nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maestro.cli.consequences._waiting", lambda *_: "0 events wait behind it")


def doc(status: str, replayed: int = 0, outstanding: int = 1, **facts: bool) -> Document:
    progress = Progress(replayed=replayed, outstanding=outstanding, units=replayed + outstanding)
    return Document("d1", "sysA", status, progress=progress, **facts)  # type: ignore[arg-type]  # all are flags


@pytest.mark.parametrize(
    ("now", "line"),
    [
        (doc("running", 2), "stops after the current replay; so far: 2 done, 1 left, 3 instances"),
        (
            doc("paused", 2, held_committed=True),
            "nothing of it runs now: ends at once; so far: 2 done, 1 left, 3 instances",
        ),
        (doc("approved"), "it has not started: nothing is committed or replayed"),
        (
            doc("approved", 2, held_committed=True),
            "nothing of it runs now: ends at once; so far: 2 done, 1 left, 3 instances",
        ),
    ],
)
def test_a_cancel_says_what_stops(now: Document, line: str) -> None:
    assert next(of_cancel(NOWHERE, now)) == line


@pytest.mark.parametrize(
    ("now", "line"),
    [
        (doc("paused", 1), "keeps sysA locked meanwhile"),
        (doc("failure", 1), "locks sysA meanwhile"),
        (doc("paused", 1, forking=True), "does not lock sysA"),
    ],
)
def test_only_what_is_not_locked_yet_is_locked(now: Document, line: str) -> None:
    assert line in list(of_going_on(NOWHERE, now, None))


@pytest.mark.parametrize(
    ("now", "shown", "watched"),
    [
        (doc("running", 1, 2), "1 done, 2 left, 3 instances", "replay 1 of at least 3"),
        (doc("finished", 3, 0), "3 done, 3 instances", "replays: 3 done, 3 instances"),
        (doc("cancelled", 2), "2 done, 1 not done, 3 instances", "replays: 2 done, 1 not done, 3 instances"),
        (doc("skipped"), "none; 1 instance stays as computed", "replays: none; 1 instance stays as computed"),
    ],
)
def test_nothing_is_left_of_what_has_ended(now: Document, shown: str, watched: str) -> None:
    assert (progress(now), _text(now)) == (shown, watched)


@pytest.mark.parametrize(
    ("now", "soon"),
    [
        (doc("running"), ""),
        (doc("running", cancelling=True), "cancelled after the current replay"),
        (doc("running_without_lock", pausing=True), "paused after the current replay"),
        (doc("paused", cancelling=True), "being cancelled"),
    ],
)
def test_what_was_asked_for(now: Document, soon: str) -> None:
    assert becoming(now) == soon


@pytest.mark.parametrize(
    ("queues", "failed"), [(None, None), ({"persist.s.queue.error": -1}, None), ({"persist.s.queue.error": 2}, 2)]
)
def test_events_that_failed(queues: dict[str, int] | None, failed: int | None) -> None:
    assert System("s", queues=queues).failed == failed


def number(verdict: str, slipped: int = 0) -> UnusualValue:
    return UnusualValue("t", "i", "f", "changed", verdict=verdict, slipped=slipped)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((number("usual"), number("usual")), "no new number stands out"),
        (
            (number("usual"), number("too_few")),
            "no new number stands out of the 1 that can be compared with its past",
        ),
        (
            (number("too_few"), number("too_few")),
            "whether its new numbers are as usual cannot be said: too short a past to compare them with",
        ),
        ((), "no number is changed that was read"),
    ],
)
def test_numbers_without_a_past_are_not_called_usual(values: tuple[UnusualValue, ...], said: str) -> None:
    assert summary(UnusualPage(values=values)) == said


def test_a_past_that_is_still_asked_for_is_not_called_short() -> None:
    said = summary(UnusualPage(pending=1, values=(number("pending"),)))
    assert (
        said
        == "whether its new numbers are as usual is not known yet; past values are still being asked for: look again"
    )


def test_a_slip_stands_out_without_a_past() -> None:
    assert summary(UnusualPage(unusual=1, values=(number("too_few", 1),))) == "1 new number stands out"


def test_one_past_value_is_one() -> None:
    value = number("too_few")
    value = msgspec.structs.replace(value, past=msgspec.structs.replace(value.past, count=1))
    page = UnusualPage(enough=5, values=(value,))
    assert said_of_past(value, page, Reader(Labels())) == "1 past value: too few to compare with, 5 are needed"


def test_both_times_say_what_they_are_of() -> None:
    grows = msgspec.structs.replace(
        doc("pending_approval", outstanding=61),
        estimate=Estimate(3.9, "a mean"),
        likely=Likely(244, 200, 300, 4, "x", seconds=17),
    )
    lines = [*_replays(grows, 61, None)]
    assert lines[1].endswith(", about 17 s")
    assert lines[-1] == "what is shown alone takes about 4 s (a mean)"
    alone = msgspec.structs.replace(grows, likely=None)
    assert [*_replays(alone, 61, None)][-1] == "takes about 4 s (a mean)"


def test_a_late_one_discards_nothing() -> None:
    late = doc("pending_approval", late=True)
    assert [*of_skip(NOWHERE, late)] == [
        "discards nothing: no commit is held",
        "1 result stays as it is, and is listed as accepted",
        "0 events wait behind it",
    ]
    assert "commit" not in [name for name, _ in _facts(late)]


def test_a_late_one_holds_no_instance() -> None:
    assert "None" not in title("Approve", doc("pending_approval", late=True))


def test_what_was_noted_is_not_taken_for_what_was_decided(capsys: pytest.CaptureFixture[str]) -> None:
    history = (
        Entry("pending_approval", "2026-11-28T10:00:00", "maestro"),
        Entry("skipped", "2026-11-28T10:00:01", "ana", reason="wrong source"),
        Entry("skipped", "2026-11-28T10:00:02", "bob", cause="reconsidered as event 7", reason="was right"),
    )
    skipped = msgspec.structs.replace(doc("skipped"), history=history)
    assert skipped.taken == history[1]
    assert doc("skipped").taken is None
    print_document(Output(json=False), skipped, ())
    decided, noted = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines() if line][-2:]
    assert decided.endswith("skipped ana wrong source")
    assert noted.endswith("note bob reconsidered as event 7: was right")


def test_a_page_of_a_large_one_names_its_first_units_and_says_where_all_are(capsys: pytest.CaptureFixture[str]) -> None:
    units = tuple(
        FoundUnit(f"p{n}", state="outstanding", position=n, name="monthly.average.request", about=f"USD · {n}")
        for n in range(61)
    )
    large = msgspec.structs.replace(doc("pending_approval", outstanding=61), units=units)
    print_document(Output(json=False), large, units[:UNITS])
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    rows = [line for line in lines if "monthly average" in line]
    assert len(rows) == UNITS
    assert rows[0].startswith("1 monthly average USD · 0 p0 master outstanding")
    assert f"the first {UNITS} of 61 units; `maestro units d1` lists all" in lines


def test_what_is_decided_twice_is_told_as_the_gateway_does() -> None:
    history = (
        Entry("pending_approval", "2026-11-28T10:00:00", "maestro"),
        Entry("approved", "2026-11-28T10:00:01", "ana"),
        Entry("finished", "2026-11-28T10:00:02", "maestro"),
    )
    finished = msgspec.structs.replace(doc("finished"), history=history)
    at, decided = local(history[2].timestamp), local(history[1].timestamp)
    assert _since(finished) == f"finished since {at}, approved by ana at {decided}"
    assert _since(msgspec.structs.replace(doc("approved"), history=history[:2])) == f"approved since {decided}, by ana"
    assert _since(doc("finished")) == "finished"
    with speaking("pt-BR"):
        said = told(f"reprocessing d1 is {_since(finished)}; {_needed(_PENDING)}")
        assert said == (
            f"o reprocessamento d1 está concluído desde {at}, aprovado por ana em {decided}; "
            "só se decide o que espera uma decisão"
        )


@pytest.mark.parametrize(
    ("statuses", "said"),
    [
        (_PENDING, "only what waits for a decision can be decided"),
        (("approved", *_RUNNING, *_PAUSED), "only what is approved, running or paused can be cancelled"),
        (_RUNNING, "only what runs can be paused"),
        (_PAUSED, "only what is paused can be resumed"),
        (_GIVEN_UP, "only what was given up can be retried"),
        (_SKIPPED, "only what was skipped can be reconsidered"),
    ],
)
def test_what_an_action_is_for_is_said_in_words(statuses: tuple[str, ...], said: str) -> None:
    assert _needed(statuses) == said


def test_a_late_one_is_called_what_it_is() -> None:
    late = msgspec.structs.replace(doc("pending_approval", late=True), pending_event=Event("cotacoes.late"))
    assert named(late) == "results that are stale"


def test_a_paused_one_says_what_goes_on() -> None:
    assert _text(doc("paused", 1)).endswith("waits for a decision: maestro resume d1")


@pytest.mark.parametrize(
    ("english", "portuguese"),
    [
        ("approve or skip: commit, and replay 61", "fazer o commit e reexecutar 61"),
        (
            "approve: replay 300 stale results; two people must",
            "reexecutar 300 resultados desatualizados; são",
        ),
        ("2 units cannot be replayed: leave them out, or resume to try them again", "2 unidades não podem ser"),
        ("paused after 5 of at least 300 replays: resume or cancel it", "em pausa depois de 5 de pelo menos 300"),
        (
            "failed with work left: nothing committed, 3 not replayed; retry what is left, or leave it out",
            "nada gravado",
        ),
    ],
)
def test_what_waits_for_a_person_is_said_in_portuguese(english: str, portuguese: str) -> None:
    with speaking("pt-BR"):
        assert portuguese in told(english)

"""What is said of a reprocessing fits its state."""

import pytest

from maestro.cli.consequences import of_cancel, of_going_on
from maestro.cli.document_page import becoming, progress
from maestro.cli.watching import _text
from maestro.client.api import Maestro
from maestro.client.shapes import Document, Progress, System
from maestro.client.target import Target

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
        (doc("finished", 3, 0), "3 done, 3 instances", "replay 3 of at least 3"),
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

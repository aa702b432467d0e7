"""Statuses stand in one module: no other spells one, and the sets say what the transitions say."""

import ast
from collections.abc import Iterator
from pathlib import Path

from maestro.rules.status import TRANSITIONS, Trigger
from maestro.statuses import ENDED, FAILED, GIVEN_UP, IN_PROGRESS, LIVE, RUNNING, SETS, Status, ordered

PACKAGE = Path(__file__).parents[2] / "maestro"
#: Where a text that is spelled like a status is something else: (file, text) -> what.
OTHERS = {
    ("actors/child.py", "running"): "the life of an actor's process",
    ("actors/pending_requests.py", "running"): "what readiness says of a process",
    ("cli/dry_run.py", "approved"): "a count of what a dry run would do",
    ("cli/lazy.py", "skipped"): "the name of a command",
    ("cli/policy_trial.py", "skipped"): "what became of a past decision",
    ("cli/todo.py", "paused"): "a kind of what waits for a person",
    ("cli/todo.py", "cancelled"): "a kind of what waits for a person",
    ("messages/todo.py", "paused"): "a kind of what waits for a person",
    ("messages/todo.py", "cancelled"): "a kind of what waits for a person",
    ("client/api.py", "skipped"): "a part of a path",
    ("http/routes.py", "failure"): "the name of an operation",
    ("http/routes.py", "skipped"): "the name of an operation",
    ("notify/texts.py", "cancelled"): "a kind of what waits for a person",
    ("notify/texts.py", "paused"): "a kind of what waits for a person",
    ("rules/ending.py", "finished"): "a part of an event's name",
    ("sandbox/api_core.py", "running"): "the status of a process instance",
    ("sandbox/outcomes.py", "finished"): "the name of a die",
    ("settings/model.py", "finished"): "what a webhook tells",
    ("settings/notify.py", "cancelled"): "a kind of what waits for a person",
    ("settings/notify.py", "paused"): "a kind of what waits for a person",
    ("webhooks/worker.py", "finished"): "what a webhook tells",
    ("system/todo.py", "cancelled"): "a word of a sentence",
    ("system/views.py", "approved"): "a field",
    ("system/views.py", "running"): "a field",
    ("system/views.py", "skipped"): "a field",
}
#: Texts that are shown to people, and translated: each status has one.
TEXTS = {"cli/words.py": "{}", "http/report/texts.py": "status.{}"}


def constants(path: Path) -> Iterator[object]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant):
            yield node.value


def spelled() -> Iterator[tuple[str, str]]:
    """Yield (file, text) of every text constant that is spelled like a status."""
    texts = {str(status) for status in Status}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name not in {"statuses.py", *TEXTS}:
            yield from ((name, str(value)) for value in constants(path) if value in texts)


def test_each_status_has_a_text_wherever_it_is_shown() -> None:
    for name, key in TEXTS.items():
        missing = {key.format(status) for status in Status} - set(constants(PACKAGE / name))
        assert not missing, name


def test_no_other_module_spells_a_status() -> None:
    found = set(spelled())
    assert found - set(OTHERS) == set(), "name it by maestro.statuses"
    assert set(OTHERS) - found == set(), "not there any more"


def test_each_status_is_live_or_ended_and_the_table_has_it() -> None:
    assert set(TRANSITIONS) == set(Status)
    assert set(Status) == LIVE | ENDED
    assert not LIVE & ENDED
    assert RUNNING < IN_PROGRESS < LIVE
    assert FAILED < GIVEN_UP < ENDED


def test_what_is_given_up_can_be_retried_and_nothing_else() -> None:
    assert {status for status, after in TRANSITIONS.items() if Trigger.RETRY in after} == GIVEN_UP
    assert {status for status, after in TRANSITIONS.items() if Trigger.PAUSE in after} == RUNNING


def test_a_set_is_shown_in_the_order_of_a_life() -> None:
    assert ordered(RUNNING) == (Status.RUNNING, Status.RUNNING_WITHOUT_LOCK)
    assert set(SETS) == {"running", "inProgress", "live", "failed", "givenUp", "ended"}

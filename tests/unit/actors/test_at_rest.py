"""What the mark of a system at rest answers, and what it must be woken for."""

import pytest

from maestro.actors.at_rest import answer_at_rest
from maestro.messages.answers import Code
from maestro.messages.decisions import Approve
from maestro.messages.questions import (
    AwaitChange,
    CheckLock,
    DescribeSystem,
    FindDocuments,
    GetDocument,
    ListRecords,
    ListTodo,
    Measure,
    PersistSync,
    Question,
)
from maestro.store.rest_mark import RestMark

MARK = RestMark("", "1", 5.0, described=b"D", todo=b"T", measured=b"M", watched=b"W", newest="2000000.11111111-1111")
BARE = RestMark("", "1", 5.0)


@pytest.mark.parametrize(("question", "body"), [(DescribeSystem(), b"D"), (ListTodo(), b"T"), (Measure(), b"M")])
def test_what_lists_ask_is_in_the_mark(question: Question, body: bytes) -> None:
    answer = answer_at_rest(MARK, question)
    assert answer is not None
    assert (answer.code, answer.body) == (Code.OK, body)


def test_a_watcher_is_told_once_and_then_waits() -> None:
    first = answer_at_rest(MARK, AwaitChange("", 1.0))
    assert first is not None
    assert first.body == b"W"
    assert answer_at_rest(MARK, AwaitChange(first.message, 1.0)) is None
    assert answer_at_rest(MARK, AwaitChange("7.1", 1.0)) is not None, "it was watched while it was awake"


@pytest.mark.parametrize("question", [PersistSync(b"{}"), Approve("id", "ana"), CheckLock(), GetDocument("id")])
def test_it_is_woken_for_all_else(question: Question) -> None:
    assert answer_at_rest(MARK, question) is None


def test_records_are_looked_for_where_there_may_be_some() -> None:
    assert answer_at_rest(MARK, ListRecords()) is None
    assert answer_at_rest(MARK, ListRecords(since=2.0)) is None
    late = answer_at_rest(MARK, ListRecords(since=2.1))
    assert late is not None
    assert late.body == b"[]"


def test_a_system_without_reprocessings_has_none_to_show() -> None:
    for question in (ListRecords(), FindDocuments()):
        answer = answer_at_rest(BARE, question)
        assert answer is not None
        assert answer.body == b"[]"
    unknown = answer_at_rest(BARE, GetDocument("id"))
    assert unknown is not None
    assert unknown.code is Code.NOT_FOUND
    assert answer_at_rest(BARE, ListRecords(status="nonsense")) is None, "the system says what is wrong with that"

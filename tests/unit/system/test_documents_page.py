"""A system's documents, all of them or a page."""

from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
import pytest

from maestro.messages.answers import Answer, Code
from maestro.messages.questions import FindDocuments, GetReplays, GetUnits
from maestro.rules import facts
from maestro.rules.document import Document
from maestro.rules.rendering import document_json
from maestro.rules.state import System
from maestro.system import pages, views, waiting_views
from maestro.system.repository import Repository
from tests.support.rules import Rules


@pytest.fixture
def it() -> Rules:
    rules = Rules()
    for number in range(5):
        doc = rules.hold(f"i{number}", f"p{number}")
        if number != 4:
            rules.ask(facts.Skipped, doc.id)
    return rules


def _rendered(it: Rules, doc: Document) -> bytes:
    return document_json(doc, doc.order or it.repository.units(doc.id))


def found(it: Rules, **question: object) -> tuple[list[str], str]:
    answer = views.documents(it.system, partial(_rendered, it), FindDocuments(**question))
    assert answer.code is Code.OK, answer
    return [doc["id"] for doc in orjson.loads(answer.body)], answer.message


def test_pages_together_are_the_whole_list(it: Rules) -> None:
    whole, more = found(it)
    assert (len(whole), more) == (5, "")
    assert whole == list(it.system.documents)
    for size in (1, 2, 5, 9):
        pages, after = [], ""
        while True:
            page, after = found(it, after=after, limit=size)
            assert len(page) <= size
            pages += page
            if not after:
                break
        assert pages == whole
    assert found(it, after=whole[1]) == (whole[2:], "")
    assert found(it, after=whole[-1], limit=3) == ([], "")


def test_a_page_of_one_status(it: Rules) -> None:
    whole, _ = found(it)
    assert found(it, status="skipped", limit=3) == (whole[:3], whole[2])
    assert found(it, status="skipped", after=whole[2], limit=3) == (whole[3:4], "")
    assert found(it, status="pending_approval", limit=1) == (whole[4:], "")


def test_a_page_ends_before_it_is_too_large_for_an_answer(it: Rules, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MAX_ANSWER", 1)
    monkeypatch.setattr(views, "MAX_LIST", 1)
    whole = list(it.system.documents)
    assert found(it, limit=5) == (whole[:1], whole[0])
    assert found(it) == (whole[:1], whole[0]), "all of them are no way around"
    assert found(it, after=whole[3]) == (whole[4:], "")
    skipped = orjson.loads(views.skipped(it.system, 0, 100).body)
    assert ([one["id"] for one in skipped["skipped"]], skipped["total"]) == (whole[:1], 4)
    following = orjson.loads(views.skipped(it.system, skipped["next"], 100).body)
    assert [one["id"] for one in following["skipped"]] == whole[1:2]


def test_a_page_of_waiting_events_ends_before_it_is_too_large(it: Rules, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        it.arrive(f"w{number}", tag="t" * 100)
    shown, after = [], 0
    monkeypatch.setattr(pages, "MAX_ANSWER", 1)
    for _ in range(3):
        page = orjson.loads(waiting_views.waiting(it.system, it.repository, after, 100).body)
        assert (len(page["events"]), page["total"]) == (1, 3)
        shown.append(page["events"][0]["instanceId"])
        after = page["next"]
    assert (shown, after) == (["w0", "w1", "w2"], None)


@pytest.mark.parametrize(("view", "question"), [(views.units, GetUnits), (views.replays, GetReplays)])
def test_pages_of_units_end_before_they_are_too_large(
    view: Callable[[System, Repository, Any], Answer], question: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    it = Rules()
    doc = it.hold("i", "p0", "p1", "p2")

    def page(**asked: object) -> tuple[list[str], int | None]:
        body = orjson.loads(view(it.system, it.repository, question(doc.id, **asked)).body)
        assert body["total"] == 3
        return [one["instanceId"] for one in body["units"]], body["next"]

    assert page() == (["p0", "p1", "p2"], None)
    assert page(after=1, limit=1) == (["p1"], 2)
    assert page(after=3) == ([], None)
    monkeypatch.setattr(pages, "MAX_ANSWER", 1)
    assert [page(after=after) for after in range(3)] == [(["p0"], 1), (["p1"], 2), (["p2"], None)]


def test_a_page_of_the_units_at_some_positions_is_of_these(monkeypatch: pytest.MonkeyPatch) -> None:
    it = Rules()
    doc = it.hold("i", "p0", "p1", "p2")

    def page(after: int) -> tuple[list[str], int | None]:
        asked = GetUnits(doc.id, after, 50, (2, 9, 0))
        body = orjson.loads(views.units(it.system, it.repository, asked).body)
        return [one["instanceId"] for one in body["units"]], body["next"]

    assert page(0) == (["p2", "p0"], None)
    monkeypatch.setattr(pages, "MAX_ANSWER", 1)
    assert (page(0), page(1)) == ((["p2"], 1), (["p0"], None))


def test_what_is_no_document_is_named(it: Rules) -> None:
    answer = views.documents(it.system, partial(_rendered, it), FindDocuments(after="another"))
    assert (answer.code, answer.message) == (Code.INVALID, "after: is no document of this system")

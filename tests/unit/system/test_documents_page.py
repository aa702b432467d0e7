"""A system's documents, all of them or a page."""

from functools import partial

import orjson
import pytest

from maestro.messages.answers import Code
from maestro.messages.questions import FindDocuments
from maestro.rules import facts
from maestro.rules.document import Document
from maestro.rules.rendering import document_json
from maestro.system import views
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


def test_what_is_no_document_is_named(it: Rules) -> None:
    answer = views.documents(it.system, partial(_rendered, it), FindDocuments(after="another"))
    assert (answer.code, answer.message) == (Code.INVALID, "after: is no document of this system")

"""A document is rendered once for all who send it between two facts: with thousands of units that takes long."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from maestro.messages.decisions import Approve
from maestro.messages.questions import GetDocument
from maestro.rules import rendering
from tests.support.in_process import InProcess, served
from tests.support.siblings import RecordingSiblings
from tests.support.stage import event, unit


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the statuses in which a document was rendered, as they are."""
    statuses: list[str] = []
    document_of = rendering.document_of

    def counted(doc: Any, *units: Any, **how: Any) -> bytes:
        statuses.append(doc.status.value)
        return document_of(doc, *units, **how)

    monkeypatch.setattr(rendering, "document_of", counted)
    return statuses


async def _held(it: InProcess, siblings: RecordingSiblings) -> str:
    siblings.impacts["i1"] = [unit("p1")]
    siblings.origins["p1"] = event("p1", name="sysA.calculate.request")
    it.publish("i1")
    await siblings.wait_for(lambda: "i1" in siblings.statuses, 10)
    (id_,) = it.service._open._system.documents  # type: ignore[union-attr]
    return str(id_)


async def test_a_decision_renders_its_document_once(
    tmp_path: Path, siblings: RecordingSiblings, rendered: list[str]
) -> None:
    async with served(tmp_path, siblings) as it:
        id_ = await _held(it, siblings)
        rendered.clear()
        answer = await it.ask(Approve(id_, "ana"))
        assert orjson.loads(answer.body)["status"] == "approved"
        await siblings.wait_for(lambda: any(e["name"].endswith(".starting") for e in siblings.events), 10)
        assert rendered.count("approved") == 1


async def test_what_changed_since_is_rendered_again(
    tmp_path: Path, siblings: RecordingSiblings, rendered: list[str]
) -> None:
    async with served(tmp_path, siblings) as it:
        id_ = await _held(it, siblings)
        rendered.clear()
        first = orjson.loads((await it.ask(GetDocument(id_))).body)
        assert first["status"] == "pending_approval"
        await it.ask(Approve(id_, "ana"))
        second = orjson.loads((await it.ask(GetDocument(id_))).body)
        assert second["status"] != "pending_approval"
        assert first["estimate"] == second["estimate"]

"""A store that the first version wrote, kept in `data/`: read, carried on with, and written by this one.

It holds: an event committed, one that failed and was not confirmed on its error queue, a reprocessing finished after
two replays, one pending that holds `i3` and would replay `p2`, two events waiting, outbox to siblings.
"""

import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest

from maestro.messages.decisions import Approve
from maestro.messages.ingress import DeadLetter
from maestro.messages.questions import GetDocument, ListWaiting
from maestro.rules import visibility
from maestro.rules.delivery import Verdict
from maestro.rules.state import Rules, System
from maestro.rules.status import Status
from maestro.store.places import store_path
from maestro.store.schema import MIGRATIONS
from maestro.store.sqlite import open_store
from maestro.system.repository import Repository
from tests.support.in_process import InProcess, served
from tests.support.siblings import RecordingSiblings
from tests.support.stage import SYSTEM, event

OLD = Path(__file__).parent / "data" / "store_of_the_first_version.db"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = store_path(tmp_path, SYSTEM)
    path.parent.mkdir(parents=True)
    shutil.copy(OLD, path)
    return path


def load(path: Path) -> System:
    store = open_store(path)
    try:
        assert store.check() == []
        assert store._database.query("PRAGMA user_version") == [(len(MIGRATIONS),)]
        return Repository(store, SYSTEM, Rules()).load()
    finally:
        store.close()


def test_it_is_read_as_it_was_meant(old: Path) -> None:
    system = load(old)
    finished, pending = system.documents.values()
    assert (finished.status, finished.total, finished.replayed) == (Status.FINISHED, 2, 2)
    assert [entry.user for entry in finished.history] == ["maestro", "anna", "maestro", "maestro"]
    assert (pending.status, pending.held_instance, list(pending.units)) == (Status.PENDING, "i3", [("p2", "master")])
    assert [each.instance_id for each in system.waiting.values()] == ["w1", "w2"]
    assert system.parked == 2
    failed = system.deliveries["m-bad"]
    assert (failed.verdict, failed.done, failed.reason) == (Verdict.ERROR, False, "domain.commit: answered 500")
    assert [message.instance_id for message in system.outbox.values()] == ["bad", "i2", "i3"]


async def test_it_is_carried_on_with(
    tmp_path: Path, old: Path, siblings: RecordingSiblings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visibility, "TEXT_COMES_WITHIN", 0.2)  # a status text of the former life may be on its way
    async with served(tmp_path, siblings) as it:

        async def execute(sent: dict[str, Any]) -> None:
            if sent.get("scope") == "reprocessing":
                it.publish(event("p2-again", scope="reprocessing", reprocessing=sent["reprocessing"]))

        siblings.on_sendevent = execute
        waiting = orjson.loads((await it.ask(ListWaiting())).body)
        assert [each["instanceId"] for each in waiting["events"]] == ["w1", "w2"]
        await it.ask(Approve("doc-2", "ben"))
        await siblings.wait_for(lambda: siblings.commits == ["i3", "p2-again", "w1", "w2"], 10)
        assert await _status(it, "doc-2") == "finished"
        assert await _status(it, "doc-1") == "finished"
        assert [each.key for each in it.settled if isinstance(each, DeadLetter)] == ["m-bad"]
    system = load(old)
    assert not system.waiting
    assert not system.live
    assert not system.outbox


async def _status(it: InProcess, id_: str) -> str:
    return str(orjson.loads((await it.ask(GetDocument(id_))).body)["status"])

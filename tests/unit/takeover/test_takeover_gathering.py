"""What is gathered of another Maestro: documents of Process Memory, several of one id, and those that are none."""

from types import SimpleNamespace
from typing import Any

import orjson

from maestro.takeover.gathering import open_documents


class Memory:
    """Process Memory, as far as it is asked here."""

    def __init__(self, *documents: Any) -> None:
        self.kept = [orjson.dumps(one) for one in documents]
        self.asked: list[tuple[str, str]] = []

    async def documents(self, field: str, value: str) -> list[bytes]:
        self.asked.append((field, value))
        return [raw for raw in self.kept if orjson.loads(raw).get(field) == value]


def document(id_: str, status: str, *stamps: str, **more: Any) -> dict[str, Any]:
    history = [{"status": status, "timestamp": stamp, "user": "u"} for stamp in stamps]
    return {"id": id_, "systemId": "sysA", "status": status, "pendingEvent": {"instanceId": "i"}, "history": history,
            **more}  # fmt: skip


async def gathered(*documents: Any) -> tuple[list[Any], list[str]]:
    memory = Memory(*documents)
    found = await open_documents(SimpleNamespace(process_memory=memory))  # type: ignore[arg-type]  # all that is asked
    statuses = ["pending_approval", "approved", "running", "running_without_lock", "paused"]
    assert sorted(memory.asked) == sorted(("status", status) for status in statuses)
    return found


async def test_oldest_first_and_none_that_has_ended() -> None:
    found, problems = await gathered(
        document("new", "running", "2018-07-20T12:00:00"),
        document("old", "pending_approval", "2018-07-20T11:00:00"),
        document("over", "finished", "2018-07-20T10:00:00"),
    )
    assert [one.id for one in found] == ["old", "new"]
    assert problems == []


async def test_of_several_of_one_id_the_one_that_has_come_farthest() -> None:
    """Process Memory inserts each time it is posted to: a caller that asked again made another one."""
    found, _ = await gathered(
        document("d", "running", "1", "2", "3"), document("d", "approved", "1", "2"), document("d", "running", "1")
    )
    assert [(one.id, one.status, len(one.history)) for one in found] == [("d", "running", 3)]


async def test_what_is_no_document_is_named_and_stops_nothing() -> None:
    found, problems = await gathered(
        document("bad", "approved", pendingEvent=None), document("good", "approved"), {"status": "running"}
    )
    assert [one.id for one in found] == ["good"]
    assert len(problems) == 2
    assert problems[0] == ("a document of status approved in Process Memory: pendingEvent.instanceId: is missing")

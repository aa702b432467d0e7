"""The stage of the tests: it is ready when what is published gets where it belongs."""

from pathlib import Path
from typing import Any

import pytest

from maestro.broker import open_broker
from maestro.broker.topology import SystemQueues
from maestro.settings.servers import BrokerSettings
from tests.support.stage import SYSTEM, Stage, event


async def test_a_system_takes_events_once_its_queue_is_consumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The actor answers before ingress has declared the queue, which it says is -1 deep: that is too early."""
    queues = SystemQueues(SYSTEM)

    async def get(path: str, *, ok: bool = True) -> dict[str, Any]:
        return {"_status": 200, "queues": {queues.persist: -1}}

    it = Stage(tmp_path, "", (SYSTEM,), {})
    monkeypatch.setattr(it, "get", get)
    it.broker = open_broker(BrokerSettings(embedded_dir=str(tmp_path)), tmp_path)
    await it.broker.start()
    try:
        assert not await it.takes_events(SYSTEM)
        await it.broker.declare(queues.persist_bindings()[:1])
        assert not await it.takes_events(SYSTEM)
        await it.broker.consume(queues.persist, 1, it.broker.ack, lambda: None)
        assert await it.takes_events(SYSTEM)
        await it.publish(event("i1"))
    finally:
        await it.broker.close()

"""Which outcomes are of use, and to whom; all others are acknowledged."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from maestro.broker.base import BrokerError, Delivery
from maestro.broker.topology import OUTCOMES, OUTCOMES_PASSED
from maestro.events import ReplayRef
from maestro.ingress.outcomes import Outcomes, ended
from maestro.messages.ingress import Ended
from maestro.system.arrivals import accept_failure

REF = {"id": "d1", "instance_id": "p1", "send": "d1/p1/1", "system_id": "sysA"}


def body(**event: Any) -> bytes:
    return orjson.dumps({"task": "tasks.process", "id": "x", "args": [event]})


def test_domain_says_what_it_stored() -> None:
    said = body(name="calc.done", systemId="sysA", scope="execution", version="3", payload={"instance_id": "i1"})
    assert ended(said, 4) == ("sysA", Ended(4, "i1", "calc.done", "3", "master", None, stored=True))


def test_a_replay_that_ended_names_its_send() -> None:
    said = body(name="calc.done", systemId="sysA", scope="reprocessing", branch="b1", reprocessing=REF,
                payload={"instanceId": "re1"})  # fmt: skip
    assert ended(said, 1) == ("sysA", Ended(1, "re1", "calc.done", "", "b1", ReplayRef("d1", "p1", "d1/p1/1")))


def test_a_replay_that_failed_says_why() -> None:
    said = body(name="calc.exception", systemId="sysA", scope="reprocessing", instanceId="re1", reprocessing=REF,
                payload={"message": "it raised"})  # fmt: skip
    found = ended(said, 1)
    assert found is not None
    assert (found[1].cause, found[1].stored) == ("it raised", False)


def test_half_an_emoji_in_what_it_says_can_be_stored() -> None:
    said = body(name="calc.exception", systemId="sysA", scope="reprocessing", instanceId="re1", reprocessing=REF,
                payload={"message": "it raised: @"}).replace(b"@", b"\\ud83d")  # fmt: skip
    found = ended(said, 1)
    assert found is not None
    assert found[1].cause == "it raised: ?"
    reported = accept_failure(b'{"name":"e","reprocessing":{"id":"d1"},"payload":{"message":"\\ud83d"}}')
    assert reported is not None
    assert reported.cause == "e: ?"


def test_a_failure_of_domain_names_no_system() -> None:
    found = ended(body(name="system.process.persist.error", scope="execution", payload={"instance_id": "i1"}), 1)
    assert found is not None
    assert found[0] == ""
    assert found[1].cause == "system.process.persist.error"


@pytest.mark.parametrize(
    "said",
    [
        b"", b"{", b"[]", b"\xff\xfe", b'{"args": []}', b'{"args": [1]}', b'{"args": [{}, {}]}', b'{"args": {}}',
        body(name="calc.request", instanceId="i1"),
        body(name="calc.done", instanceId="i1", scope="execution"),
        body(name="calc.error", instanceId="i1", scope="execution"),
        body(name="calc.done", scope="reprocessing", instanceId="re1"),
        body(name="calc.done", scope="reprocessing", instanceId="re1", reprocessing="d1"),
        body(name="calc.done", scope="reprocessing", reprocessing=REF),
        body(name=5, payload=7, scope=[]),
    ],
)  # fmt: skip
def test_all_else_is_of_no_use(said: bytes) -> None:
    assert ended(said, 1) is None


class Broker:
    def __init__(self) -> None:
        self.acked: list[Delivery] = []
        self.refusal = ""
        self.declared = 0
        self.deliver: Any = None

    def ack(self, delivery: Delivery) -> None:
        self.acked.append(delivery)

    async def declare(self, bindings: Any, *, remember: bool) -> None:
        assert not remember
        self.declared += 1
        if self.refusal:
            raise BrokerError(self.refusal)

    async def consume(self, queue: str, _prefetch: int, deliver: Any, _lost: Any, *, exclusive: bool) -> object:
        assert (queue, exclusive) == (OUTCOMES, False)
        self.deliver = deliver
        return object()


def delivery(said: bytes) -> Delivery:
    return Delivery(OUTCOMES, said, "", {}, redelivered=False, tag=None)


async def test_what_nobody_takes_is_acknowledged_and_the_rest_once_all_are_through() -> None:
    broker = Broker()
    takers = {"sysA": 1, "": 2}
    outcomes = Outcomes(broker, lambda system, _delivery: takers.get(system, 0), lambda: None)  # type: ignore[arg-type]
    useless, unknown = delivery(b"no"), delivery(body(name="a.done", systemId="z", payload={"instance_id": "i"}))
    one = delivery(body(name="a.done", systemId="sysA", payload={"instance_id": "i"}))
    both = delivery(body(name="system.process.persist.error", payload={"instance_id": "i"}))
    for each in (useless, unknown, one, both):
        outcomes._arrived(each)
    assert broker.acked == [useless, unknown]
    outcomes.settled(one)
    outcomes.settled(both)
    assert broker.acked == [useless, unknown, one]
    outcomes.settled(both)
    assert broker.acked[-1] is both


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the double tells nobody
            await asyncio.sleep(0.001)


async def test_missing_rights_are_said_once_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maestro.ingress.outcomes.LOOK_SOON", 0.001)
    monkeypatch.setattr("maestro.ingress.outcomes.LOOK", 0.01)
    broker = Broker()
    broker.refusal = "ACCESS_REFUSED: read access to exchange 'events.publish'"
    owned = asyncio.Event()
    with capture_logs() as lines:
        outcomes = Outcomes(broker, lambda *_: 0, lambda: None)  # type: ignore[arg-type]
        task = asyncio.create_task(outcomes.run(owned))
        for _ in range(5):
            await asyncio.sleep(0)
        assert broker.declared == 0
        owned.set()
        await until(lambda: broker.declared > 3)
        assert sum("outcomes are not heard" in line["event"] for line in lines) == 1
        broker.refusal = ""
        await until(lambda: broker.deliver is not None)
    task.cancel()


class Exchange(Broker):
    """A broker of a cluster: what is passed on comes to every queue that is bound."""

    def __init__(self) -> None:
        super().__init__()
        self.consumers: dict[str, Any] = {}
        self.passed: list[tuple[str, bytes]] = []

    async def declare(self, *_: Any, **__: Any) -> None:
        self.declared += 1

    async def consume(self, queue: str, _prefetch: int, deliver: Any, _lost: Any, *, exclusive: bool) -> "Consuming":
        assert not exclusive
        self.consumers[queue] = deliver
        return Consuming(self, queue)

    async def publish(self, exchange: str, key: str, message: Any) -> None:
        assert exchange == OUTCOMES_PASSED
        self.passed.append((key, message.body))
        for queue, deliver in list(self.consumers.items()):
            if queue != OUTCOMES:
                deliver(Delivery(queue, message.body, "", {}, redelivered=False, tag=None))


class Consuming:
    def __init__(self, broker: Exchange, queue: str) -> None:
        self._broker, self._queue = broker, queue

    async def cancel(self) -> None:
        del self._broker.consumers[self._queue]


async def test_of_a_cluster_one_node_hears_them_and_all_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maestro.ingress.outcomes.LOOK_SOON", 0.001)
    broker, taken, held = Exchange(), [], asyncio.Event()

    def take(system: str, one: Delivery) -> int:
        taken.append((system, one.queue))
        return int(system == "sysA")

    outcomes = Outcomes(broker, take, lambda: None, "north")  # type: ignore[arg-type]
    task = asyncio.create_task(outcomes.run(held))
    await until(lambda: set(broker.consumers) == {"maestro.outcomes.north.queue"})
    held.set()
    await until(lambda: OUTCOMES in broker.consumers)
    mine = body(name="a.done", systemId="sysA", payload={"instance_id": "i"})
    nobodys = body(name="system.process.persist.error", payload={"instance_id": "i"})
    for said in (b"no", mine, nobodys):
        broker.consumers[OUTCOMES](delivery(said))
    await until(lambda: len(broker.acked) == 4)  # all that were heard, and what was told and nobody took
    assert broker.passed == [("sysA", mine), ("_", nobodys)]
    assert taken == [("sysA", OUTCOMES), ("", OUTCOMES)]
    held.clear()
    await until(lambda: OUTCOMES not in broker.consumers)
    task.cancel()
    await outcomes.close()

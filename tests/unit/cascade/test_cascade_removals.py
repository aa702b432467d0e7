"""How the cascade actor takes messages off the unit queues: together where they stand in order, else each by itself."""

from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from maestro.broker.base import Binding, BrokerError, Delivery
from maestro.broker.topology import SystemQueues
from maestro.cascade import service as cascade
from maestro.cascade.service import CascadeService
from maestro.links.items import SYSTEM, Hello
from maestro.messages.cascade import (
    CascadeDone,
    DequeueControl,
    DequeueReprocessing,
    DequeueUnit,
    EmptyUnitQueues,
    ToCascade,
)
from maestro.settings.model import Settings
from tests.support.brokers import eventually

QUEUES = SystemQueues("s1")


class FakeBroker:
    """Two queues of message ids, and how often something was taken off them."""

    connected = True
    problem = blocked = ""

    def __init__(self) -> None:
        self.queues: dict[str, list[str]] = {QUEUES.events: [], QUEUES.control: []}
        self.takes = 0
        self.refuses = ""
        #: The takes that it refuses, by their number.
        self.refused: set[int] = set()

    async def declare(self, bindings: Sequence[Binding], _exchanges: Sequence[str] = ()) -> None:
        return

    async def get(self, queue: str) -> Delivery | None:
        return next(iter(await self.get_some(queue, 1)), None)

    async def get_some(self, queue: str, count: int) -> list[Delivery]:
        if queue == self.refuses:
            raise BrokerError("refused")
        self.takes += 1
        if self.takes in self.refused:
            raise BrokerError("refused")
        ids, self.queues[queue] = self.queues[queue][:count], self.queues[queue][count:]
        return [Delivery(queue, b"{}", id_, {}, False, None) for id_ in ids]  # noqa: FBT003

    def ack(self, _delivery: Delivery) -> None:
        return

    def requeue(self, delivery: Delivery) -> None:
        self.queues[delivery.queue].append(delivery.message_id)
        self.queues[delivery.queue].sort()

    async def purge(self, queue: str) -> int:
        self.queues[queue] = []
        return 0

    async def close(self) -> None:
        return


class FakeSession:
    on_item: Callable[[object], None]

    def __init__(self) -> None:
        self.done: list[CascadeDone] = []

    def post(self, item: object, *, lazy: bool = False) -> None:
        self.done.append(item)  # type: ignore[arg-type]  # cascade sends nothing else


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> FakeBroker:
    broker = FakeBroker()
    monkeypatch.setattr(cascade, "open_broker", lambda *_: broker)
    return broker


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


@pytest.fixture
async def service(broker: FakeBroker, session: FakeSession) -> AsyncIterator[CascadeService]:
    service = CascadeService(Settings(), 1)
    service.met(Hello(SYSTEM, 101, system_id="s1"), session)  # type: ignore[arg-type]
    yield service
    await service.stop()


async def order(session: FakeSession, *operations: ToCascade) -> None:
    """Have the operations done, and wait until all are told of, in order."""
    for operation in operations:
        session.on_item(operation)
    wanted = [operation.op for operation in operations]
    await eventually(lambda: [done.op for done in session.done] == wanted, "all told of")


def replays(ids: Sequence[str]) -> list[ToCascade]:
    """The removals of replays: a unit off the events queue, and one off the control queue, for each."""
    pairs = ((DequeueUnit(2 * n + 1, id_), DequeueControl(2 * n + 2)) for n, id_ in enumerate(ids))
    return [operation for pair in pairs for operation in pair]


async def test_what_stands_in_order_is_taken_in_one_go(
    broker: FakeBroker, service: CascadeService, session: FakeSession
) -> None:
    broker.queues = {QUEUES.events: ["a", "b", "c", "d"], QUEUES.control: ["a", "b", "c", "d"]}
    await order(session, *replays("abc"))
    assert broker.queues == {QUEUES.events: ["d"], QUEUES.control: ["d"]}
    assert broker.takes == 2
    assert not any(done.problem for done in session.done)


async def test_what_is_stale_goes_with_what_stands_behind_it(
    broker: FakeBroker, service: CascadeService, session: FakeSession
) -> None:
    broker.queues = {QUEUES.events: ["a", "b", "c", "d", "e"], QUEUES.control: ["a"]}
    await order(session, *replays("bd"))
    assert broker.queues == {QUEUES.events: ["e"], QUEUES.control: []}


async def test_what_is_not_there_takes_nothing_else_along(
    broker: FakeBroker, service: CascadeService, session: FakeSession
) -> None:
    broker.queues = {QUEUES.events: ["a", "b", "c"], QUEUES.control: ["a", "b", "c"]}
    await order(session, *replays("xa"))
    assert broker.queues == {QUEUES.events: ["b", "c"], QUEUES.control: ["c"]}


async def test_each_is_done_before_what_comes_behind_it(
    broker: FakeBroker, service: CascadeService, session: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cascade, "TOGETHER", 4)
    ids = list("abcdefgh")
    broker.queues = {QUEUES.events: [*ids, "z"], QUEUES.control: [*ids, "z"]}
    await order(session, *replays(ids), EmptyUnitQueues(1000))
    assert broker.queues == {QUEUES.events: [], QUEUES.control: []}
    assert broker.takes == 8, "no more than so many are in memory"


async def test_what_one_queue_refuses_is_no_problem_of_the_other(
    broker: FakeBroker, service: CascadeService, session: FakeSession
) -> None:
    broker.queues = {QUEUES.events: ["a"], QUEUES.control: ["a"]}
    broker.refuses = QUEUES.control
    await order(session, *replays("a"))
    assert [done.problem for done in session.done] == ["", "refused"]
    assert broker.queues == {QUEUES.events: [], QUEUES.control: ["a"]}


@pytest.mark.parametrize("left", ["looked for", "taken out"])
async def test_what_was_taken_before_a_refusal_is_given_back(
    broker: FakeBroker, service: CascadeService, session: FakeSession, left: str
) -> None:
    queue = QUEUES.events if left == "looked for" else QUEUES.reprocessings
    broker.queues = {QUEUES.events: [], queue: ["a", "b", "c"]}
    broker.refused = {3}
    await order(session, DequeueUnit(1, "z") if left == "looked for" else DequeueReprocessing(1, "z"))
    assert [done.problem for done in session.done] == ["refused"]
    assert broker.queues[queue] == ["a", "b", "c"]

"""When a system's reprocessing queues are declared: in a debounce, or when something is to be done with them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from maestro import debounce
from maestro.broker.base import Binding
from maestro.broker.topology import SystemQueues
from maestro.cascade import service as cascade
from maestro.cascade.service import CascadeService
from maestro.links.items import SYSTEM, Hello
from maestro.messages.cascade import EmptyUnitQueues
from maestro.settings.model import Settings
from tests.support.brokers import eventually


class FakeBroker:
    """Notes what is declared."""

    connected = True
    problem = blocked = ""

    def __init__(self) -> None:
        self.declared: list[str] = []
        self.purged: list[str] = []
        self.missing: set[str] = set()

    async def declare(self, bindings: Sequence[Binding], _exchanges: Sequence[str] = ()) -> None:
        self.declared += [binding.queue for binding in bindings]

    async def purge(self, queue: str) -> int | None:
        self.purged.append(queue)
        return None if queue in self.missing else 0

    async def close(self) -> None:
        return


class FakeSession:
    on_item: Callable[[object], None]

    def post(self, item: object, *, lazy: bool = False) -> None:
        """Lose it."""


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> FakeBroker:
    broker = FakeBroker()
    monkeypatch.setattr(cascade, "open_broker", lambda *_: broker)
    monkeypatch.setattr(debounce, "DEBOUNCE", 0.05)
    monkeypatch.setattr(debounce, "DEBOUNCE_MAX", 0.15)
    return broker


@pytest.fixture
async def service(broker: FakeBroker) -> AsyncIterator[CascadeService]:
    service = CascadeService(Settings(), 1)
    yield service
    await service.stop()


def attach(service: CascadeService, number: int) -> FakeSession:
    session = FakeSession()
    service.met(Hello(SYSTEM, 100 + number, system_id=f"s{number}"), session)  # type: ignore[arg-type]
    return session


def queues(*numbers: int) -> list[str]:
    return [binding.queue for number in numbers for binding in SystemQueues(f"s{number}").reprocessing_bindings()]


async def until_declared(broker: FakeBroker, wanted: list[str]) -> None:
    await eventually(lambda: sorted(broker.declared) == sorted(wanted), "declared")


async def test_queues_are_declared_once_no_more_systems_come(broker: FakeBroker, service: CascadeService) -> None:
    attach(service, 1)
    attach(service, 2)
    await asyncio.sleep(0)
    assert broker.declared == []
    await until_declared(broker, queues(1, 2))
    attach(service, 3)
    await until_declared(broker, queues(1, 2, 3))


async def test_systems_that_come_and_come_do_not_put_it_off_for_ever(
    broker: FakeBroker, service: CascadeService
) -> None:
    async with asyncio.timeout(5):
        number = 0
        while not broker.declared:
            number += 1
            attach(service, number)
            await asyncio.sleep(0.01)
    assert number > 5


async def test_what_is_to_be_done_does_not_wait_for_the_lull(
    broker: FakeBroker, service: CascadeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debounce, "DEBOUNCE", 60.0)
    monkeypatch.setattr(debounce, "DEBOUNCE_MAX", 60.0)
    session = attach(service, 1)
    attach(service, 2)
    session.on_item(EmptyUnitQueues(1))
    await until_declared(broker, queues(1))
    unit_queues = {SystemQueues("s1").events, SystemQueues("s1").control}
    await eventually(lambda: set(broker.purged) == unit_queues, "emptied")
    assert sorted(broker.declared) == sorted(queues(1))


@pytest.mark.parametrize("missing", ["events", "control"])
async def test_a_queue_found_missing_as_they_are_emptied_is_declared_again(
    broker: FakeBroker, service: CascadeService, missing: str
) -> None:
    session = attach(service, 1)
    await until_declared(broker, queues(1))
    broker.missing.add(getattr(SystemQueues("s1"), missing))
    session.on_item(EmptyUnitQueues(1))
    await until_declared(broker, queues(1, 1))

"""What tests of brokers need: places to open brokers at, a consumer that remembers, and patience with an end."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from maestro.broker import open_broker
from maestro.broker.base import Broker, Delivery
from maestro.settings.servers import BrokerSettings

#: Seconds that a test waits for what must happen.
PATIENCE = 60.0


async def eventually(condition: Callable[[], bool], what: str) -> None:
    """Return once `condition()` holds; fail after `PATIENCE` seconds."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"not {what}"
        await asyncio.sleep(0.01)


async def eventually_equal(ask: Callable[[], Awaitable[object]], expected: object) -> None:
    """Return once awaiting `ask()` gives `expected`; fail after `PATIENCE` seconds, showing the last answer."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while (answer := await ask()) != expected:
        assert asyncio.get_running_loop().time() < deadline, f"still {answer}, not {expected}"
        await asyncio.sleep(0.02)


@dataclass
class Place:
    """Where brokers that share their queues are opened. `break_up` voids their deliveries behind their backs."""

    settings: BrokerSettings
    data_dir: Path
    break_up: Callable[[], None]
    brokers: list[Broker] = field(default_factory=list)

    async def open(self) -> Broker:
        """Return another broker, connected."""
        broker = open_broker(self.settings, self.data_dir)
        self.brokers.append(broker)
        await broker.start()
        await eventually(lambda: broker.connected, f"connected, not: {broker.problem}")
        return broker

    async def close(self) -> None:
        """Close them all."""
        for broker in self.brokers:
            await broker.close()


@dataclass
class Collector:
    """A consumer's callbacks that remember; acknowledges at once when `acking`."""

    broker: Broker
    acking: bool = True
    seen: list[Delivery] = field(default_factory=list)
    lost: int = 0

    def on_delivery(self, delivery: Delivery) -> None:
        self.seen.append(delivery)
        if self.acking:
            self.broker.ack(delivery)

    def on_lost(self) -> None:
        self.lost += 1

    @property
    def ids(self) -> list[str]:
        return [delivery.message_id for delivery in self.seen]

    async def until(self, count: int) -> None:
        """Wait for `count` deliveries in all."""
        await eventually(lambda: len(self.seen) >= count, f"{count} deliveries")

"""A queue that does not exist is told from one that is out of reach, of which RabbitMQ says "not found" as well.

And whatever is asked has an end.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from pydantic import SecretStr

from maestro.broker.base import BrokerUnavailable, QueueUnavailable
from maestro.broker.rabbitmq import RabbitMQBroker
from maestro.broker.rabbitmq_session import ChannelLost, Session
from maestro.settings.servers import BrokerSettings

NONE = "NOT_FOUND - no queue 'q' in vhost '/'"
OUT_OF_REACH = (
    "NOT_FOUND - home node 'rabbit@x' of durable queue 'q' in vhost '/' is down or inaccessible",
    "NOT_FOUND - failed to perform operation on queue 'q' in vhost '/' due to timeout",
)


class Refusing:
    """A session and its channel: whatever is asked about a queue is refused with the same text."""

    is_open, unsettled = True, ()

    def __init__(self, text: str) -> None:
        self.raw = self
        self._text = text

    async def channel(self) -> "Refusing":
        return self

    def reply(self) -> Any:
        raise ChannelLost(404, self._text)

    async def call(self, *_: Any, **__: Any) -> Any:
        raise ChannelLost(404, self._text)

    def queue_purge(self) -> None: ...

    def queue_declare(self) -> None: ...

    def add_callback(self, *_: Any, **__: Any) -> None: ...

    def close(self) -> None: ...


def refused(text: str) -> RabbitMQBroker:
    broker = RabbitMQBroker(BrokerSettings(url=SecretStr("amqp://u:p@127.0.0.1/v")))
    broker._session = cast("Session", Refusing(text))
    broker._ready.set()
    return broker


ASKED = [
    lambda broker: broker.depth("q"),
    lambda broker: broker.purge("q"),
    lambda broker: broker.get("q"),
]  # fmt: skip


@pytest.mark.parametrize("ask", ASKED, ids=["depth", "purge", "get"])
async def test_a_queue_that_does_not_exist_is_no_error(ask: Callable[[RabbitMQBroker], Awaitable[Any]]) -> None:
    assert await ask(refused(NONE)) is None


@pytest.mark.parametrize("text", OUT_OF_REACH)
@pytest.mark.parametrize("ask", ASKED, ids=["depth", "purge", "get"])
async def test_one_that_is_out_of_reach_is_an_error_that_says_so(
    ask: Callable[[RabbitMQBroker], Awaitable[Any]], text: str
) -> None:
    with pytest.raises(QueueUnavailable, match=text):
        await ask(refused(text))


class Full(Refusing):
    """A session that has no channel left, which pika says at once."""

    async def channel(self) -> "Refusing":
        raise ChannelLost(0, self._text)


async def test_what_fails_at_once_each_time_has_an_end() -> None:
    broker = refused("")
    broker._settings = broker._settings.model_copy(update={"operation_timeout": 0.3})
    broker._session = cast("Session", Full("No free channels"))
    async with asyncio.timeout(5.0):
        with pytest.raises(BrokerUnavailable, match="No free channels"):
            await broker.depth("q")

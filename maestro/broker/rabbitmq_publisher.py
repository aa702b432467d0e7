"""Publishing to RabbitMQ: confirmed, mandatory, in order, through a bounded window.

A publish whose outcome is unknown because its channel died is published again, with the same message id, on
the next channel and before anything younger. So a message may arrive twice, and never gets lost.
"""

import asyncio
import re
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

import pika
from pika.spec import Basic

from maestro import faultpoints
from maestro.broker.base import BrokerError, BrokerUnavailable, Message, Unpublishable, Unroutable
from maestro.broker.rabbitmq_problem import ACCESS_REFUSED, NOT_FOUND
from maestro.broker.rabbitmq_properties import Outgoing
from maestro.broker.rabbitmq_session import Channel, ChannelLost

#: Publishes that may be unconfirmed at once, and their bodies' bytes; further callers wait in line.
WINDOW: Final = 256
WINDOW_BYTES: Final = 16 * 1024 * 1024
#: Channels that the broker may close over a publish before that publish is given up.
CHANNEL_DEATHS: Final = 5
#: Refusals (nacks) one after the other over which the channel is given up: one that was opened in the moment in which
#: the leader of a quorum queue died is refused every publish to it, and only another one is not.
NACKS: Final = 3
_EXCHANGE = re.compile(r"exchange '([^']*)'")


@dataclass(slots=True, eq=False)
class _Publish:
    exchange: str
    routing_key: str
    message: Message
    done: asyncio.Future[None]
    returned: str = ""
    deaths: int = 0

    def fail(self, error: BrokerError) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def confirm(self) -> None:
        if self.returned:
            self.fail(Unroutable(f"{self.exchange}/{self.routing_key}: {self.returned}"))
        elif not self.done.done():
            self.done.set_result(None)


class Publisher:
    """The line of publishes, and the window of those sent on the current channel."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._line: deque[_Publish] = deque()
        #: By delivery tag, which is also the order of sending.
        self._sent: dict[int, _Publish] = {}
        self._sent_bytes = 0
        self._last_tag = 0
        #: Refused since the last that was confirmed.
        self._nacks = 0
        self._channel: Channel | None = None
        self._closed = False

    async def publish(self, exchange: str, routing_key: str, message: Message) -> None:
        """See `Broker.publish`."""
        if self._closed:
            raise BrokerUnavailable("the broker is closed")
        entry = _Publish(exchange, routing_key, message, asyncio.get_running_loop().create_future())
        self._line.append(entry)
        self._pump()
        try:
            async with asyncio.timeout(self._timeout):
                await entry.done
        except TimeoutError as problem:
            raise BrokerUnavailable(f"no confirm from RabbitMQ within {self._timeout:g} s") from problem

    async def attach(self, channel: Channel) -> None:
        """Publish through `channel` from now on. Raises `ChannelLost`, `TimeoutError`."""
        await channel.call(channel.raw.confirm_delivery, self._on_confirm)
        channel.raw.add_on_return_callback(lambda _raw, method, properties, _body: self._on_return(method, properties))
        self._channel = channel
        self._last_tag = self._nacks = 0
        self._pump()

    def detach(self, lost: ChannelLost, redeclared: frozenset[str]) -> None:
        """Put what was sent and not confirmed back in line: the channel is gone.

        When the broker closed it over an exchange that nobody declares (any more), the publishes to that
        exchange fail; `redeclared` are the exchanges that will be there again.
        """
        self._channel = None
        unknown = [entry for entry in self._sent.values() if not entry.done.done()]
        self._sent.clear()
        self._sent_bytes = 0
        self._line.extendleft(reversed(unknown))
        if not lost.code:
            return
        for entry in unknown:
            entry.returned = ""
            entry.deaths += 1
            if entry.deaths >= CHANNEL_DEATHS:
                entry.fail(Unpublishable(f"RabbitMQ closed {entry.deaths} channels over this publish: {lost}"))
        culprit = _EXCHANGE.search(str(lost))
        if lost.code in (NOT_FOUND, ACCESS_REFUSED) and culprit and culprit[1] not in redeclared:
            for entry in self._line:
                if entry.exchange == culprit[1]:
                    entry.fail(Unroutable(str(lost)))

    def close(self) -> None:
        """Fail everything that is not confirmed: its outcome is unknown."""
        self._closed = True
        self._channel = None
        for entry in (*self._sent.values(), *self._line):
            entry.fail(BrokerUnavailable("the broker was closed before RabbitMQ confirmed"))
        self._sent.clear()
        self._line.clear()

    def _pump(self) -> None:
        """Send from the line while the window has room."""
        while self._line and self._channel is not None and self._channel.is_open and self._has_room():
            entry = self._line.popleft()
            if entry.done.done():  # timed out or cancelled while in line
                continue
            try:
                self._send(self._channel, entry)
            except pika.exceptions.ChannelWrongStateError:
                self._line.appendleft(entry)
                return
            except Exception as problem:  # noqa: BLE001 - whatever pika says of a message it cannot encode
                entry.fail(Unpublishable(f"this message cannot be published: {problem!r}"))

    def _has_room(self) -> bool:
        return len(self._sent) < WINDOW and (self._sent_bytes < WINDOW_BYTES or not self._sent)

    def _send(self, channel: Channel, entry: _Publish) -> None:
        message = entry.message
        original = message.original.properties if message.original is not None else None
        properties = Outgoing(message.message_id, message.headers, original, message.dropped)
        channel.raw.basic_publish(entry.exchange, entry.routing_key, message.body, properties, mandatory=True)
        self._last_tag += 1
        self._sent[self._last_tag] = entry
        self._sent_bytes += len(message.body)
        faultpoints.reach("broker.before_confirm")

    def _on_return(self, method: Any, properties: Any) -> None:
        """Mark the returned publish; its confirm follows. A return names no delivery tag, so look for its twin."""
        for entry in self._sent.values():
            if (
                not entry.returned
                and entry.message.message_id == (properties.message_id or "")
                and (entry.exchange, entry.routing_key) == (method.exchange, method.routing_key)
            ):
                entry.returned = f"returned by RabbitMQ ({method.reply_text})"
                return

    def _on_confirm(self, frame: Any) -> None:
        confirm = frame.method
        tags = [confirm.delivery_tag]
        if confirm.multiple:
            tags = []
            for tag in self._sent:
                if tag > confirm.delivery_tag > 0:
                    break
                tags.append(tag)
        for tag in tags:
            entry = self._sent.pop(tag, None)
            if entry is None:
                continue
            self._sent_bytes -= len(entry.message.body)
            if isinstance(confirm, Basic.Nack):
                entry.returned = "RabbitMQ did not take the message (nack)"
                self._nacks += 1
            else:
                self._nacks = 0
            entry.confirm()
        if self._nacks >= NACKS and self._channel is not None:
            self._channel.close()
        self._pump()

"""pika's callbacks made awaitable: a `Session` is one AMQP connection, a `Channel` one of its channels.

Neither reconnects; when it is lost it stays lost, and says why. All of it runs on the event loop's thread.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import pika
from pika.adapters.asyncio_connection import AsyncioConnection

from maestro import logs
from maestro.broker.base import BrokerError
from maestro.broker.rabbitmq_frames import FrameReader
from maestro.broker.rabbitmq_problem import NOT_FOUND, describe
from maestro.broker.rabbitmq_stream import LoopStreams
from maestro.settings.servers import BrokerSettings

#: Seconds between two looks at whether channels were closed without telling.
WATCH_INTERVAL: Final = 5.0
#: Seconds that a graceful close may take.
CLOSE_TIMEOUT: Final = 5.0
#: What RabbitMQ says of what does not exist, and of a queue that does not. One that it has out of reach for now (its
#: node is lost, it has no leader) is "not found" as well.
_NONE: Final = "NOT_FOUND - no "
_NO_QUEUE: Final = "NOT_FOUND - no queue "
_T = TypeVar("_T")


class SessionFailed(Exception):  # noqa: N818 - a fact about a session
    """A connection could not be opened; the message tells people why."""


class ChannelLost(Exception):  # noqa: N818 - a fact about a channel
    """The channel is gone. `code` is the broker's reason to close it, 0 when the connection was lost."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code

    @property
    def no_queue(self) -> bool:
        """Whether the broker says that a queue does not exist."""
        return self.code == NOT_FOUND and str(self).startswith(_NO_QUEUE)

    @property
    def out_of_reach(self) -> bool:
        """Whether the broker says that something is there, and that it has it out of reach for now."""
        return self.code == NOT_FOUND and not str(self).startswith(_NONE)


class Channel:
    """One open channel. It dies alone when the broker refuses something on it, or with its connection."""

    def __init__(self, raw: Any, timeout: float) -> None:
        self.raw = raw
        self._timeout = timeout
        self._lost: asyncio.Future[ChannelLost] = asyncio.get_running_loop().create_future()
        self._replies: set[asyncio.Future[Any]] = set()
        #: Tags of the deliveries that came through this channel and are neither acked nor requeued, in the order they
        #: came, which is that of the tags; and whom to tell when one is settled.
        self.unsettled: dict[int, Callable[[], None]] = {}
        #: Tags settled as acked whose acknowledgement goes out with the end of this turn of the loop.
        self._acked: list[int] = []
        raw.add_on_close_callback(lambda _channel, reason: self._on_close(reason))

    @property
    def is_open(self) -> bool:
        """Whether it can be used."""
        return bool(self.raw.is_open) and not self._lost.done()

    async def call(self, method: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call a synchronous method of `raw` and return the broker's reply.

        Raises:
            ChannelLost: the broker closed the channel over it, or the connection is gone.
            TimeoutError: no reply in time; the channel is closed, for a late reply would be mistaken.
        """
        with self.reply() as reply:
            try:
                method(*args, **options, callback=lambda frame: resolve(reply, frame))
            except pika.exceptions.AMQPError as problem:
                raise ChannelLost(0, str(problem) or repr(problem)) from problem
            return await self.within(reply)

    def tell(self, method: Callable[..., Any], *args: Any, **options: Any) -> None:
        """Call a method of `raw` that is not answered: the broker closes the channel over what it refuses.

        Raises:
            ChannelLost: the channel was closed before.
        """
        if self._lost.done():
            raise self._lost.result()
        try:
            method(*args, **options)
        except pika.exceptions.AMQPError as problem:
            raise ChannelLost(0, str(problem) or repr(problem)) from problem

    @contextlib.contextmanager
    def reply(self) -> Iterator[asyncio.Future[Any]]:
        """Yield a future for one reply, failed with `ChannelLost` when the channel closes first."""
        if self._lost.done():
            raise self._lost.result()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._replies.add(future)
        try:
            yield future
        finally:
            self._replies.discard(future)
            future.cancel()

    async def within(self, reply: asyncio.Future[Any]) -> Any:
        """Await a reply for as long as an operation may take, and close the channel when it does not come."""
        try:
            async with asyncio.timeout(self._timeout):
                return await reply
        except (TimeoutError, asyncio.CancelledError):
            self.close()
            raise

    async def wait_lost(self) -> ChannelLost:
        """Return why the channel was lost, once it is."""
        return await asyncio.shield(self._lost)

    def look(self) -> bool:
        """Return whether it may still be lost; one that was closed without telling is from now on."""
        if self.raw.is_closed:
            self._on_close(None)
        return not self._lost.done()

    def note(self, tag: int, settled: Callable[[], None] = lambda: None) -> None:
        """Remember a delivery that came through here and is to be settled.

        `settled` is called when it is, though the acknowledgement may be about to go out yet; not when it is void.
        """
        self.unsettled[tag] = settled

    def settle(self, tag: int, *, ack: bool) -> None:
        """Acknowledge or requeue a delivery once; does nothing for one that is settled or void.

        Acknowledgements gather until the end of this turn of the loop, or until the channel is closed by `close`.
        """
        if not self.is_open or tag not in self.unsettled:
            return
        settled = self.unsettled.pop(tag)
        if ack:
            if not self._acked:
                asyncio.get_running_loop().call_soon(self.flush)
            self._acked.append(tag)
        else:  # at once: a later acknowledgement covers every older tag that is not in `unsettled`
            self.raw.basic_nack(tag, requeue=True)
        settled()

    def flush(self) -> None:
        """Send the acknowledgements that gathered: one for all older than what is unsettled, and one for each other."""
        acked, self._acked = self._acked, []
        oldest = next(iter(self.unsettled), math.inf)
        older = [tag for tag in acked if tag < oldest]
        with contextlib.suppress(pika.exceptions.AMQPError):  # the channel goes, and with it what it delivered
            if older:
                self.raw.basic_ack(max(older), multiple=True)
            for tag in acked:
                if tag > oldest:
                    self.raw.basic_ack(tag)

    def close(self) -> None:
        """Close it if it is open, with what is acknowledged sent before; what is unsettled goes back to its queue."""
        self.flush()
        if not (self.raw.is_closed or self.raw.is_closing):
            with contextlib.suppress(pika.exceptions.AMQPError):
                self.raw.close()

    def _on_close(self, reason: BaseException | None) -> None:
        if self._lost.done():
            return
        code = int(reason.reply_code) if isinstance(reason, pika.exceptions.ChannelClosedByBroker) else 0
        lost = ChannelLost(code, str(getattr(reason, "reply_text", "") or reason or "the channel was closed"))
        self._lost.set_result(lost)
        self.unsettled.clear()
        for reply in tuple(self._replies):
            if not reply.done():
                reply.set_exception(lost)


class _Connection(AsyncioConnection):  # type: ignore[misc]  # pika is not typed
    """pika's connection, which survives whatever a message carries, and copies a large one once."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._frames = FrameReader()
        super().__init__(*arguments, **options)

    def _on_data_available(self, data_in: bytes) -> None:
        self.bytes_received += len(data_in)  # without that no heartbeat ever came, as pika counts
        for found in self._frames.read(data_in):
            self._process_frame(found)

    def _on_connection_workflow_done(self, conn_or_exc: Any) -> None:
        """One that is closed while it is made ends with an exception's class, of which pika expects an instance."""
        super()._on_connection_workflow_done(conn_or_exc() if isinstance(conn_or_exc, type) else conn_or_exc)


class Session:
    """One open AMQP connection."""

    def __init__(self, parameters: pika.connection.Parameters, timeout: float) -> None:
        loop = asyncio.get_running_loop()
        self._timeout = timeout
        self._opened: asyncio.Future[None] = loop.create_future()
        self._closed: asyncio.Future[str] = loop.create_future()
        self._channels: list[Channel] = []
        loop.call_later(WATCH_INTERVAL, self._look)
        self._raw = _Connection(
            parameters,
            on_open_callback=lambda _raw: resolve(self._opened, None),
            on_open_error_callback=lambda _raw, error: self._on_failed(error),
            on_close_callback=lambda _raw, reason: resolve(self._closed, describe(reason)),
            custom_ioloop=LoopStreams(loop),
        )
        self._raw.add_on_connection_blocked_callback(lambda _raw, frame: self._on_blocked(frame.method.reason))
        self._raw.add_on_connection_unblocked_callback(lambda _raw, _frame: self._on_blocked(""))
        #: Why the broker takes no publishes for now (short of memory or disk); empty when it does.
        self.blocked = ""

    @classmethod
    async def open(cls, parameters: pika.connection.Parameters, timeout: float) -> "Session":  # noqa: ASYNC109 - kept
        """Connect and log in. `timeout` (seconds) also bounds every later operation. Raises `SessionFailed`."""
        session = cls(parameters, timeout)
        try:
            async with asyncio.timeout(timeout):
                await session._opened
        except TimeoutError as problem:
            session._abandon()
            raise SessionFailed(f"RabbitMQ did not answer within {timeout:g} s") from problem
        except asyncio.CancelledError:
            session._abandon()
            raise
        return session

    @property
    def is_open(self) -> bool:
        """Whether it can be used."""
        return bool(self._raw.is_open) and not self._closed.done()

    async def channel(self) -> Channel:
        """Open a channel. Raises `ChannelLost` when the connection is gone or full, `TimeoutError`."""
        waiting: list[asyncio.Future[None]] = []
        try:
            raw = self._raw.channel(on_open_callback=lambda _raw: resolve(waiting[0], None))
        except pika.exceptions.AMQPError as problem:
            raise ChannelLost(0, str(problem) or repr(problem)) from problem
        channel = Channel(raw, self._timeout)
        self._channels.append(channel)
        with channel.reply() as opened:
            waiting.append(opened)
            await channel.within(opened)
        return channel

    @property
    def channel_max(self) -> int:
        """How many channels the connection may have."""
        return int(self._raw.params.channel_max or pika.channel.MAX_CHANNELS)

    async def wait_closed(self) -> str:
        """Return why the connection was lost, once it is."""
        return await asyncio.shield(self._closed)

    async def close(self) -> None:
        """Close gracefully, or give up after `CLOSE_TIMEOUT` seconds."""
        self._abandon()
        await asyncio.wait([self._closed], timeout=CLOSE_TIMEOUT)

    def _look(self) -> None:
        """Look at all channels, now and again, until no connection is left for them to be on."""
        self._channels = [channel for channel in self._channels if channel.look()]
        if self._channels or not self._closed.done():
            asyncio.get_running_loop().call_later(WATCH_INTERVAL, self._look)

    def _abandon(self) -> None:
        for channel in self._channels:
            channel.flush()
        if not (self._raw.is_closing or self._raw.is_closed):
            self._raw.close()

    def _on_blocked(self, reason: str) -> None:
        self.blocked = reason
        logs.get().warning("broker.blocked" if reason else "broker.unblocked", reason=reason)

    def _on_failed(self, error: BaseException) -> None:
        if not self._opened.done():
            self._opened.set_exception(SessionFailed(describe(error)))
        resolve(self._closed, describe(error))


def resolve(future: asyncio.Future[_T], value: _T) -> None:
    """Give a future its value, unless it has one or nobody waits any more."""
    if not future.done():
        future.set_result(value)


def parameters_of(settings: BrokerSettings) -> list[pika.connection.Parameters]:
    """Return pika's parameters for each URL of the settings. Raises `BrokerError` when one is no AMQP URL."""
    return [_parameters(url, settings) for url in settings.urls or [""]]


def _parameters(url: str, settings: BrokerSettings) -> pika.connection.Parameters:
    wrong = BrokerError("broker.url is no AMQP URL (amqp://user:password@host:port/vhost)")
    if not url.startswith(("amqp://", "amqps://")):
        raise wrong
    try:
        parameters = pika.URLParameters(url)
    except Exception:  # noqa: BLE001 - pika names none
        # Without the cause: its text may quote the URL, and with it the password.
        raise wrong from None
    parameters.heartbeat = settings.heartbeat
    parameters.connection_attempts = 1
    parameters.socket_timeout = settings.operation_timeout
    parameters.stack_timeout = settings.operation_timeout
    parameters.client_properties = {"connection_name": "maestro"}
    return parameters

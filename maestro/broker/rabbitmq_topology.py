"""What was declared on RabbitMQ: remembered, and declared again whenever it may be gone."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from maestro import logs
from maestro.broker.base import Binding
from maestro.broker.rabbitmq_problem import PRECONDITION_FAILED
from maestro.broker.rabbitmq_rounds import DECLARED_AT_ONCE
from maestro.broker.rabbitmq_session import Channel, ChannelLost, Session

_TOPIC: Final = "topic"


class Declarations:
    """Exchanges and bindings, all topic, durable and classic.

    What exists with other arguments (a platform that declares quorum queues) is used as it is found.
    """

    def __init__(self) -> None:
        self._exchanges: dict[str, None] = {}
        self._bindings: dict[Binding, None] = {}
        #: Names of exchanges and queues that exist with other arguments than ours.
        self._foreign: set[str] = set()
        self._log = logs.get()

    def remember(self, bindings: Sequence[Binding], exchanges: Sequence[str]) -> None:
        """Add to what is declared from now on."""
        self._exchanges.update(dict.fromkeys(exchanges))
        self._exchanges.update(dict.fromkeys(each.exchange for each in _bound(bindings) if not each.foreign))
        self._bindings.update(dict.fromkeys(bindings))

    @property
    def exchanges(self) -> frozenset[str]:
        """Names of the exchanges that `declare_all` makes."""
        return frozenset(self._exchanges)

    def of_queue(self, queue: str) -> tuple[Binding, ...]:
        """Return the bindings that make up a queue; none when it was never declared here."""
        return tuple(binding for binding in self._bindings if binding.queue == queue)

    async def declare_all(self, session: Session) -> None:
        """Declare everything. Raises `ChannelLost`, `TimeoutError`."""
        await self.declare(session, tuple(self._bindings), tuple(self._exchanges))

    async def declare(self, session: Session, bindings: Sequence[Binding], exchanges: Sequence[str]) -> None:
        """Declare these. Raises `ChannelLost` with the broker's reason, `TimeoutError`."""
        try:
            await self._unanswered(session, bindings, exchanges)
        except ChannelLost as lost:
            if not lost.code:
                raise
            await self._one_by_one(session, bindings, exchanges)

    async def _unanswered(self, session: Session, bindings: Sequence[Binding], exchanges: Sequence[str]) -> None:
        """Declare without an answer each: a refusal closes the channel, so one answer after all of them says yes."""
        channel = await session.channel()
        try:
            for start in range(0, max(len(bindings), 1), DECLARED_AT_ONCE):
                some = bindings[start : start + DECLARED_AT_ONCE]
                self._tell(channel, some, () if start else exchanges)
                await channel.call(channel.raw.basic_qos)
        finally:
            channel.close()

    def _tell(self, channel: Channel, bindings: Sequence[Binding], exchanges: Sequence[str]) -> None:
        raw = channel.raw
        for name in _exchanges(bindings, exchanges):
            options = {"exchange_type": _TOPIC, "durable": True, "passive": name in self._foreign}
            channel.tell(raw.exchange_declare, name, **options)
        for queue, arguments in _queues(bindings).items():
            options = {"durable": True, "passive": queue in self._foreign, "arguments": arguments}
            channel.tell(raw.queue_declare, queue, **options)
        for binding in _bound(bindings):
            channel.tell(raw.queue_bind, binding.queue, binding.exchange, binding.pattern)

    async def _one_by_one(self, session: Session, bindings: Sequence[Binding], exchanges: Sequence[str]) -> None:
        """Declare with an answer each, to take what exists with other arguments as it is."""
        work = _Work(session)
        try:
            for name in _exchanges(bindings, exchanges):
                options = {"exchange_type": _TOPIC, "durable": True}
                await self._as_found("exchange", name, work, options)
            for queue, arguments in _queues(bindings).items():
                await self._as_found("queue", queue, work, {"durable": True, "arguments": arguments})
            for binding in _bound(bindings):
                channel = await work.channel()
                await channel.call(channel.raw.queue_bind, binding.queue, binding.exchange, binding.pattern)
        finally:
            work.close()

    async def _as_found(self, kind: str, name: str, work: "_Work", options: dict[str, Any]) -> None:
        if name not in self._foreign:
            try:
                channel = await work.channel()
                await channel.call(getattr(channel.raw, f"{kind}_declare"), name, **options)
            except ChannelLost as lost:
                if lost.code != PRECONDITION_FAILED:
                    raise
                self._log.warning("broker.used_as_found", kind=kind, name=name, cause=str(lost))
                self._foreign.add(name)
            else:
                return
        channel = await work.channel()
        try:
            await channel.call(getattr(channel.raw, f"{kind}_declare"), name, passive=True)
        except ChannelLost:
            self._foreign.discard(name)  # it may be gone meanwhile: ours next time
            raise


class _Work:
    """A channel of its own for one round of declarations, opened again when the broker closed it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._channel: Channel | None = None

    async def channel(self) -> Channel:
        if self._channel is None or not self._channel.is_open:
            self._channel = await self._session.channel()
        return self._channel

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()


def _exchanges(bindings: Sequence[Binding], exchanges: Sequence[str]) -> Iterable[str]:
    return dict.fromkeys((*exchanges, *(each.exchange for each in _bound(bindings) if not each.foreign)))


def _queues(bindings: Sequence[Binding]) -> dict[str, dict[str, Any]]:
    """Return the queues with their arguments."""
    return {binding.queue: dict(binding.arguments) for binding in bindings}


def _bound(bindings: Sequence[Binding]) -> Iterable[Binding]:
    return (binding for binding in bindings if binding.exchange)

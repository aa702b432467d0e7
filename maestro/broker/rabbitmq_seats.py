"""Which channel a consumer gets: one of its own while there are plenty, then one that it shares.

RabbitMQ allows some 2,000 channels a connection, and a Maestro may serve more systems. A channel of one's own dies
alone; so a consumer that was refused before, and may be again, gets one beyond the usual half, and harms nobody.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from maestro.broker.rabbitmq_session import Channel, Session

#: Consumers of a shared channel.
SHARERS: Final = 64
#: Shared channels that are filled side by side: those of one begin one after the other.
SPREAD: Final = 16
#: Channels that are left for publishing, declaring, looking and taking single messages.
SPARE: Final = 64


class Seat:
    """A channel to consume on, and its turn: a prefetch is set for the consumers that begin after it."""

    def __init__(self, channel: Channel, *, shared: bool) -> None:
        self.channel = channel
        self.shared = shared
        self.turn = asyncio.Lock()
        self.taken = 0
        self._prefetch = 0

    async def prefetch(self, number: int) -> None:
        """Let who begins in this turn have so many unsettled. Raises `ChannelLost`, `TimeoutError`."""
        if number != self._prefetch:
            self._prefetch = 0  # not known until it is confirmed
            await self.channel.call(self.channel.raw.basic_qos, prefetch_count=number)
            self._prefetch = number


class Seats:
    """The channels of all consumers, over the sessions that come and go."""

    def __init__(self) -> None:
        self._own = 0
        self._shared: list[Seat] = []
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def take(self, session: Session, *, alone: bool) -> AsyncIterator[Seat]:
        """Have a seat while the context is open; `alone` asks for a channel of one's own as long as there is any.

        Raises:
            ChannelLost: the connection is gone, or has no channel left.
            TimeoutError: the broker did not answer.
        """
        limit = max(session.channel_max - SPARE, session.channel_max // 2)
        if self._own < (limit - len(self._shared) if alone else limit // 2):
            self._own += 1
            try:
                channel = await session.channel()
                try:
                    yield Seat(channel, shared=False)
                finally:
                    channel.close()
            finally:
                self._own -= 1
            return
        seat = await self._share(session, max(1, min(SPREAD, limit // 4)))
        try:
            yield seat
        finally:
            seat.taken -= 1
            if not seat.taken:
                seat.channel.close()

    async def _share(self, session: Session, spread: int) -> Seat:
        async with self._opening:
            self._shared = [seat for seat in self._shared if seat.channel.is_open]
            open_ = [seat for seat in self._shared if seat.taken < SHARERS]
            if len(open_) < spread:
                seat = Seat(await session.channel(), shared=True)
            else:  # in turns
                seat = open_[0]
                self._shared.remove(seat)
            self._shared.append(seat)
            seat.taken += 1
            return seat

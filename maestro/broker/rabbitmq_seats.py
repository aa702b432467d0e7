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
#: Channels that are left for publishing, declaring, looking and taking single messages.
SPARE: Final = 64


class Seat:
    """A channel to consume on, and its turn: a prefetch is set for the consumers that begin after it."""

    def __init__(self, channel: Channel, *, shared: bool) -> None:
        self.channel = channel
        self.shared = shared
        self.turn = asyncio.Lock()
        self.taken = 0


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
        seat = await self._share(session)
        try:
            yield seat
        finally:
            seat.taken -= 1
            if not seat.taken:
                seat.channel.close()

    async def _share(self, session: Session) -> Seat:
        async with self._opening:
            self._shared = [seat for seat in self._shared if seat.channel.is_open]
            seat = next((one for one in self._shared if one.taken < SHARERS), None)
            if seat is None:
                seat = Seat(await session.channel(), shared=True)
                self._shared.append(seat)
            seat.taken += 1
            return seat

"""All siblings' clients over one set of kept-alive connections."""

from collections.abc import Awaitable, Callable
from typing import Self, TypeVar

from maestro.platform.apicore import ApiCore
from maestro.platform.discovery import Discovery
from maestro.platform.domain import Domain
from maestro.platform.event_manager import EventManager
from maestro.platform.observer import CallObserver, Unobserved
from maestro.platform.once import OnceOnly
from maestro.platform.process_memory import ProcessMemory
from maestro.platform.transport import Leave, Transport, at_once
from maestro.settings.model import PlatformSettings

T = TypeVar("T")


class Platform:
    """The siblings. Belongs to the event loop it was opened on; `async with` closes it."""

    def __init__(
        self,
        transport: Transport,
        settings: PlatformSettings,
        observer: CallObserver | None = None,
        leave: Leave = at_once,
    ) -> None:
        self._transport = transport
        self.discovery = Discovery(transport, settings.discovery.url)
        self.process_memory = ProcessMemory(transport, settings.process_memory.url)
        self.apicore = ApiCore(transport, settings.apicore.url)
        self._once = OnceOnly(settings.max_answer_bytes, settings.connect_timeout, settings.commit_timeout)
        watched = observer or Unobserved()
        self.domain = Domain(transport, self.apicore, settings.domain_url, self._once, watched, leave)
        self.event_manager = EventManager(transport, settings.event_manager.url, leave)

    @classmethod
    async def open(
        cls, settings: PlatformSettings, observer: CallObserver | None = None, leave: Leave = at_once
    ) -> Self:
        """Return the clients. Connects on first use, so a sibling that is down is no error here.

        `observer` is told how each try of a call ended. Who begins a commit or sends an event may do so; `leave` is
        awaited where time has gone by since, before the call is made, or made again.
        """
        return cls(await Transport.open(settings, observer), settings, observer, leave)

    def failures(self, service: str) -> int:
        """Return how many tries of calls to a sibling have failed so far."""
        return self._transport.failures[service]

    async def retried(self, attempt: Callable[[], Awaitable[T]], tries: int | None = None) -> T:
        """Do several calls as one, tried again as a whole. Raises what `Transport.retried` raises."""
        return await self._transport.retried(attempt, tries)

    async def close(self) -> None:
        """Close the connections: those that carry a call once it has ended, https at once. Twice is no error."""
        await self._transport.close()
        await self._once.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

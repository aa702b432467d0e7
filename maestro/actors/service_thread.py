"""The thread a service lives on: one asyncio loop, started after the fork, owned by the actor's shell."""

import asyncio
import contextvars
import importlib
import os
import threading
from collections.abc import Callable
from typing import Any, Final

import structlog

try:
    import uvloop
except ModuleNotFoundError:  # no wheel for this platform; asyncio's own loop does
    uvloop = None  # type: ignore[assignment]

from maestro.actors.outbox import Outbox
from maestro.actors.service import Service
from maestro.telemetry.metrics import Snapshot

#: Seconds a service gets to stop.
STOP_TIMEOUT: Final = 5.0


class ServiceThread:
    """Runs one service.

    Args:
        factory: "module:Class" of the service.
        arguments: its keyword arguments.
        outbox: of the actor, which is woken once the service has ended.
        main_fd: pidfd of the main process; when that ends, this process exits at once.
        on_started: called on the loop's thread once `start` has returned.
    """

    def __init__(
        self,
        factory: str,
        arguments: dict[str, Any],
        outbox: Outbox,
        main_fd: int,
        on_started: Callable[[], None],
    ) -> None:
        self._factory = factory
        self._arguments = arguments
        self._outbox = outbox
        self._main_fd = main_fd
        self._on_started = on_started
        self._log = structlog.get_logger()
        self._loop = new_loop()
        self._service: Service | None = None
        self._stop: asyncio.Event = asyncio.Event()
        self._stopped = threading.Event()
        self._on_stopped: list[Callable[[], None]] = []
        self._ready = False
        # A new thread starts without context variables: it gets the actor's, which name it in each line of the log.
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="service", daemon=True)

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def problem(self) -> str:
        """What keeps the service from its work; empty: nothing. To be read on its own thread."""
        return self._service.problem if self._service is not None else "it is being started"

    @property
    def snapshot(self) -> Snapshot | None:
        """What the service measured, if it tells so. To be read on its own thread."""
        return self._service.snapshot() if self._service is not None else None

    @property
    def ready(self) -> bool:
        """Whether `start` has returned."""
        return self._ready

    @property
    def stopped(self) -> bool:
        """Whether the service has ended and its loop with it."""
        return self._stopped.is_set()

    def call(self, action: Callable[[], None]) -> None:
        """Run `action` on the loop's thread, soon; nothing happens once it is stopped."""
        if not self._stopped.is_set():
            try:
                self._loop.call_soon_threadsafe(action)
            except RuntimeError:  # closed between the check and the call
                return

    def stop(self, then: Callable[[], None] | None = None) -> None:
        """Have the service stop, and `then` called on the loop's thread. Does not wait."""
        if then is not None:
            self._on_stopped.append(then)
        self.call(self._stop.set)

    def join(self, timeout: float) -> bool:
        """Wait for the service's end, at most `timeout` seconds; True when it came."""
        return self._stopped.wait(timeout)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._live())
        except BaseException:  # noqa: BLE001 - whatever it was, it ends the process
            self._log.exception("service failed", factory=self._factory)
            os._exit(1)  # the supervisor starts another; half a service would only look alive
        self._stopped.set()
        self._outbox.wake()

    async def _live(self) -> None:
        self._loop.add_reader(self._main_fd, os._exit, 1)
        module, _, name = self._factory.partition(":")
        service: Service = getattr(importlib.import_module(module), name)(**self._arguments)
        self._service = service
        await service.start()
        self._ready = True
        self._on_started()
        await self._stop.wait()
        try:
            await asyncio.wait_for(service.stop(), STOP_TIMEOUT)
        except Exception:  # noqa: BLE001 - it is being stopped; the rest of the stop must go on
            self._log.exception("service did not stop well", factory=self._factory)
        self._ready = False
        for then in self._on_stopped:
            then()
        self._loop.remove_reader(self._main_fd)


def new_loop() -> asyncio.AbstractEventLoop:
    """Return a loop of the kind that services live on."""
    return asyncio.new_event_loop() if uvloop is None else uvloop.new_event_loop()

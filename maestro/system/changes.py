"""Says that a system changed: a counter, and the questions that wait for it to move."""

import asyncio
from collections.abc import Callable, Iterable


class Changes:
    """The version of a system's state. A restart begins another series of versions."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        self._count = 0
        self._waiting: dict[int, tuple[Callable[[bool], None], asyncio.TimerHandle]] = {}
        self._last_waiter = 0
        #: The document that changed last.
        self.document_id = ""

    @property
    def version(self) -> str:
        """Name the present version."""
        return f"{self._epoch}.{self._count}"

    def moved(self, document_ids: Iterable[str]) -> None:
        """Something changed, these documents among it."""
        self._count += 1
        for id_ in document_ids:
            self.document_id = id_
        for waiter in list(self._waiting):
            self._tell(waiter, moved=True)

    def wait(self, after: str, seconds: float, tell: Callable[[bool], None]) -> None:
        """Call `tell` once the version is another than `after` (with true), or after `seconds` (with false)."""
        if after != self.version:
            tell(True)  # noqa: FBT003 - the callback's own meaning
            return
        self._last_waiter += 1
        waiter = self._last_waiter
        timer = asyncio.get_running_loop().call_later(seconds, lambda: self._tell(waiter, moved=False))
        self._waiting[waiter] = (tell, timer)

    def release(self) -> None:
        """Tell all who wait that nothing has changed so far."""
        for waiter in list(self._waiting):
            self._tell(waiter, moved=False)

    def close(self) -> None:
        """Nothing moves any more."""
        for _, timer in self._waiting.values():
            timer.cancel()
        self._waiting.clear()

    def _tell(self, waiter: int, *, moved: bool) -> None:
        tell, timer = self._waiting.pop(waiter)
        timer.cancel()
        tell(moved)

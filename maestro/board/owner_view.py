"""Whether this process may answer and act: what the lease says of whose the broker's events are."""

import asyncio
from typing import Final

from maestro.board.lease import LeaseReader
from maestro.settings.model import Settings

#: Seconds between two looks of who waits for leave to act.
_LOOK: Final = 0.05
_NO_LEASE: Final = "whose the events of this vhost are is not known: the data folder has no lease"


class OwnerView:
    """What a process other than ingress knows. With the embedded broker everything is allowed."""

    def __init__(self, settings: Settings) -> None:
        self._shared = settings.broker.shared
        self._data_dir = settings.data_dir
        self._reader: LeaseReader | None = None

    @property
    def refusal(self) -> str:
        """Why lock checks, decisions and sync persists cannot be answered; empty: they can."""
        if not self._shared:
            return ""
        reader = self._lease()
        if reader is None:
            return _NO_LEASE
        return "" if reader.answers else f"broker: {reader.reason}"

    @property
    def acts(self) -> bool:
        """Whether effects may be begun."""
        if not self._shared:
            return True
        reader = self._lease()
        return reader is not None and reader.acts

    async def until_acts(self) -> None:
        """Return once effects may be begun: at once, as a rule."""
        while not self.acts:  # noqa: ASYNC110 - it is told by a word of shared memory, which wakes nobody
            await asyncio.sleep(_LOOK)

    def close(self) -> None:
        """Let go of the lease."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _lease(self) -> LeaseReader | None:
        if self._reader is None:
            try:
                self._reader = LeaseReader(self._data_dir)
            except (OSError, ValueError):
                return None
        return self._reader

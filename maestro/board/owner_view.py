"""Whether this process may answer and act: what the leases say of whose the broker's events and the systems are."""

import asyncio
from typing import Final

from maestro.board.lease import LeaseReader, Standing
from maestro.board.node_lease import NodeView
from maestro.settings.model import Settings

#: Seconds between two looks of who waits for leave to act.
_LOOK: Final = 0.05
_NO_LEASE: Final = "whose the events of this vhost are is not known: the data folder has no lease"


class OwnerView:
    """What a process other than ingress knows. With the embedded broker everything is allowed.

    In a cluster nothing is while the node's lease is not believed: its systems may be another node's by now.
    """

    def __init__(self, settings: Settings) -> None:
        self._shared = settings.broker.shared
        self._data_dir = settings.data_dir
        self._reader: LeaseReader | None = None
        self._node = NodeView(settings)

    @property
    def refusal(self) -> str:
        """Why lock checks, decisions and sync persists cannot be answered; empty: they can."""
        return self._node.refusal or self.foreign

    @property
    def unbelieved(self) -> str:
        """Why nothing may be answered for a system of this node: its lease is not believed; empty: it is."""
        return self._node.refusal

    @property
    def foreign(self) -> str:
        """Why the broker's events are not known to be this installation's; empty: they are."""
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
        if reader is None:
            return False
        held = reader.acts or (reader.standing is Standing.SHARED and self._node.events_held)
        return held and self._node.believed  # last: what is true of the moment before the effect

    async def until_acts(self) -> None:
        """Return once effects may be begun: at once, as a rule."""
        while not self.acts:  # noqa: ASYNC110 - it is told by a word of shared memory, which wakes nobody
            await asyncio.sleep(_LOOK)

    def close(self) -> None:
        """Let go of the lease."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self._node.close()

    def _lease(self) -> LeaseReader | None:
        if self._reader is None:
            try:
                self._reader = LeaseReader(self._data_dir)
            except (OSError, ValueError):
                return None
        return self._reader

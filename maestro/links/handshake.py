"""How ingress and cascade meet the systems' actors: a greeting until it is answered, then a link."""

import asyncio
from collections.abc import Callable

from maestro.links.endpoint import Peer, Window
from maestro.links.link import Frame, FrameAck, Hello
from maestro.links.service import Address, Attach, Outlet
from maestro.settings.model import ActorSettings
from maestro.telemetry.metrics import MetricsRegistry


class Meeting:
    """The links from one actor to all systems' actors."""

    def __init__(
        self,
        role: str,
        epoch: int,
        outlet: Outlet,
        settings: ActorSettings,
        registry: MetricsRegistry,
        window: Window | None = None,
    ) -> None:
        self._registry = registry
        self._hello = Hello(role, epoch)
        self._outlet = outlet
        self._settings = settings
        self._window = window
        self._peers: dict[int, Peer] = {}
        self._epochs: dict[str, int] = {}
        #: Systems (by epoch) that have not answered the greeting yet.
        self._greeting: dict[int, asyncio.TimerHandle] = {}

    def meet(self, attach: Attach, on_item: Callable[[object], None]) -> Peer:
        """Open a link to a system's actor that is new."""
        self.part(attach.system_id)
        peer = Peer(
            self._outlet, attach.address, self._hello.epoch, attach.epoch, self._settings, on_item, self._registry,
            self._window,
        )  # fmt: skip
        self._peers[attach.epoch] = peer
        self._epochs[attach.system_id] = attach.epoch
        self._greet(attach.address, attach.epoch)
        return peer

    def _greet(self, address: Address, epoch: int) -> None:
        self._outlet.send(address, self._hello)
        again = asyncio.get_running_loop().call_later(self._settings.resend_after, self._greet, address, epoch)
        self._greeting[epoch] = again

    def part(self, system_id: str) -> None:
        """Close the link to a system's actor that is gone."""
        epoch = self._epochs.pop(system_id, None)
        if epoch is not None:
            self._answered(epoch)
            self._peers.pop(epoch).close()

    def receive(self, message: Frame | FrameAck) -> None:
        """Take what comes from a system; what comes from none that is known is of the past."""
        peer = self._peers.get(message.sender)
        if peer is not None:
            self._answered(message.sender)
            peer.receive(message)

    def _answered(self, epoch: int) -> None:
        timer = self._greeting.pop(epoch, None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        """Close all links."""
        for system_id in list(self._epochs):
            self.part(system_id)

"""A system at rest at a node of a simulated cluster: it has no process, and its queue is consumed."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.simulation.cluster.machine import Machine


class Resting:
    """In the place of a `Process`, until something comes for the system."""

    #: Its store needs no opening for this, and its lock is open.
    standing: Final = "closed"
    board: Final = False
    at_rest: Final = True

    def __init__(self, machine: "Machine", system_id: str) -> None:
        self._machine = machine
        self._queue = machine.world.queues[system_id]
        self.system_id = system_id
        self.alive = True
        self.attach()

    def attach(self) -> None:
        """Consume once the last consumer is gone."""
        if self.alive and (self._machine.cut_off or not self._queue.attach(self)):
            self._machine.later(0.5, self.attach)

    def arrives(self, _event: str, _ref: int) -> None:
        """A delivery is on its way from the broker."""
        self._machine.receive(self._wake)

    def _wake(self) -> None:
        if self.alive:
            self._machine.wake(self)

    def end(self) -> None:
        """It is not consumed here any more."""
        self.alive = False
        self._queue.detach(self)

    def may_act(self) -> bool:
        """Whether the node's lease is believed at this moment."""
        return self._machine.believes

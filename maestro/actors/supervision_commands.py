"""What the supervisor's plan orders: `maestro.actors.supervisor` carries it out."""

from dataclasses import dataclass

from maestro.actors.child import Key
from maestro.actors.messages import Address
from maestro.actors.processes import Process


@dataclass(frozen=True, slots=True)
class Create:
    """Fork an actor for this child, then report `SupervisionPlan.created`."""

    key: Key


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL the process."""

    process: Process


@dataclass(frozen=True, slots=True)
class Tell:
    """Send a message."""

    address: Address
    message: object


Command = Create | Kill | Tell

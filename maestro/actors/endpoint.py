"""The main process's mailbox among the actors: one thread that sends and receives.

Why not thespian's own external context: its `tell` returns only once every earlier message of that context is through,
so a single frozen actor holds up all others; its `ask` takes whatever arrives next for the answer; and creating an
`ActorSystem` where no Admin is left forks one, from a process full of threads. So this drives the transport itself,
the way an actor does: one thread owns it, an outbox is watched, nothing waits for a delivery.
"""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import structlog
from thespian.actors import ActorAddress, ActorSystemMessage, WatchMessage
from thespian.system.messages.admin import SystemShutdown
from thespian.system.transport import ReceiveEnvelope, TransmitIntent
from thespian.system.transport.TCPTransport import ExternalTransportCopy

from maestro.actors.messages import Address
from maestro.actors.outbox import Outbox
from maestro.actors.transport import LeanTransport
from maestro.actors.unix_sockets import ADMIN_PORT
from maestro.ports import LOOPBACK

_TURN: Final = timedelta(seconds=1)


class Endpoint:
    """A mailbox. `maestro.actors.wire.install` has set up the process with the key of the actors' run.

    Args:
        receive: called on the endpoint's thread with each message; must not block and not raise.
        lost: called on the endpoint's thread with the address and message of each send that failed.
    """

    def __init__(
        self,
        receive: Callable[[object], None],
        lost: Callable[[Address, object], None],
    ) -> None:
        self._admin_address = address_of(ADMIN_PORT)
        self._receive = receive
        self._lost = lost
        self._outbox = Outbox()
        self._closing = threading.Event()
        self._log = structlog.get_logger()
        self._thread = threading.Thread(target=self._run, name="actors", daemon=True)

    def open(self) -> None:
        """Start the thread."""
        self._thread.start()

    def send(self, address: Address, message: object) -> None:
        """Send a message, from any thread; it may get lost."""
        self._outbox.put(address, message)

    def shut_down_admin(self) -> None:
        """Ask the Admin to end all actors and itself."""
        self._outbox.put(self._admin_address, SystemShutdown())

    @property
    def alive(self) -> bool:
        """Whether the thread is at work."""
        return self._thread.is_alive()

    def close(self, timeout: float = 5.0) -> None:
        """End the thread, waiting at most `timeout` seconds."""
        self._closing.set()
        self._outbox.wake()
        self._thread.join(timeout)

    def _run(self) -> None:
        transport = LeanTransport(ExternalTransportCopy(), self._admin_address, False, False)  # noqa: FBT003 - thespian's order
        try:
            while not self._closing.is_set():
                transport.set_watch([self._outbox.fileno()])
                transport.run(lambda envelope: self._take(transport, envelope), _TURN)
        except Exception:  # noqa: BLE001 - the runtime sees this thread end, and starts everything again
            self._log.exception("the actors' endpoint failed")
        finally:
            _close(transport)
            self._outbox.close()

    def _take(self, transport: Any, envelope: Any) -> bool:
        """Handle one envelope; False ends this turn."""
        if not isinstance(envelope, ReceiveEnvelope):  # thespian's nudges to itself
            return True
        if isinstance(envelope.message, WatchMessage):
            for address, message in self._outbox.take():
                self._transmit(transport, address, message)
        elif not isinstance(envelope.message, ActorSystemMessage):
            self._receive(envelope.message)
        return not self._closing.is_set()

    def _transmit(self, transport: Any, address: Address, message: object) -> None:
        intent = TransmitIntent(address, message, onError=lambda _status, failed: self._lost(address, failed.message))
        try:
            transport.scheduleTransmit(None, intent)
        except Exception:  # noqa: BLE001 - one message's trouble is not the others'
            self._log.exception("a message could not be sent", message=type(message).__name__)


def _close(transport: Any) -> None:
    """Close the transport's sockets, which its own `close` leaves open."""
    busy = [*transport._incomingSockets.values(), *transport._transmitIntents.values()]  # noqa: SLF001 - no public way
    sockets = [each.socket for each in (*busy, *transport._openSockets.values())]  # noqa: SLF001 - as above
    for each in (transport.socket, *sockets):
        each.close()


def address_of(port: int) -> Any:
    """Return the address of the process of this run that listens on that port (`unix_sockets`)."""
    address: ActorAddress = LeanTransport.getAddressFromString((LOOPBACK, port))
    return address

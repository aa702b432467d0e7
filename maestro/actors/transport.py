"""thespian's TCP transport, with the turns of its loop made cheap.

thespian's own loop builds a selector in each turn and puts every socket into it that is open to anybody: with 200
systems, each of the five turns of one message costs a system call and some Python for each of 200 sockets. Here

- the sockets that nothing happens on stay in one poll set, and a turn looks only at those that are ready;
- a message is read in one turn, not in one for its length and one for the rest, and an acknowledgement likewise;
- who has sent a message waits for its acknowledgement at once, not for the socket to become writable once more.

Nothing else goes over the wire in another way. It is `poll` and not `epoll`: the kernel takes a closed socket out of an
epoll set only when no forked child has it open, and descriptors are used again at once.
"""

import select
import time
from collections.abc import Iterable
from typing import Any, Final

from thespian.actors import WatchMessage
from thespian.system.timing import currentTime
from thespian.system.transport import (
    ReceiveEnvelope,
    Thespian__Run_Expired,
    Thespian__Run_HandlerResult,
    Thespian__Run_Terminated,
    TransmitOnly,
)
from thespian.system.transport.asyncTransportBase import exclusive_processing
from thespian.system.transport.TCPTransport import TCPIncomingPersistent, TCPTransport, _safeSocketShutdown, opsKey

from maestro.actors.sockets import READ, IdleSockets

#: Seconds between two looks for sockets that have been idle for too long.
_LOOK_FOR_EXPIRED: Final = 60.0
#: A hang-up or an error shows by reading, or by writing.
_READABLE: Final = READ | select.POLLHUP | select.POLLERR
_WRITABLE: Final = select.POLLOUT | select.POLLHUP | select.POLLERR

#: Descriptors that can be read, that can be written, and that are none any more.
Ready = tuple[list[int], list[int], list[int]]


class LeanTransport(TCPTransport):
    """The transport of every process of Maestro; `maestro.actors.wire.install` puts it in place."""

    _watches: list[int]
    _finished_intents: list[tuple[Any, Any]]

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._openSockets = IdleSockets()
        self._expired_at = time.monotonic() + _LOOK_FOR_EXPIRED

    def _runWithExpiry(self, incomingHandler: Any) -> Any:  # noqa: N802, N803 - thespian's names
        transmit_only = incomingHandler is TransmitOnly or isinstance(incomingHandler, TransmitOnly)
        if hasattr(self, "_aborting_run"):
            del self._aborting_run
        while not hasattr(self, "_aborting_run") or (self._aborting_run and self._unsent()):
            if self.run_time.view().expired():
                break
            self._tell_sent()
            if transmit_only and not self._unsent():
                return 0
            result = None if transmit_only else self._hand_over(incomingHandler)
            if result is not None:
                return result
            self._tell_sent()
            before = self._unsent()
            idle = self._turn(transmit_only=transmit_only)
            if idle and self.run_time.view().expired():
                return Thespian__Run_Expired()
            if not idle and transmit_only and (before > self._unsent() or not self._unsent()):
                return self._unsent()
        return Thespian__Run_Terminated() if hasattr(self, "_aborting_run") else Thespian__Run_Expired()

    def _unsent(self) -> int:
        return len(self._transmitIntents) + len(self._waitingTransmits)

    def _hand_over(self, handler: Any) -> Any:
        """Give what came in to the handler; return what ends the run, or None."""
        while self._incomingEnvelopes:
            envelope = self._incomingEnvelopes.pop(0)
            if handler is None:
                return envelope
            result = Thespian__Run_HandlerResult(handler(envelope))
            if not result:
                return result
        return None

    def _turn(self, *, transmit_only: bool) -> bool:
        """Wait until something can be done, and do it; True when nothing could."""
        readable, writable, bad = self._wait(transmit_only=transmit_only)
        with exclusive_processing(self):
            idles = [self._openSockets.by_fd[fd] for fd in readable if fd in self._openSockets.by_fd]
            self._drop(bad)
            for fd in readable:
                self._read(fd, transmit_only=transmit_only)
            for idle in idles:
                self._wake(idle)
            for fd in writable:
                self._processIntents(fd)
            self._processIntentTimeouts()
            self._tend_incoming()
            self._close_expired()
            ready = [fd for fd in self._watches if fd in readable]
            if ready:
                self._incomingEnvelopes.append(ReceiveEnvelope(self.myAddress, WatchMessage(ready)))
        self._tell_sent()
        return not readable and not writable

    def _tell_sent(self) -> None:
        """Tell what has become of the messages that are through: the next ones to the same receivers go now."""
        while self._finished_intents:
            done, self._finished_intents = self._finished_intents, []
            for intent, status in done:
                intent.tx_done(status)

    def _wait(self, *, transmit_only: bool) -> Ready:
        poll = self._openSockets.poll
        wanted = self._wanted(transmit_only=transmit_only)
        for fd, events in wanted.items():
            poll.register(fd, events)
        try:
            found = poll.poll(self._poll_timeout())
        finally:
            for fd in wanted:
                poll.unregister(fd)
        reading = [fd for fd, events in found if events & _READABLE and wanted.get(fd) != select.POLLOUT]
        writing = [fd for fd, events in found if events & _WRITABLE and wanted.get(fd) == select.POLLOUT]
        return reading, writing, [fd for fd, events in found if events & select.POLLNVAL]

    def _wanted(self, *, transmit_only: bool) -> dict[int, int]:
        """Return the descriptors, other than those of idle sockets, that something is awaited of."""
        wanted: dict[int, int] = {}
        for intent in self._transmitIntents.values():
            if not intent.backoffPause():
                fd = self._socketFile(intent)
                if fd:
                    wanted[fd] = select.POLLOUT if self._waitForSendable(intent) else READ
        wanted |= {fd: READ for fd, each in self._incomingSockets.items() if fd and not each.backoffPause()}
        if not transmit_only:
            wanted[self.socket.fileno()] = READ
        return wanted | dict.fromkeys(self._watches, READ)

    def _poll_timeout(self) -> float | None:
        """Return for how many milliseconds to wait; None: for as long as it takes."""
        now = currentTime()
        delays = [
            self.run_time.view(now).remaining(),
            *(intent.delay(now) for intent in self._transmitIntents.values()),
            *(intent.delay() for intent in self._waitingTransmits),
            *(each.delay(now) for each in self._incomingSockets.values()),
        ]
        due = [delay.total_seconds() for delay in delays if delay]
        return max(0.0, min(due)) * 1000 if due else None

    def _read(self, fd: int, *, transmit_only: bool) -> None:
        if fd == self.socket.fileno() and not transmit_only:
            self._acceptNewIncoming()
        elif fd in self._incomingSockets:
            incoming = self._handlePossibleIncoming(self._incomingSockets.pop(fd), fd, has_exclusive_flag=True)
            if incoming:
                self._incomingSockets[incoming.socket.fileno()] = incoming
        else:
            self._processIntents(fd)

    def _wake(self, idle: Any) -> None:
        """An idle socket is not idle any more: somebody sends, or has closed it."""
        key = opsKey(idle.rmtaddr)
        current = self._openSockets.get(key)
        if current is not None and current is not idle:
            _safeSocketShutdown(idle)
            return
        self._openSockets.pop(key, None)
        fd = idle.socket.fileno()
        incoming = self._handlePossibleIncoming(
            TCPIncomingPersistent(idle.rmtaddr, idle.socket), fd, has_exclusive_flag=True
        )
        if incoming:
            self._incomingSockets[incoming.socket.fileno()] = incoming

    def _tend_incoming(self) -> None:
        for fd, each in list(self._incomingSockets.items()):
            incoming = self._handlePossibleIncoming(each, -1, has_exclusive_flag=True)
            if incoming:
                self._incomingSockets[fd] = incoming
            else:
                del self._incomingSockets[fd]

    def _close_expired(self) -> None:
        if time.monotonic() < self._expired_at:
            return
        self._expired_at = time.monotonic() + _LOOK_FOR_EXPIRED
        for key, idle in list(self._openSockets.items()):
            if idle.expired():
                _safeSocketShutdown(idle)
                del self._openSockets[key]

    def _drop(self, bad: Iterable[int]) -> None:
        """Forget descriptors that somebody closed: watched ones, or else sockets."""
        for fd in bad:
            if fd in self._watches:
                self._watches = [each for each in self._watches if each != fd]
            else:
                self._cancel_fd_ops(fd)

    # --- less work a message ----------------------------------------------------------------------------------

    def _complete_expired_intents(self) -> tuple[int, bool]:
        """Give up what waited for too long; thespian looks for it several times a message."""
        if not self._aTB_queuedPendingTransmits:
            return 0, False
        found: tuple[int, bool] = super()._complete_expired_intents()
        return found

    def _next_XMIT_2(self, intent: Any) -> Any:  # noqa: N802 - thespian's name
        """Send; all of it sent, wait for the acknowledgement."""
        going_on = super()._next_XMIT_2(intent)
        if not going_on or intent.stage != self._XMITStepShutdownWrite:
            return going_on
        return self._next_XMIT_3(intent)

    def _handleReadableIncoming(self, inc: Any, has_exclusive_flag: bool = False) -> Any:  # noqa: N802, FBT001, FBT002 - thespian's
        """Read; once the length is known, the rest is there as well, as a rule."""
        left = super()._handleReadableIncoming(inc, has_exclusive_flag)
        if left is not inc or inc.receivedAllData():
            return left
        try:
            more = inc.socket.recv(inc.remainingSize())
        except OSError:  # not there yet, or the connection broke: the next turn sees to it
            return inc
        if not more:
            inc.close()
            return None
        inc.addData(more)
        return self._addedDataToIncoming(inc, has_exclusive_flag=has_exclusive_flag)

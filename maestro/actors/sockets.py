"""What thespian's TCP transport keeps its connections in: the sockets that are idle, and what came in of a message."""

import select
from contextlib import suppress
from typing import Any, Final

from thespian.system.transport import streamBuffer

#: The bytes of the shortest thing on the wire, an acknowledgement: so many may be read before the length is known.
_SHORTEST: Final = len(streamBuffer.ackMsg)
READ: Final = select.POLLIN | select.POLLPRI


class IdleSockets(dict[Any, Any]):
    """thespian's idle sockets by their remote address; each is in a poll set for as long as it is in here."""

    def __init__(self) -> None:
        super().__init__()
        self.poll: Final = select.poll()
        self.by_fd: Final[dict[int, Any]] = {}
        self._fds: dict[Any, int] = {}

    def __setitem__(self, key: Any, idle: Any) -> None:
        self._forget(key)
        super().__setitem__(key, idle)
        fd = idle.socket.fileno()
        self._fds[key] = fd
        self.by_fd[fd] = idle
        self.poll.register(fd, READ)

    def __delitem__(self, key: Any) -> None:
        super().__delitem__(key)
        self._forget(key)

    def pop(self, key: Any, *default: Any) -> Any:
        """Remove and return."""
        found = super().pop(key, *default)
        self._forget(key)
        return found

    def _forget(self, key: Any) -> None:
        fd = self._fds.pop(key, None)
        if fd is not None:
            self.by_fd.pop(fd, None)
            with suppress(KeyError):
                self.poll.unregister(fd)


class WholeAckBuffer(streamBuffer.ReceiveBuffer):
    """thespian's buffer of what comes in, which asks for one byte less than an acknowledgement has.

    What is complete is read once, however often it is asked for.
    """

    _whole: Any = None

    def completed(self) -> Any:
        """Return the message, and what came after it; None while there is more to come."""
        if self._whole is None:
            self._whole = super().completed()
        return self._whole

    def remainingAmount(self) -> int:  # noqa: N802 - thespian's name
        """Return how many bytes to read: never more than what is in hand has left."""
        if self._size is None:
            return max(1, _SHORTEST - len(self._buf))
        left: int = self._size - len(self._buf)
        return left

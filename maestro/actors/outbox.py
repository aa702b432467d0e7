"""Messages on their way from one thread to the thread that alone may send them."""

import os
from collections import deque
from contextlib import suppress
from threading import Lock

from maestro.actors.messages import Address


class Outbox:
    """A bounded queue with a file descriptor that is readable while the queue holds something.

    A full outbox drops what comes: messages are lossy by contract, and their senders repeat them.
    """

    def __init__(self, capacity: int = 10_000) -> None:
        self._items: deque[tuple[Address, object]] = deque()
        self._capacity = capacity
        self._lock = Lock()
        self._closed = False
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        #: Messages dropped because the outbox was full or closed.
        self.dropped = 0

    def fileno(self) -> int:
        """Return the descriptor to watch."""
        return self._bell

    def put(self, address: Address, message: object) -> None:
        """Add a message, from any thread."""
        with self._lock:
            if self._closed or len(self._items) >= self._capacity:
                self.dropped += 1
                return
            self._items.append((address, message))
            ring = len(self._items) == 1
        if ring:
            self.wake()

    def take(self) -> list[tuple[Address, object]]:
        """Remove and return all messages, oldest first, and silence the descriptor."""
        with self._lock:
            items = list(self._items)
            self._items.clear()
            with suppress(BlockingIOError):  # a put has added its message and not yet rung; it will
                os.eventfd_read(self._bell)
        return items

    def wake(self) -> None:
        """Make the descriptor readable without a message."""
        with self._lock:
            if not self._closed:
                os.eventfd_write(self._bell, 1)

    def close(self) -> None:
        """Release the descriptor; what is put from now on is dropped."""
        with self._lock:
            self._closed = True
            os.close(self._bell)

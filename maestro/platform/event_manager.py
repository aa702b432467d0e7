"""Event Manager: the way events take into the platform."""

from collections.abc import Awaitable
from typing import Final

import msgspec

from maestro.platform.errors import NoSubscribers, SiblingLocked
from maestro.platform.target import address
from maestro.platform.transport import CallName, Leave, Transport, at_once

#: What it says of an event that nobody wants, and of one of a system whose reprocessing holds the lock.
_REFUSALS: Final = (("has no subscribers", NoSubscribers), ("is locked", SiblingLocked))
_SEND: Final = CallName("event_manager", "send", _REFUSALS)


class _Accepted(msgspec.Struct):
    message: str


_ACCEPTED: Final = msgspec.json.Decoder(_Accepted)


class EventManager:
    """Client of the Event Manager, at `base` (scheme, host and port). `leave`: see `Transport.retried`."""

    def __init__(self, transport: Transport, base: str, leave: Leave = at_once) -> None:
        self._transport = transport
        self._leave = leave
        self._send = address(base, "/sendevent")

    def send(self, event_json: bytes, *, tries: int | None = None) -> Awaitable[None]:
        """Send one event; `tries` other than the setting's where nothing depends on it.

        Raises:
            SiblingUnreachable: no usable answer; it may be sent all the same.
            NoSubscribers: nobody subscribes to events of that name.
            SiblingLocked: the platform is locked to that system.
            SiblingRefused: it answered 4xx for another reason: mostly a trouble of its own.
        """
        return self._transport.call(
            _SEND, "PUT", self._send, _accepted, body=event_json, tries=tries, leave=self._leave
        )


def _accepted(answer: bytes) -> None:
    _ACCEPTED.decode(answer)

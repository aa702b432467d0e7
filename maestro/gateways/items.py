"""What the gateways of two nodes say to each other: frames of `maestro.links.codec`, one to a WebSocket message.

The node that asks dials. Both ends say `NodeHello` first, and go on only if cluster and version are the same.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from maestro.links import codec
from maestro.links.items import VERSION, Escaped, Refused
from maestro.messages.answers import Answer
from maestro.messages.item import Item
from maestro.messages.questions import Question

#: Where a node's gateway takes the sessions of other nodes, and where the shared secret is said.
PATH: Final = "/node/session"
SCHEME: Final = "Maestro-Node "
#: Questions of one session that may be open at once, on each end: the other may still work on what one has given up.
MOST_OPEN: Final = 10_000
#: Seconds to connect, each end's `NodeHello` included.
HANDSHAKE: Final = 3.0
#: Seconds without a word after which the other end is asked for a sign of life; half of it later it counts as gone.
HEARTBEAT: Final = 4.0


class NodeHello(Item, frozen=True):
    """The first item of each end."""

    cluster: str
    node: str
    version: int = VERSION


class SystemAsked(Item, frozen=True):
    """A question to a system of the node that is asked. It has `seconds` to answer."""

    correlation: int
    system_id: str
    seconds: float
    question: Question


class SystemAnswered(Item, frozen=True):
    """The system's answer."""

    correlation: int
    answer: Answer


class RestAsked(Item, frozen=True):
    """Which of these systems does the node own, and are passivated?"""

    correlation: int
    system_ids: tuple[str, ...]


class RestTold(Item, frozen=True):
    """Those that are, with the `cursor` of each one's newest record."""

    correlation: int
    newest: dict[str, str]


class NotOwned(Item, frozen=True):
    """The node that was asked does not own the system: nothing was done."""

    correlation: int


class NotAnswered(Item, frozen=True):
    """There is no answer: the system cannot be reached, or (`late`) has not answered in time."""

    correlation: int
    message: str
    late: bool = False


def _decoder(items: Any) -> codec.Decoder:
    return msgspec.msgpack.Decoder(list[items | Escaped])


#: What each end takes first, and then.
OF_BEGINNING: Final = _decoder(NodeHello | Refused)
OF_ASKING: Final = _decoder(SystemAsked | RestAsked)
OF_ASKED: Final = _decoder(SystemAnswered | RestTold | NotOwned | NotAnswered)


def packed(*items: object) -> bytes:
    """Return the message that carries the items. Raises `ValueError` when one cannot be carried."""
    return codec.encode(items)[codec.HEAD :]


def unpacked(decoder: codec.Decoder, message: object) -> Iterable[Any]:
    """Return the items of a message. Raises `ValueError` when it is none."""
    if not isinstance(message, bytes):
        raise ValueError("a message that is no frame")  # noqa: TRY004 - like any other that cannot be read
    return codec.decode(decoder, message)

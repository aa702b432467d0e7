"""What a link carries beside the messages of `maestro.messages`, and which end takes which of them."""

from typing import Any, Final

import msgspec

from maestro.messages.answers import Answer
from maestro.messages.cascade import CascadeDone, ToCascade
from maestro.messages.ingress import OfIngress, ToIngress
from maestro.messages.item import Item
from maestro.messages.leaving import LeaveAnswered, LeaveAsked
from maestro.messages.questions import Question

#: The version of what is said here. Both ends come from one installation: they differ while it is exchanged under a
#: running Maestro.
VERSION: Final = 2

#: The fixed names of those who listen.
INGRESS: Final = "ingress"
CASCADE: Final = "cascade"
MAIN: Final = "main"
#: The role of those who dial.
SYSTEM: Final = "system"


class Hello(Item, frozen=True):
    """The first item of each end. `epoch`: of the life of the process that says it; a larger one is a later life."""

    role: str
    epoch: int
    version: int = VERSION
    system_id: str = ""


class Refused(Item, frozen=True):
    """The last item of an end that cannot go on, and why."""

    reason: str


class Escaped(Item, frozen=True):
    """An item whose text UTF-8 cannot hold; see `maestro.links.codec`."""

    item: bytes


class Asked(Item, frozen=True):
    """A question to a system. It is answered with `answered(...)`, once; answers come in any order."""

    correlation: int
    question: Question

    def answered(self, answer: Answer) -> "Answered":
        """Return the item that carries `answer` to the asker."""
        return Answered(self.correlation, answer)


class Answered(Item, frozen=True):
    """The answer to the question of that correlation id."""

    correlation: int
    answer: Answer


_OfAll = Hello | Refused | Escaped


def _decoder(items: Any) -> "msgspec.msgpack.Decoder[list[Any]]":
    return msgspec.msgpack.Decoder(list[items | _OfAll])


#: What each listener takes of a system, and what a system takes of each of them, by the listener's name.
OF_SYSTEM: Final = {INGRESS: _decoder(ToIngress), CASCADE: _decoder(ToCascade), MAIN: _decoder(Answered | LeaveAsked)}
OF_LISTENER: Final = {
    INGRESS: _decoder(OfIngress),
    CASCADE: _decoder(CascadeDone),
    MAIN: _decoder(Asked | LeaveAnswered),
}

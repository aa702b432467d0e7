"""How a question is answered, and what Maestro says to people."""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct

#: How the problem of a part begins that its broker keeps from its work.
BROKER_PROBLEM: Final = "broker: "


class Code(StrEnum):
    """How a question was answered. The gateway maps it to an HTTP status."""

    OK = "ok"  # 200
    ACCEPTED = "accepted"  # 202: will be done, not done yet
    LOCKED = "locked"  # 403: proceed refused
    INVALID = "invalid"  # 400
    NOT_FOUND = "not_found"  # 404
    CONFLICT = "conflict"  # 409
    FAILED = "failed"  # 502: a sibling refused or is out of reach
    UNAVAILABLE = "unavailable"  # 503: this system cannot answer now (its store, its actor)


class Answer(Struct, frozen=True):
    """The answer to one question: JSON for `OK`, `ACCEPTED` and `LOCKED`, else a message for people.

    With `CONFLICT` there may be a JSON object as well: what is different from what was expected.
    """

    code: Code
    body: bytes = b""
    message: str = ""


#: A text that Maestro says to people, in English; the gateway says it in the language that is asked for.
Said = Annotated[str, Meta(extra={"said": True})]

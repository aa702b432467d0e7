"""How a call to Maestro can fail."""

from collections.abc import Mapping
from typing import Any

import msgspec


class ClientError(Exception):
    """A call did not do what was asked; the message is for people."""


class BadTarget(ClientError):  # noqa: N818 - the name says what is bad
    """The URL, the token or the file of the token cannot be used."""


class NotReachable(ClientError):  # noqa: N818 - the name says what Maestro is
    """No usable answer: no connection, time-out, or something that is no Maestro. What was asked may have been done."""


class NoMaestro(NotReachable):
    """What answers at the address is another service."""


class Rejected(ClientError):  # noqa: N818 - the name says what became of the call
    """Maestro answered, and the answer is no.

    Attributes:
        status: of HTTP.
        raw: the answer's body.
        fields: the answer's further fields, for instance `added` and `removed` of a stale approval.
    """

    def __init__(self, status: int, message: str, raw: bytes, fields: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.status = status
        self.raw = raw
        self.fields = fields


def refused(status: int, message: str) -> Rejected:
    """Return a refusal of the client's own, in the shape of Maestro's."""
    fields = {"status": str(status), "message": message}
    return Rejected(status, message, msgspec.json.encode(fields), fields)

"""Why a connection to RabbitMQ failed, in words that an operator can act on."""

from collections.abc import Iterator
from typing import Final

import pika

#: Reply codes of AMQP.
ACCESS_REFUSED: Final = 403
NOT_FOUND: Final = 404
PRECONDITION_FAILED: Final = 406
NOT_ALLOWED: Final = 530


def describe(error: BaseException | None) -> str:
    """Say in words why a connection failed or ended: what an operator can act on. Never holds the password."""
    chain = list(_causes(error))
    for cause in chain:
        code = getattr(cause, "reply_code", 0)
        if isinstance(cause, pika.exceptions.ProbableAuthenticationError) or code == ACCESS_REFUSED:
            return "RabbitMQ refused the user name or password"
        if isinstance(cause, pika.exceptions.ProbableAccessDeniedError) or code == NOT_ALLOWED:
            return f"RabbitMQ refused the vhost: it does not exist or the user may not use it ({_text(cause)})"
    last = chain[-1] if chain else None
    if isinstance(last, OSError):
        return f"RabbitMQ is not reachable: {last.strerror or last}"
    return f"the connection to RabbitMQ ended: {_text(last)}" if last is not None else "the connection ended"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Unpack pika's exceptions, which keep their cause in one of these places."""
    while error is not None:
        yield error
        several = getattr(error, "exceptions", None) or ()
        inside = (getattr(error, "exception", None), *several[-1:], *error.args[:1], error.__cause__)
        error = next((each for each in inside if isinstance(each, BaseException)), None)


def _text(error: BaseException | None) -> str:
    return str(getattr(error, "reply_text", "") or error or type(error).__name__)

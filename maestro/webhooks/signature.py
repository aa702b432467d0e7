"""Signs webhooks, and verifies the signature where they arrive. Needs nothing but the standard library.

The header `Maestro-Signature: t=<seconds>,v1=<hex>` holds the time of sending and the HMAC-SHA256, by the shared
secret, of `<seconds>.<body>`. A receiver:

    verify(secret, request.body, request.headers["Maestro-Signature"])
"""

import hashlib
import hmac
import re
import time
from typing import Final

HEADER: Final = "Maestro-Signature"
#: Seconds a signature may be old, or ahead of the receiver's clock.
TOLERANCE: Final = 300.0
_SIGNATURE: Final = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})")


class BadSignature(Exception):  # noqa: N818 - it names what is bad
    """Not sent by who has the secret, changed on the way, or too old; the message says which, never the secret."""


def sign(secret: str, body: bytes, at: float) -> str:
    """Return the header's value for `body`, sent `at` seconds since the epoch."""
    return f"t={int(at)},v1={_digest(secret, body, int(at))}"


def verify(secret: str, body: bytes, header: str, *, tolerance: float = TOLERANCE, now: float | None = None) -> None:
    """Return when the header fits the body, exactly as it was received.

    Raises:
        BadSignature: it does not. What is older than `tolerance` seconds is refused, so that it cannot be replayed.
    """
    found = _SIGNATURE.fullmatch(header)
    if found is None:
        raise BadSignature(f"{HEADER}: must be t=<seconds>,v1=<hex>")
    at = int(found[1])
    if not hmac.compare_digest(_digest(secret, body, at), found[2]):
        raise BadSignature("the signature does not fit the body")
    if abs((time.time() if now is None else now) - at) > tolerance:
        raise BadSignature("the signature is too old")


def _digest(secret: str, body: bytes, at: int) -> str:
    return hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()

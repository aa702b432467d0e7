"""The ways by which people are told."""

from msgspec import Struct


class Way(Struct, frozen=True, rename="camel"):
    """One way by which people are told what waits for them."""

    name: str
    shown: str = ""
    delivered: int = 0
    given_up: int = 0
    failed: int = 0
    #: Why the last try, or the test, did not arrive; empty: it did, or there was none.
    problem: str = ""
    #: When the last try was, in seconds since the epoch; 0: there was none.
    last: float = 0.0


class Ways(Struct, frozen=True, rename="camel"):
    """The ways that are configured; what became of a test by each."""

    ways: tuple[Way, ...] = ()

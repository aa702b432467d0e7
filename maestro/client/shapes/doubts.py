"""Commits in doubt."""

from msgspec import Struct


class Doubt(Struct, frozen=True, rename="camel"):
    """A commit in doubt; `state`: in hand, open or resolved."""

    key: str
    use: str = ""
    instance_id: str = ""
    delivery: str = ""
    reprocessing: str = ""
    since: str = ""
    cause: str = ""
    state: str = ""
    verdict: str = ""
    user: str = ""
    at: str = ""
    reason: str = ""


class Doubts(Struct, frozen=True, rename="camel"):
    """The commits in doubt, oldest first, and the newest that were resolved."""

    total: int
    doubts: tuple[Doubt, ...] = ()
    resolved: tuple[Doubt, ...] = ()

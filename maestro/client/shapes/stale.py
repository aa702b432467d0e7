"""Units whose results are not known to be fresh."""

from msgspec import Struct

from maestro.client.shapes.values import Value


class Overwrite(Struct, frozen=True, rename="camel"):
    """Both values of what was overwritten, and why nothing, or not all, is known."""

    values: tuple[Value, ...] = ()
    same: int = 0
    more: int = 0
    problem: str = ""


class Stale(Struct, frozen=True, rename="camel"):
    """A unit whose result is not known to be fresh."""

    number: int
    instance_id: str
    branch: str = "master"
    state: str = ""
    timestamp: str = ""
    missed: tuple[str, ...] = ()
    cause: str = ""
    user: str = ""
    reason: str = ""
    reprocessing: str | None = None
    #: What its origin event says, in words; empty where Maestro does not know it.
    event: str = ""
    about: str = ""
    #: Where its values were asked for.
    overwrite: Overwrite | None = None


class StalePage(Struct, frozen=True, rename="camel"):
    """A page of them, oldest note first."""

    total: int
    left: int = 0
    stale: tuple[Stale, ...] = ()
    next: int | None = None

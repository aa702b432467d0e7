"""The audit log."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from maestro.http.shapes.shared import SECONDS, PageQuery


class AuditQuery(PageQuery):
    """Which page of the audit log."""

    #: What was decided, or what was refused.
    log: Annotated[Literal["decisions", "refused"],
                   Meta(extra={"says": 'must be "decisions" or "refused"'})] = "decisions"  # fmt: skip


class AuditShape(Struct):
    """One line of the audit log."""

    number: int
    at: Annotated[float, Meta(description=SECONDS)]
    who: str
    via: str
    what: str
    system: str
    target: str
    why: str
    origin: str
    outcome: Literal["done", "refused", "failed"]
    status: int
    message: str
    facts: dict[str, str]
    suppressed: int
    before: str
    hash: str


class AuditPage(Struct):
    """A page of the audit log, oldest first."""

    entries: list[AuditShape]
    next: int | None

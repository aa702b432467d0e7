"""Policies: as they are configured, and what they say of a document."""

from msgspec import Struct


class Condition(Struct, frozen=True, rename="camel"):
    """A condition of a policy: what it wants, what was found, and whether it holds; None: that is not known."""

    setting: str
    wanted: str = ""
    found: str | None = None
    holds: bool | None = None
    #: It in words.
    says: str = ""


class AppliedPolicy(Struct, frozen=True, rename="camel"):
    """A policy that demanded something of a decision, and why."""

    name: str
    digest: str = ""
    effects: tuple[str, ...] = ()
    why: str = ""
    conditions: tuple[Condition, ...] = ()


class Demand(Struct, frozen=True, rename="camel"):
    """What the policies demanded when they were asked last: approve (nobody is asked), ask or two_approvers."""

    approval: str
    skip_refused: bool = False
    at: str = ""
    says: str = ""
    by: tuple[AppliedPolicy, ...] = ()


class Policy(Struct, frozen=True, rename="camel"):
    """A policy as it is configured."""

    name: str
    digest: str = ""
    effects: tuple[str, ...] = ()
    conditions: dict[str, str] = {}


class Policies(Struct, frozen=True, rename="camel"):
    """A system's policies, and the settings beside them."""

    policies: tuple[Policy, ...] = ()
    two_approvers: bool = False
    auto_approve: bool = False


class WeighedPolicy(Struct, frozen=True, rename="camel"):
    """A policy held against a document: whether it applies (None: as far as is known), and which effects follow."""

    name: str
    digest: str = ""
    applies: bool | None = None
    effects: tuple[str, ...] = ()
    configured: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()


class Explained(Struct, frozen=True, rename="camel"):
    """What the policies say of a document as it is now, and what was recorded when they were asked last."""

    id: str
    system_id: str
    status: str
    approval: str
    skip_refused: bool = False
    says: str = ""
    forking: bool = False
    policies: tuple[WeighedPolicy, ...] = ()
    recorded: Demand | None = None
    two_approvers: bool = False
    auto_approve: bool = False

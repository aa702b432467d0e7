"""Policies: as they are configured, and what they say of a document."""

from typing import Any

from msgspec import Struct

from maestro.messages.answers import Said
from maestro.rules.status import Status


class ConditionShape(Struct):
    """A condition of a policy: what it wants, what was found, and whether it holds; null: that is not known."""

    setting: str
    wanted: str
    found: str | None
    holds: bool | None
    #: It in words.
    says: Said


class AppliedShape(Struct):
    """A policy that demanded something of a decision, in the wording that its digest names, and why it applied."""

    name: str
    digest: str
    effects: list[str]
    why: Said
    conditions: list[ConditionShape]


class DemandShape(Struct, rename="camel"):
    """What the policies demanded when they were asked last: `approve` (nobody is asked), `ask` or `two_approvers`."""

    approval: str
    #: A skip is refused with 409.
    skip_refused: bool
    at: str
    says: Said
    by: list[AppliedShape]


class PolicyShape(Struct):
    """A policy as it is configured."""

    name: str
    digest: str
    effects: list[str]
    #: What it looks at, by setting, and what it wants there. All must hold.
    conditions: dict[str, str]
    #: Where the origin event has the data's date.
    date_from: list[str]
    budget: dict[str, Any]


class PoliciesShape(Struct, rename="camel"):
    """What a system's decisions need: its policies, and the settings beside them."""

    policies: list[PolicyShape]
    #: `access.two_approvers` and `reprocessing.auto_approve` name the system.
    two_approvers: bool
    auto_approve: bool


class WeighedShape(Struct):
    """A policy held against a document: null where it applies as far as is known; and which effects follow."""

    name: str
    digest: str
    applies: bool | None
    effects: list[str]
    configured: list[str]
    conditions: list[ConditionShape]


class ExplainedShape(Struct, rename="camel"):
    """What the policies say of a document as it is now, and what was recorded when they were asked last."""

    id: str
    system_id: str
    status: Status
    #: It opens a branch: it is approved at once, whatever the policies say.
    forking: bool
    approval: str
    skip_refused: bool
    says: Said
    policies: list[WeighedShape]
    recorded: DemandShape | None
    two_approvers: bool
    auto_approve: bool

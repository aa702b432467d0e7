"""Roles, and who has which."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What somebody may do."""

    #: The platform's services: proceed, handler, failure, persist/sync.
    PLATFORM = "platform"
    #: Look at systems and documents.
    VIEWER = "viewer"
    #: Decide: approve, skip, retry, cancel; and look.
    APPROVER = "approver"
    #: Everything.
    ADMIN = "admin"


_INCLUDES: Final = {
    Role.PLATFORM: frozenset({Role.PLATFORM}),
    Role.VIEWER: frozenset({Role.VIEWER}),
    Role.APPROVER: frozenset({Role.APPROVER, Role.VIEWER}),
    Role.ADMIN: frozenset(Role),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody whose credential was verified."""

    #: Unique among the holders of credentials; stands in documents as the deciding user. Empty: nobody in particular.
    name: str
    roles: frozenset[Role]
    #: The systems it is restricted to; None: all.
    systems: frozenset[str] | None = None
    #: How it was told: "token", "oidc", "network", or "open" when no credentials are asked for.
    via: str = "token"
    #: Seconds since the epoch at which the credential ends; infinite when it does not.
    expires: float = float("inf")
    #: Id of the token it was told by; empty: by something else.
    token: str = ""

    @property
    def proven(self) -> bool:
        """Whether its name was proven by a credential; else the request names the person who decides."""
        return bool(self.name) and self.via != NETWORK

    def has(self, role: Role) -> bool:
        """Whether it may do what `role` may."""
        return any(role in _INCLUDES[own] for own in self.roles)

    def may_touch(self, system_id: str) -> bool:
        """Whether its restriction to systems allows this one."""
        return self.systems is None or system_id in self.systems


#: Whom documents name where nobody decided: a rule, a fork, Maestro itself.
_NOBODY: Final = ("platform", "maestro")


def for_a_person(name: str) -> bool:
    """Whether a person may go by this name: not by one that documents have for what no person decided."""
    told = name.strip().casefold()
    return told not in _NOBODY and not told.startswith("platform:")


#: How a caller without a credential is told: by the network it comes from.
NETWORK: Final = "network"
#: Everybody, where no credentials are asked for.
EVERYBODY: Final = Principal("", frozenset({Role.ADMIN}), via="open")


def of_networks(roles: Iterable[Role]) -> Principal:
    """Return a caller from networks whose callers have these roles without credentials."""
    return Principal("platform", frozenset(roles), via=NETWORK)

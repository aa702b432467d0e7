"""What an admin was shown: the digest that binds a decision to a preview, and what changed since.

A preview is the held instance and the set of its document's units. A decision that names the digest of another
preview is refused with the difference. Pure.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

import msgspec

from maestro.rules.impact import Impacted, UnitKey

#: Previews of a pending document that are remembered, so that a refusal can tell what changed since.
REMEMBERED = 8
_DIGEST_BYTES = 16


def digest(held_instance: str, units: Iterable[UnitKey]) -> str:
    """Return 32 hex digits: a stable hash of the held instance and the set of units, whatever their order."""
    content = msgspec.json.encode([held_instance, sorted(units)])
    return blake2b(content, digest_size=_DIGEST_BYTES).hexdigest()


def names(units: Iterable[UnitKey]) -> list[dict[str, str]]:
    """Render units as the API names them."""
    return [{"instanceId": instance_id, "branch": branch} for instance_id, branch in units]


def difference(before: Collection[UnitKey], now: Collection[UnitKey]) -> dict[str, list[dict[str, str]]]:
    """Return which units came and went, each in its own order."""
    old, new = frozenset(before), frozenset(now)
    return {
        "added": names(unit for unit in now if unit not in old),
        "removed": names(unit for unit in before if unit not in new),
    }


@dataclass(slots=True)
class Recheck:
    """Discovery is being asked again about a pending document."""

    token: int
    user: str
    #: Who waits for the outcome.
    tickets: list[int] = field(default_factory=list)
    #: What Discovery named, once it did.
    found: tuple[Impacted, ...] = ()
    #: Rows that the held commit changes, as Domain says now; None: nobody asked, or it did not say.
    rows: int | None = None

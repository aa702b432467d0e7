"""What a world's policies demand of its decisions: reckoned here once more, from the stored rows alone.

The policies of a life count in it, and a document as it is when it is decided. Those of the worlds look at units and
branches, which are always known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from maestro.messages.decisions import Budget
from maestro.rules.policies import Effect, Policy
from tests.simulation.engine import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from maestro.rules.state import Rules
    from tests.simulation.watch import Row

_SMALL = Policy("small", (Effect.APPROVE,), units_to=1)
_SHORT = Policy("short", (Effect.APPROVE,), units_to=3, budget=Budget(1))
_LARGE = Policy("large", (Effect.TWO_APPROVERS,), units_from=2)
_BRANCH = Policy("branch", (Effect.ASK, Effect.REFUSE_SKIP), branches=("b*",))
_TRUNK = Policy("trunk", (Effect.REFUSE_SKIP,), branches=("master",), units_from=2)
#: What the lives of one world have one after the other, the last ones for ever.
LIVES: Final = (
    ((),),
    ((),),
    ((),),
    ((_SHORT, _LARGE),),
    ((_SMALL, _BRANCH), (_LARGE, _BRANCH)),
    ((_TRUNK,), (_SHORT,), (_SHORT, _TRUNK)),
    ((_LARGE,), (), (_LARGE, _SHORT)),
)
#: Approvals that are nobody's: a fork's wins over all policies.
OPEN_BRANCH, PLATFORM = "platform:open_branch", "platform"


class Demanded:
    """Says what one system's policies demand in its present life."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.policies: tuple[Policy, ...] = ()

    def _effects(self, row: Row) -> Iterator[tuple[Effect, Policy]]:
        for policy in self.policies:
            enough = policy.units_from is None or row["total"] >= policy.units_from
            few = policy.units_to is None or row["total"] <= policy.units_to
            place = not policy.branches or row["branch"].startswith(policy.branches[0].rstrip("*"))
            if enough and few and place:
                yield from ((effect, policy) for effect in policy.effects)

    def _all(self, row: Row) -> set[Effect]:
        return {effect for effect, _ in self._effects(row)}

    def two(self, row: Row) -> bool:
        """Whether two people must approve a document as it is."""
        return self.rules.two_approvers or Effect.TWO_APPROVERS in self._all(row)

    def skip_is_refused(self, row: Row) -> bool:
        """Whether nobody may skip a document as it is."""
        return Effect.REFUSE_SKIP in self._all(row)

    def opened(self, id_: str, row: Row) -> Budget | None:
        """A document is stored for the first time: is it for a person? Return the budget that a policy grants it."""
        approver = next((entry[2] for entry in row["history"] if entry[0] == "approved"), "")
        if row["forking"] or approver == OPEN_BRANCH or row.get("late"):
            return None  # what is stale already is `late.policy`'s
        demanded = self._all(row)
        asks = self.two(row) or Effect.ASK in demanded
        spared = not asks and (self.rules.auto_approve or Effect.APPROVE in demanded)
        if (approver == PLATFORM) is not spared:
            raise Violation(f"{id_} is approved by {approver or 'nobody'}, {sorted(demanded)} are demanded")
        granted = [one.budget.replays for effect, one in self._effects(row) if effect is Effect.APPROVE]
        return Budget(min((one for one in granted if one is not None), default=None)) if spared else None

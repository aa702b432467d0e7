"""The policies that are configured, as the rules know them."""

from maestro.messages.decisions import Budget
from maestro.rules.policies import Effect, Policy
from maestro.settings.model import Settings

#: Settings of a policy that the rules know by another name, or in another form.
_ELSE = {"effects", "budget_replays", "budget_minutes"}


def policies_of(settings: Settings) -> tuple[Policy, ...]:
    """Return the policies of all systems, in the order of the configuration."""
    return tuple(
        Policy(
            **{name: getattr(one, name) for name in type(one).model_fields if name not in _ELSE},
            effects=tuple(map(Effect, one.effects)),
            budget=Budget(one.budget_replays, one.budget_minutes),
        )
        for one in settings.policy
    )

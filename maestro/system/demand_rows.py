"""What policies demanded of a document, as its row in the store has it."""

from typing import Any

from maestro.rules.policies import Applied, Check, Demand, Effect


def to_row(demand: Demand) -> list[Any]:
    """Return the row's part."""
    by = [
        [one.name, one.digest, list(one.effects), [[it.setting, it.wanted, it.found, it.holds] for it in one.checks]]
        for one in demand.by
    ]
    return [demand.approval, demand.skip_refused, demand.at, by]


def from_row(row: list[Any]) -> Demand:
    """Return what `to_row` made a row of."""
    approval, skip_refused, at, by = row
    applied = tuple(
        Applied(name, digest, tuple(map(Effect, effects)), tuple(Check(*check) for check in checks))
        for name, digest, effects, checks in by
    )
    return Demand(Effect(approval), skip_refused, at, applied)

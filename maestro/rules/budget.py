"""How much of a run was approved: beyond it the run pauses after the current replay and waits for a second decision.

Limits count one stretch of a run, from its start or resumption on. Rounds and cascades count like all replays.
"""

from maestro.messages.decisions import Budget

SECONDS_PER_MINUTE = 60


def stricter(one: Budget, other: Budget) -> Budget:
    """Return what both allow: of each limit the smaller one."""
    replays = [limit for limit in (one.replays, other.replays) if limit is not None]
    minutes = [limit for limit in (one.minutes, other.minutes) if limit is not None]
    return Budget(min(replays, default=None), min(minutes, default=None))


def limited(budget: Budget) -> bool:
    """Whether there is any limit."""
    return budget.replays is not None or budget.minutes is not None


def used_up(budget: Budget, replays: int, seconds: float) -> str:
    """Say which limit `replays` done and `seconds` gone have reached; empty when none."""
    if budget.replays is not None and replays >= budget.replays:
        done = budget.replays
        return f"budget of {done} replay used" if done == 1 else f"budget of {done} replays used"
    if budget.minutes is not None and seconds >= budget.minutes * SECONDS_PER_MINUTE:
        gone = budget.minutes
        return f"budget of {gone:g} minute used" if gone == 1 else f"budget of {gone:g} minutes used"
    return ""

"""How much of a run was approved: beyond it the run pauses after the current replay and waits for a second decision."""

from dataclasses import dataclass

SECONDS_PER_MINUTE = 60


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one stretch of a run, from its start or resumption on. Rounds and cascades count like all replays."""

    replays: int | None = None
    minutes: float | None = None

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return self.replays is not None or self.minutes is not None

    def used_up(self, replays: int, seconds: float) -> str:
        """Say which limit `replays` done and `seconds` gone have reached; empty when none."""
        if self.replays is not None and replays >= self.replays:
            return f"budget of {self.replays} replays used"
        if self.minutes is not None and seconds >= self.minutes * SECONDS_PER_MINUTE:
            return f"budget of {self.minutes:g} minutes used"
        return ""

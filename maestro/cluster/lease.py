"""For how long a node believes its lease, and when another one may break it.

A node renews its lease with each beat: it raises its counter in the store. Nothing compares two machines' clocks. Each
measures a length of time on its own, and a clock gains or loses at most the share `drift`.

    owner        sent ── beat ──> store            believes until  sent + believed
    challenger            store ── looked ──> seen  breaks after    seen + broken_after, if the counter stood still

The owner counts from before the beat left, the challenger from after it has seen it. So in true time

    the owner has stopped believing by    sent + believed / (1 - drift)       =  sent + seconds / (1 + drift)
    the challenger breaks no earlier than  seen + broken_after / (1 + drift)  =  seen + seconds / (1 - drift)

and `seen` is after `sent`: the first is over before the second begins, with a margin of twice the drift.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Terms:
    """What all nodes of a cluster agree on. Times are seconds of a node's own CLOCK_BOOTTIME.

    Raises:
        ValueError: no lease has such terms.
    """

    seconds: float = 5.0
    #: The most that a clock gains or loses, as a share of the time.
    drift: float = 0.01

    def __post_init__(self) -> None:
        """Check it."""
        if not (self.seconds > 0 and 0 <= self.drift < 1):
            raise ValueError(f"a lease of {self.seconds} s with a drift of {self.drift} cannot be kept")

    @property
    def believed(self) -> float:
        """For how long its owner believes the lease, from before it sent the beat that renewed it."""
        return self.seconds * (1 - self.drift) / (1 + self.drift)

    @property
    def broken_after(self) -> float:
        """For how long a challenger sees the counter stand still before it may break the lease."""
        return self.seconds * (1 + self.drift) / (1 - self.drift)

    @property
    def beat_every(self) -> float:
        """The time between two beats, and between two looks at the others."""
        return self.seconds / 10

    @property
    def answer_within(self) -> float:
        """After which a beat is given up, so that another one can renew the lease in time."""
        return self.seconds / 4

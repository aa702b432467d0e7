"""How unkind the sandbox is: what the platform's real services were seen to do, each a switch of its own.

The defaults are as unkind as the platform. `KIND` has all of it off, for tests that are about something else.
Source: contracts, How the real siblings behave.
"""

from collections.abc import Iterable
from enum import IntEnum
from random import Random
from typing import Final

import msgspec


class Generation(IntEnum):
    """The two Event Managers."""

    #: Calls Maestro: `proceed`, `handler/persist`, `failure`. Drops unknown keys of `reprocessing`.
    Y2018 = 2018
    #: Calls Maestro no more; a replay of another image than the operation's never runs.
    Y2020 = 2020


class BadTrait(ValueError):  # noqa: N818 - it is what was asked for that is bad
    """There is no such trait, or not with such a value; the message says which there are."""


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the platform may do to Maestro. Times are seconds, shares are of 1."""

    #: What happens at random happens likewise for the same seed, as far as the order of calls is the same.
    seed: int = 1

    #: Discovery names all that a commit makes wrong, what replays read included, as no real one does; the
    #: `discovery_…` traits below say nothing then.
    discovery_knows_all: bool = False
    #: It names only executions that API core calls `finished`.
    discovery_by_status: bool = True
    #: It names only executions that began after the row's last change (replays do not move that).
    discovery_by_start: bool = True
    #: It names one instance of a tag, and none of the commit's own tag.
    discovery_one_of_a_tag: bool = True
    #: Its order differs from answer to answer.
    discovery_shuffled: bool = True
    #: While API core is away, it names nobody, and calls that an answer.
    discovery_fails_open: bool = True
    #: Where all executions since the row's change are on closed branches, it names all that read it, finished or not.
    discovery_closed_branches: bool = True

    #: From an instance's end until API core calls it `finished`.
    finished_after: float = 0.2
    #: Share of the ends behind which that queue stands still for `finished_burst`, for all that come meanwhile.
    finished_burst_share: float = 0.001
    finished_burst: float = 2.0
    #: Share of the ends of which API core never hears.
    finished_lost: float = 0.01
    #: How long a status takes to be set. Two `finished` of an instance that meet within it make it unchangeable.
    finished_window: float = 0.005

    #: Domain creates the rows again at each persist, also of an instance that was persisted before.
    domain_creates_anew: bool = True
    #: Share of the commits that take `domain_slow` longer.
    domain_slow_share: float = 0.001
    domain_slow: float = 1.0
    #: Share of the commits that Domain stores, and answers with 500.
    domain_fails_after_store: float = 0.0005
    #: From a map's registration until Domain knows it.
    map_usable_after: float = 1.0

    #: Longest time between the start of an instance and its first read.
    start_delay: float = 0.1
    #: Which generation the Event Manager is.
    event_manager: Generation = Generation.Y2018

    def dice(self, name: str) -> Random:
        """Return dice of one's own, so that one trait's throws do not change another's."""
        return Random(f"{self.seed} {name}")  # noqa: S311 - not for secrets

    def but(self, settings: Iterable[str]) -> "Traits":
        """Return these traits with some changed, each given as `name=value`. Raises `BadTrait`."""
        changed = msgspec.to_builtins(self)
        for setting in settings:
            name, _, value = setting.partition("=")
            if name.strip() not in changed:
                raise BadTrait(f"trait {name.strip()!r}: there are {', '.join(changed)}")
            changed[name.strip()] = value.strip()
        try:
            return msgspec.convert(changed, Traits, strict=False)
        except msgspec.ValidationError as problem:
            raise BadTrait(f"trait: {problem}") from problem


#: As if nothing ever went wrong, was late or was forgotten.
KIND: Final = Traits(
    discovery_knows_all=True,
    finished_after=0.0,
    finished_burst_share=0.0,
    finished_lost=0.0,
    finished_window=0.0,
    domain_creates_anew=False,
    domain_slow_share=0.0,
    domain_fails_after_store=0.0,
    map_usable_after=0.0,
    start_delay=0.0,
)

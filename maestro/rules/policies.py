"""Policies: what a held commit asks of people, by what is known of it (docs/policies.md). Pure.

A *policy* has conditions and effects. All its conditions must hold; then each of its effects is demanded. Of all that
is demanded the strictest holds, whatever the order of the policies:

    approval: `two_approvers` before `ask` before `approve`; a person is asked where nothing is demanded
    skip:     refused where one policy refuses it

So another policy never makes anything laxer but where nothing was demanded, and `approve` undoes neither of the others.

A condition may look at something that is not known: the date of the data, how many rows change, the event's name. Then
it neither holds nor fails, and the careful side is taken: what the policy demands of people is demanded, and what it
spares them (`approve`) is not.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cached_property
from hashlib import blake2b
from typing import Any, Final

import msgspec

from maestro import json_text
from maestro.messages.decisions import UNLIMITED, Budget
from maestro.rules.budget import stricter
from maestro.rules.impact import parse_timestamp

_DIGEST_BYTES: Final = 8
#: Where an origin event has the date that its process computes for (contracts: Event, `referenceDate`).
REFERENCE_DATE: Final = ("reference_date", "referenceDate")
_DATE: Final = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")


class Effect(StrEnum):
    """What a policy demands, of approvals the laxest first."""

    APPROVE = "approve"
    ASK = "ask"
    TWO_APPROVERS = "two_approvers"
    REFUSE_SKIP = "refuse_skip"


_APPROVALS: Final = (Effect.APPROVE, Effect.ASK, Effect.TWO_APPROVERS)


@dataclass(frozen=True)
class Policy:
    """One policy. A condition that is empty, or None, is none."""

    name: str
    effects: tuple[Effect, ...]
    #: Systems it is for; patterns of the origin event's name, and of the branch.
    systems: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    #: Units of the document, and rows that the held commit creates, changes or destroys: both ends included.
    units_from: int | None = None
    units_to: int | None = None
    rows_from: int | None = None
    rows_to: int | None = None
    #: The data's date is before a day; on it or later; more days ago than so many; or so many at most.
    data_before: date | None = None
    data_from: date | None = None
    older_than_days: int | None = None
    within_days: int | None = None
    #: Where the origin event has the data's date: the first of these paths that is there.
    date_from: tuple[str, ...] = REFERENCE_DATE
    #: How far a run goes that `approve` has put on its way.
    budget: Budget = UNLIMITED

    @cached_property
    def digest(self) -> str:
        """16 hex digits: a hash of all that it says."""
        said = {one.name: getattr(self, one.name) for one in fields(self)}
        return blake2b(msgspec.json.encode(said, order="sorted"), digest_size=_DIGEST_BYTES).hexdigest()

    @property
    def conditions(self) -> dict[str, str]:
        """What it looks at, by setting, and what it wants there."""
        wanted = {name: getattr(self, name) for name in _WORDS}
        texts = {name: ", ".join(value) if isinstance(value, tuple) else value for name, value in wanted.items()}
        return {name: str(text) for name, text in texts.items() if text not in (None, "")}

    @property
    def looks_at_rows(self) -> bool:
        """Whether it asks how many rows change."""
        return self.rows_from is not None or self.rows_to is not None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a held commit."""

    #: Name of the event that started the held instance; None: not known.
    event: str | None
    branch: str
    units: int
    #: None: not known.
    rows: int | None
    #: JSON of the origin event; empty: there is none.
    origin: bytes
    #: The day, in UTC, by which ages are told.
    today: date


@dataclass(frozen=True, slots=True)
class Check:
    """One condition: the setting, what it wants, what was found (empty: not known), and whether it holds."""

    setting: str
    wanted: str
    found: str
    holds: bool | None

    @property
    def text(self) -> str:
        """It in words."""
        said = _WORDS[self.setting].format(found=self.found, wanted=self.wanted)
        return said if self.found else f"{_NOT_KNOWN[self.setting]} ({self.setting} = {self.wanted})"


_WORDS: Final = {
    "events": "event {found}",
    "branches": "branch {found}",
    "units_from": "{found} to replay, {wanted} or more",
    "units_to": "{found} to replay, {wanted} at most",
    "rows_from": "rows that change: {found}, {wanted} or more",
    "rows_to": "rows that change: {found}, {wanted} at most",
    "data_before": "data of {found}, before {wanted}",
    "data_from": "data of {found}, from {wanted} on",
    "older_than_days": "data of {found}, older than {wanted} day(s)",
    "within_days": "data of {found}, within {wanted} day(s)",
}
_NOT_KNOWN: Final = (
    {"events": "the event's name is not known", "branches": "the branch is not known"}
    | dict.fromkeys(("units_from", "units_to"), "the number of units is not known")
    | dict.fromkeys(("rows_from", "rows_to"), "how many rows change is not known")
    | dict.fromkeys(("data_before", "data_from", "older_than_days", "within_days"), "the date of the data is not known")
)


@dataclass(frozen=True, slots=True)
class Weighed:
    """A policy held against a commit: its conditions, and the effects that follow."""

    policy: Policy
    checks: tuple[Check, ...]
    effects: tuple[Effect, ...]

    @property
    def applies(self) -> bool | None:
        """Whether all conditions hold; None: some are not known, and none fails."""
        found = {check.holds for check in self.checks}
        return False if False in found else None if None in found else True


@dataclass(frozen=True, slots=True)
class Applied:
    """A policy that demanded something, as a document records it."""

    name: str
    digest: str
    effects: tuple[Effect, ...]
    checks: tuple[Check, ...]

    @property
    def why(self) -> str:
        """Why it applies, in words; what is not known as such."""
        return "; ".join(check.text for check in self.checks) or "it applies to every commit"

    def __str__(self) -> str:
        return f"{self.name} ({self.digest})"


@dataclass(frozen=True, slots=True)
class Demand:
    """What the policies demanded of the decision about a document, when (seconds since the epoch), and which did."""

    approval: Effect
    skip_refused: bool
    at: float
    by: tuple[Applied, ...] = ()

    def of(self, effect: Effect) -> tuple[Applied, ...]:
        """Return the policies that demanded an effect."""
        return tuple(one for one in self.by if effect in one.effects)

    def says_the_same(self, other: "Demand") -> bool:
        """Whether the same policies, in the same wording, demand the same."""
        return self.approval is other.approval and [(one.name, one.digest, one.effects) for one in self.by] == [
            (one.name, one.digest, one.effects) for one in other.by
        ]

    @property
    def text(self) -> str:
        """It in words."""
        skip = "; it may not be skipped" if self.skip_refused else ""
        by = f"; demanded by {', '.join(map(str, self.by))}" if self.by else ""
        return f"{_DEMANDED[self.approval]}{skip}{by}"


_DEMANDED: Final = {
    Effect.APPROVE: "nobody is asked",
    Effect.ASK: "a person is asked",
    Effect.TWO_APPROVERS: "two people must approve",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What all policies together demand."""

    approval: Effect
    skip_refused: bool
    #: How far a run goes that is approved without asking.
    budget: Budget
    weighed: tuple[Weighed, ...]

    def demand(self, at: float, *, asked: bool) -> Demand:
        """Return the record of it. `asked`: a person is being asked already, whatever would spare them."""
        by = tuple(
            Applied(one.policy.name, one.policy.digest, one.effects, one.checks) for one in self.weighed if one.effects
        )
        approval = Effect.ASK if asked and self.approval is Effect.APPROVE else self.approval
        return Demand(approval, self.skip_refused, at, by)


def for_system(policies: Iterable[Policy], system_id: str) -> tuple[Policy, ...]:
    """Return the policies that are for a system."""
    return tuple(one for one in policies if not one.systems or system_id in one.systems)


def weigh(policy: Policy, known: Known) -> Weighed:
    """Hold one policy against a commit."""
    weighed = Weighed(policy, tuple(_checks(policy, known)), policy.effects)
    if weighed.applies is False:
        return replace(weighed, effects=())
    return weighed if weighed.applies else _sparing_nobody(weighed)


def verdict(policies: Iterable[Policy], known: Known, *given: Effect, spares: bool = True) -> Verdict:
    """Return what all policies demand, and what is `given` by other settings.

    `spares`: whether a policy may spare people the decision; without, `approve` counts only where it is given.
    """
    weighed = tuple(weigh(policy, known) for policy in policies)
    if not spares:
        weighed = tuple(map(_sparing_nobody, weighed))
    demanded = {*given, *(effect for one in weighed for effect in one.effects)}
    approvals = [effect for effect in _APPROVALS if effect in demanded]
    budget = UNLIMITED
    for one in weighed:
        if Effect.APPROVE in one.effects:
            budget = stricter(budget, one.policy.budget)
    return Verdict(approvals[-1] if approvals else Effect.ASK, Effect.REFUSE_SKIP in demanded, budget, weighed)


def _sparing_nobody(weighed: Weighed) -> Weighed:
    return replace(weighed, effects=tuple(effect for effect in weighed.effects if effect is not Effect.APPROVE))


def date_of(origin: bytes, paths: Iterable[str]) -> date | None:
    """Return the date that an origin event names under the first of the paths that is there; None: not known.

    A year, or a month, is its first day. Of a timestamp the date counts as it is written, whatever its zone.
    """
    try:
        event = json_text.loads(origin) if origin else None
    except ValueError:
        return None
    for path in paths:
        value: Any = event
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value not in (None, ""):
            return _day(value)
    return None


def _day(value: object) -> date | None:
    if not isinstance(value, str):
        return None
    found = _DATE.fullmatch(value)
    if found is None and parse_timestamp(value) is not None:
        found = _DATE.fullmatch(value[:10])
    if found is None:
        return None
    year, month, day = found.groups()
    try:
        return date(int(year), int(month or 1), int(day or 1))
    except ValueError:
        return None


def day_of(at: float) -> date:
    """Return the day of a moment (seconds since the epoch), in UTC."""
    return datetime.fromtimestamp(at, UTC).date()


def _checks(policy: Policy, known: Known) -> Iterator[Check]:
    for setting, patterns, text in (
        ("events", policy.events, known.event),
        ("branches", policy.branches, known.branch),
    ):
        if patterns:
            holds = None if text is None else any(fnmatchcase(text, pattern) for pattern in patterns)
            yield Check(setting, ", ".join(patterns), text or "", holds)
    for setting, number in (("units", known.units), ("rows", known.rows)):
        least, most = getattr(policy, f"{setting}_from"), getattr(policy, f"{setting}_to")
        found = "" if number is None else str(number)
        if least is not None:
            yield Check(f"{setting}_from", str(least), found, None if number is None else number >= least)
        if most is not None:
            yield Check(f"{setting}_to", str(most), found, None if number is None else number <= most)
    yield from _checks_of_date(policy, known)


def _checks_of_date(policy: Policy, known: Known) -> Iterator[Check]:
    wanted = {
        name: limit
        for name in ("data_before", "data_from", "older_than_days", "within_days")
        if (limit := getattr(policy, name)) is not None
    }
    if not wanted:
        return
    day = date_of(known.origin, policy.date_from)
    found = "" if day is None else day.isoformat()
    for name, limit in wanted.items():
        yield Check(name, str(limit), found, None if day is None else _holds(name, limit, day, known.today))


def _holds(name: str, limit: Any, day: date, today: date) -> bool:
    match name:
        case "data_before":
            return bool(day < limit)
        case "data_from":
            return bool(day >= limit)
        case "older_than_days":
            return bool((today - day).days > limit)
        case _:
            return bool((today - day).days <= limit)

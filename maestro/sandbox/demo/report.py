"""What the demo found out in the end."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from maestro.sandbox.demo.clients import Counters, Json
from maestro.sandbox.demo.plan import Plan
from maestro.sandbox.demo.story import Decided
from maestro.sandbox.demo.truth import Difference, Results
from maestro.statuses import Status


@dataclass(frozen=True, slots=True)
class Report:
    """The end of the story, and whether it is the right one."""

    plan: Plan
    decided: tuple[Decided, ...]
    #: What `master` sees.
    results: Results
    differences: tuple[Difference, ...]
    #: Reprocessings that did not end as they should have: what happened instead.
    misfires: tuple[str, ...]
    #: Instances whose result rests on data that was changed since, and that Maestro does not list.
    stale: tuple[str, ...]
    #: Instances whose created rows were written more than once.
    doubled: tuple[str, ...]
    counters: Counters
    #: Late reprocessings, at their ends.
    late: tuple[Json, ...]
    #: Persist events, replays included.
    events: int
    #: From the first process's start to the verdict.
    seconds: float

    @property
    def equal(self) -> bool:
        """Whether every value of every branch is what a from-scratch computation gives, written once, and not stale."""
        return not (self.differences or self.misfires or self.doubled or self.stale)

    def as_json(self) -> dict[str, Any]:
        """Return the report as `maestro demo --json` prints it."""
        return {
            "currencies": list(self.plan.currencies),
            "years": list(self.plan.years),
            "corrections": [
                {
                    "currency": one.quote.currency,
                    "date": one.quote.day,
                    "old": one.old,
                    "new": one.new,
                    "decision": one.decision,
                    "branch": one.branch,
                }
                for one in self.plan.corrections
            ],
            "averages": self.results.averages,
            "rates": self.results.rates,
            "conversions": self.results.conversions,
            "totals": self.results.totals,
            "waited": self.counters.waiting,
            "replayed": self.counters.replayed,
            "cascaded": self.counters.cascaded,
            "late": sum(len(document["events"]) for document in self.late),
            "stale": list(self.stale),
            "doubled": list(self.doubled),
            "equal": self.equal,
            "seconds": round(self.seconds, 3),
            "events": self.events,
        }


def misfires(decided: tuple[Decided, ...]) -> tuple[str, ...]:
    """Return the corrections whose reprocessing ended otherwise than it was decided, or replayed what it must not."""
    return tuple(
        f"{one.correction.quote.currency} {one.correction.quote.day}: {problem}"
        for one in decided
        if (problem := _misfire(one.document, Status.FINISHED if one.correction.approved else Status.SKIPPED))
    )


def missed_late(plan: Plan, late: Iterable[Json]) -> tuple[str, ...]:
    """Return the results computed on a rate that was being corrected which no late reprocessing has replayed."""
    replayed = {
        event["payload"].get("name")
        for document in late
        if document["status"] == Status.FINISHED
        for event in document["events"]
    }
    meanwhile = [one for correction in plan.corrections for one in correction.meanwhile]
    return tuple(f"conversion {one.name}: it was not replayed late" for one in meanwhile if one.name not in replayed)


def _misfire(document: Mapping[str, Any], expected: str) -> str:
    if document["status"] != expected:
        return str(document["status"])
    builds_on_itself = any(event["name"] == "running.total.request" for event in document.get("events", ()))
    return "a running total is replayed, which counts its amount twice" if builds_on_itself else ""


def describe(difference: Difference) -> str:
    """Return a difference as one line."""
    parts = asdict(difference)
    return "{branch} {kind} {currency} {period}: {found}, should be {expected}".format(**parts)

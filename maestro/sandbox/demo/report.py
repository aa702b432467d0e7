"""What the demo found out in the end."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from maestro.sandbox.demo.clients import Counters
from maestro.sandbox.demo.player import Decided
from maestro.sandbox.demo.story import Entity, Json, Plan, Story, Tables, Values
from maestro.sandbox.demo.truth import Difference
from maestro.statuses import Status


@dataclass(frozen=True, slots=True)
class Report:
    """The end of the story, and whether it is the right one."""

    plan: Plan
    decided: tuple[Decided, ...]
    #: What `master` sees.
    results: Tables
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
        entity = self.plan.story.input
        return {
            **self.plan.about,
            "corrections": [
                {
                    entity.subject: one.input.subject,
                    entity.part: one.input.at,
                    "old": one.old,
                    "new": one.new,
                    "decision": one.decision,
                    "branch": one.branch,
                }
                for one in self.plan.corrections
            ],
            **{one.plural: _shown(one, self.results[one.name]) for one in self.plan.story.computed},
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


def misfires(story: Story, decided: tuple[Decided, ...]) -> tuple[str, ...]:
    """Return the corrections whose reprocessing ended otherwise than it was decided, or replayed what it must not."""
    return tuple(
        f"{one.correction}: {problem}"
        for one in decided
        if (problem := _misfire(story, one.document, Status.FINISHED if one.correction.approved else Status.SKIPPED))
    )


def missed_late(plan: Plan, late: Iterable[Json]) -> tuple[str, ...]:
    """Return the results computed on a value that was being corrected which no late reprocessing has replayed."""
    entity = plan.story.use.entity
    replayed = {
        event["payload"].get(entity.part)
        for document in late
        if document["status"] == Status.FINISHED
        for event in document["events"]
    }
    meanwhile = [one for correction in plan.corrections for one in correction.meanwhile]
    return tuple(f"{entity.name} {one.name}: it was not replayed late" for one in meanwhile if one.name not in replayed)


def _misfire(story: Story, document: Mapping[str, Any], expected: str) -> str:
    if document["status"] != expected:
        return str(document["status"])
    builds_on_itself = any(event["name"] == story.total.process for event in document.get("events", ()))
    return f"a {story.total.entity.name} is replayed, which counts its amount twice" if builds_on_itself else ""


def _shown(entity: Entity, values: Values) -> dict[str, dict[str, float]]:
    """Return an entity's values by subject."""
    table: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for (subject, part), value in values.items():
        table[subject][part or entity.name] = value
    return table

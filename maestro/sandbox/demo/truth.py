"""What must be true in the end (I8): every result, computed from scratch over the corrected inputs.

Deliberately shares nothing with the processes: it starts from the inputs alone, in one go, without reading the domain.
Both round a sum exactly (`math.fsum`), so equal means equal to the last bit.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from maestro.events import MASTER
from maestro.sandbox.demo.story import Correction, Plan, Tables


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that is not what it should be; None: there is none."""

    branch: str
    #: The entity.
    kind: str
    subject: str
    part: str
    expected: float | None
    found: float | None

    def __str__(self) -> str:
        return f"{self.branch} {self.kind} {self.subject} {self.part}: {self.found}, should be {self.expected}"


def expected(plan: Plan, branch: str) -> Tables:
    """Compute what `branch` must see: the inputs, the trunk's approved corrections, and the branch's own over them."""
    story = plan.story
    inputs = {(one.subject, one.at): one.value for one in plan.inputs}
    for correction in _in_force(plan.corrections, branch):
        inputs[correction.input.subject, correction.input.at] = correction.new
    uses = {(one.input.subject, one.name): one.factor * inputs[one.input.subject, one.input.at] for one in plan.uses}
    totals: defaultdict[tuple[str, str], float] = defaultdict(float)
    for correction in plan.corrections:
        for amount in correction.amounts or ():
            totals[correction.input.subject, ""] += amount
    return {**story.from_scratch(inputs, plan.payloads), story.use.entity.name: uses, story.total.entity.name: totals}


def differences(branch: str, wanted: Tables, found: Tables) -> list[Difference]:
    """Compare value by value, with `==`; values missing or too many count too."""
    pairs = (
        Difference(branch, kind, *place, wanted[kind].get(place), found[kind].get(place))
        for kind in wanted
        for place in sorted({*wanted[kind], *found[kind]})
    )
    return [pair for pair in pairs if pair.expected != pair.found]


def _in_force(corrections: Iterable[Correction], branch: str) -> list[Correction]:
    approved = [correction for correction in corrections if correction.approved]
    trunk = [correction for correction in approved if correction.branch == MASTER]
    own = [correction for correction in approved if correction.branch == branch != MASTER]
    return trunk + own

"""What a story will do, decided before anything runs: which inputs are corrected, and which arrive late. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice

from maestro.sandbox.demo.story import Correction, Input, Json, Payloads, Plan, Story, Used

#: The branch that one correction opens.
SCENARIO = "scenario"
#: Late inputs that arrive while each decision is pending.
LATE_PER_DECISION = 5
#: Uses of each kind that rest on the input that is corrected twice.
USES = 3
#: Most units that one correction is made to impact, beside those it impacts anyway.
MOST_IMPACT = 1_000
#: What a correction multiplies the old value by, and the digits it keeps.
_FACTOR, _DIGITS = 1.1, 6


class CannotPlan(ValueError):  # noqa: N818 - a wish that cannot be met
    """What was asked for makes no story; the message says why."""


def assemble(
    story: Story,
    subjects: Sequence[str],
    inputs: Sequence[Input],
    payloads: Payloads,
    *,
    late: Iterable[Input],
    about: Json,
    impact: int = 0,
) -> Plan:
    """Make the whole story of its inputs; of `late` as many are taken as there are decisions to wait for.

    The correction that is skipped impacts `impact` results more than it does anyway. Raises `CannotPlan`.
    """
    if not 0 <= impact <= MOST_IMPACT:
        raise CannotPlan(f"impact: {impact} is not from 0 to {MOST_IMPACT}")
    corrections = tuple(
        one if one.approved else replace(one, just_before=_uses("impacted", one.input, impact))
        for one in _corrections(story, inputs, subjects)
    )
    wanted = LATE_PER_DECISION * sum(not one.is_fork for one in corrections)
    return Plan(story, tuple(inputs), payloads, corrections, tuple(islice(late, wanted)), about)


def _corrections(story: Story, inputs: Sequence[Input], subjects: Sequence[str]) -> tuple[Correction, ...]:
    """Correct one input of each subject, the last of them skipped, and the last but one on a branch first.

    The branch is opened before the trunk's correction of that same subject, which therefore has to reach
    the branch's copies too. A lone subject gets a second correction, so that one is approved and one skipped.
    One input is corrected twice, first of all and last of all: what the first leaves stale is found meanwhile.
    """
    wrong = [_in_period(story, inputs, subject, position) for position, subject in enumerate(subjects)]
    if len(subjects) == 1:
        wrong.append(_in_period(story, inputs, subjects[0], 1))
    on_trunk = [
        Correction(one, _corrected(one.value), approved=position < len(wrong)) for position, one in enumerate(wrong, 1)
    ]
    forked = _in_period(story, inputs, wrong[-2].subject, len(wrong) + 1)
    branched = Correction(forked, _corrected(forked.value), approved=True, branch=SCENARIO)
    first, second = _twice(_in_period(story, inputs, subjects[0], len(wrong) + 2))
    return (first, *on_trunk[:-2], branched, *on_trunk[-2:], second)


def _twice(one: Input) -> tuple[Correction, Correction]:
    """Correct one input twice, between results that rest on it: what Discovery alone would leave wrong.

    It does not see what was committed a moment before the first correction, nor who computed on the old value while
    that was pending (they are replayed late); and at the second it names nobody whom the first has changed.
    """
    first = _corrected(one.value)
    before, meanwhile = (_uses(when, one, USES) for when in ("before", "meanwhile"))
    return (
        Correction(one, first, approved=True, just_before=before, meanwhile=meanwhile, amounts=(1.5, 2.5)),
        Correction(one, _corrected(first), approved=True, amounts=(4.25, 8.125), corrected=first),
    )


def _uses(when: str, one: Input, number: int) -> tuple[Used, ...]:
    return tuple(Used(f"{when} {position}", one, 100.0 * position) for position in range(1, number + 1))


def _in_period(story: Story, inputs: Sequence[Input], subject: str, position: int) -> Input:
    """Return the middle input of the `position`-th period of the subject's first span; counting round, one later."""
    own = [one for one in inputs if one.subject == subject]
    first = own[0].at[: story.span]
    periods = sorted({one.at[: story.period] for one in own if one.at.startswith(first)})
    found = [one for one in own if one.at.startswith(periods[position % len(periods)])]
    return found[(len(found) // 2 + position // len(periods)) % len(found)]


def _corrected(value: float) -> float:
    return round(value * _FACTOR, _DIGITS)

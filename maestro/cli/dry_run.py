"""`maestro policy dry-run`: what the policies of a configuration would have said of all that was held before."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from maestro.cli.config import ConfigFile, loaded_or_exit
from maestro.cli.exits import EXIT_FAILED, EXIT_USAGE, fail
from maestro.cli.looking import shortened
from maestro.cli.output import Output
from maestro.cli.plain import count
from maestro.cli.policy_trial import Decided, Trial, held_of, of_backup, tried
from maestro.cli.session import AnySystem, Session, command
from maestro.client.finding import documents, systems_of
from maestro.rules.policies import Effect
from maestro.store.base import StoreError

#: Reprocessings that are listed; `--json` has all.
_LISTED: Final = 50
_WOULD: Final = {
    Effect.APPROVE: "approved at once",
    Effect.ASK: "one person asked",
    Effect.TWO_APPROVERS: "two people asked",
}

Backup = Annotated[
    Path | None, typer.Option("--backup", metavar="FOLDER", help="Read a folder that `maestro backup` wrote instead.")
]


@command
def dry_run(session: Session, system: AnySystem = "", *, config: ConfigFile = None, backup: Backup = None) -> None:
    """Hold the policies of a configuration file against all that was held before. Nothing is asked, nothing changes."""
    loaded = loaded_or_exit(config)
    where = str(loaded.file or "the environment")
    if not loaded.settings.policy:
        fail(f"{loaded.file or 'the configuration'}: there is no [[policy]] in it", EXIT_USAGE)
    try:
        held = [held_of(document) for document in _documents(session, system, backup)]
    except (StoreError, ValueError) as problem:
        fail(str(problem), EXIT_FAILED)
    trials = tried(loaded.settings, held)
    forks = sum(one.decided is Decided.FORK for one in held)
    if session.out.json:
        session.out.raw(
            msgspec.json.encode({"summary": _summary(trials, forks), "documents": list(map(_told, trials))})
        )
        return
    session.out.say(f"{count(len(loaded.settings.policy), 'policy table')} of {where}: {_span(trials)}")
    _print(session.out, trials, forks)


def _documents(session: Session, system: str, backup: Path | None) -> Iterator[bytes]:
    if backup is not None:
        yield from of_backup(backup, system)
    else:
        yield from map(bytes, documents(session.maestro, systems_of(session.maestro, system)))


def _span(trials: Sequence[Trial]) -> str:
    if not trials:
        return "nothing was held before"
    days = sorted(one.held.known.today for one in trials)
    systems = len({one.held.system_id for one in trials})
    return f"{count(len(trials), 'reprocessing')} of {count(systems, 'system')}, held from {days[0]} to {days[-1]}"


def _summary(trials: Sequence[Trial], forks: int) -> dict[str, int]:
    approvals = Counter(one.verdict.approval for one in trials)
    refused = [one for one in trials if one.verdict.skip_refused]
    return {
        "reprocessings": len(trials),
        "approved": approvals[Effect.APPROVE],
        "asked": approvals[Effect.ASK],
        "twoApprovers": approvals[Effect.TWO_APPROVERS],
        "skipRefused": len(refused),
        "skippedThoughRefused": sum(one.held.decided is Decided.SKIPPED for one in refused),
        "notKnown": sum(one.careful for one in trials),
        "forks": forks,
    }


def _told(one: Trial) -> dict[str, Any]:
    return {
        "id": one.held.id,
        "system": one.held.system_id,
        "held": one.held.known.today.isoformat(),
        "decided": one.held.decided,
        "approval": one.verdict.approval,
        "skipRefused": one.verdict.skip_refused,
        "notKnown": one.careful,
        "by": [weighed.policy.name for weighed in one.verdict.weighed if weighed.effects],
    }


def _print(out: Output, trials: Sequence[Trial], forks: int) -> None:
    told = _summary(trials, forks)
    if trials:
        out.say(
            f"they would have approved {told['approved']:,} of {len(trials):,} at once, asked one person about "
            f"{told['asked']:,}, and two people about {told['twoApprovers']:,}"
        )
    if told["skipRefused"]:
        out.say(
            f"they would have refused to skip {told['skipRefused']:,}; "
            f"{told['skippedThoughRefused']:,} of these were skipped"
        )
    if told["notKnown"]:
        out.say(f"about {told['notKnown']:,} something was not known that a policy looks at: the careful side counts")
    if forks:
        out.say(f"{count(forks, 'fork')} left out: no policy is asked about what opens a branch")
    if not trials:
        return
    out.say()
    out.table(("DECIDED", ">IN ALL", ">AT ONCE", ">ONE PERSON", ">TWO PEOPLE", ">SKIP REFUSED"), _table(trials), "")
    out.say()
    out.table(("POLICY", "DIGEST", ">APPLIES TO", ">NOT KNOWN"), _by_policy(trials), "")
    otherwise = [one for one in trials if _otherwise(one)]
    if otherwise:
        out.say()
        out.say("what would have come out otherwise:")
        _list(out, otherwise)


def _table(trials: Sequence[Trial]) -> Iterator[tuple[object, ...]]:
    for decided in Decided:
        some = [one for one in trials if one.held.decided is decided]
        if some:
            approvals = Counter(one.verdict.approval for one in some)
            numbers = (approvals[effect] for effect in _WOULD)
            yield (decided, len(some), *numbers, sum(one.verdict.skip_refused for one in some))


def _by_policy(trials: Sequence[Trial]) -> Iterable[tuple[object, ...]]:
    applied: Counter[tuple[str, str]] = Counter()
    unknown: Counter[tuple[str, str]] = Counter()
    for weighed in (weighed for one in trials for weighed in one.verdict.weighed):
        key = (weighed.policy.name, weighed.policy.digest)
        applied[key] += weighed.applies is True
        unknown[key] += weighed.applies is None
    return [(*key, applied[key], unknown[key]) for key in applied]


def _otherwise(one: Trial) -> bool:
    """Whether what was decided could not have come about so."""
    match one.held.decided:
        case Decided.SKIPPED:
            return one.verdict.approval is Effect.APPROVE or one.verdict.skip_refused
        case Decided.BY_RULE:
            return one.verdict.approval is not Effect.APPROVE
        case _:
            return False


def _list(out: Output, trials: Sequence[Trial]) -> None:
    shown = trials[:_LISTED]
    short = shortened(sorted(one.held.id for one in shown))
    rows = (
        (
            short[one.held.id], one.held.system_id, one.held.known.today, one.held.decided,
            _WOULD[one.verdict.approval] + (", skip refused" if one.verdict.skip_refused else ""),
            ", ".join(weighed.policy.name for weighed in one.verdict.weighed if weighed.effects) or "-",
        )
        for one in shown
    )  # fmt: skip
    out.table(("ID", "SYSTEM", "HELD", "DECIDED", "WOULD HAVE BEEN", "BY"), rows, "")
    if len(trials) > _LISTED:
        out.say(f"the first {_LISTED} of {len(trials):,}; --json has all")

"""I1 to I8, checked from outside once all is at rest: what was published against what the siblings saw and queues hold.

Maestro's own word is taken only for what it alone can say: documents and waiting events, over HTTP. The order in which
it numbered the events is the order in which they were published: one publisher a system, each confirmed in turn.
"""

import contextlib
from collections import Counter
from dataclasses import dataclass, field
from itertools import groupby

import orjson

from maestro.broker.topology import ERROR_HEADER, SystemQueues
from tests.faults.load import JSON, Load, Plan
from tests.faults.watching import Check, Watcher
from tests.support.stage import Stage, eventually

FREE, LOCKED = 200, 403


@dataclass
class Seen:
    """What is known of one system from outside."""

    plan: Plan
    documents: list[JSON]
    waiting: list[str]
    #: (instance, reason) of each event on the error queue.
    errors: list[tuple[str, str]]
    #: (instance, when) of each commit that the Domain was asked for, in order.
    commits: list[tuple[str, float]]
    #: (instance, when) of each question to Discovery, in order.
    questions: list[tuple[str, float]]
    checks: list[Check]
    accepted: list[str]
    results: list[str]
    skips: dict[str, float]
    proceed: int
    queues: dict[str, int]
    crashes: int
    #: Instances whose rows were written more than once.
    doubled: list[str]
    problems: list[str] = field(default_factory=list)

    def wrong(self, what: str) -> None:
        self.problems.append(f"{self.plan.system}: {what}")

    def runs(self) -> list[tuple[str, list[float]]]:
        """Each held instance that was approved, with the moments of its commits, replays' included."""
        held = [one for one in self.plan.held.values() if one.decision == "approve"]
        return [
            (one.instance, [at for name, at in self.commits if name == one.instance or _unit(name) in one.replayed])
            for one in held
        ]


def _unit(instance: str) -> str:
    return instance.partition("#")[0]


async def check(it: Stage, load: Load, watcher: Watcher, *, crashes: int) -> Counter[str]:
    """Fail with everything that does not hold; return what there was of what.

    Args:
        it: the stage, at rest.
        load: what was to be done.
        watcher: who watched all the time.
        crashes: how often a process of Maestro was killed, at most: as often may a commit in hand be repeated.
    """
    problems = [f"I4: a store was open twice: {one}" for one in watcher.shared_stores]
    problems += [f"I9: a decision on {one} was answered, and lost" for one, n in Counter(load.decided).items() if n > 1]
    figures: Counter[str] = Counter()
    for plan in load.plans.values():
        seen = await _see(it, load, watcher, plan, crashes)
        for rule in (_nothing_lost, _order, _held_means_held, _lock_is_exact, _visibly_once, _at_rest):
            rule(seen)
        problems += seen.problems
        figures.update(_figures(seen))
    assert not problems, "\n".join(problems[:20])
    return figures


async def _see(it: Stage, load: Load, watcher: Watcher, plan: Plan, crashes: int) -> Seen:
    system = plan.system
    queues = SystemQueues(system)
    emptied = (queues.persist, queues.wait, queues.events, queues.control, queues.reprocessings)
    mine = f"{system}."

    async def emptied_now() -> bool:
        return not any([await it.depth(name) for name in emptied])

    with contextlib.suppress(AssertionError):  # what a lost connection hands back is settled once there is another one
        await eventually(emptied_now, f"{system}'s queues are empty")
    bodies = await it.queue(queues.persist_error)
    waiting = await _told(it, f"/v1.0.0/systems/{system}/waiting")
    commits, questions = it.siblings.calls("commit"), it.siblings.calls("impacted")
    return Seen(
        plan,
        documents=(await _told(it, f"/v1.0.0/reprocessing/{system}/find"))["list"],
        waiting=[one["instanceId"] for one in waiting["events"]],
        errors=[(orjson.loads(body)["args"][0]["instanceId"], headers[ERROR_HEADER]) for body, headers in bodies],
        commits=[(call.instance_id, call.at) for call in commits if call.instance_id.startswith(mine)],
        questions=[(call.instance_id, call.at) for call in questions if call.instance_id.startswith(mine)],
        checks=watcher.checks[system],
        accepted=[one for one in load.accepted if one.startswith(mine)],
        results=[one for one in load.results if one.startswith(mine)],
        skips=load.skips,
        proceed=(await it.get(f"/v1.0.0/gateway/{system}/proceed", ok=False))["_status"],
        queues={name: await it.depth(name) for name in emptied},
        crashes=crashes,
        doubled=[one for one in it.siblings.doubled if one.startswith(mine)],
    )


async def _told(it: Stage, path: str) -> JSON:
    """Return the answer; a system that moves to another node answers 503 meanwhile."""

    async def answered() -> JSON | None:
        answer: JSON = await it.get(path, ok=False)
        return answer if answer["_status"] == 200 else None

    found: JSON = await eventually(answered, f"{path} is answered")
    return found


def _nothing_lost(seen: Seen) -> None:
    """I1: each event is in exactly one place.

    A crash between the error queue's confirm and its record moves the same message there again.
    """
    committed = {name for name, _ in seen.commits}
    errors = {name for name, _ in seen.errors}
    if len(seen.errors) - len(errors) > seen.crashes:
        seen.wrong(f"I1: {len(seen.errors)} messages of {len(errors)} events on the error queue: {seen.errors}")
    held = {doc["pendingEvent"]["instanceId"]: doc["status"] for doc in seen.documents}
    for instance in (*seen.accepted, *seen.results):
        places = ["committed"] if instance in committed else []
        places += ["waiting"] * seen.waiting.count(instance) + ["error queue"] * (instance in errors)
        if held.get(instance, "finished") != "finished":
            places.append(held[instance])
        if len(places) != 1:
            seen.wrong(f"I1: {instance} is {' and '.join(places) or 'lost'}")
    for instance, reason in seen.errors:
        if "#" not in instance or "superseded" not in reason:
            seen.wrong(f"I1: {instance} is on the error queue: {reason}")


def _order(seen: Seen) -> None:
    """I2, I5, and the order of I3: the first commit of each thing is in the one order that the rules allow."""
    found = list(dict.fromkeys(_unit(name) for name, _ in seen.commits))
    expected = seen.plan.expected
    if found != expected:
        at = next((n for n, (one, other) in enumerate(zip(found, expected, strict=False)) if one != other), -1)
        around = slice(max(0, at - 2), at + 4)
        seen.wrong(f"I2/I5: committed {len(found)} of {len(expected)}; {found[around]}, not {expected[around]}")
    asked = [name for name in dict.fromkeys(name for name, _ in seen.questions) if "#" not in name]
    if asked != seen.plan.events:
        seen.wrong("I2: Discovery was asked in another order than the events came in")
    for unit, count in Counter(_unit(name) for name in {name for name, _ in seen.commits}).items():
        if count > 1:
            seen.wrong(f"I5: {unit} was replayed and committed {count} times in one round")


def _held_means_held(seen: Seen) -> None:
    """I3: from the last question about a held event until its run's last effect or its skip nothing else is committed.

    The last question: a crash before its answer was stored makes it be asked again, and what was before it be repeated.
    """
    windows = [(instance, max(times)) for instance, times in seen.runs() if times]
    windows += [(one, seen.skips[one]) for one in seen.plan.held if one in seen.skips]
    for instance, until in windows:
        since = max(at for name, at in seen.questions if name == instance)
        inside = [name for name, at in seen.commits if since < at < until]
        strangers = [name for name in inside if name != instance and not name.startswith(f"{instance}.")]
        if strangers:
            seen.wrong(f"I3: {strangers} committed while {instance} was held")


def _lock_is_exact(seen: Seen) -> None:
    """I6: no check between a run's first and last effect says that all may proceed; after the last run they may."""
    for instance, times in seen.runs():
        for one in seen.checks:
            if times and min(times) <= one.sent and one.answered <= max(times) and one.status == FREE:
                seen.wrong(f"I6: proceed said {one.status} in the run of {instance}")
                break
    if seen.proceed != FREE:
        seen.wrong(f"I6: at rest, and proceed says {seen.proceed}")


def _visibly_once(seen: Seen) -> None:
    """I7: no instance's rows are written twice, and nothing comes between a commit and its repetition."""
    if seen.doubled:
        seen.wrong(f"I7: rows written twice: {seen.doubled}")
    blocks = [name for name, _ in groupby(name for name, _ in seen.commits)]
    for name, count in Counter(blocks).items():
        if count > 1:
            seen.wrong(f"I7: the commit of {name} is repeated after later ones")
    if len(seen.commits) - len(set(blocks)) > seen.crashes:
        seen.wrong(f"I7: {len(seen.commits) - len(set(blocks))} commits repeated in {seen.crashes} crashes")


def _at_rest(seen: Seen) -> None:
    """I5, I9: every document has its end, every queue is empty."""
    for doc in seen.documents:
        if doc["status"] not in ("finished", "skipped"):
            seen.wrong(f"I9: {doc['pendingEvent']['instanceId']} is left {doc['status']}: {doc['history'][-1]}")
    left = {name: count for name, count in seen.queues.items() if count}
    if left:
        seen.wrong(f"I9: queues are left: {left}")


def _figures(seen: Seen) -> dict[str, int]:
    return {
        "events": len(seen.accepted),
        "replays": len(set(seen.results)),
        "superseded": len(seen.errors),
        "commits repeated": len(seen.commits) - len({name for name, _ in seen.commits}),
        "questions repeated": len(seen.questions) - len({name for name, _ in seen.questions}),
        "lock checks": len(seen.checks),
        "checks under lock": sum(one.status == LOCKED for one in seen.checks),
        "checks unanswered": sum(one.status not in (FREE, LOCKED) for one in seen.checks),
    }

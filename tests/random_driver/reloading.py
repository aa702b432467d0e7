"""Whether a system as it is known is what the next life would load, in all that is to be stored."""

from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from msgspec import Struct

from maestro.rules.delivery import Delivery
from maestro.rules.document import Document
from maestro.rules.state import JudgingStage, OutboxMessage, System
from maestro.system.repository import Repository

#: What a restart forgets, or finds again by itself. Every other field is compared, a new one, too.
FORGOTTEN: Mapping[type, frozenset[str]] = {
    System: frozenset({
        *("now", "closing", "closed", "last_arrived", "last_token", "last_failure", "persisted", "counters"),
        *("inbox", "judged", "judging_stage", "judging_token", "next_number", "finished", "forgotten"),
        *("feeding", "wait_queue_unknown", "held_since", "overflowing"),
        *("outbox_begun", "next_outbox_message", "texts_under_way", "late_texts", "looks", "questions", "visible"),
        *("stalls", "troubles", "closes_at", "cases", "retries", "doubts_ended", "commits_under_way"),
        *("live", "owed", "keeping"),  # they are indices of `documents`
    }),
    Document: frozenset({
        *("stage", "token", "queues_built", "footprint", "start_asked", "again", "grown", "cover_token", "recheck"),
        *("sweeping", "tickets"),
        *("order", "outstanding", "current", "set_aside"),  # as `units` have it
    }),
    Delivery: frozenset({
        *("refs", "tickets", "calls", "has_caller", "heard"),
        *("spanned", "harmless", "failures", "footprint", "reported", "bodiless"),
        "done_at",  # stored of sync persists only
    }),
    OutboxMessage: frozenset({"about"}),
}  # fmt: skip


def lost_by_a_restart(system: System, repository: Repository) -> list[str]:
    """Return what the store says otherwise than the system, all of whose saves are stored."""
    decided = {key: one for key, one in system.deliveries.items() if one.verdict is not None}
    unfinished = list(system.unfinished)
    if system.judged is not None and system.judging_stage is JudgingStage.COMMIT:
        unfinished.append(system.judged)
    in_order = deque(sorted(unfinished, key=lambda delivery: delivery.number))
    return list(differences(replace(system, deliveries=decided, unfinished=in_order), repository.load()))


def differences(known: Any, stored: Any, place: str = "system") -> Iterator[str]:
    """Yield where two values differ, down to the fields of records."""
    names = _names(known)
    if names and type(known) is type(stored):
        for name in names:
            yield from differences(getattr(known, name), getattr(stored, name), f"{place}.{name}")
    elif isinstance(known, dict):
        in_order = isinstance(known, OrderedDict)
        keys, others = (list(one) if in_order else sorted(one) for one in (known, stored))
        if keys != others:
            yield f"{place}: {keys} known, {others} stored"
        for key in known.keys() & stored.keys():
            yield from differences(known[key], stored[key], f"{place}[{key!r}]")
    elif isinstance(known, list | deque) and len(known) == len(stored):
        for index, (one, other) in enumerate(zip(known, stored, strict=True)):
            yield from differences(one, other, f"{place}[{index}]")
    elif known != stored:
        yield f"{place}: {known} known, {stored} stored"


def _names(record: Any) -> list[str]:
    """Return the fields of a record that are to be stored."""
    if isinstance(record, Struct):
        names = record.__struct_fields__
    else:
        names = tuple(field.name for field in fields(record)) if is_dataclass(record) else ()
    return [name for name in names if name not in FORGOTTEN.get(type(record), ())]

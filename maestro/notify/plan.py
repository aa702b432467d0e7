"""What is due: of each thing that waits for a person, by each way, the first notice, a reminder, an escalation. Pure.

A thing is known from when it was seen first until it has been gone for a while. By each way it takes up to three steps;
what was told is recorded, so that a restart tells nothing again. Times are seconds since the epoch.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from enum import IntEnum
from typing import Final

from msgspec import Struct, field

from maestro.messages.todo import TodoItem, Waits
from maestro.settings.notify import NotifySettings

#: Things that are known at once; further ones are counted only.
MOST: Final = 1000
#: Seconds that a thing must be gone before it is forgotten: a run that is paused again at once is the same thing.
FORGET_AFTER: Final = 60.0
#: And one of a system that is not served, which may come back.
DAY: Final = 86_400.0
#: Seconds that a system must have been silent before that is told: one that starts is silent for a moment.
SILENT_FOR: Final = 120.0
_NAMES: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b\d+\b")


class Step(IntEnum):
    """How far people were told of a thing."""

    FIRST = 1
    REMINDER = 2
    ESCALATION = 3


class Told(Struct):
    """What was told of a thing by one way: the last step, and when the first one was."""

    step: Step
    first: float


class Known(Struct):
    """A thing that waits. `gone`: since when it is there no more; None: it is there."""

    system: str
    since: float
    gone: float | None = None
    told: dict[str, Told] = field(default_factory=dict)


class Due(Struct, frozen=True):
    """A thing that is to be told now, and as what."""

    key: str
    step: Step
    item: TodoItem
    #: Seconds that it has waited, as far as is known.
    waited: float


def key_of(item: TodoItem) -> str:
    """Return what a thing is known by: the same from one look to the next."""
    if item.kind is Waits.ERRORS:
        which = _NAMES.sub("…", item.cause.replace(item.instance_id, "…") if item.instance_id else item.cause)
    else:
        which = item.reprocessing or item.key or item.sibling
    return f"{item.system}/{item.kind}/{which}"


class Book:
    """All things that wait, and what was told of them."""

    def __init__(self, settings: NotifySettings, known: Mapping[str, Known] | None = None) -> None:
        self._settings = settings
        self.known: dict[str, Known] = dict(known or {})
        #: The things as they were seen last; and how many there are no places for.
        self.items: dict[str, TodoItem] = {}
        self.left_out = 0

    def seen(self, items: Iterable[TodoItem], served: Collection[str], now: float) -> bool:
        """Take in what waits now, the most urgent first; return whether what is to be kept changed.

        Of a system that is not served any more, or does not answer, what is known stays: it is told again by nobody.
        """
        every = list(items)
        silent = {item.system for item in every if item.kind is Waits.UNAVAILABLE}
        self.items, self.left_out, changed = {}, 0, False
        for item in every:
            key = key_of(item)
            if item.kind not in self._settings.kinds or key in self.items:
                continue
            if key not in self.known and len(self.known) >= MOST:
                self.left_out += 1
                continue
            self.items[key] = item
            known = self.known.get(key)
            if known is None:
                self.known[key] = Known(item.system, now)
                changed = True
            elif known.gone is not None:
                known.gone = None
                changed = True
        for key, known in list(self.known.items()):
            if key in self.items or (known.system in silent and f"/{Waits.UNAVAILABLE}/" not in key):
                continue
            if known.gone is None:
                known.gone = now
                changed = True
            elif now - known.gone >= FORGET_AFTER and (known.system in served or now - known.gone >= DAY):
                del self.known[key]
                changed = True
        return changed

    def due(self, way: str, now: float) -> list[Due]:
        """Return what is to be told by a way now, in the order of urgency."""
        quiet = is_quiet(self._settings, now)
        found = []
        for key, item in self.items.items():
            if quiet and item.kind not in self._settings.quiet_except:
                continue
            known = self.known[key]
            step = self._step(known.told.get(way), now)
            if item.kind is Waits.UNAVAILABLE and now - known.since < SILENT_FOR:
                continue
            if step is not None:
                found.append(Due(key, step, item, max(0.0, now - _moment(item.since, known.since))))
        return found

    def _step(self, told: Told | None, now: float) -> Step | None:
        if told is None:
            return Step.FIRST
        since = (now - told.first) / 60
        if self._settings.escalate_after and told.step < Step.ESCALATION and since >= self._settings.escalate_after:
            return Step.ESCALATION
        if self._settings.remind_after and told.step < Step.REMINDER and since >= self._settings.remind_after:
            return Step.REMINDER
        return None

    def told(self, way: str, some: Iterable[Due], now: float) -> None:
        """Record that something was told, or given up, by a way."""
        for one in some:
            known = self.known.get(one.key)
            if known is not None:
                before = known.told.get(way)
                known.told[way] = Told(one.step, before.first if before else now)


def is_quiet(settings: NotifySettings, now: float) -> bool:
    """Whether it is one of the quiet hours, by their clock."""
    if not settings.quiet:
        return False
    begin, end = settings.quiet.split("-")
    time = f"{datetime.fromtimestamp(now, settings.zone):%H:%M}"
    return begin <= time < end if begin < end else time >= begin or time < end


def _moment(text: str, otherwise: float) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return otherwise

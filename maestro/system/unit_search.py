"""Searches a document's units: by process, branch, period, state and text; and counts them by each of these."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import orjson

from maestro import json_text
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import FindUnits
from maestro.rules.document import Document
from maestro.rules.rendering import unit_json
from maestro.rules.unit import Unit, UnitState
from maestro.system.pages import page_of
from maestro.titles import gist

#: Values that one count tells, those of most units; the others are counted together.
TOLD: Final = 100
#: Characters of a timestamp that say the month, and the day.
_MONTH, _DAY = 7, 10
#: What units are counted by.
GROUPS: Final = ("process", "branch", "period", "state")


class UnitSearch:
    """Searches units. What their events say is read once for the document that is looked at: there may be thousands."""

    def __init__(self) -> None:
        self._document = ""
        #: By position: an origin event, its name, and what its payload says.
        self._said: dict[int, tuple[bytes, str, str]] = {}

    def found(self, doc: Document, units: Sequence[Unit], asked: FindUnits) -> Answer:
        """Return the page of the units that fit, and the counts."""
        if doc.id != self._document:
            self._document, self._said = doc.id, {}
        return found(doc, units, asked, self._event)

    def _event(self, unit: Unit) -> tuple[str, str]:
        known = self._said.get(unit.position)
        if known is None or known[0] != unit.origin:
            known = self._said[unit.position] = (unit.origin, *event_of(unit))
        return known[1:]


def found(doc: Document, units: Sequence[Unit], asked: FindUnits, event: Callable[[Unit], tuple[str, str]]) -> Answer:
    """Render the page of the units that fit, and how many units there are of each process, branch, period and state.

    A count leaves its own condition out: it says what another choice would show.
    """
    if asked.state and asked.state not in list(UnitState):
        return Answer(Code.INVALID, message=f"state: must be one of {', '.join(UnitState)}")
    wanted = {"process": asked.process, "branch": asked.branch, "period": asked.period, "state": asked.state}
    text = asked.text.casefold()
    counts: dict[str, Counter[str]] = {name: Counter() for name in GROUPS}
    digits = _digits(units, asked.period)
    fitting: list[tuple[Unit, str, str]] = []
    for unit in units:
        name, about = event(unit)
        if text and not any(text in part.casefold() for part in (name, about, unit.instance_id, unit.branch)):
            continue
        values = {
            "process": name, "branch": unit.branch, "period": unit.timestamp[:digits], "state": unit.state.value,
        }  # fmt: skip
        missed = [
            group for group, value in wanted.items()
            if value and not (unit.timestamp.startswith(value) if group == "period" else values[group] == value)
        ]  # fmt: skip
        if not missed:
            fitting.append((unit, name, about))
        for group in GROUPS:
            if not missed or missed == [group]:
                counts[group][values[group]] += 1
    page, rendered = page_of(fitting[asked.after :], asked.limit, _rendered)
    end = asked.after + len(page)
    body = {
        "systemId": doc.system_id,
        "total": len(units),
        "matched": len(fitting),
        "groups": {name: _told(name, counted) for name, counted in counts.items()},
        "units": rendered,
        "next": end if end < len(fitting) else None,
    }
    return Answer(Code.OK, msgspec.json.encode(body))


def _rendered(found: tuple[Unit, str, str]) -> bytes:
    unit, name, about = found
    said = {"position": unit.position, "name": name, "timestamp": unit.timestamp, "about": about}
    return orjson.dumps(unit_json(unit) | said)


def _digits(units: Sequence[Unit], period: str) -> int:
    """Return how fine periods are told: months; days where one month is asked for, or all are of one."""
    one_month = len({unit.timestamp[:_MONTH] for unit in units}) < 2  # noqa: PLR2004 - one, or none
    return _DAY if one_month or len(period) >= _MONTH else _MONTH


def _told(name: str, counted: Counter[str]) -> dict[str, Any]:
    """Render the counts: periods in their order, of others the largest first."""
    most = counted.most_common(TOLD)
    if name == "period":
        most.sort()
    return {
        "values": [{"value": value, "count": number} for value, number in most],
        "others": counted.total() - sum(number for _, number in most),
    }


def event_of(unit: Unit) -> tuple[str, str]:
    """Return the name of a unit's origin event and what its payload says; empty where it does not tell."""
    try:
        event = json_text.loads(unit.origin) if unit.origin else None
    except ValueError:
        event = None
    if not isinstance(event, dict):
        return "", ""
    name = event.get("name")
    told = (name if isinstance(name, str) else ""), gist(event.get("payload"))
    shown, about = map(json_text.plain, told)
    return shown, about

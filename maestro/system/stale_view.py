"""What a system tells of its results that are not known to be fresh."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import orjson

from maestro.messages.answers import Answer, Code
from maestro.rules.impact import UnitKey
from maestro.rules.ledger_book import Stale, StaleState
from maestro.rules.rendering import wire_time, zoned_time
from maestro.rules.state import System
from maestro.system.pages import page_of
from maestro.system.repository import Repository
from maestro.system.todo import said_of

#: Units of the largest reprocessing that is read for what the units on a page are called.
_READ: Final = 500


def stale(system: System, repository: Repository, state: str, after: int, limit: int) -> Answer:
    """Render a page of the units that are not known to be fresh, oldest note first."""
    if state and state not in list(StaleState):
        return Answer(Code.INVALID, message=f"state: must be one of {', '.join(StaleState)}")
    book = system.ledger
    found = [one for one in book.stale.values() if not state or one.state == state]
    rest = [one for one in found if one.number > after]
    origins = _origins(system, repository, rest[:limit])
    page, told = page_of(rest, limit, lambda one: orjson.dumps(_stale(one, origins.get(one.unit, b""))))
    body = {
        "total": len(found),
        "left": book.stale_left,
        "stale": told,
        "next": page[-1].number if len(rest) > len(page) else None,
    }
    return Answer(Code.OK, msgspec.json.encode(body))


def _origins(system: System, repository: Repository, page: Sequence[Stale]) -> dict[UnitKey, bytes]:
    """Return the origin events of stale units, where a reprocessing that is not large has them."""
    origins: dict[UnitKey, bytes] = {}
    for id_ in dict.fromkeys(one.document_id for one in page):
        doc = system.documents.get(id_)
        if doc is not None and doc.total <= _READ:
            origins |= {unit.key: unit.origin for unit in doc.order or repository.units(id_)}
    return origins


def _stale(one: Stale, origin: bytes) -> dict[str, Any]:
    event, about = said_of(origin)
    return {
        "number": one.number,
        "instanceId": one.unit[0],
        "branch": one.unit[1],
        "computation": one.instance_id,
        "state": one.state.value,
        "timestamp": wire_time(one.at),
        "at": zoned_time(one.at),
        "missed": [commit.instance_id for commit in one.missed],
        "cause": one.cause,
        "user": one.user,
        "reason": one.reason,
        "reprocessing": one.document_id or None,
        "event": event,
        "about": about,
    }

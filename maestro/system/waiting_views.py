"""The events that wait, as a system tells of them."""

import time
from typing import Any, Final

import msgspec
import orjson

from maestro import json_text, titles
from maestro.events import parse_celery
from maestro.messages.answers import Answer, Code
from maestro.rules.delivery import Delivery
from maestro.rules.rendering import wire_time, zoned_time
from maestro.rules.state import System
from maestro.system.pages import page_of
from maestro.system.repository import Repository

#: Bytes of an event's body that a list looks into for what the event is of: a page of a thousand takes some
#: milliseconds.
MOST_LOOKED_AT: Final = 8 * 1024


def waiting(system: System, repository: Repository, after: int, limit: int) -> Answer:
    """Render a page of the waiting events, oldest first."""
    behind = (delivery for number, delivery in system.waiting.items() if number > after)
    page, told = page_of(behind, limit, lambda one: orjson.dumps(_event(one) | _subject(repository, one)))
    last = page[-1].number if page else after
    more = bool(system.waiting) and next(reversed(system.waiting)) > last
    body = {"total": len(system.waiting), "events": told, "next": last if more else None}
    return Answer(Code.OK, msgspec.json.encode(body))


def _subject(repository: Repository, delivery: Delivery) -> dict[str, str]:
    """Return what its body says it is of: persist events are all of one name. A large body is not gone through."""
    body = repository.body(delivery.number)
    if body is None or len(body) > MOST_LOOKED_AT:
        return {"process": "", "about": ""}
    event = json_text.loads(parse_celery(body).event.raw)
    process = event.get("processId")
    return {
        "process": json_text.plain(process) if isinstance(process, str) else "",
        "about": json_text.plain(titles.gist(event.get("payload"))),
    }


def waiting_event(system: System, repository: Repository, number: int) -> Answer:
    """Render one waiting event with its body."""
    delivery = system.waiting.get(number)
    body = repository.body(number) if delivery is not None else None
    if delivery is None or body is None:
        return Answer(Code.NOT_FOUND, message=f"no event {number} waits")
    event = msgspec.Raw(parse_celery(body).event.raw)
    return Answer(Code.OK, msgspec.json.encode(_event(delivery) | _subject(repository, delivery) | {"event": event}))


def _event(delivery: Delivery) -> dict[str, Any]:
    return {
        "number": delivery.number,
        "instanceId": delivery.instance_id,
        "name": delivery.name,
        "branch": delivery.branch,
        "tag": delivery.tag,
        "since": wire_time(delivery.admitted_at),
        "at": zoned_time(delivery.admitted_at),
        "waitingFor": max(0.0, round(time.time() - delivery.admitted_at, 3)),
    }

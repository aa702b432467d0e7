"""The edge of a system: what is taken, and what goes to an error queue."""

import orjson
import pytest

from maestro.events import MAX_TEXT, BadInput, celery_body
from maestro.messages.ingress import Arrived, DeadLetter, Source
from maestro.messages.questions import PersistSync
from maestro.rules.facts import EventArrived
from maestro.system.arrivals import accept, accept_sync
from tests.support.rules import Rules

LONG = "x" * (MAX_TEXT + 1)
REPLAY = {"scope": "reprocessing", "reprocessing": {"id": "r", "instance_id": "p"}}


def event(**fields: object) -> bytes:
    return orjson.dumps({"name": "sysA.persist.request", "systemId": "sysA", "instanceId": "i1", **fields})


def arrived(body: bytes, source: Source = Source.PERSIST, *, redelivered: bool = False) -> EventArrived | DeadLetter:
    return accept(Arrived(7, source, body, redelivered=redelivered), "sysA", 10**7)


@pytest.mark.parametrize(
    ("field", "body"),
    [
        *((field, event(**{field: LONG})) for field in ("instanceId", "tag", "branch", "name")),
        ("reprocessing.id", event(**REPLAY | {"reprocessing": {"id": LONG, "instance_id": "p"}})),
        ("reprocessing.instance_id", event(**REPLAY | {"reprocessing": {"id": "r", "instance_id": LONG}})),
        ("reprocessing.send", event(**REPLAY | {"reprocessing": {"id": "r", "instance_id": "p", "send": LONG}})),
    ],
)
def test_what_is_kept_of_an_event_has_a_bounded_length(field: str, body: bytes) -> None:
    said = f"{field}: is longer than {MAX_TEXT} characters"
    answer = arrived(celery_body("c1", body))
    assert isinstance(answer, DeadLetter)
    assert (answer.reason, answer.no_event, answer.body) == (said, False, celery_body("c1", body))
    with pytest.raises(BadInput, match=said):
        accept_sync(PersistSync(body, "", "call"), "sysA", 1)


def test_an_id_has_a_bounded_length() -> None:
    answer = arrived(celery_body(LONG, event()))
    assert isinstance(answer, DeadLetter)
    assert answer.reason == f"id: is longer than {MAX_TEXT} characters"


def test_the_longest_is_taken() -> None:
    assert isinstance(arrived(celery_body("c1", event(instanceId="x" * MAX_TEXT))), EventArrived)


def test_what_was_admitted_before_there_was_a_bound_goes_on() -> None:
    """Its copy on the wait queue is known, and what is stored is read."""
    body = celery_body("c1", event(tag=LONG))
    assert isinstance(arrived(body, Source.WAIT), EventArrived)
    assert isinstance(arrived(body, redelivered=True), EventArrived)
    it = Rules()
    it.hold("i0", "p0")
    it.arrive("i1", tag=LONG)
    after = it.restart()
    assert [one.tag for one in after.system.waiting.values()] == [LONG]
    number = next(iter(after.system.waiting))
    assert orjson.loads(after.repository.body(number) or b"")["args"][0]["tag"] == LONG

"""What only some decoders take is read as far as it is ours, and kept byte for byte."""

import json
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro import json_text
from maestro.events import BadInput, NoEvent, edited, parse_celery, parse_event
from maestro.platform.process_memory import _decode
from maestro.rules.rendering import document_json, error_event, replay_event
from maestro.rules.unit import name_of
from tests.unit.rules.driver import Driver

ODD = {
    "half of a pair": rb'"cut \ud83d"',
    "the other half": rb'"\udc00 cut"',
    "halves the wrong way": rb'"\udc00\ud83d"',
    "a pair": rb'"\ud83d\ude00"',
    "infinity by overflow": b"1e400",
    "400 digits": b"-" + b"9" * 400,
    "5000 digits": b"9" * 5000,
    "in an array": rb'[1, "\ud83d", {"deep": 1e999}]',
}


def object_with(value: bytes) -> bytes:
    return b'{"systemId": "sysA", "instanceId":"i1", "tag":"t" ,\n"payload" : ' + value + b', "name": "a.request"}'


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
def test_an_event_is_read_and_its_payload_kept(value: bytes) -> None:
    raw = object_with(value)
    body = b'{"task": "tasks.process", "id": "c1", "args": [ ' + raw + b' ], "retries": 0}'
    message = parse_celery(body)
    assert (message.id, message.event.instance_id, message.event.name) == ("c1", "i1", "a.request")
    assert message.event.raw == raw
    assert parse_event(raw).raw == raw


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
def test_an_edited_event_keeps_it_to_the_byte(value: bytes) -> None:
    changed = edited(object_with(value), {"scope": "reprocessing"}, drop=("tag",))
    found = json_text.members(changed)
    assert bytes(found["payload"]) == value
    assert bytes(found["scope"]) == b'"reprocessing"'
    assert set(found) == {"systemId", "instanceId", "payload", "name", "scope"}


def test_a_name_that_cannot_be_encoded_is_kept() -> None:
    found = json_text.members(edited(rb'{"\ud83d": 1e400, "a": 1}', {"b": 2}))
    assert {key: bytes(value) for key, value in found.items()} == {"\ud83d": b"1e400", "a": b"1", "b": b"2"}


@pytest.mark.parametrize("field", ["instanceId", "name", "tag", "branch", "scope"])
def test_a_field_of_ours_must_be_text_that_can_be_stored(field: str) -> None:
    raw = b'{"systemId": "sysA", "instanceId": "i1", "' + field.encode() + rb'": "\ud83d"}'
    with pytest.raises(BadInput, match=rf"^{field}: "):
        parse_event(raw)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", rb'{"a": "\ud83d"', rb'{"a": "\ud83d",}', rb'{"a" "\ud83d"}', rb'{"\ud83d": NaN}', rb'["\ud83d",]',
        rb'["\ud83d"] x', rb'{"\ud83d": 1} x', rb'{"\ud83d": -Infinity}', rb'"\ud83d', b"[" * 100_000,
        rb'{"\ud83d": ' + b"[" * 100_000, rb'{"\ud83d": tru}', rb'["\ud83d" 1]',
    ],
)  # fmt: skip
def test_what_is_no_json_is_none(body: bytes) -> None:
    for decode in (json_text.loads, json_text.members, json_text.elements):
        with pytest.raises(ValueError):
            decode(body)
    with pytest.raises(NoEvent):
        parse_celery(body)


def test_what_is_not_utf_8_is_none() -> None:
    with pytest.raises(ValueError, match="is not UTF-8"):
        json_text.loads(b'{"a": "\xff"}')


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), VALUES), st.lists(VALUES))
def test_the_tolerant_reader_agrees_with_the_fast_ones(fields: dict[str, Any], values: list[Any]) -> None:
    as_object, as_array = json.dumps(fields, indent=1).encode(), json.dumps(values).encode()
    text, array = as_object.decode(), as_array.decode()
    spans = {key: text[begin:end] for key, (begin, end) in json_text._object(text)}
    assert {key: json.loads(value) for key, value in spans.items()} == fields
    assert [json.loads(array[begin:end]) for begin, end in json_text._array(array)] == values
    assert json_text.joined({key: msgspec.Raw(value.encode()) for key, value in spans.items()})
    try:
        expected = orjson.loads(as_object)
    except orjson.JSONDecodeError:
        return
    assert json_text.loads(as_object) == expected


def test_an_origin_is_fetched_rendered_and_sent_as_it_is() -> None:
    origin = (
        object_with(rb'["\ud83d", 1e400]')[:-1]
        + b', "reference_date": "2024-01-02", "timestamp": "2024-01-02T00:00:00"}'
    )
    found = _decode(b"[" + origin + b"]")
    assert found is not None
    assert (found.event, found.timestamp) == (origin, "2024-01-02T00:00:00")
    m = Driver()
    m.hold()
    unit = m.doc.order[0]
    unit.origin = origin
    replay = json_text.members(replay_event(m.doc, unit))
    assert bytes(replay["payload"]) == rb'["\ud83d", 1e400]'
    assert bytes(replay["referenceDate"]) == b'"2024-01-02"'
    assert rb'["\ud83d", 1e400]' in document_json(m.doc, m.doc.order)
    assert name_of(unit.origin) == "a.request"
    assert rb'["\ud83d", 1e400]' in error_event(origin, "i1", "why")

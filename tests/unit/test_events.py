import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from maestro.events import (
    MAX_DEPTH,
    BadInput,
    CeleryMessage,
    NoEvent,
    celery_body,
    check_system_id,
    edited,
    parse_arrival,
    parse_celery,
    parse_event,
)

EVENT: dict[str, Any] = {"name": "s.persist.request", "systemId": "s", "instanceId": "i1"}
REPLAY = EVENT | {"scope": "reprocessing", "reprocessing": {"id": "r", "instance_id": "p"}}


def body(event: Any = EVENT, **envelope: Any) -> bytes:
    return json.dumps({"task": "tasks.process", "id": "m1", "args": [event]} | envelope).encode()


def event_body(**fields: Any) -> bytes:
    return json.dumps(EVENT | fields).encode()


def without(field: str) -> bytes:
    return json.dumps({key: value for key, value in EVENT.items() if key != field}).encode()


# --- what is accepted -----------------------------------------------------------------------------------------


def test_an_event_without_the_rest_gets_the_defaults() -> None:
    event = parse_event(event_body())
    assert (event.branch, event.scope, event.tag, event.timestamp, event.reprocessing) == (
        "master",
        "execution",
        "",
        "",
        None,
    )


def test_a_null_is_a_missing_field() -> None:
    event = parse_event(event_body(branch=None, scope=None, tag=None, name=None))
    assert (event.branch, event.scope, event.tag, event.name) == ("master", "execution", "", "")


def test_the_raw_event_is_the_very_bytes_inside_the_envelope() -> None:
    raw = b'{ "systemId":"s",  "instanceId":"i1", "n": 12345678901234567890123456789.000, "x":"\\u00e9" }'
    assert parse_celery(b'{"id":"m1","args":[ ' + raw + b' ],"retries":0}').event.raw == raw


def test_a_replay_names_its_reprocessing_and_passes_unknown_keys() -> None:
    ref = {"id": "r", "instance_id": "p", "send": "r.0.1", "image": "x"}
    event = parse_event(event_body(scope="reprocessing", reprocessing=ref))
    assert event.reprocessing is not None
    assert (event.reprocessing.id, event.reprocessing.instance_id, event.reprocessing.send) == ("r", "p", "r.0.1")
    assert b'"image": "x"' in event.raw


def test_an_execution_event_may_carry_any_reprocessing_object() -> None:
    assert parse_event(event_body(reprocessing={})).reprocessing is None
    assert parse_event(event_body(reprocessing="x")).reprocessing is None


def test_a_message_without_id_is_accepted() -> None:
    assert parse_celery(body(id=None)).id == ""
    assert parse_celery(b'{"args":[' + event_body() + b"]}").id == ""


def test_the_envelope_maestro_writes_is_one_it_reads() -> None:
    message = parse_celery(celery_body("m1", event_body(tag="t")))
    assert (message.id, message.event.tag, message.event.raw) == ("m1", "t", event_body(tag="t"))


# --- what is refused, by name ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (without("instanceId"), "instanceId"),
        (event_body(instanceId=""), "instanceId"),
        (event_body(instanceId=7), "instanceId"),
        (event_body(instanceId=["i1"]), "instanceId"),
        (without("systemId"), "systemId"),
        (event_body(systemId=""), "systemId"),
        (event_body(systemId=None), "systemId"),
        (event_body(systemId={"id": "s"}), "systemId"),
        (event_body(systemId="a.b"), "systemId"),
        (event_body(systemId="a/b"), "systemId"),
        (event_body(systemId="s\n"), "systemId"),
        (event_body(systemId="é"), "systemId"),
        (event_body(systemId="s" * 129), "systemId"),
        (event_body(systemId="wait_s"), "systemId"),
        (event_body(systemId="error_s"), "systemId"),
        (event_body(systemId="control_s"), "systemId"),
        (event_body(systemId="backup_s"), "systemId"),
        (event_body(scope="reproduction"), "scope"),
        (event_body(scope="EXECUTION"), "scope"),
        (event_body(scope=1), "scope"),
        (event_body(name=True), "name"),
        (event_body(branch=1.5), "branch"),
        (event_body(tag={}), "tag"),
        (event_body(scope="reprocessing"), "reprocessing"),
        (event_body(scope="reprocessing", reprocessing=[]), "reprocessing"),
        (event_body(scope="reprocessing", reprocessing={"instance_id": "p"}), "reprocessing.id"),
        (event_body(scope="reprocessing", reprocessing={"id": 7, "instance_id": "p"}), "reprocessing.id"),
        (event_body(scope="reprocessing", reprocessing={"id": "r"}), "reprocessing.instance_id"),
        (
            event_body(scope="reprocessing", reprocessing={"id": "r", "instance_id": "p", "send": 1}),
            "reprocessing.send",
        ),
        (b"", "body"),
        (b"[]", "body"),
        (b"null", "body"),
        (b"{", "body"),
        (b'{"systemId":"s","instanceId":"\xff"}', "body"),
        (b'{"systemId":"s","instanceId":"i","n":NaN}', "body"),
        (b'{"systemId":"s","instanceId":"\\ud800"}', "instanceId"),
    ],
)
def test_a_bad_event_is_refused_by_the_name_of_its_field(bad: bytes, field: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_event(bad)
    assert refused.value.field == field
    assert str(refused.value).startswith(f"{field}: ")
    if field != "body":
        with pytest.raises(BadInput) as again:
            parse_celery(b'{"id":"m1","args":[' + bad + b"]}")
        assert (again.value.field, type(again.value)) == (field, BadInput)


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (b"", "body"),
        (b"\xff\xfe", "body"),
        (b"7", "body"),
        (b'"tasks.process"', "body"),
        (b"{}", "args"),
        (body(args=None), "args"),
        (body(args=[]), "args"),
        (body(args={"0": EVENT}), "args"),
        (body(args=[EVENT, EVENT]), "args"),
        (body(args=["event"]), "args"),
        (body(args=[[EVENT]]), "args"),
        (body(id=7), "id"),
        (b'{"args":7,"args":[' + event_body() + b"]}", "args"),
        (b'{"args":[' + event_body() + b'],"args":7}', "args"),
    ],
)
def test_a_body_that_is_no_celery_message_with_one_event_is_no_event(bad: bytes, field: str) -> None:
    with pytest.raises(NoEvent) as refused:
        parse_celery(bad)
    assert refused.value.field == field


# --- hostile JSON --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 1000, 1030, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_deep_nesting_is_bad_input_wherever_it_is_read(depth: int, opening: str, closing: str) -> None:
    nested = event_body()[:-1] + b', "payload": ' + (opening * depth + "1" + closing * depth).encode() + b"}"
    with pytest.raises(NoEvent):
        parse_celery(b'{"args":[' + nested + b"]}")
    with pytest.raises(BadInput):
        parse_event(nested)


def test_nesting_that_is_not_too_deep_and_wide_objects_pass() -> None:
    deep = event_body()[:-1] + b', "payload": ' + b"[" * 150 + b"]" * 150 + b"}"
    wide = event_body(payload=[{} for _ in range(1000)])
    assert edited(parse_event(deep).raw, {"branch": "b"}).startswith(b"{")
    assert parse_event(wide).instance_id == "i1"


def test_the_last_of_duplicate_keys_counts_for_both_decoders() -> None:
    first, last = event_body(instanceId="i1"), event_body(instanceId="i2")
    message = parse_celery(b'{"args":[' + first + b'],"args":[' + last + b"]}")
    assert (message.event.instance_id, message.event.raw) == ("i2", last)
    doubled = b'{"systemId":"s","instanceId":"i1","instanceId":"i2","tag":"a","tag":"b"}'
    assert parse_event(doubled).instance_id == "i2"
    assert json.loads(edited(doubled, {})) == {"systemId": "s", "instanceId": "i2", "tag": "b"}


def test_an_escaped_key_is_the_same_key_for_both_decoders() -> None:
    assert parse_celery(b'{"\\u0061rgs":[' + event_body() + b"]}").event.raw == event_body()


def test_numbers_no_machine_can_hold_pass_through_untouched() -> None:
    raw = event_body()[:-1] + b', "payload": {"n": 123456789012345678901234567890, "e": 1.10e-300, "z": -0.0}}'
    out = edited(raw, {"scope": "reprocessing"}, ("instanceId",))
    assert b'{"n": 123456789012345678901234567890, "e": 1.10e-300, "z": -0.0}' in out
    assert b"instanceId" not in out


def test_editing_what_is_no_object_is_bad_input() -> None:
    for bad in (b"", b"[]", b'"x"', b"{", b"[" * 5000):
        with pytest.raises(BadInput):
            edited(bad, {"a": 1})


# --- for all -------------------------------------------------------------------------------------------------------

CALM = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@CALM
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_bad_input(junk: bytes) -> None:
    for parse in (parse_celery, parse_event):
        with contextlib.suppress(BadInput):
            parse(junk)


@CALM
@given(st.dictionaries(st.sampled_from([*REPLAY, "branch", "tag", "scope", "timestamp", "x"]), JSON))
def test_no_event_raises_anything_but_bad_input(fields: dict[str, Any]) -> None:
    raw = json.dumps(REPLAY | fields).encode()
    with contextlib.suppress(BadInput):
        event = parse_event(raw)
        assert event.raw == raw
        assert event.instance_id


def verdict(parse: Callable[[bytes], CeleryMessage], content: bytes) -> object:
    """Return what a body is parsed to, without the event's bytes, or how it is refused."""
    try:
        message = parse(content)
    except BadInput as problem:
        return type(problem), str(problem)
    return message.id, structs.replace(message.event, raw=b"")


def differing(content: bytes) -> bool:
    return verdict(parse_arrival, content) != verdict(parse_celery, content)


@pytest.mark.parametrize(
    "value",
    [b'"\xff"', b'"\xed\xa0\x80"', b'"\\ud83d"', b'"\\x"', b'"a\nb"', b"1e400", b"01", b"NaN", b"[1,]", b"9" * 400,
     b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), b"[" * 150 + b"]" * 150, b"null", b'"s"', b"7", b"{}"],
)  # fmt: skip
@pytest.mark.parametrize("field", [b"payload", *(key.encode() for key in REPLAY), b"branch", b"tag", b"timestamp"])
def test_an_arrival_is_read_as_any_celery_message_whatever_a_field_holds(field: bytes, value: bytes) -> None:
    event = json.dumps(REPLAY).encode()[:-1] + b', "' + field + b'": ' + value + b"}"
    for content in (
        b'{"id":"m1","args":[' + event + b"]}",
        b'{"args":[' + event + b'],"id":' + value + b"}",
        b'{"args":7,"args":[' + event + b"]}",
        b'{"args":[' + event + b'],"\\u0061rgs":' + value + b"}",
        b'{"args":[' + event + b"," + value + b"]}",
    ):
        assert not differing(content), content


@CALM
@given(st.dictionaries(st.sampled_from([*REPLAY, "branch", "tag", "scope", "x"]), JSON), st.data())
def test_an_arrival_is_read_as_any_celery_message_also_when_it_is_damaged(
    fields: dict[str, Any], data: st.DataObject
) -> None:
    escaped, message = data.draw(st.booleans()), {"id": "m1", "args": [REPLAY | fields]}
    whole = json.dumps(message, ensure_ascii=escaped).encode(errors="surrogatepass")
    assert not differing(whole)
    at = data.draw(st.integers(0, len(whole) - 1))
    assert not differing(whole[:at] + data.draw(st.binary(max_size=2)) + whole[at + 1 :])


def test_an_arrival_leaves_the_bytes_of_its_event_alone() -> None:
    assert parse_arrival(body(EVENT | {"payload": {"n": [1] * 1000}})).event.raw == b""


@CALM
@given(st.dictionaries(st.text(), JSON, max_size=6), st.dictionaries(st.text(), JSON, max_size=3), st.sets(st.text()))
def test_editing_sets_drops_and_keeps(fields: dict[str, Any], put: dict[str, Any], drop: set[str]) -> None:
    raw = json.dumps(fields, ensure_ascii=False).encode()
    kept = {key: value for key, value in fields.items() if key not in drop}
    assert json.loads(edited(raw, put, tuple(drop))) == kept | put


@CALM
@given(st.text(max_size=140))
def test_a_system_id_is_safe_as_a_routing_key(text: str) -> None:
    try:
        check_system_id(text)
    except BadInput:
        return
    assert text.isascii()
    assert 1 <= len(text) <= 128
    assert not set(text) & set(".*#/ \n")

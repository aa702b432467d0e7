"""What a message brings along is read so that no value can raise, and sent on byte for byte."""

import math
import random
import struct
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pika import data, frame, spec

from maestro.broker.base import message_id_of
from maestro.broker.rabbitmq_properties import HEADERS_MAX, Outgoing, Properties, read_header

F = spec.BasicProperties


def table(*entries: tuple[bytes, bytes]) -> bytes:
    inner = b"".join(bytes([len(key)]) + key + value for key, value in entries)
    return struct.pack(">I", len(inner)) + inner


def with_headers(encoded: bytes) -> bytes:
    return struct.pack(">H", F.FLAG_HEADERS) + encoded


def headers(value: bytes) -> Properties:
    return Properties(with_headers(table((b"h", value))))


def sent(outgoing: Outgoing) -> Properties:
    return Properties(b"".join(outgoing.encode()))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"t\0", False),
        (b"t\xff", True),
        (b"b\x80", -128),
        (b"B\xff", 255),
        (b"U\x80\0", -32768),
        (b"u\xff\xff", 65535),
        (b"s\x80\0", -32768),
        (b"I\x80\0\0\0", -(2**31)),
        (b"i\xff\xff\xff\xff", 2**32 - 1),
        (b"L\x80\0\0\0\0\0\0\0", -(2**63)),
        (b"l\x7f\xff\xff\xff\xff\xff\xff\xff", 2**63 - 1),
        (b"f\x7f\x80\0\0", math.inf),
        (b"d\xff\xf0\0\0\0\0\0\0", -math.inf),
        (b"D\xff\x80\0\0\0", Decimal(-(2**31)).scaleb(-255)),
        (b"S\0\0\0\x02\xff\xfe", "\ufffd\ufffd"),
        (b"x\0\0\0\x01\xff", b"\xff"),
        (b"T" + struct.pack(">q", 1772000000000), 1772000000000),
        (b"T" + struct.pack(">q", -(2**63)), -(2**63)),
        (b"T" + struct.pack(">q", -1), datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (b"V", None),
        (b"A\0\0\0\x03Vt\1", [None, True]),
        (b"F" + table((b"x", b"V")), {"x": None}),
    ],
)
def test_every_type_of_field_is_read_at_its_extremes(value: bytes, expected: Any) -> None:
    found = headers(value)
    assert found.problem == ""
    assert found.headers == {"h": expected}


def test_a_number_that_is_none_is_read() -> None:
    assert math.isnan(headers(b"d\x7f\xf8\0\0\0\0\0\0").headers["h"])


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0",
        b"\xff\xff",
        with_headers(b"\xff\xff\xff\xff"),
        with_headers(table((b"h", b"Z"))),
        with_headers(table((b"h", b"S\xff\xff\xff\xffx"))),
        with_headers(table((b"h", b"I\0"))),
        with_headers(table((b"h", b"A\0\0\0\x03ttt"))),
        with_headers(table((b"h", b"F\0\0\0\x02\x09x"))),
        struct.pack(">H", F.FLAG_MESSAGE_ID) + b"\xffab",
        struct.pack(">H", F.FLAG_TIMESTAMP) + b"\0",
    ],
)
def test_what_is_cut_or_unknown_is_a_problem_of_that_message(raw: bytes) -> None:
    assert "cannot be decoded" in Properties(raw).problem


def test_a_header_nested_without_end_is_a_problem_and_no_recursion() -> None:
    value = b"V"
    for _ in range(5_000):
        value = b"A" + struct.pack(">I", len(value)) + value
    assert "nested deeper" in headers(value).problem


def test_random_frames_never_raise() -> None:
    dice = random.Random(20260718)
    whole = frame.Header(1, 2, F(headers={"a": [1, {"b": "c"}], "d": True}, message_id="m", timestamp=5)).marshal()
    for _ in range(3_000):
        raw = bytearray(whole)
        for _ in range(dice.randint(1, 8)):
            raw[dice.randrange(19, len(raw) - 1)] = dice.randrange(256)
        found = read_header(bytes(raw))
        assert found is not None
        assert found[0] == len(whole)
        str(found[1].properties.headers)
    for size in range(1_000):
        Properties(dice.randbytes(size % 80))


def test_a_frame_that_is_not_whole_is_left_to_pika() -> None:
    whole = frame.Header(1, 2, F(message_id="m")).marshal()
    assert all(read_header(whole[:size]) is None for size in range(len(whole)))
    size, read = read_header(whole + b"rest") or (0, None)
    assert size == len(whole)
    assert (read.channel_number, read.body_size, read.properties.message_id) == (1, 2, "m")
    assert read_header(frame.Method(1, spec.Basic.Ack(1)).marshal()) is None
    assert read_header(whole[:-1] + b"\0") is None


def test_what_is_sent_on_keeps_its_properties_and_headers_to_the_byte() -> None:
    strange = table((b"traceparent", b"S\0\0\0\x0200"), (b"nan", b"f\x7f\xc0\0\0"), (b"when", b"T" + b"\xff" * 8),
                    (b"x-maestro-error", b"S\0\0\0\x03old"), (b"\xff", b"V"))  # fmt: skip
    given = F(content_type="text/plain", content_encoding="latin-1", correlation_id="c", reply_to="r", type="t",
              app_id="a", timestamp=7, priority=3, expiration="1", user_id="u")  # fmt: skip
    flags, *pieces = given.encode()
    texts, rest = b"".join(pieces)[:19], b"".join(pieces)[19:]  # the headers follow the first two
    raw = struct.pack(">H", struct.unpack(">H", flags)[0] | F.FLAG_HEADERS) + texts + strange + rest
    original = Properties(raw)
    assert not original.problem
    again = sent(Outgoing("id", {"x-maestro-error": "new"}, original, dropped=("dropped",)))
    assert not again.problem
    kept = [entry for entry in original.entries if entry[0] != b"x-maestro-error"]
    assert again.entries == [*kept, (b"x-maestro-error", b"S\0\0\0\x03new")]
    differ = {F.FLAG_HEADERS, F.FLAG_MESSAGE_ID, F.FLAG_DELIVERY_MODE, F.FLAG_EXPIRATION, F.FLAG_USER_ID}
    assert {flag: value for flag, value in again.fields.items() if flag not in differ} == {
        flag: value for flag, value in original.fields.items() if flag not in differ
    }
    assert again.message_id == "id"
    assert not {F.FLAG_EXPIRATION, F.FLAG_USER_ID} & set(again.fields)


def test_headers_too_long_for_a_frame_stay_behind() -> None:
    size = HEADERS_MAX
    original = headers(b"S" + struct.pack(">I", size) + b"x" * size)
    assert sent(Outgoing("id", {"why": "so"}, original)).headers == {"why": "so"}


def test_pika_reads_what_is_sent() -> None:
    read = F()
    read.decode(b"".join(Outgoing("id", {"why": "so"}).encode()))
    assert (read.content_type, read.content_encoding, read.delivery_mode) == ("application/json", "utf-8", 2)
    assert (read.message_id, read.headers) == ("id", {"why": "so"})
    assert data is not None


@pytest.mark.parametrize("key", ["x" * 256, "é" * 128, "\ud83d"])
def test_a_key_that_no_broker_takes_has_an_id_made_of_it(key: str) -> None:
    id_ = message_id_of(key)
    assert len(id_) == 33
    assert id_ == message_id_of(key) != message_id_of(key + "y")
    assert sent(Outgoing(id_, {})).message_id == id_


@pytest.mark.parametrize("key", ["", "x" * 255, "é" * 127])
def test_any_other_key_is_its_own_id(key: str) -> None:
    assert message_id_of(key) == key

"""The properties of a message as AMQP carries them: read so that no value can raise, and sent on byte for byte.

pika decodes a message's headers while it reads the connection, and what it cannot decode (a timestamp in milliseconds,
or before 1970) ends the connection, which gets the same message again. Here a header frame always becomes a frame; what
is wrong with its properties is said in `problem`, and costs that message only.
"""

import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from pika import data, frame, spec

from maestro.broker.base import MESSAGE_ID_MAX

#: Bytes of headers that are sent on: they travel in one frame (RabbitMQ: 128 KiB).
HEADERS_MAX: Final = 100_000
#: Levels of nesting a header may have.
_DEPTH: Final = 50
_BASIC: Final = 60
_FIXED: Final = {
    b"t": 1, b"b": 1, b"B": 1, b"U": 2, b"u": 2, b"s": 2, b"I": 4, b"i": 4, b"L": 8, b"l": 8,
    b"f": 4, b"d": 8, b"D": 5, b"T": 8, b"V": 0,
}  # fmt: skip
_FORMATS: Final = {
    b"b": ">b", b"B": ">B", b"U": ">h", b"u": ">H", b"s": ">h", b"I": ">i", b"i": ">I", b"L": ">q", b"l": ">q",
    b"f": ">f", b"d": ">d",
}  # fmt: skip


class Undecodable(ValueError):  # noqa: N818 - a fact about bytes
    """These bytes are no properties of AMQP; the message says what is wrong."""


_BASIC_PROPERTIES: Final = spec.BasicProperties
#: The properties in the order they travel in, and the bytes that one takes; 0: a short string, -1: a table.
_ORDER: Final = (
    (_BASIC_PROPERTIES.FLAG_CONTENT_TYPE, 0),
    (_BASIC_PROPERTIES.FLAG_CONTENT_ENCODING, 0),
    (_BASIC_PROPERTIES.FLAG_HEADERS, -1),
    (_BASIC_PROPERTIES.FLAG_DELIVERY_MODE, 1),
    (_BASIC_PROPERTIES.FLAG_PRIORITY, 1),
    (_BASIC_PROPERTIES.FLAG_CORRELATION_ID, 0),
    (_BASIC_PROPERTIES.FLAG_REPLY_TO, 0),
    (_BASIC_PROPERTIES.FLAG_EXPIRATION, 0),
    (_BASIC_PROPERTIES.FLAG_MESSAGE_ID, 0),
    (_BASIC_PROPERTIES.FLAG_TIMESTAMP, 8),
    (_BASIC_PROPERTIES.FLAG_TYPE, 0),
    (_BASIC_PROPERTIES.FLAG_USER_ID, 0),
    (_BASIC_PROPERTIES.FLAG_APP_ID, 0),
    (_BASIC_PROPERTIES.FLAG_CLUSTER_ID, 0),
)
#: What is not sent on: the broker would act on it.
_NOT_SENT_ON: Final = (
    _BASIC_PROPERTIES.FLAG_EXPIRATION, _BASIC_PROPERTIES.FLAG_USER_ID, _BASIC_PROPERTIES.FLAG_CLUSTER_ID
)  # fmt: skip


#: What is said of a message that does not say it itself.
_DEFAULTS: Final = {
    _BASIC_PROPERTIES.FLAG_CONTENT_TYPE: b"\x10application/json",
    _BASIC_PROPERTIES.FLAG_CONTENT_ENCODING: b"\x05utf-8",
}


class Properties:
    """What came with a message. Never raises: `problem` says what could not be decoded."""

    __slots__ = ("entries", "fields", "headers", "message_id", "problem")

    def __init__(self, raw: bytes) -> None:
        self.message_id = ""
        self.headers: dict[str, Any] = {}
        #: Each property's bytes, as they travel, by its flag.
        self.fields: dict[int, bytes] = {}
        #: Each header's name, and its value's bytes, type included.
        self.entries: list[tuple[bytes, bytes]] = []
        self.problem = ""
        try:
            self._read(raw)
        except (Undecodable, struct.error, IndexError) as problem:
            self.problem = f"its properties cannot be decoded: {problem}"

    def _read(self, raw: bytes) -> None:
        (flags,) = struct.unpack_from(">H", raw)
        if flags & 1:
            raise Undecodable("more flags than AMQP has")
        at = 2
        for flag, size in _ORDER:
            if flags & flag:
                begin = at
                at = begin + size if size > 0 else _end_of_long(raw, at) if size else _end_of_short(raw, at)
                if at > len(raw):
                    raise Undecodable("a property is cut")
                self.fields[flag] = raw[begin:at]
        self.message_id = _text(self.fields.get(_BASIC_PROPERTIES.FLAG_MESSAGE_ID, b"")[1:])
        self.entries = list(_entries(self.fields.get(_BASIC_PROPERTIES.FLAG_HEADERS, b"")[4:]))
        self.headers = {_text(key): _value(value, _DEPTH) for key, value in self.entries}


class Outgoing(spec.BasicProperties):  # type: ignore[misc]  # pika is not typed
    """Properties to send: persistent, with those of a message that is sent on, without what the broker would act on.

    Args:
        message_id: of at most 255 bytes.
        headers: they replace those of the same names.
        original: what came with the message that is sent on.
        dropped: names of headers that are not sent on.

    Raises:
        ValueError, UnicodeError, pika's errors: a header or the id cannot be encoded.
    """

    def __init__(
        self,
        message_id: str,
        headers: Mapping[str, Any],
        original: Properties | None = None,
        dropped: Collection[str] = (),
    ) -> None:
        super().__init__()
        fields = dict(_DEFAULTS)
        if original is not None:
            fields.update(original.fields)
        for flag in _NOT_SENT_ON:
            fields.pop(flag, None)
        fields[_BASIC_PROPERTIES.FLAG_DELIVERY_MODE] = b"\2"
        fields[_BASIC_PROPERTIES.FLAG_MESSAGE_ID] = _short(message_id.encode())
        table = _table(headers, original.entries if original is not None else (), dropped)
        fields[_BASIC_PROPERTIES.FLAG_HEADERS] = struct.pack(">I", len(table)) + table if table else b""
        given = [(flag, fields[flag]) for flag, _ in _ORDER if fields.get(flag)]
        self._pieces = [struct.pack(">H", sum(flag for flag, _ in given)), *(value for _, value in given)]

    def encode(self) -> list[bytes]:
        """See pika."""
        return list(self._pieces)


def read_header(buffer: bytes) -> tuple[int, Any] | None:
    """Return the header frame that `buffer` begins with, and its size; None when it begins with none that is whole."""
    if len(buffer) < 8 or buffer[0] != spec.FRAME_HEADER:  # noqa: PLR2004 - a frame's head and end
        return None
    channel, size = struct.unpack_from(">HL", buffer, 1)
    end = spec.FRAME_HEADER_SIZE + size
    if len(buffer) <= end or buffer[end] != spec.FRAME_END or size < 12:  # noqa: PLR2004 - its fixed fields
        return None
    kind, _weight, body_size = struct.unpack_from(">HHQ", buffer, spec.FRAME_HEADER_SIZE)
    if kind != _BASIC:
        return None
    properties = Properties(buffer[spec.FRAME_HEADER_SIZE + 12 : end])
    return end + 1, frame.Header(channel, body_size, properties)


def _table(headers: Mapping[str, Any], kept: Iterable[tuple[bytes, bytes]], dropped: Collection[str]) -> bytes:
    """Encode headers behind those that are kept byte for byte; these stay behind when all are too long for a frame."""
    own: list[bytes] = []
    data.encode_table(own, dict(headers))
    table = b"".join(own)[4:]
    replaced = {name.encode() for name in (*headers, *dropped)}
    before = b"".join(bytes([len(key)]) + key + value for key, value in kept if key not in replaced)
    return before + table if len(before) + len(table) <= HEADERS_MAX else table


def _short(value: bytes) -> bytes:
    if len(value) > MESSAGE_ID_MAX:
        raise ValueError(f"a message id of {len(value)} bytes")
    return bytes([len(value)]) + value if value else b""


def _end_of_short(raw: bytes, at: int) -> int:
    end = at + 1 + raw[at]
    if end > len(raw):
        raise Undecodable("a short string is longer than what holds it")
    return end


def _end_of_long(raw: bytes, at: int) -> int:
    (length,) = struct.unpack_from(">I", raw, at)
    end: int = at + 4 + length
    if end > len(raw):
        raise Undecodable("a table or string is longer than what holds it")
    return end


def _end_of_value(raw: bytes, at: int) -> int:
    kind = raw[at : at + 1]
    fixed = _FIXED.get(kind)
    if fixed is None:
        if kind in (b"S", b"x", b"A", b"F"):
            return _end_of_long(raw, at + 1)
        raise Undecodable(f"{kind!r} is no type of a field")
    if at + 1 + fixed > len(raw):
        raise Undecodable("a field is cut")
    return at + 1 + fixed


def _entries(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(raw):
        key = at + 1
        begin = _end_of_short(raw, at)
        at = _end_of_value(raw, begin)
        yield raw[key:begin], raw[begin:at]


def _value(raw: bytes, depth: int) -> Any:
    """Decode one value, its type first; it is whole, what is in it may not be."""
    if not depth:
        raise Undecodable(f"nested deeper than {_DEPTH} levels")
    kind, rest = raw[:1], raw[1:]
    if kind == b"F":
        return {_text(key): _value(value, depth - 1) for key, value in _entries(rest[4:])}
    if kind == b"A":
        values, at = [], 4
        while at < len(rest):
            begin, at = at, _end_of_value(rest, at)
            values.append(_value(rest[begin:at], depth - 1))
        return values
    if kind in _FORMATS:
        return struct.unpack(_FORMATS[kind], rest)[0]
    return _DECODED[kind](rest)


def _moment(seconds: int) -> datetime | int:
    """Return a timestamp as a moment, as its number when there is no such moment (senders write milliseconds)."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return seconds


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")


_DECODED: Final[Mapping[bytes, Callable[[bytes], Any]]] = {
    b"t": lambda raw: raw != b"\0",
    b"S": lambda raw: _text(raw[4:]),
    b"x": lambda raw: raw[4:],
    b"T": lambda raw: _moment(struct.unpack(">q", raw)[0]),
    b"D": lambda raw: Decimal(struct.unpack(">i", raw[1:])[0]).scaleb(-raw[0]),
    b"V": lambda _raw: None,
}

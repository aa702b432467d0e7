"""Items as frames and back: four bytes of length, then msgpack of a list of tagged items.

msgpack's text is UTF-8, which has no lone surrogates; the platform's events may have them (a cut emoji). An item with
such text travels as `Escaped`: its text as the characters of its bytes, which is what it is made of again.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct

from maestro.links.items import Escaped

#: Bytes of the length in front of a frame.
HEAD: Final = 4
#: Most bytes of a frame. RabbitMQ takes no larger message either.
LIMIT: Final = 128 * 1024 * 1024
_encoder: Final = msgspec.msgpack.Encoder()

Decoder = msgspec.msgpack.Decoder[list[Any]]


def encode(items: Iterable[object]) -> bytes:
    """Return the frame that carries the items. Raises `ValueError` when one cannot be carried."""
    items = list(items)
    try:
        body = _encoder.encode(items)
    except UnicodeEncodeError:
        body = _encoder.encode([_escaped(item) for item in items])
    except (OverflowError, TypeError) as problem:
        raise ValueError(str(problem)) from problem
    if len(body) > LIMIT:
        raise ValueError(f"it has {len(body)} bytes, more than the {LIMIT} of a frame")
    return len(body).to_bytes(HEAD, "big", signed=True) + body


def decode(decoder: Decoder, body: "bytes | memoryview") -> list[Any]:
    """Return the items of a frame's body. Raises `ValueError` when it is none."""
    try:
        items = decoder.decode(body)
        return [_restored(decoder, item) if type(item) is Escaped else item for item in items]
    except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
        raise ValueError(f"a frame that does not decode: {problem}") from problem


def _escaped(item: Any) -> Any:
    """Return the item, or what stands for it when UTF-8 cannot hold its text."""
    try:
        _encoder.encode(item)
    except UnicodeEncodeError:
        return Escaped(_encoder.encode([_mapped(item, _to_latin)]))
    return item


def _restored(decoder: Decoder, escaped: Escaped) -> Any:
    (item,) = decoder.decode(escaped.item)
    if type(item) is Escaped:
        raise msgspec.DecodeError("escaped twice")
    return _mapped(item, _from_latin)


def _to_latin(text: str) -> str:
    return text.encode("utf-8", "surrogatepass").decode("latin-1")


def _from_latin(text: str) -> str:
    return text.encode("latin-1").decode("utf-8", "surrogatepass")


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """Return the value with each text in it changed; an enumeration's member is no text here."""
    if type(value) is str:
        return change(value)
    if isinstance(value, tuple):
        return tuple(_mapped(each, change) for each in value)
    if isinstance(value, Struct):
        return type(value)(**{name: _mapped(getattr(value, name), change) for name in value.__struct_fields__})
    return value

"""Items as frames and back: four bytes of length, then msgpack of a list of tagged items.

msgpack's text is UTF-8, which has no lone surrogates; the platform's events may have them (a cut emoji). An item with
such text travels as `Escaped`: its text as the characters of its bytes, which is what it is made of again.

An item with a large body is encoded with a mark in the body's place. The frame is sent in pieces, and the body is one
of them: an encoder would copy a megabyte twice.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from maestro.links.items import Escaped

#: Bytes of the length in front of a frame.
HEAD: Final = 4
#: Most bytes of a frame. RabbitMQ takes no larger message either.
LIMIT: Final = 128 * 1024 * 1024
#: Bytes of a body above which it is a piece of its own. Not less than 64 KiB: above it msgpack has one way to write it.
LARGE: Final = 64 * 1024
_encoder: Final = msgspec.msgpack.Encoder()
#: Nobody else knows it: no text, and no small body, is taken for it.
_MARK: Final = os.urandom(16)
_MARKED: Final = _encoder.encode(_MARK)
#: How msgpack begins bytes of any length; their number follows in four bytes.
_BYTES: Final = b"\xc6"

Decoder = msgspec.msgpack.Decoder[list[Any]]


def pieces(items: list[object]) -> list[bytes]:
    """Return the frame that carries the items, in pieces. Raises `ValueError` when one cannot be carried."""
    bodies = [item.body for item in items if _is_large(item)]  # type: ignore[attr-defined]
    if not bodies:
        return [encode(items)]
    try:
        marked = _encoder.encode([structs.replace(item, body=_MARK) if _is_large(item) else item for item in items])  # type: ignore[type-var]
    except (UnicodeEncodeError, OverflowError, TypeError):
        return [encode(items)]
    first, *rest = marked.split(_MARKED)
    found = [first]
    for body, after in zip(bodies, rest, strict=True):
        found[-1] += _BYTES + len(body).to_bytes(4, "big")
        found += [body, after]
    found[0] = _head(sum(map(len, found))) + found[0]
    return found


def _is_large(item: object) -> bool:
    body = getattr(item, "body", None)
    return type(body) is bytes and len(body) > LARGE


def _head(length: int) -> bytes:
    """Return what a frame of so many bytes begins with. Raises `ValueError` when there is none so long."""
    if length > LIMIT:
        raise ValueError(f"it has {length} bytes, more than the {LIMIT} of a frame")
    return length.to_bytes(HEAD, "big", signed=True)


def encode(items: Iterable[object]) -> bytes:
    """Return the frame that carries the items. Raises `ValueError` when one cannot be carried."""
    items = list(items)
    try:
        body = _encoder.encode(items)
    except UnicodeEncodeError:
        body = _encoder.encode([_escaped(item) for item in items])
    except (OverflowError, TypeError) as problem:
        raise ValueError(str(problem)) from problem
    return _head(len(body)) + body


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

r"""JSON that passes through: read as far as it is ours, and kept byte for byte.

Senders write what only some decoders take: a lone surrogate escape (`\ud83d`, as Node writes it for a cut emoji),
1e400, integers of any length (contracts). The fast decoders refuse them wherever they stand; what these refuse is read
here once more, with Python's own decoder, which takes them.

Imports nothing of Maestro.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from json.decoder import scanstring  # type: ignore[attr-defined]  # not named in its stub
from typing import Any, Final

import msgspec
import orjson

_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ELEMENTS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_SPACE: Final = re.compile(r"[ \t\n\r]*")
#: Digits of an integer that is read; a longer one is only told from what is none.
_DIGITS: Final = 300
#: A value in a container: where it begins and ends in the text.
_Span = tuple[int, int]


def without_surrogates(part: bytes) -> bytes:
    """Return JSON without escapes of surrogates, which may stand alone (as Node writes a cut emoji); as long as before.

    Another character in their place is as good where only the end of a text matters.
    """
    return part.replace(rb"\ud", rb"\u0").replace(rb"\uD", rb"\u0")


def plain(text: str) -> str:
    """Return a text that anybody can encode: in the place of a lone surrogate stands a question mark."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def loads(raw: bytes) -> Any:
    """Decode a JSON text.

    Raises:
        ValueError: it is none, or nested too deep.
    """
    try:
        return orjson.loads(raw)
    except (orjson.JSONDecodeError, RecursionError):
        text = _text(raw)
        value, end = _scan(text, _skip(text, 0))
        if _skip(text, end) != len(text):
            raise ValueError(f"extra data at character {end}") from None
        return value


def members(raw: bytes) -> dict[str, msgspec.Raw]:
    """Return the members of a JSON object, each value byte for byte; of several of a name the last.

    Raises:
        ValueError: it is no JSON object.
    """
    try:
        return _MEMBERS.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = _text(raw)
        found = {}
        for key, (begin, end) in _object(text):
            found[key] = msgspec.Raw(text[begin:end].encode())
        return found


def elements(raw: bytes) -> list[msgspec.Raw]:
    """Return the elements of a JSON array, each byte for byte.

    Raises:
        ValueError: it is no JSON array.
    """
    try:
        return _ELEMENTS.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = _text(raw)
        return [msgspec.Raw(text[begin:end].encode()) for begin, end in _array(text)]


def joined(fields: Mapping[str, msgspec.Raw]) -> bytes:
    """Return the JSON object that has these members."""
    try:
        return msgspec.json.encode(fields)
    except UnicodeEncodeError:  # a name with a lone surrogate
        return b"{" + b",".join(json.dumps(key).encode() + b":" + bytes(value) for key, value in fields.items()) + b"}"


def text_of(raw: bytes, name: str) -> str:
    """Return a member of an object when it is a string that can be encoded; else nothing. Raises `ValueError`."""
    value = members(raw).get(name)
    text = loads(bytes(value)) if value is not None else ""
    return text if isinstance(text, str) and encodable(text) else ""


def encodable(text: str) -> bool:
    """Whether a text has no lone surrogate: it can be stored, logged and sent."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as problem:
        raise ValueError(f"is not UTF-8: {problem.reason} at byte {problem.start}") from None


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _DIGITS else float("inf")


_DECODER: Final = json.JSONDecoder(parse_int=_integer, parse_constant=_refused)
_scan_once: Final[Callable[[str, int], tuple[Any, int]]] = _DECODER.scan_once  # type: ignore[attr-defined]


def _scan(text: str, at: int) -> tuple[Any, int]:
    try:
        return _scan_once(text, at)
    except StopIteration as stop:
        raise ValueError(f"a value is missing at character {stop.value}") from None
    except RecursionError:
        raise ValueError("is nested too deep") from None


def _expect(text: str, at: int, allowed: str) -> str:
    found = text[at : at + 1]
    if not found or found not in allowed:
        raise ValueError(f"one of {allowed} is missing at character {at}")
    return found


def _value(text: str, at: int) -> _Span:
    begin = _skip(text, at)
    return begin, _scan(text, begin)[1]


def _object(text: str) -> Iterator[tuple[str, _Span]]:
    at = _skip(text, 0)
    _expect(text, at, "{")
    at = _skip(text, at + 1)
    while text[at : at + 1] != "}":
        _expect(text, at, '"')
        key, at = scanstring(text, at + 1)
        at = _skip(text, at)
        _expect(text, at, ":")
        span = _value(text, at + 1)
        yield key, span
        at = _skip(text, span[1])
        if _expect(text, at, ",}") == ",":
            at = _skip(text, at + 1)
            _expect(text, at, '"')
    _end(text, at + 1)


def _array(text: str) -> Iterator[_Span]:
    at = _skip(text, 0)
    _expect(text, at, "[")
    at = _skip(text, at + 1)
    while text[at : at + 1] != "]":
        span = _value(text, at)
        yield span
        at = _skip(text, span[1])
        if _expect(text, at, ",]") == ",":
            at = _skip(text, at + 1)
            if text[at : at + 1] == "]":
                raise ValueError(f"a value is missing at character {at}")
    _end(text, at + 1)


def _end(text: str, at: int) -> None:
    if _skip(text, at) != len(text):
        raise ValueError(f"extra data at character {at}")

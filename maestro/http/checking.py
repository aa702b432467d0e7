"""Checks what clients sent against a type; what is wrong with it is `BadInput` that names the field."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web
from msgspec import Struct

from maestro.events import BadInput

T = TypeVar("T", bound=Struct)
_MISSING: Final = re.compile(r"Object missing required field `([^`]+)`")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `([^`]*)`")
_PLACE: Final = re.compile(r" - at `\$\.([^`]+)`$")
_KIND: Final = re.compile(r"Expected `([a-z]+)[^`]*`, got")
_INDEX: Final = re.compile(r"\[[^]]*\]")
_KINDS: Final = {"str": "a string", "object": "an object", "bool": "true or false"}
_DIGITS: Final = re.compile(r"[0-9]{1,19}")
#: How much a name is like another one, 0 to 1, when it seems to be meant: `usr`, not `userId`.
_ALIKE: Final = 0.81
#: Characters of a name, and names of one request, that are compared so.
_LONGEST: Final = 40
_MOST: Final = 20


def query_of(request: web.Request, kind: type[T]) -> T:
    """Return the query as `kind`. Raises `BadInput`."""
    _refuse_misspelt(request.query, kind)
    numbers, required = _facts(kind)
    given: dict[str, Any] = {}
    for name in kind.__struct_fields__:
        if name not in request.query:
            continue
        text = request.query[name]
        if name in numbers:
            given[name] = int(text) if _DIGITS.fullmatch(text) else -1
        elif text or name not in required:
            given[name] = text
    return checked(given, kind)


def checked(fields: dict[str, Any], kind: type[T]) -> T:
    """Return `fields` as `kind`; unknown ones are left out, unless they resemble one that is not given.

    Raises:
        BadInput: names the field that is wrong, or seems to be misspelt.
    """
    _refuse_misspelt(fields, kind)
    try:
        made = msgspec.convert(fields, kind)
    except msgspec.ValidationError as problem:
        raise _bad(str(problem), kind) from problem
    for name in kind.__struct_fields__:
        value = getattr(made, name)
        if isinstance(value, str) and not _printable(value, lines=bool(_extra(kind, name, "lines"))):
            raise BadInput(name, _extra(kind, name, "says") or "must be printable characters")
    return made


def _refuse_misspelt(given: Iterable[str], kind: type[Struct]) -> None:
    """Refuse a name that is not known, but resembles one that is: `digst` bound nothing, `stauts` chose nothing.

    The platform may send more than is known here, so a name that resembles nothing is nobody's mistake.
    """
    names = set(given)
    known = {_plain(name): name for name in _names(kind) if name not in names}
    odd = sorted(name for name in names - _names(kind) if len(name) <= _LONGEST)
    for name in odd[:_MOST]:
        close = get_close_matches(_plain(name), known, 1, _ALIKE)
        if close:
            raise BadInput(name, f"is not known; did you mean {known[close[0]]}?")


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


@lru_cache(maxsize=256)
def _names(kind: type[Struct]) -> frozenset[str]:
    return frozenset(kind.__struct_encode_fields__)


def _bad(text: str, kind: type[Struct]) -> BadInput:
    missing, place = _MISSING.match(text), _PLACE.search(text)
    unknown = _UNKNOWN.match(text)
    if unknown:
        above = f"{place[1]}." if place else ""
        return BadInput(f"{above}{unknown[1][:40]}", "is not known")
    if missing:
        return BadInput(missing[1], "is missing")
    name = place[1] if place else "body"
    wrong_kind = _KIND.match(text)
    if wrong_kind and wrong_kind[1] in _KINDS:
        return BadInput(name, f"must be {_KINDS[wrong_kind[1]]}")
    return BadInput(name, _extra(kind, _INDEX.sub("", name), "says") or text[: place.start() if place else None])


def _printable(text: str, *, lines: bool) -> bool:
    return (text.replace("\n", " ").replace("\t", " ") if lines else text).isprintable()


@lru_cache(maxsize=256)
def _extra(kind: type[Struct], name: str, what: str) -> Any:
    """Return what the type of a field (`a.b`: of a field of a field) notes under `what`; None when nothing."""
    fields = msgspec.inspect.type_info(kind).fields  # type: ignore[attr-defined]  # a struct has fields
    for part in name.split("."):
        options = next((_options(field.type) for field in fields if field.encode_name == part), ())
        plain = [getattr(one, "type", one) for one in options]
        items = [getattr(one, "item_type", one) for one in plain]
        fields = next((one.fields for one in (*plain, *items) if hasattr(one, "fields")), ())
    return next((one.extra[what] for one in options if what in (getattr(one, "extra", None) or ())), None)


def _options(kind: Any) -> tuple[Any, ...]:
    return getattr(kind, "types", (kind,))


@lru_cache(maxsize=256)
def _facts(kind: type[Struct]) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names of the whole numbers, and of what must be there."""
    fields = msgspec.inspect.type_info(kind).fields  # type: ignore[attr-defined]  # as above
    plain = {field.encode_name: getattr(field.type, "type", field.type) for field in fields}
    numbers = frozenset(name for name, type_ in plain.items() if isinstance(type_, msgspec.inspect.IntType))
    return numbers, frozenset(field.encode_name for field in fields if field.required)

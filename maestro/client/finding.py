"""Finds documents over all systems: every one, or the one whose id begins so."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from maestro.client.api import Maestro
from maestro.client.errors import ClientError, NotReachable, Rejected
from maestro.client.shapes.documents import Document
from maestro.client.transport import Reply

_UNKNOWN: Final = 404
_BAD: Final = 400
#: Ids named in a refusal.
_NAMED: Final = 5
#: Records asked for at once.
_PAGE: Final = 500
#: Characters of an id that name what is decided without a question.
SHORTEST: Final = 4


class Ambiguous(ClientError):  # noqa: N818 - the name says what the prefix is
    """More than one document's id begins so."""


class NotFound(ClientError):  # noqa: N818 - as above
    """No document's id begins so."""


class TooShort(ClientError):  # noqa: N818 - as above
    """The id is empty, or an abbreviation that is too short to decide by."""


class _Identity(msgspec.Struct):
    id: str


def systems_of(maestro: Maestro, system_id: str = "") -> tuple[str, ...]:
    """Return the ids of all systems, or the one that is named. Raises `NotReachable`, `Rejected`."""
    return (system_id,) if system_id else tuple(system.id for system in maestro.systems().value)


def documents(maestro: Maestro, systems: Sequence[str], statuses: Sequence[str] = ("",)) -> Iterator[msgspec.Raw]:
    """Yield these systems' documents of these statuses (default: all). Raises `NotReachable`, `Rejected`."""
    for system_id in systems:
        for status in statuses:
            yield from maestro.documents(system_id, status)


def find(maestro: Maestro, text: str, statuses: Sequence[str] = (), least: int = 1) -> Reply[Document]:
    """Return the document whose id is `text`, or begins so: among those of these statuses first, then among all.

    `least`: characters that an abbreviation has at least.

    Raises:
        Ambiguous: there are several.
        NotFound: there is none.
        TooShort: `text` is empty, or shorter than `least` and no whole id.
        NotReachable, Rejected: Maestro said so.
    """
    check_length(text, 1)
    try:
        return maestro.document(text)
    except Rejected as problem:
        if problem.status not in (_UNKNOWN, _BAD):
            raise
    check_length(text, least)
    found = _beginning(maestro, text, statuses) if statuses else []
    found = found or _beginning(maestro, text, ("",))
    if len(found) > 1:
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        raise Ambiguous(f"{text}: several ids begin so: {', '.join(found[:_NAMED])}{more}")
    if not found:
        raise NotFound(f"no reprocessing {text}, nor one whose id begins so")
    return maestro.document(found[0])


def least_of(*, unasked: bool) -> int:
    """Return how many characters an abbreviation has at least; `unasked`: nobody confirms what it names."""
    return SHORTEST if unasked else 1


def check_length(text: str, least: int) -> None:
    """Raise `TooShort` where an abbreviation is empty, or has fewer characters than `least`."""
    if not text.strip():
        raise TooShort("ID is empty")
    if len(text) < least:
        raise TooShort(f"{text}: too short to decide by; give at least {least} characters of the id")


def _beginning(maestro: Maestro, text: str, statuses: Sequence[str]) -> list[str]:
    """Return the ids that begin so, of reprocessings of these statuses. Asked of the history: it sends no units.

    Raises `NotReachable`: there is none among the systems that answer, and others do not.
    """
    found: list[str] = []
    unanswered: dict[str, None] = {}
    for status in statuses:
        before: str | None = ""
        while before is not None:
            page = maestro.history("", status, before, _PAGE, text).value
            ids = (msgspec.json.decode(raw, type=_Identity).id for raw in page.records)
            found += [id_ for id_ in ids if id_.startswith(text)]
            unanswered.update(dict.fromkeys(page.unanswered))
            before = page.next
    if unanswered and not found:
        systems = ", ".join(unanswered)
        raise NotReachable(f"{systems}: no answer; whether an id there begins with {text} is not known")
    return found

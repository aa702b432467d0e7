"""Names a reprocessing, a unit, an event as people do: by what its origin event says."""

from maestro import titles
from maestro.client.shapes.documents import Document
from maestro.language import t


def said_of(name: object, about: str) -> str:
    """Return an event's name in words with what its payload says; a dash where neither is known."""
    return " ".join(part for part in (titles.words(name), about) if part) or "-"


def late_or(said: str, *, late: bool) -> str:
    """Return what a reprocessing is called: a late one stems from no event."""
    return t("results that are stale") if late else said


def named(doc: Document) -> str:
    """Return the origin event in words with its payload's plain values; the persist event where it is not known."""
    event = doc.origin or doc.pending_event
    said = said_of(event.name, titles.gist(event.payload))
    return late_or(said, late=doc.late)

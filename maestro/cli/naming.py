"""Names a reprocessing as people do: by what its origin event says."""

from maestro import titles
from maestro.client.shapes.documents import Document
from maestro.language import t


def named(doc: Document) -> str:
    """Return the origin event in words with its payload's plain values; the persist event where it is not known."""
    event = doc.origin or doc.pending_event
    said = " ".join(part for part in (titles.words(event.name), titles.gist(event.payload)) if part)
    return t("stale results ({event})", event=said) if doc.late else said or "-"

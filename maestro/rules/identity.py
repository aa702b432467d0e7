"""What an event is known by: its Celery id, or something of Maestro's own that no id from outside can be.

Own keys begin with `~` and a namespace; an id from outside that begins with `~` is put into the namespace `~id/`.

| key | what |
|---|---|
| `~id/<id>` | an id from outside that begins with `~` |
| `~sync/<hash>/<number>` | a sync persist: a hash of its bytes, or of its `Idempotency-Key` |
| `~body/<hash>/<number>` | a delivery without an id: a hash of its bytes |
| `~other/<hash>` | an event that came with an id of another one |
| `~reconsider/<document>` | the event of a skipped document, judged again |
| `~old/<…>` | a key without namespace, of before there were any |
"""

from hashlib import blake2b
from typing import Final

SYNC, BODY, OTHER, RECONSIDER, OLD, OUTSIDE = "~sync/", "~body/", "~other/", "~reconsider/", "~old/", "~id/"
_NAMESPACES: Final = (SYNC, BODY, OTHER, RECONSIDER, OLD, OUTSIDE)
#: How keys of reconsidered events began before there were namespaces.
_OLD_RECONSIDER: Final = "reconsider-"
_BYTES: Final = 16


def from_outside(message_id: str) -> str:
    """Return the key of an event that came with an id; empty for an empty id."""
    return OUTSIDE + message_id if message_id.startswith("~") else message_id


def own_key(text: str) -> str:
    """Return the own key that a message of Maestro's own queues is marked with; empty when that is none."""
    if text.startswith(_NAMESPACES):
        return text
    return OLD + text[1:] if text.startswith("~") and "/" in text else ""


def fingerprint(namespace: str, content: bytes) -> str:
    """Return what all deliveries of the same content in a namespace have in common."""
    return namespace + blake2b(content, digest_size=_BYTES).hexdigest()


def fingerprint_of(key: str) -> str:
    """Return the fingerprint that a key was made of; empty when it was made of something else."""
    return key.rpartition("/")[0] if key.startswith((SYNC, BODY)) else ""


def numbered(fingerprint: str, number: int) -> str:
    """Return the key of one delivery of a fingerprint."""
    return f"{fingerprint}/{number}"


def other(key: str, instance_id: str, reprocessing: str) -> str:
    """Return the key of an event that came with the id of another one."""
    content = f"{key}\0{instance_id}\0{reprocessing}".encode(errors="surrogatepass")
    return fingerprint(OTHER, content)


def reconsidered(document_id: str) -> str:
    """Return the key of the event of a skipped document that is judged again."""
    return RECONSIDER + document_id


def old_reconsidered(key: str) -> str:
    """Return the present key of a reconsidered event by its old one; empty when it is none."""
    return RECONSIDER + key.removeprefix(_OLD_RECONSIDER) if key.startswith(_OLD_RECONSIDER) else ""


def old(instance_id: str, reprocessing: str, replayed: str, send: str) -> str:
    """Return the key that an event without an id had before there were namespaces."""
    if not reprocessing:
        return f"{OLD}{instance_id}/execution/"
    return f"{OLD}{instance_id}/reprocessing/{reprocessing}/{replayed}/{send}"


def migrated(key: str) -> str:
    """Return the present key for a stored one of any time, but for reconsidered events."""
    return own_key(key) if key.startswith("~") else key

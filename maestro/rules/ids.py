"""Ids of reprocessing documents: a UUID that tells which system it belongs to, for most look-ups name no system.

A document id is a UUID version 8 (RFC 9562): 74 random bits, then, in its last twelve hex digits, a hash
of the system's id. The hash narrows the search; the system asked still decides. Pure.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Final

#: Random bytes that `document_id` needs.
RANDOM_BYTES: Final = 10
_SHAPE: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_TAIL_DIGITS: Final = 12


def document_id(system_id: str, random_bytes: bytes) -> str:
    """Return the id of a new document of `system_id`, made of exactly `RANDOM_BYTES` random bytes.

    Raises:
        ValueError: there are more or fewer random bytes.
    """
    if len(random_bytes) != RANDOM_BYTES:
        raise ValueError(f"random_bytes: must be {RANDOM_BYTES} bytes, not {len(random_bytes)}")
    digits = random_bytes.hex()
    variant = "89ab"[int(digits[16], 16) & 0b11]
    return f"{digits[:8]}-{digits[8:12]}-8{digits[13:16]}-{variant}{digits[17:20]}-{_tail(system_id)}"


def system_of(document_id: str, systems: Iterable[str]) -> tuple[str, ...]:
    """Return those of `systems` that the document may belong to: none for an id that `document_id` did not make."""
    if not _SHAPE.fullmatch(document_id):
        return ()
    tail = document_id[-_TAIL_DIGITS:]
    return tuple(system for system in systems if _tail(system) == tail)


@lru_cache(maxsize=4096)
def _tail(system_id: str) -> str:
    return blake2b(system_id.encode(), digest_size=_TAIL_DIGITS // 2).hexdigest()

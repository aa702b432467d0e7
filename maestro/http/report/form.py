"""The canonical form of a report's facts, and its digest."""

import hashlib
import json
from typing import Any


def canonical(facts: dict[str, Any]) -> bytes:
    """Return the facts as JSON that is the same for the same facts: keys sorted, no space, UTF-8."""
    text = json.dumps(facts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="replace")


def digest(form: bytes) -> str:
    """Return the SHA-256 of a canonical form, as hex digits."""
    return hashlib.sha256(form).hexdigest()

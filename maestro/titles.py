"""Names an event as people do: by what its origin says, not by an id. And cuts what is too long to be shown."""

import re
from typing import Any, Final

_OWNER: Final = re.compile(r"^[0-9a-f]{8}-[0-9a-f-]{27}\.")
_END: Final = re.compile(r"\.(request|done|persist)$")
#: Characters of what a payload says.
_SHOWN: Final = 120


def words(name: object) -> str:
    """Turn an event's name into words: `rectify.quote.request` is `rectify quote`; a system's id before it goes."""
    text = str(name or "")
    return re.sub(r"[._]", " ", _END.sub("", _OWNER.sub("", text)))


def gist(payload: object) -> str:
    """Return the plain values of a payload, in order, on one line; empty when there are none."""
    if payload is None:
        return ""
    if not isinstance(payload, dict):
        return str(payload)[:_SHOWN]
    plain = (_plain(value) for value in payload.values() if value is not None and not isinstance(value, dict | list))
    return cut(" · ".join(plain), _SHOWN)


def cut(text: str, most: int) -> str:
    """Return a text of at most so many characters; one that was longer ends in an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

"""Puts the messages of an error queue together by why they failed: reasons that differ in names and numbers are alike.

Pure: the messages are those that a look at the queue has in hand.
"""

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import orjson

from maestro.broker.base import Delivery
from maestro.broker.topology import DOUBT_HEADER, ERROR_HEADER, ERROR_ID_HEADER, FAILED_AT_HEADER
from maestro.messages.error_queue import ErrorGroup, ShownGroup

#: A larger body is not read for the instance that its reason may name: it would take too long of ingress's loop.
READ_BYTES: Final = 64 * 1024
#: Names of events that are told of a group.
NAMES: Final = 5
_VARIES: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b\d+\b")


class Failed:
    """One message on an error queue, as its headers and its event tell of it."""

    __slots__ = ("delivery", "failed_at", "group", "id", "instance_id", "name")

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.id = error_id(delivery)
        self.failed_at = _text(delivery, FAILED_AT_HEADER)
        self.instance_id, self.name = _event(delivery.body)
        self.group = _group_key(self)

    @property
    def reason(self) -> str:
        """Why it is there."""
        return _text(self.delivery, ERROR_HEADER)

    @property
    def doubt(self) -> bool:
        """Whether its commit is in doubt."""
        return DOUBT_HEADER in self.delivery.headers


def error_id(delivery: Delivery) -> str:
    """Return what a message is chosen by: the id it was given here, else its own, else a hash of its body."""
    given = delivery.headers.get(ERROR_ID_HEADER)
    if isinstance(given, str) and given:
        return given
    return delivery.message_id or f"~{blake2b(delivery.body, digest_size=16).hexdigest()}"


def grouped(messages: Sequence[Failed]) -> tuple[ErrorGroup, ...]:
    """Return the groups of messages that are in the order of their queue, the one with the oldest message first."""
    alike: dict[str, list[Failed]] = {}
    for message in messages:
        alike.setdefault(message.group, []).append(message)
    return tuple(_described(key, members) for key, members in alike.items())


def chosen(messages: Sequence[Failed], shown: Sequence[ShownGroup]) -> list[Failed]:
    """Return the messages of the groups as they were shown, in the order of the queue.

    What failed after a group was shown stands behind its `count` oldest, and is not of it. Raises `ValueError`: one
    of these is gone, or they may not be redriven as a group; it says why.
    """
    found: set[int] = set()
    for group in shown:
        members = [message for message in messages if message.group == group.key][: group.count]
        if not members or digest_of(members) != group.digest:
            raise ValueError(f"group {group.key} is not what was shown any more: look at it again")
        if any(message.doubt for message in members):
            raise ValueError(f"group {group.key}: a commit in doubt is resolved or redriven by itself")
        found.update(map(id, members))
    return [message for message in messages if id(message) in found]


def digest_of(members: Sequence[Failed]) -> str:
    """Return what binds a redrive to these messages, in whatever order they stand."""
    lines = sorted(f"{message.id}\n{message.failed_at}" for message in members)
    return blake2b("\n\n".join(lines).encode(errors="surrogatepass"), digest_size=16).hexdigest()


def _described(key: str, members: Sequence[Failed]) -> ErrorGroup:
    times = sorted(message.failed_at for message in members)
    oldest = members[0]
    return ErrorGroup(
        key=key,
        reason=oldest.reason,
        count=len(members),
        first=times[0],
        last=times[-1] if times[0] else "",
        events=tuple(dict.fromkeys(message.name for message in members if message.name))[:NAMES],
        instance_id=oldest.instance_id,
        doubt=oldest.doubt,
        digest=digest_of(members),
    )


def _group_key(message: Failed) -> str:
    """Return what the reason says, whatever it names, as a short key; a commit in doubt is never with others."""
    instance = message.instance_id
    essence = _VARIES.sub("…", message.reason.replace(instance, "…") if instance else message.reason)
    text = f"{'doubt' if message.doubt else ''}\n{essence}"
    return blake2b(text.encode(errors="surrogatepass"), digest_size=6).hexdigest()


def _event(body: bytes) -> tuple[str, str]:
    """Return the instance and the name of the event in a body; empty where it does not tell."""
    try:
        message = orjson.loads(body) if len(body) <= READ_BYTES else None
    except orjson.JSONDecodeError:
        return "", ""
    args = message.get("args") if isinstance(message, dict) else None
    event = args[0] if isinstance(args, list) and args else None
    if not isinstance(event, dict):
        return "", ""
    found = event.get("instanceId"), event.get("name")
    instance_id, name = (value if isinstance(value, str) else "" for value in found)
    return instance_id, name


def _text(delivery: Delivery, header: str) -> str:
    value = delivery.headers.get(header, "")
    return value if isinstance(value, str) else str(value)

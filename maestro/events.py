"""The platform's events as they cross Maestro's edge: parsed once, typed, the original JSON kept beside.

Everything that comes from outside (a broker's body, an HTTP body) becomes an `Event` here or raises
`BadInput`, which names the field. Fields Maestro does not know stay in `Event.raw` and pass through untouched.

Imports nothing of Maestro but `maestro.json_text`.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import orjson

from maestro import json_text

SYSTEM_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
#: Prefixes that would make a system's routing key another system's wait, error or control key.
RESERVED_PREFIXES: Final = ("wait_", "error_", "control_", "backup_")
#: Characters of a text that Maestro keeps of an event: longer than all that the platform writes.
MAX_TEXT: Final = 1_000
#: Bytes from which on an event that is only passed on is not decoded whole, and of a field that is read of it.
LARGE: Final = 64 * 1024
#: Levels of nesting a body may have: far below what the JSON decoders can recurse into wherever they are called.
MAX_DEPTH: Final = 200
MASTER: Final = "master"
EXECUTION: Final = "execution"
REPROCESSING: Final = "reprocessing"

_KINDS: Final = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}


class BadInput(ValueError):  # noqa: N818 - it is what came in that is bad
    """Input from outside that breaks its contract; the message names the field and what is wrong with it."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class NoEvent(BadInput):
    """A broker body that is no Celery message with one event: it has no system it could be blamed on."""


class _Envelope(msgspec.Struct):
    args: list[msgspec.Raw]


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)


class _Fields(msgspec.Struct, rename="camel"):
    """What `event_of` reads of an event, each of any kind."""

    name: Any = None
    system_id: Any = None
    instance_id: Any = None
    tag: Any = None
    branch: Any = None
    scope: Any = None
    timestamp: Any = None
    reprocessing: Any = None


class _Heads(msgspec.Struct, rename="camel"):
    """The same fields, as they stand in the event."""

    name: msgspec.Raw = msgspec.Raw(b"null")
    system_id: msgspec.Raw = msgspec.Raw(b"null")
    instance_id: msgspec.Raw = msgspec.Raw(b"null")
    tag: msgspec.Raw = msgspec.Raw(b"null")
    branch: msgspec.Raw = msgspec.Raw(b"null")
    scope: msgspec.Raw = msgspec.Raw(b"null")
    timestamp: msgspec.Raw = msgspec.Raw(b"null")
    reprocessing: msgspec.Raw = msgspec.Raw(b"null")


_HEADS: Final = msgspec.json.Decoder(_Heads)


class _Arrival(msgspec.Struct):
    args: list[_Fields]
    id: Any = None


_ARRIVAL: Final = msgspec.json.Decoder(_Arrival)


class ReplayRef(msgspec.Struct, frozen=True, gc=False):
    """The `reprocessing` object of an event: which replay of which reprocessing an event belongs to."""

    #: Reprocessing id.
    id: str
    #: The original instance this is a replay of.
    instance_id: str
    #: Unique per send; empty when the platform dropped it.
    send: str = ""


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event of the platform, as far as Maestro reads it."""

    name: str
    system_id: str
    instance_id: str
    tag: str
    branch: str
    scope: str
    #: As received; not necessarily parseable.
    timestamp: str
    reprocessing: ReplayRef | None
    #: The whole JSON object, byte for byte as received.
    raw: bytes


class CeleryMessage(msgspec.Struct, frozen=True, gc=False):
    """A persist event's envelope on RabbitMQ: the Celery message id (may be empty) and its one event."""

    id: str
    event: Event


def check_system_id(value: str, field: str = "systemId") -> str:
    """Return `value` if it can name a system, else raise `BadInput` (semantics: Bad input)."""
    if not SYSTEM_ID.fullmatch(value):
        raise BadInput(field, "must be 1 to 128 of A-Z a-z 0-9 _ -")
    if value.startswith(RESERVED_PREFIXES):
        raise BadInput(field, f"must not begin with one of {', '.join(RESERVED_PREFIXES)}")
    return value


def parse_celery(body: bytes) -> CeleryMessage:
    """Parse the body of a message of a persist queue.

    Raises:
        NoEvent: no Celery message with exactly one event object in `args`.
        BadInput: the event in it breaks the event's contract.
    """
    message = _decode_object(body, "body", NoEvent)
    args = message.get("args")
    if not isinstance(args, list) or len(args) != 1 or not isinstance(args[0], dict):
        raise NoEvent("args", "must be an array of exactly one event object")
    celery_id = message.get("id")
    if celery_id is not None and not isinstance(celery_id, str):
        raise NoEvent("id", "must be a string")
    if celery_id and not json_text.encodable(celery_id):
        raise BadInput("id", "has half of a surrogate pair")
    try:
        raw = _only_argument(body)
    except (
        ValueError,
        KeyError,
        IndexError,
        msgspec.DecodeError,
    ) as problem:  # for instance a second `args` of another kind
        raise NoEvent("args", f"is ambiguous ({problem})") from problem
    return CeleryMessage(celery_id or "", event_of(args[0], bytes(raw)))


def parse_arrival(body: bytes) -> CeleryMessage:
    """Parse as `parse_celery` does, but leave the event's `raw` empty.

    The decoder reads over what is not asked for without making objects of it. It would not notice text that is no
    UTF-8, nor count levels; a body that may have either is parsed in full, and so is one that it refuses.
    """
    if body.isascii() and not _may_be_deep(body):
        try:
            found = _ARRIVAL.decode(body)
        except (msgspec.DecodeError, RecursionError):
            return parse_celery(body)
        if len(found.args) == 1 and (found.id is None or isinstance(found.id, str)):
            return CeleryMessage(found.id or "", event_of(_named(found.args[0]), b""))
    return parse_celery(body)


def heads(body: bytes) -> dict[str, Any]:
    """Return the fields that Maestro reads of a large event, and make no objects of the others.

    For who passes it on byte for byte, 10 MB in a tenth of a second: whether all of it is JSON, and not too deep, its
    receiver finds out.

    Raises:
        BadInput: it is no JSON object, or one of these fields is large itself.
    """
    try:
        try:
            found = _HEADS.decode(body)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:  # perhaps for half of a surrogate pair somewhere
            found = _HEADS.decode(json_text.without_surrogates(body))
    except msgspec.ValidationError as problem:
        raise BadInput("body", "must be a JSON object") from problem
    except (msgspec.DecodeError, RecursionError) as problem:
        raise BadInput("body", f"is no JSON ({problem})") from problem
    fields = _named(found)
    for name, raw in fields.items():
        if len(bytes(raw)) > LARGE:
            raise BadInput(name, f"is larger than {LARGE} bytes")
    return {name: json_text.loads(bytes(raw)) for name, raw in fields.items()}


def _named(fields: _Fields | _Heads) -> dict[str, Any]:
    names = zip(fields.__struct_encode_fields__, fields.__struct_fields__, strict=True)
    return {name: getattr(fields, field) for name, field in names}


def first_event(body: bytes) -> dict[str, Any]:
    """Return the one event of a Celery message, its fields unchecked. Raises `BadInput` when there is none."""
    args = _decode_object(body, "body", NoEvent).get("args")
    if not isinstance(args, list) or len(args) != 1 or not isinstance(args[0], dict):
        raise NoEvent("args", "must be an array of exactly one event object")
    return args[0]


def parse_event(body: bytes) -> Event:
    """Parse an event's own JSON (an HTTP body). Raises `BadInput`."""
    return event_of(_decode_object(body, "body", BadInput), body)


def event_of(fields: Mapping[str, Any], raw: bytes) -> Event:
    """Build an `Event` from its decoded JSON object and the very bytes it was decoded from.

    `instanceId` and `systemId` are required; the scope must be one that is persisted: `execution` (the
    default) or `reprocessing`, and the latter needs its `reprocessing` object.

    Raises:
        BadInput: a field is missing or of another kind than the contract says.
    """
    instance_id = _text(fields, "instanceId")
    if not instance_id:
        raise BadInput("instanceId", "is missing")
    system_id = check_system_id(_text(fields, "systemId"))
    scope = _text(fields, "scope") or EXECUTION
    if scope not in (EXECUTION, REPROCESSING):
        raise BadInput("scope", f"must be {EXECUTION} or {REPROCESSING}, not {scope[:40]!r}")
    ref = _replay_ref(fields.get("reprocessing"), required=scope == REPROCESSING)
    timestamp = fields.get("timestamp")
    return Event(
        name=_text(fields, "name"),
        system_id=system_id,
        instance_id=instance_id,
        tag=_text(fields, "tag"),
        branch=_text(fields, "branch") or MASTER,
        scope=scope,
        timestamp=timestamp if isinstance(timestamp, str) and json_text.encodable(timestamp) else "",
        reprocessing=ref,
        raw=raw,
    )


def check_lengths(message: CeleryMessage) -> None:
    """Look whether what Maestro keeps of an event is of a bounded length. Raises `BadInput`.

    For what comes from outside: what was stored before there was this bound is read as ever.
    """
    event = message.event
    texts = {
        "id": message.id,
        "name": event.name,
        "instanceId": event.instance_id,
        "tag": event.tag,
        "branch": event.branch,
    }
    if event.reprocessing is not None:
        texts |= {f"reprocessing.{field}": text for field, text in msgspec.structs.asdict(event.reprocessing).items()}
    for field, text in texts.items():
        if len(text) > MAX_TEXT:
            raise BadInput(field, f"is longer than {MAX_TEXT} characters")


def edited(raw: bytes, put: Mapping[str, Any], drop: tuple[str, ...] = ()) -> bytes:
    """Return the JSON object `raw` with top-level fields set and dropped, every other value byte for byte as it was.

    Raises:
        BadInput: `raw` is no JSON object.
    """
    try:
        fields = json_text.members(raw)
    except ValueError as problem:
        raise BadInput("event", f"is no JSON object ({problem})") from problem
    for key in drop:
        fields.pop(key, None)
    fields.update((key, msgspec.Raw(orjson.dumps(value))) for key, value in put.items())
    return json_text.joined(fields)


def _only_argument(body: bytes) -> msgspec.Raw:
    try:
        return _ENVELOPE.decode(body).args[0]
    except msgspec.ValidationError:  # a second `args` of another kind, say
        raise
    except (msgspec.DecodeError, RecursionError):
        return json_text.elements(bytes(json_text.members(body)["args"]))[0]


def celery_body(message_id: str, event_json: bytes) -> bytes:
    """Wrap an event's JSON into the Celery message that the persist queues carry."""
    head = orjson.dumps({"task": "tasks.process", "id": message_id})[:-1]
    return head + b',"args":[' + event_json + b'],"retries":0,"utc":true}'


def _replay_ref(value: Any, *, required: bool) -> ReplayRef | None:
    if not required:
        return None
    if not isinstance(value, dict):
        raise BadInput("reprocessing", "must be an object when scope is reprocessing")
    ref = ReplayRef(
        _text(value, "id", "reprocessing."),
        _text(value, "instance_id", "reprocessing."),
        _text(value, "send", "reprocessing."),
    )
    if not ref.id:
        raise BadInput("reprocessing.id", "is missing")
    if not ref.instance_id:
        raise BadInput("reprocessing.instance_id", "is missing")
    return ref


def _text(fields: Mapping[str, Any], key: str, prefix: str = "") -> str:
    value = fields.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadInput(prefix + key, f"must be a string, not {_KINDS.get(type(value), 'something else')}")
    if not json_text.encodable(value):
        raise BadInput(prefix + key, "has half of a surrogate pair")
    return value


def _decode_object(body: bytes, field: str, error: type[BadInput]) -> dict[str, Any]:
    try:
        decoded = json_text.loads(body)
    except ValueError as problem:
        raise error(field, f"is no JSON ({problem})") from problem
    if not isinstance(decoded, dict):
        raise error(field, "must be a JSON object")
    if _may_be_deep(body) and _too_deep(decoded):
        raise error(field, f"is nested deeper than {MAX_DEPTH} levels")
    return decoded


def _may_be_deep(body: bytes) -> bool:
    """Whether a text has more brackets than a body may have levels.

    Each is searched for: `bytes.count` of one byte looks at every byte, half a millisecond for a megabyte.
    """
    found = 0
    for bracket in (b"{", b"["):
        at = body.find(bracket)
        while at >= 0:
            found += 1
            if found > MAX_DEPTH:
                return True
            at = body.find(bracket, at + 1)
    return False


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        containers = (item.values() if isinstance(item, dict) else item for item in level)
        level = [child for container in containers for child in container if isinstance(child, (dict, list))]
        if not level:
            return False
    return True

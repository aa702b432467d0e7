"""The API description (OpenAPI 3.1), made of the operations and of the types their input is checked against."""

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec
import orjson

from maestro import __version__
from maestro.http.operations import Operation
from maestro.http.shapes.shared import ErrorBody, Id, Number, SystemId
from maestro.statuses import SETS, ordered

_REF: Final = "#/components/schemas/{name}"
_PARAMETER: Final = re.compile(r"{([A-Za-z]+)}")
_PATH_TYPES: Final = {"systemId": SystemId, "id": Id, "number": Number, "key": Id}
#: Errors of operations of every kind, and what they mean.
_ERRORS: Final = {
    400: "The request breaks its contract; the message names the field.",
    404: "There is no such thing.",
    429: "Too often; `Retry-After` says when to come again.",
    502: "A sibling service refused or is out of reach.",
    503: "It cannot be answered now.",
}
_WITH_ROLE: Final = {401: "No valid credential.", 403: "Not allowed to this credential, or for this origin."}
_WITH_BODY: Final = {408: "The body did not arrive in time.", 413: "The body is too large."}
_WITH_DECISION: Final = {
    409: "It is not possible now; the message says who decided what, when.",
    422: "The `Idempotency-Key` was used for another request.",
}
_OF_EVENTS: Final = {409: "It is not possible now.", 504: "Not decided in time."}
_IDEMPOTENCY: Final = {
    "name": "Idempotency-Key", "in": "header", "required": False,
    "description": "The same key is answered as it was the first time (24 h).",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[\\x21-\\x7e]+$"},
}  # fmt: skip


def document(operations: Iterable[Operation], *, secured: bool) -> dict[str, Any]:
    """Return the description. `secured`: credentials are asked for."""
    shown = [operation for operation in operations if not operation.hidden]
    schemas = _Schemas(shown)
    paths: dict[str, dict[str, Any]] = {}
    for operation in shown:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas, secured=secured)
    whole: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Maestro", "version": __version__,
            "description": "Guards a shared domain's data: holds, decides and replays what new data makes wrong.",
        },
        "paths": paths,
        "components": {"schemas": schemas.components},
    }  # fmt: skip
    # Sets of statuses, for clients that choose by them.
    schemas.components["Status"]["x-sets"] = {name: ordered(some) for name, some in SETS.items()}
    if secured:
        bearer = {
            "type": "http",
            "scheme": "bearer",
            "description": "A token of `maestro token add`, or of the issuer.",
        }
        whole["components"]["securitySchemes"] = {"bearer": bearer}
    return whole


def rendered(operations: Iterable[Operation], *, secured: bool) -> bytes:
    """Return the description as JSON."""
    return orjson.dumps(document(operations, secured=secured))


class _Schemas:
    """The schemas of all types that the operations name."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        types: list[Any] = [ErrorBody, *_PATH_TYPES.values()]
        for operation in operations:
            types += [one for one in (operation.query, operation.body, *operation.answers.values()) if one is not None]
        made, self.components = msgspec.json.schema_components(types, ref_template=_REF)
        self._made = {_key(one): schema for one, schema in zip(types, made, strict=True)}

    def of(self, kind: Any) -> dict[str, Any]:
        """Return the schema of a type, or the reference to it."""
        return self._made[_key(kind)]

    def fields(self, kind: type) -> tuple[dict[str, Any], list[str]]:
        """Return a struct's own fields, and those that must be there."""
        name = self.of(kind)["$ref"].rpartition("/")[2]
        whole = self.components[name]
        return whole["properties"], whole.get("required", [])


def _key(kind: Any) -> str:
    return repr(kind)


def _operation(operation: Operation, schemas: _Schemas, *, secured: bool) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": schemas.of(_PATH_TYPES[name])}
        for name in _PARAMETER.findall(operation.path)
    ]
    if operation.query is not None:
        fields, required = schemas.fields(operation.query)
        parameters += [
            {"name": name, "in": "query", "required": name in required, "schema": _in_query(schema)}
            for name, schema in fields.items()
        ]
    if operation.repeatable:
        parameters.append(_IDEMPOTENCY)
    made: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [_tag(operation.path)],
        "responses": _responses(operation, schemas),
    }
    if parameters:
        made["parameters"] = parameters
    if operation.body is not None:
        content = {"application/json": {"schema": schemas.of(operation.body)}}
        made["requestBody"] = {"required": not operation.repeatable or not secured, "content": content}
    if operation.role is not None:
        made["description"] = f"Role: `{operation.role}`."
        if secured:
            made["security"] = [{"bearer": []}]
    return made


def _in_query(schema: dict[str, Any]) -> dict[str, Any]:
    """A query has no null."""
    options = [one for one in schema.get("anyOf", []) if one != {"type": "null"}]
    return {**options[0], **({"default": schema["default"]} if schema.get("default") else {})} if options else schema


def _tag(path: str) -> str:
    parts = [part for part in path.split("/") if part and part != "v1.0.0"]
    return parts[0] if len(parts) > 1 or path.startswith("/v1") else "about"


def _responses(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for status, kind in operation.answers.items():
        made[str(status)] = {"description": "As asked." if status < 400 else "Refused."}  # noqa: PLR2004 - an error
        if kind is not None:
            made[str(status)]["content"] = {operation.media: {"schema": schemas.of(kind)}}
    errors = dict(_ERRORS)
    if operation.role is not None:
        errors |= _WITH_ROLE
    if operation.body is not None:
        errors |= _WITH_BODY | _OF_EVENTS
    if operation.decides:
        errors |= _WITH_DECISION
    for status, text in errors.items():
        error = {"application/json": {"schema": schemas.of(ErrorBody)}}
        made.setdefault(str(status), {"description": text, "content": error})
    return made

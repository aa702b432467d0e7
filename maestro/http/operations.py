"""One entry per operation of the gateway: how it is called, who may, what it takes and answers.

The router, authentication and the API description are all made from these; there is no second list.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp.typedefs import Handler

from maestro.access.roles import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation."""

    #: Its name in the API description, in log lines and in the audit log.
    name: str
    method: str
    #: The path; a part in braces is a parameter.
    path: str
    #: The pattern aiohttp is to route by, where it is not the path itself.
    route: str = ""
    handler: Handler
    #: The role it takes; None: anybody may.
    role: Role | None
    #: What it does, in one line.
    summary: str
    #: The type its query is checked against, and its body's; None: none.
    query: type | None = None
    body: type | None = None
    #: The type of the answer by status; None: an empty body. Errors that every operation has are not listed.
    answers: Mapping[int, Any] = field(default_factory=dict)
    #: The status of a refusal for want of role or system.
    refusal: int = 403
    #: It decides something: in the audit log, and logged at level info.
    decides: bool = False
    #: Its handler puts a line for each of its decisions into the audit log.
    records_itself: bool = False
    #: It decides nothing, but is in the audit log all the same once it was answered, and logged at level info.
    recorded: bool = False
    #: Logged at level info, too, although it is no decision of a person.
    notable: bool = False
    #: It takes an `Idempotency-Key`.
    repeatable: bool = False
    #: What it counts towards the request rate.
    cost: float = 1.0
    #: Media type of the answer.
    media: str = "application/json"
    #: Its answer is sent part by part while it is made: it takes no HEAD.
    streamed: bool = False
    #: It is streamed until the client leaves.
    endless: bool = False
    #: Left out of the API description.
    hidden: bool = False

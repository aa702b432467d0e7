"""The audit log over HTTP."""

import orjson
from aiohttp import web

from maestro.http.checking import query_of
from maestro.http.keys import GUARDS
from maestro.http.replies import Problem, reply
from maestro.http.request_context import principal
from maestro.http.shapes.audit import AuditQuery


async def page(request: web.Request) -> web.StreamResponse:
    """One page of the audit log, oldest first, as far as it is about systems that the caller may touch."""
    query = query_of(request, AuditQuery)
    guards = request.app[GUARDS]
    log = guards.audit if query.log == "decisions" else guards.refused
    if log is None:
        raise Problem(404, "no audit log is kept")
    entries, following = await log.page(query.after, query.limit, principal().may_touch)
    return reply(orjson.dumps({"entries": entries, "next": following}))

"""How people are told what waits for them: the ways there are, and a test of them."""

import msgspec
import orjson
from aiohttp import web

from maestro.events import BadInput
from maestro.http.checking import checked
from maestro.http.deciding import decision_body
from maestro.http.inputs import user_of
from maestro.http.keys import NOTIFIER, note
from maestro.http.replies import reply
from maestro.http.request_context import principal
from maestro.http.shapes.notices import NoticeTestBody


async def notices(request: web.Request) -> web.StreamResponse:
    """The ways that are configured, and how each does."""
    notifier = request.app.get(NOTIFIER)
    return reply(msgspec.json.encode({"ways": notifier.states if notifier is not None else []}))


async def try_notice(request: web.Request) -> web.StreamResponse:
    """Send a test by each way, or by one; what became of each."""
    body = checked(await decision_body(request), NoticeTestBody)
    if body.user is not None or principal().proven:
        note(request, user=user_of(body.user))
    notifier = request.app.get(NOTIFIER)
    known = [state.name for state in notifier.states] if notifier is not None else []
    if body.way and body.way not in known:
        raise BadInput("way", f"must be one of those that are configured: {', '.join(known) or 'there is none'}")
    note(request, way=body.way or "all")
    problems = await notifier.test([body.way] if body.way else ()) if notifier is not None else {}
    return reply(orjson.dumps({"ways": [{"name": name, "problem": problem} for name, problem in problems.items()]}))

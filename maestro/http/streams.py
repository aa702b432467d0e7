"""Server-sent events: a system, or all of them, each time something changes."""

from typing import Final

from aiohttp import web

from maestro.access.throttle import address_key
from maestro.http.actor_client import UnknownSystem
from maestro.http.connection import Connection
from maestro.http.inputs import path_system
from maestro.http.keys import ACTOR_CLIENT, GUARDS, LIVE
from maestro.http.live import PER_ADDRESS, PER_HOLDER, Live, Subscription
from maestro.http.request_context import check_system, principal

#: Seconds of silence after which a comment is sent: proxies keep the connection, and a client that is gone is noticed.
HEARTBEAT: Final = 15.0
_HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back
}


async def system_stream(request: web.Request) -> web.StreamResponse:
    """One system as it changes."""
    system_id = path_system(request)
    check_system(system_id)
    if not request.app[ACTOR_CLIENT].knows(system_id):
        raise UnknownSystem(system_id)
    return await _stream(request, system_id)


async def all_streams(request: web.Request) -> web.StreamResponse:
    """Every system as it changes; those that are served later join within a heartbeat."""
    return await _stream(request, "")


async def _stream(request: web.Request, system_id: str) -> web.StreamResponse:
    live = request.app[LIVE]
    caller = principal()
    counted = (caller.name, PER_HOLDER) if caller.proven else (address_key(request.remote), PER_ADDRESS)
    with live.subscribed(*counted) as subscription:
        response = web.StreamResponse(headers=_HEADERS)
        try:
            await response.prepare(request)
            if isinstance(request.protocol, Connection):
                request.protocol.end_with_client(subscription.wake)
            await _send(request, response, live, subscription, system_id)
        except ConnectionError:
            pass  # the client is gone
    return response


async def _send(
    request: web.Request, response: web.StreamResponse, live: Live, subscription: Subscription, system_id: str
) -> None:
    while not live.closed and request.app[GUARDS].authentication.still_known(request):
        live.watch(subscription, (system_id,) if system_id else request.app[ACTOR_CLIENT].systems())
        payloads = await subscription.next(HEARTBEAT)
        events = b"".join(b"event: system\ndata: " + payload + b"\n\n" for payload in payloads)
        await response.write(events or b": still here\n\n")

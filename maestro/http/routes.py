"""Every route of the gateway, with the name its log lines carry."""

from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from maestro.http import console_routes, platform_calls, reprocessings, streams, systems
from maestro.http.edge import edged, unmatched
from maestro.http.observed import observed
from maestro.messages import Approve, Cancel, Pause, Recheck, Resume, Retry, Skip

_V1: Final = "/v1.0.0"
_REPROCESSING: Final = f"{_V1}/reprocessing"


def routes(proceed: Handler, metrics: Handler) -> list[web.RouteDef]:
    """Return the routes; `proceed` is the only one without the edge around it. The first that fits wins."""
    return [
        # The id may be empty: the platform asks so for events of no system.
        web.get(f"{_V1}/gateway/{{systemId:[^/]*}}/proceed", proceed),
        _post(f"{_V1}/handler/persist", platform_calls.handler_persist, "handler_persist"),
        _post(f"{_V1}/persist/sync", platform_calls.persist_sync, "persist_sync"),
        _post(f"{_REPROCESSING}/failure", platform_calls.failure, "failure"),
        _post(f"{_REPROCESSING}/set_status", reprocessings.set_status, "set_status"),
        _get(f"{_REPROCESSING}/{{systemId}}/pending", reprocessings.pending, "pending"),
        _get(f"{_REPROCESSING}/{{systemId}}/find", reprocessings.find, "find"),
        _get(f"{_REPROCESSING}/{{id}}", reprocessings.get, "document"),
        _post(f"{_REPROCESSING}/{{id}}/approve", reprocessings.decision(Approve), "approve"),
        _post(f"{_REPROCESSING}/{{id}}/skip", reprocessings.decision(Skip), "skip"),
        _post(f"{_REPROCESSING}/{{id}}/retry", reprocessings.decision(Retry), "retry"),
        _post(f"{_REPROCESSING}/{{id}}/cancel", reprocessings.decision(Cancel), "cancel"),
        _post(f"{_REPROCESSING}/{{id}}/pause", reprocessings.decision(Pause), "pause"),
        _post(f"{_REPROCESSING}/{{id}}/resume", reprocessings.decision(Resume), "resume"),
        _post(f"{_REPROCESSING}/{{id}}/recheck", reprocessings.decision(Recheck), "recheck"),
        _post(f"{_REPROCESSING}/{{id}}/reconsider", reprocessings.reconsider, "reconsider"),
        _get(f"{_REPROCESSING}/{{id}}/entities", reprocessings.entities, "entities"),
        _get(f"{_V1}/systems", systems.list_systems, "systems"),
        _get(f"{_V1}/systems/{{systemId}}", systems.describe, "system"),
        _get(f"{_V1}/systems/{{systemId}}/waiting", systems.waiting, "waiting"),
        _get(f"{_V1}/systems/{{systemId}}/waiting/{{number}}", systems.waiting_event, "waiting_event"),
        _get(f"{_V1}/systems/{{systemId}}/skipped", systems.skipped, "skipped"),
        _get(f"{_V1}/systems/{{systemId}}/stream", streams.system_stream, "stream"),
        _get(f"{_V1}/stream", streams.all_streams, "streams"),
        _get(f"{_V1}/systems/{{systemId}}/errors", systems.errors, "errors"),
        _post(f"{_V1}/systems/{{systemId}}/errors/redrive", systems.redrive, "redrive"),
        _get("/healthz", systems.healthz, "healthz"),
        _get("/readyz", systems.readyz, "readyz"),
        _get("/metrics", metrics, "metrics"),
        *(_get(path, handler, name) for path, name, handler in console_routes.handlers()),
        web.route(hdrs.METH_ANY, "/{tail:.*}", observed("unmatched", edged("unmatched", unmatched))),
    ]


def _get(path: str, handler: Handler, name: str) -> web.RouteDef:
    return web.get(path, observed(name, edged(name, handler)))


def _post(path: str, handler: Handler, name: str) -> web.RouteDef:
    return web.post(path, observed(name, edged(name, handler)))

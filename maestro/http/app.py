"""Makes the gateway's application out of an actor client and settings."""

from aiohttp import web

from maestro.board.owner_view import OwnerView
from maestro.http.actor_client import ActorClient
from maestro.http.cluster_view import ClusterView
from maestro.http.documents import Documents
from maestro.http.entities import NoPages, Pages
from maestro.http.guards import Guards, unguarded
from maestro.http.keys import (
    ACTOR_CLIENT,
    CLUSTER,
    DOCUMENTS,
    ENTITIES,
    GUARDS,
    LABELS,
    LIVE,
    METRICS,
    NEWCOMERS,
    NOTIFIER,
    OPENAPI,
    QUIET,
    SETTINGS,
    TODO,
)
from maestro.http.live import Live
from maestro.http.lock_checks import LockChecks, Look, no_board
from maestro.http.log_limits import Quiet
from maestro.http.metrics import Scraper
from maestro.http.middleware import add_headers
from maestro.http.newcomers import Newcomers
from maestro.http.observed import tell_request_id
from maestro.http.openapi import rendered
from maestro.http.proceed import proceed_handler
from maestro.http.request_context import CallersAccess, GuardedActorClient
from maestro.http.routes import operations, routes
from maestro.http.todo_list import TodoList
from maestro.notify.notifier import Notifier
from maestro.settings.labels import Labels
from maestro.settings.model import HttpSettings
from maestro.telemetry.definitions import OF_REQUESTS
from maestro.telemetry.metrics import MetricsRegistry


def create_app(
    actor_client: ActorClient,
    settings: HttpSettings,
    look: Look = no_board,
    guards: Guards | None = None,
    owner: OwnerView | None = None,
    newcomers: Newcomers | None = None,
    entities: Pages | None = None,
    labels: Labels | None = None,
    notifier: Notifier | None = None,
    registry: MetricsRegistry | None = None,
    own: ActorClient | None = None,
    cluster: ClusterView | None = None,
) -> web.Application:
    """Return the application; `server.serve_http` serves it.

    `look` reads the lock board, `owner` says whether the broker's events are ours. Without `guards` everybody is let
    in, without `newcomers` every system is served that is named, without `entities` no domain is asked, without a
    `notifier` nobody is told anything. `labels` say what the systems' data are called.
    `own` asks the systems of this node of a cluster, which are all that its `/metrics` tells of;
    `cluster` is what the node sees of the others.
    """
    guards = guards or unguarded(settings)
    app = web.Application(client_max_size=settings.max_body_bytes)
    app[ACTOR_CLIENT] = GuardedActorClient(actor_client)
    app[SETTINGS] = settings
    registry = app[METRICS] = registry or MetricsRegistry()
    registry.show(OF_REQUESTS)
    app[GUARDS] = guards
    app[QUIET] = Quiet()
    app[ENTITIES] = entities or NoPages()
    app[LABELS] = dict(labels or {})
    app[NEWCOMERS] = newcomers or Newcomers()
    app[DOCUMENTS] = Documents(actor_client, settings.ask_timeout, CallersAccess())
    app[TODO] = TodoList(app[ACTOR_CLIENT], settings.ask_timeout)
    if notifier is not None:
        app[NOTIFIER] = notifier
    if cluster is not None:
        app[CLUSTER] = cluster
    live = app[LIVE] = Live(actor_client, settings.ask_timeout)

    async def end_streams(_app: web.Application) -> None:
        await live.close()

    app.on_shutdown.append(end_streams)
    app.on_response_prepare.append(add_headers)
    app.on_response_prepare.append(tell_request_id)
    proceed = proceed_handler(LockChecks(actor_client, settings.ask_timeout, look), settings, registry, owner)
    known = operations(proceed, Scraper(own or actor_client, registry).handle)
    app[OPENAPI] = rendered(known, secured=not guards.authentication.open)
    app.add_routes(routes(known, proceed, guards))
    return app

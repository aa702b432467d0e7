"""What handlers find in the application and on a request."""

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from maestro.http.actor_client import ActorClient
from maestro.http.cluster_view import ClusterView
from maestro.http.documents import Documents
from maestro.http.entities import Pages
from maestro.http.guards import Guards
from maestro.http.live import Live
from maestro.http.log_limits import Quiet
from maestro.http.newcomers import Newcomers
from maestro.http.todo_list import TodoList
from maestro.notify.notifier import Notifier
from maestro.settings.labels import TypeLabels
from maestro.settings.model import HttpSettings
from maestro.telemetry.metrics import MetricsRegistry

ACTOR_CLIENT: Final = web.AppKey("ACTOR_CLIENT", ActorClient)
SETTINGS: Final = web.AppKey("SETTINGS", HttpSettings)
METRICS: Final = web.AppKey("METRICS", MetricsRegistry)
DOCUMENTS: Final = web.AppKey("DOCUMENTS", Documents)
LIVE: Final = web.AppKey("LIVE", Live)
GUARDS: Final = web.AppKey("GUARDS", Guards)
QUIET: Final = web.AppKey("QUIET", Quiet)
ENTITIES: Final = web.AppKey("ENTITIES", Pages)
NEWCOMERS: Final = web.AppKey("NEWCOMERS", Newcomers)
TODO: Final = web.AppKey("TODO", TodoList)
#: Only in a cluster.
CLUSTER: Final = web.AppKey("CLUSTER", ClusterView)
NOTIFIER: Final = web.AppKey("NOTIFIER", Notifier)
#: What the systems' data are called.
LABELS: Final = web.AppKey("LABELS", dict[str, Mapping[str, TypeLabels]])
#: The API description, ready to send.
OPENAPI: Final = web.AppKey("OPENAPI", bytes)
#: What a handler learned of its request that belongs in the log line: user, system, id.
FACTS: Final = web.RequestKey("FACTS", dict[str, Any])


def note(request: web.Request, **facts: str) -> None:
    """Add `facts` to the request's log line."""
    request[FACTS] = {**request.get(FACTS, {}), **facts}

"""Makes the gateway's application out of a bridge and settings."""

from aiohttp import web

from maestro.http.bridge import Bridge
from maestro.http.documents import Documents
from maestro.http.edge import hide_versions
from maestro.http.keys import BRIDGE, DOCUMENTS, LIVE, MEASURES, SETTINGS
from maestro.http.live import Live
from maestro.http.lock_checks import LockChecks, Look, no_board
from maestro.http.metrics import Scraper
from maestro.http.observed import tell_request_id
from maestro.http.proceed import proceed_handler
from maestro.http.routes import routes
from maestro.runtime.measures import Measures
from maestro.settings import HttpSettings


def create_app(bridge: Bridge, settings: HttpSettings, look: Look = no_board) -> web.Application:
    """Return the application; `server.serve_http` serves it. `look` reads the lock board."""
    app = web.Application(client_max_size=settings.max_body_bytes)
    app[BRIDGE] = bridge
    app[SETTINGS] = settings
    measures = app[MEASURES] = Measures()
    app[DOCUMENTS] = Documents(bridge, settings.ask_timeout)
    live = app[LIVE] = Live(bridge, settings.ask_timeout)

    async def end_streams(_app: web.Application) -> None:
        await live.close()

    app.on_shutdown.append(end_streams)
    app.on_response_prepare.append(hide_versions)
    app.on_response_prepare.append(tell_request_id)
    proceed = proceed_handler(LockChecks(bridge, settings.ask_timeout, look), settings, measures)
    app.add_routes(routes(proceed, Scraper(bridge, measures).handle))
    return app

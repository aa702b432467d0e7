"""The domain service: commits what an instance staged, at each call, and shows its rows.

A commit is one transaction, takes as long as it takes, also when its caller has gone away, and is not idempotent: rows
it creates are created again (contracts: Domain's commit). After it is stored Domain sends the instance's `.done` event,
and it may fail then all the same, with the same 500 as when nothing was stored.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from maestro.sandbox.api_core import ApiCore
from maestro.sandbox.ledger import Ledger, Run
from maestro.sandbox.process_memory import wire_moment
from maestro.sandbox.rows import Change, Row, Rows, StagedRow
from maestro.sandbox.traits import Traits
from maestro.sandbox.web import Refused, Service, branch_of, json, needed

Json = dict[str, Any]
#: What Domain says when it fails, whether it had stored the data or not.
_FAILURE: Final = "the instance's data was not persisted"


class Domain(Service):
    """Serves `rows`; tells the ledger of each commit, and the Event Manager how it ended."""

    def __init__(
        self,
        rows: Rows,
        ledger: Ledger,
        core: ApiCore,
        traits: Traits,
        on_end: Callable[[Run, bool], Awaitable[None]],
    ) -> None:
        """`on_end(run, stored)` hears of each commit: that it is stored, or that it failed."""
        super().__init__()
        self._rows = rows
        self._ledger = ledger
        self._core = core
        self._traits = traits
        self._on_end = on_end
        self._dice = traits.dice("domain")
        #: So many of the next commits are stored and fail then.
        self.fails_after_store = 0
        #: So many of the next commits store nothing and fail.
        self.fails_before_store = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def commit(self, instance: str) -> Run:
        """Persist an instance's data. Raises `KeyError` for an unknown instance."""
        run = self._ledger.run(instance)
        if run is None:
            raise KeyError(instance)
        if self._rows.commit(instance, time.time(), replay=run.replay_of is not None):
            self._ledger.finish(instance)
        return run

    def stale(self) -> list[Json]:
        """Return the units whose last computation read a row that somebody else has changed since."""

        def now(run: Run, row: Row) -> Row | None:
            return self._rows.visible(run.system, row.entity, row.key, run.branch)

        return [{"instanceId": unit.instance, "branch": unit.branch} for unit in self._ledger.stale(now)]

    def app(self) -> web.Application:
        """Return the HTTP service."""
        return self.new_app(
            web.post("/instance/{instance}/persist", self._persist),
            web.get("/instance/{instance}/entities", self._staged),
            web.get("/entities/{entity}", self._view),
            web.get("/entities/{entity}/count", self._count),
            web.get("/stale", self._stale),
            web.get("/doubled", self._doubled),
            web.get("/{map}/{entity}", self._mapped),
        )

    async def _persist(self, request: web.Request) -> web.Response:
        instance = request.match_info["instance"]
        run = self._ledger.run(instance)
        if run is None:
            raise Refused(f"instance {instance} staged nothing here")
        if self._dice.random() < self._traits.domain_slow_share:
            await asyncio.sleep(self._traits.domain_slow)
        fails = self._dice.random() < self._traits.domain_fails_after_store
        if self.fails_before_store > 0:
            self.fails_before_store -= 1
            self._tell(run, stored=False)
            raise Refused(_FAILURE, 500)
        self.commit(instance)
        if self.fails_after_store > 0:
            self.fails_after_store -= 1
            fails = True
        # It asks API core for the operation only now.
        if fails or self._core.away:
            self._tell(run, stored=False)
            raise Refused(_FAILURE, 500)
        self._tell(run, stored=True)
        return json({"status": "ok", "message": "ok"})

    def _tell(self, run: Run, *, stored: bool) -> None:
        """Send the event that tells of the end, beside the answer: it mostly comes first."""
        task = asyncio.ensure_future(self._on_end(run, stored))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _staged(self, request: web.Request) -> web.Response:
        instance = request.match_info["instance"]
        if self._ledger.run(instance) is None:
            raise Refused(f"instance {instance} staged nothing here")
        return json([_entity(row) for row in self._rows.staged(instance)])

    async def _mapped(self, request: web.Request) -> web.Response:
        """Rows through a map of somebody's own: those that an instance wrote last."""
        name, entity = request.match_info["map"], request.match_info["entity"]
        if not any(self._core.knows_map(system, name) for system in self._core.systems):
            raise Refused(f"map {name} not found")
        if request.query.get("filter") != "byInstance":
            raise Refused(f"map {name} has no filter {request.query.get('filter')!r}")
        everywhere = request.headers.get("Branch") == "all"
        rows = self._rows.of_instance(needed(request, "instance"), entity, all_branches=everywhere)
        return json([_shown(row) for row in rows])

    async def _view(self, request: web.Request) -> web.Response:
        rows = self._rows.view(needed(request, "systemId"), request.match_info["entity"], branch_of(request))
        return json([_shown(row) for row in rows])

    async def _count(self, request: web.Request) -> web.Response:
        count = self._rows.count(needed(request, "systemId"), request.match_info["entity"], branch_of(request))
        return json({"count": count})

    async def _stale(self, _request: web.Request) -> web.Response:
        return json(self.stale())

    async def _doubled(self, _request: web.Request) -> web.Response:
        return json(self._rows.doubled())


def _shown(row: Row) -> Json:
    return {
        **row.fields,
        "id": row.id,
        "_metadata": {
            "type": row.entity,
            "rid": row.rid,
            "branch": row.branch,
            "instance_id": row.instance,
            "modified_at": wire_moment(row.modified_at),
        },
    }


def _entity(row: StagedRow) -> Json:
    metadata = {"type": row.entity, "rid": row.rid, "branch": row.branch, "changeTrack": row.change.value}
    if row.change is not Change.CREATE:
        metadata |= {"instance_id": row.writer, "modified_at": wire_moment(row.modified_at)}
    before = {"before": row.before.fields} if row.before else {}
    return {**row.fields, "id": row.id, "_metadata": metadata | before}

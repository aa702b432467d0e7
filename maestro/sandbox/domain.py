"""The domain service: commits what an instance staged, once, and shows its rows.

It also notices *stale waiters*: instances whose data is committed although what they read has changed since. That
window is known (an instance that computed while a decision was pending, and waited): they are reported, not refused.
"""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from maestro.sandbox.ledger import Ledger, Run
from maestro.sandbox.rows import Rows
from maestro.sandbox.web import branch_of, json, needed, new_app, refused


class Domain:
    """Serves `rows`; tells the ledger and `on_commit` of each first commit."""

    def __init__(self, rows: Rows, ledger: Ledger, on_commit: Callable[[str], object]) -> None:
        self._rows = rows
        self._ledger = ledger
        self._on_commit = on_commit
        #: Instances that committed on top of other data than they had read.
        self.stale: list[str] = []

    def commit(self, instance: str) -> None:
        """Persist an instance's data; a second time changes nothing. Raises `KeyError` for an unknown instance."""
        run = self._ledger.run(instance)
        if run is None:
            raise KeyError(instance)
        stale = self._is_stale(run)
        if not self._rows.commit(instance):
            return
        if stale:
            self.stale.append(instance)
        self._ledger.finish(instance)
        self._on_commit(instance)

    def app(self) -> web.Application:
        """Return the HTTP service."""
        return new_app(
            web.post("/instance/{instance}/persist", self._persist),
            web.get("/instance/{instance}/entities", self._staged),
            web.get("/entities/{entity}", self._view),
            web.get("/entities/{entity}/count", self._count),
            web.get("/stale", self._stale),
        )

    def _is_stale(self, run: Run) -> bool:
        for read in run.reads:
            row = self._rows.visible(run.system, read.key.entity, read.key.key, run.branch)
            if read.version != (row.version if row else 0) or (row is not None and row.branch != read.branch):
                return True
        return False

    async def _persist(self, request: web.Request) -> web.Response:
        instance = request.match_info["instance"]
        try:
            self.commit(instance)
        except KeyError:
            return refused(404, f"instance {instance} staged nothing here")
        return json({"status": "ok", "message": "ok"})

    async def _staged(self, request: web.Request) -> web.Response:
        instance = request.match_info["instance"]
        if self._ledger.run(instance) is None:
            return refused(404, f"instance {instance} staged nothing here")
        return json(
            [
                {
                    **row.fields,
                    "_metadata": {
                        "type": row.entity,
                        "rid": row.rid,
                        "branch": row.branch,
                        "changeTrack": "update" if row.before else "create",
                        "instance_id": instance,
                        **({"before": row.before.fields} if row.before else {}),
                    },
                }
                for row in self._rows.staged(instance)
            ]
        )

    async def _view(self, request: web.Request) -> web.Response:
        rows = self._rows.view(needed(request, "systemId"), request.match_info["entity"], branch_of(request))
        found: list[dict[str, Any]] = [
            {**row.fields, "_metadata": {"type": row.entity, "branch": row.branch}} for row in rows
        ]
        return json(found)

    async def _count(self, request: web.Request) -> web.Response:
        count = self._rows.count(needed(request, "systemId"), request.match_info["entity"], branch_of(request))
        return json({"count": count})

    async def _stale(self, _request: web.Request) -> web.Response:
        return json(self.stale)

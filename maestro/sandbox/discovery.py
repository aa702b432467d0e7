"""Discovery: which finished instances an instance's data would make wrong, from what each of them really read."""

from aiohttp import web

from maestro.sandbox.ledger import Key, Ledger, Run, Unit
from maestro.sandbox.rows import Rows
from maestro.sandbox.web import json, needed, new_app, refused


class Discovery:
    """Compares an instance's staged rows with the ledger's reads."""

    def __init__(self, rows: Rows, ledger: Ledger) -> None:
        self._rows = rows
        self._ledger = ledger

    def impacted(self, run: Run) -> list[tuple[Unit, bool]]:
        """Return the units that the commit of `run` would impact, each with whether it is forking.

        A staged row that changes nothing for its branch (`StagedRow.changes`) impacts nobody.
        """
        changed = [Key(row.entity, row.key) for row in self._rows.staged(run.instance) if row.changes]

        def hides(key: Key, branch: str) -> bool:
            return self._rows.has_own(run.system, key.entity, key.key, branch)

        return self._ledger.impacted(run.system, run.branch, changed, hides)

    def app(self) -> web.Application:
        """Return the HTTP service."""
        return new_app(web.get("/v1.0.0/discovery/entities", self._entities))

    async def _entities(self, request: web.Request) -> web.Response:
        system, instance = needed(request, "systemID"), needed(request, "instanceID")
        run = self._ledger.run(instance)
        if run is None or run.system != system:
            return refused(404, f"no instance {instance} in system {system}")
        return json(
            [
                {"instanceId": unit.instance, "branch": unit.branch, "forking": forking}
                for unit, forking in self.impacted(run)
            ]
        )

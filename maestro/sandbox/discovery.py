"""Discovery: which finished instances an instance's data would make wrong, by the rules of the platform's real one.

It is blind for much (contracts: Discovery): what is not called `finished` yet, what began before the row's last
change, replays, all but one of a tag, rows that are created. What it says depends on API core: while that is away, it
names nobody, and calls that an answer.
"""

from aiohttp import web

from maestro.events import MASTER
from maestro.sandbox.api_core import ApiCore
from maestro.sandbox.ledger import Key, Ledger, Run, Unit
from maestro.sandbox.rows import Change, Rows, StagedRow
from maestro.sandbox.traits import Traits
from maestro.sandbox.web import Refused, Service, json, needed
from maestro.statuses import INSTANCE_FINISHED

Named = tuple[Unit, bool]


class Discovery(Service):
    """Compares an instance's staged rows with what the others have read."""

    def __init__(self, rows: Rows, ledger: Ledger, core: ApiCore, traits: Traits) -> None:
        super().__init__()
        self._rows = rows
        self._ledger = ledger
        self._core = core
        self._traits = traits
        self._dice = traits.dice("discovery")

    def impacted(self, run: Run) -> list[Named]:
        """Return the units it names for the commit of `run`, each with whether it is forking.

        Raises:
            Refused: API core is away, and it does not fail open.
        """
        if self._core.away:
            if self._traits.discovery_fails_open:
                return []
            raise Refused("API core does not answer")
        if self._traits.discovery_knows_all:
            return self._all(run)
        changed = [row for row in self._rows.staged(run.instance) if row.change in (Change.UPDATE, Change.DESTROY)]
        found: dict[Unit, Run] = {}
        for row in changed:
            for reader in self._readers(run, row):
                unit = _as_unit(run, reader)
                if unit is not None:
                    found[unit] = reader
        units = list(found)
        if self._traits.discovery_shuffled:
            self._dice.shuffle(units)
        if self._traits.discovery_one_of_a_tag:
            # Events without a tag have none in common.
            others = (unit for unit in units if not run.tag or found[unit].tag != run.tag)
            of_tag = {found[unit].tag or unit.instance: unit for unit in others}
            units = list(of_tag.values())
        return [(unit, found[unit].branch != unit.branch) for unit in units]

    def app(self) -> web.Application:
        """Return the HTTP service."""
        return self.new_app(web.get("/v1.0.0/discovery/entities", self._entities))

    def _all(self, run: Run) -> list[Named]:
        """Name all whom the commit makes wrong. A staged row that changes nothing (`changes`) impacts nobody."""
        changed = [Key(row.entity, row.key) for row in self._rows.staged(run.instance) if row.changes]

        def hides(key: Key, branch: str) -> bool:
            return self._rows.has_own(run.system, key.entity, key.key, branch)

        return self._ledger.impacted(run.system, run.branch, changed, hides)

    def _readers(self, run: Run, row: StagedRow) -> list[Run]:
        """Return the executions that are named for one row."""
        saw = [
            one for one in self._ledger.saw(run.system, row.rid) if one.instance != run.instance and one.reprocessable
        ]
        since = row.modified_at if self._traits.discovery_by_start else 0.0
        later = [one for one in saw if one.started > since and self._finished(one)]
        named = [one for one in later if self._core.is_open(one.system, one.branch)]
        if not named and later and self._traits.discovery_closed_branches:
            return saw
        return named

    def _finished(self, run: Run) -> bool:
        if self._traits.discovery_by_status:
            return self._core.status(run.instance) == INSTANCE_FINISHED
        return self._ledger.is_finished(run.instance)

    async def _entities(self, request: web.Request) -> web.Response:
        system, instance = needed(request, "systemID"), needed(request, "instanceID")
        run = self._ledger.run(instance)
        if run is None or run.system != system:
            raise Refused(f"no instance {instance} in system {system}")
        return json(
            [
                {"instanceId": unit.instance, "branch": unit.branch, "forking": forking}
                for unit, forking in self.impacted(run)
            ]
        )


def _as_unit(run: Run, reader: Run) -> Unit | None:
    """Return the unit that is replayed when `run` changes a row that `reader` read; None: on a branch of no concern."""
    if run.branch in (MASTER, reader.branch):
        return Unit(reader.instance, reader.branch)
    return Unit(reader.instance, run.branch) if reader.branch == MASTER else None

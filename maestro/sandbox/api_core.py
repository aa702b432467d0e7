"""API core: which systems are installed, where their domain is, what became of each process instance, and the maps."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web
from tinydb import where
from tinydb.queries import QueryInstance

from maestro.sandbox.entities import EntityDB, entity
from maestro.sandbox.installed import PROCESSES
from maestro.sandbox.traits import Traits
from maestro.sandbox.web import Address, Refused, Service, body_of, json, needed
from maestro.statuses import INSTANCE_FINISHED

#: Seconds before a status is set, within which a look counts as a look before it.
_JUST_BEFORE: Final = 0.5


class ApiCore(Service):
    """Keeps instances, branches and maps as documents in memory; systems and operations are what is installed."""

    def __init__(self, systems: Sequence[str], traits: Traits) -> None:
        super().__init__()
        self.systems = tuple(systems)
        #: Where every system's domain is; known once that service listens.
        self.domain = Address("127.0.0.1", 0)
        self._traits = traits
        entities = EntityDB()
        self._instances = entities.table("processInstance")
        self._branches = entities.table("branch")
        #: With `usable_from`: the moment (monotonic seconds) from which the system's domain knows the map.
        self._maps = entities.table("map")
        #: Instances whose `finished` is being set at this moment, and those that got two rows by that.
        self._finishing: set[str] = set()
        self.unchangeable: set[str] = set()
        #: When an instance was asked for last (monotonic seconds).
        self._looked: dict[str, float] = {}

    def register(self, instance: str, event: dict[str, Any], branch: str, *, is_fork: bool, started: float) -> None:
        """A process instance begins, at that moment (seconds since the epoch)."""
        fields = {
            "id": instance,
            "systemId": event["systemId"],
            "processName": event["name"],
            "isFork": is_fork,
            "status": "running",
            "branch": branch,
            "scope": event.get("scope") or "execution",
            "tag": event.get("tag", ""),
            "startedAt": started,
        }
        self._instances.upsert(entity(instance, fields))

    def set_status(self, instance: str, status: str) -> None:
        """Set an instance's status at once; of an unknown one nothing."""
        if self._instances.by_id(instance) is not None:
            self._instances.change(instance, {"status": status})

    async def change_status(self, instance: str, status: str) -> None:
        """Set an instance's status, which takes a moment. Two `finished` that meet in it make it unchangeable.

        Not where the instance was asked for just before: who looks first and sets then was never seen to meet another.

        Raises:
            Refused: it is unknown, or unchangeable.
        """
        if self._instances.by_id(instance) is None:
            raise Refused(f"no process instance {instance}")
        if instance in self.unchangeable:
            raise Refused("Multiple rows were found for one()")
        if status != INSTANCE_FINISHED or self.status(instance) == INSTANCE_FINISHED:
            self.set_status(instance, status)
        elif instance in self._finishing:
            if time.monotonic() - self._looked.get(instance, float("-inf")) > _JUST_BEFORE:
                self.unchangeable.add(instance)
        else:
            self._finishing.add(instance)
            if self._traits.finished_window:
                await asyncio.sleep(self._traits.finished_window)
            self._finishing.discard(instance)
            if instance not in self.unchangeable:
                self.set_status(instance, status)

    def status(self, instance: str) -> str:
        """Return an instance's status; empty when there is no such instance."""
        found = self._instances.by_id(instance)
        return "" if found is None else str(found["status"])

    def is_open(self, system: str, branch: str) -> bool:
        """Whether a branch is open."""
        return not self._branches.contains(_named(system, branch) & (where("status") == "closed"))

    def set_branch(self, system: str, branch: str, status: str) -> None:
        """Open or close a branch."""
        self._branches.upsert({"systemId": system, "name": branch, "status": status}, _named(system, branch))

    def knows_map(self, system: str, name: str) -> bool:
        """Whether a system's domain knows a map by now."""
        return self._maps.contains(_named(system, name) & (where("usable_from") <= time.monotonic()))

    def _add_map(self, system: str, name: str) -> None:
        if not self._maps.contains(_named(system, name)):
            usable_from = time.monotonic() + self._traits.map_usable_after
            self._maps.insert({"systemId": system, "name": name, "usable_from": usable_from})

    def app(self) -> web.Application:
        """Return the HTTP service."""
        return self.new_app(
            web.get("/core/system", self._get_systems),
            web.get("/core/installedApp", self._get_installed_app),
            web.get("/core/processInstance", self._get_instances),
            web.get("/core/operation", self._get_operations),
            web.post("/core/persist", self._persist),
        )

    async def _get_systems(self, _request: web.Request) -> web.Response:
        return json([{"id": system, "name": system} for system in self.systems])

    async def _get_installed_app(self, request: web.Request) -> web.Response:
        system = needed(request, "systemId")
        if system not in self.systems or request.query.get("type") != "domain":
            return json([])
        app = {"id": f"{system}-domain", "systemId": system, "type": "domain"}
        return json([{**app, "host": self.domain.host, "port": self.domain.port}])

    async def _get_instances(self, request: web.Request) -> web.Response:
        match request.query.get("filter"):
            case "byId":
                identity = needed(request, "id")
                if "," in identity:
                    raise Refused(f"{identity!r} is no id")
                self._looked[identity] = time.monotonic()
                found = self._instances.by_id(identity)
                return json([] if found is None else [found])
            case "executedAfter":
                since = float(request.query.get("date") or 0)
                needed(request, "instanceId")
                since_then = (where("systemId") == needed(request, "systemId")) & (where("startedAt") >= since)
                return json(self._instances.search(since_then))
            case "bySystemIdOrdered":
                page, size = (int(needed(request, name)) for name in ("page", "page_size"))
                of_system = self._instances.search(where("systemId") == needed(request, "systemId"))
                ordered = sorted(of_system, key=lambda one: float(one["startedAt"]))
                return json(ordered[(page - 1) * size : page * size])
            case _:
                # Not an error: a misspelt filter gets everything.
                return json(self._instances.all())

    async def _get_operations(self, request: web.Request) -> web.Response:
        if request.query.get("filter") != "byEventAndVersion":
            raise Refused(f"no filter {request.query.get('filter')!r}")
        process = PROCESSES.get(needed(request, "event"))
        if process is None:
            return json([])
        done = process.name.rpartition(".")[0] + ".done"
        shown = {"name": process.name, "event_in": process.name, "event_out": done, "version": "1"}
        return json([{**shown, "image": process.image, "reprocessable": process.reprocessable}])

    async def _persist(self, request: web.Request) -> web.Response:
        answer = []
        for item in await body_of(request):
            match item["_metadata"]["type"]:
                case "processInstance":
                    await self.change_status(item["id"], item["status"])
                case "map":
                    self._add_map(item["systemId"], item["name"])
                case "branch":
                    self.set_branch(item["systemId"], item["name"], item["status"])
                case other:
                    raise Refused(f"nothing of type {other} is kept here")
            # Columns that were not named are shown as null, though they keep their values.
            answer.append({**dict.fromkeys(("systemId", "processName", "isFork", "status")), **item})
        return json(answer)


def _named(system: str, name: str) -> QueryInstance:
    query: QueryInstance = (where("systemId") == system) & (where("name") == name)
    return query

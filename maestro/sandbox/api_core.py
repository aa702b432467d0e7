"""API core: which systems are installed, where their domain is, and what became of each process instance."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from maestro.sandbox.web import Address, body_of, json, needed, new_app, refused


class ApiCore:
    """Keeps systems and instances in memory."""

    def __init__(self, systems: Sequence[str]) -> None:
        self.systems = tuple(systems)
        #: Where every system's domain is; known once that service listens.
        self.domain = Address("127.0.0.1", 0)
        self._instances: dict[str, dict[str, Any]] = {}

    def register(self, instance: str, system: str, process: str, *, is_fork: bool) -> None:
        """A process instance begins."""
        self._instances[instance] = {
            "id": instance,
            "systemId": system,
            "processName": process,
            "isFork": is_fork,
            "status": "running",
        }

    def set_status(self, instance: str, status: str) -> bool:
        """Set an instance's status; False when there is no such instance."""
        if instance not in self._instances:
            return False
        self._instances[instance]["status"] = status
        return True

    def status(self, instance: str) -> str:
        """Return an instance's status; empty when there is no such instance."""
        return str(self._instances.get(instance, {}).get("status", ""))

    def app(self) -> web.Application:
        """Return the HTTP service."""
        return new_app(
            web.get("/core/system", self._get_systems),
            web.get("/core/installedApp", self._get_installed_app),
            web.get("/core/processInstance", self._get_instance),
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

    async def _get_instance(self, request: web.Request) -> web.Response:
        instance = self._instances.get(needed(request, "id"))
        return json([] if instance is None else [instance])

    async def _persist(self, request: web.Request) -> web.Response:
        for item in await body_of(request):
            if item["_metadata"]["type"] != "processInstance" or not self.set_status(item["id"], item["status"]):
                return refused(400, f"no process instance {item.get('id')}")
        return json({"message": "OK"})

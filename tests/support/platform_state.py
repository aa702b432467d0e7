"""What the platform around Maestro knows and did: the programmable half of `siblings`, without its server."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

HOST: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it arrived."""

    service: str
    name: str
    method: str
    #: Decoded.
    path: str
    query: dict[str, str]
    body: bytes
    #: Seconds of the event loop's clock.
    at: float
    #: The instance in the path, or in the query; empty for calls without one.
    instance_id: str

    def json(self) -> Any:
        """Return the decoded body."""
        return orjson.loads(self.body)


class PlatformState:
    """The platform's data. A method `_<call>` is that call's effect and answer."""

    def __init__(self, systems: Sequence[str]) -> None:
        self.systems: list[str] = list(systems)
        #: What Discovery answers, by instance; one not listed impacts nothing.
        self.impacts: dict[str, list[dict[str, Any]]] = {}
        #: Origin events by instance; None: unknown instance; one not listed gets a plausible event.
        self.origins: dict[str, dict[str, Any] | None] = {}
        self.forks: set[str] = set()
        #: What Domain says that an instance's commit would write.
        self.entities: dict[str, list[dict[str, Any]]] = {}
        #: (host, port) of a system's domain; default: this very server.
        self.domains: dict[str, tuple[str, int]] = {}
        #: Instances committed, in order.
        self.commits: list[str] = []
        self.statuses: dict[str, str] = {}
        #: Seconds between an instance's commit and its status `finished`, as the Event Manager sets it; None: never.
        self.finishes: Callable[[str], float | None] = lambda _instance: 0.0
        self.documents: dict[str, dict[str, Any]] = {}
        #: Events that the Event Manager accepted, in order.
        self.events: list[dict[str, Any]] = []
        #: Where all of it is served, once it is.
        self.port: int = 0
        self._system_of: dict[str, str] = {}

    def answer(self, call: Call) -> Any:
        """Do what `call` asks and return the answer's JSON."""
        return getattr(self, f"_{call.name}")(call)

    def _impacted(self, call: Call) -> list[dict[str, Any]]:
        units = self.impacts.get(call.instance_id, [])
        for unit in units:
            self._system_of[unit["instanceId"]] = call.query.get("systemID", "")
        return units

    def _origin(self, call: Call) -> list[dict[str, Any]]:
        if call.instance_id in self.origins:
            event = self.origins[call.instance_id]
            return [] if event is None else [event]
        return [self.origin_of(call.instance_id)]

    def origin_of(self, instance_id: str) -> dict[str, Any]:
        """Return the plausible origin event of an instance that `origins` does not list."""
        system_id = self._system_of.get(instance_id) or (self.systems or ["sysA"])[0]
        return {
            "name": f"{system_id}.calculate.request", "systemId": system_id, "instanceId": instance_id,
            "tag": f"tag-{instance_id}", "branch": "master", "scope": "execution",
            "timestamp": "2018-07-20T15:08:41.884268", "payload": {"of": instance_id}, "version": "1",
            "image": "registry/calculate:1",
        }  # fmt: skip

    def _save_document(self, call: Call) -> dict[str, str]:
        document = call.json()
        self.documents[call.query.get("id") or document["id"]] = document
        return {"message": "OK"}

    def _find_documents(self, call: Call) -> list[dict[str, Any]]:
        return [
            document for document in self.documents.values()
            if all(str(document.get(key)) == value for key, value in call.query.items())
        ]  # fmt: skip

    def _systems(self, _: Call) -> list[dict[str, str]]:
        return [{"id": system_id, "name": f"name of {system_id}"} for system_id in self.systems]

    def _domain_address(self, call: Call) -> list[dict[str, Any]]:
        system_id = call.query.get("systemId", "")
        if system_id not in self.systems and system_id not in self.domains:
            return []
        host, port = self.domains.get(system_id, (HOST, self.port))
        return [{"id": f"app-{system_id}", "systemId": system_id, "host": host, "port": port, "type": "domain"}]

    def _is_fork(self, call: Call) -> list[dict[str, Any]]:
        status = self.statuses.get(call.instance_id, "running")
        return [{"id": call.instance_id, "isFork": call.instance_id in self.forks, "status": status}]

    def _set_instance_status(self, call: Call) -> list[dict[str, Any]]:
        changes: list[dict[str, Any]] = call.json()
        for change in changes:
            self.statuses[change["id"]] = change["status"]
        return changes

    def _commit(self, call: Call) -> dict[str, str]:
        self.commits.append(call.instance_id)
        seconds = self.finishes(call.instance_id)
        if seconds == 0.0:
            self.statuses[call.instance_id] = "finished"
        elif seconds is not None:
            change = {call.instance_id: "finished"}
            asyncio.get_running_loop().call_later(seconds, self.statuses.update, change)
        return {"message": "ok"}

    def _entities(self, call: Call) -> list[dict[str, Any]]:
        return self.entities.get(call.instance_id, [])

    def _send(self, call: Call) -> dict[str, str]:
        self.events.append(call.json())
        return {"message": "OK"}

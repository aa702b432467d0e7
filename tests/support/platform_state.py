"""What the platform around Maestro knows and did: the programmable half of `siblings`, without its server.

It behaves as the real services do where that does damage (contracts: How the real siblings behave): Domain creates
rows anew at each persist, the status `finished` comes by itself some time after the commit, POST of a document always
inserts. Tests about something else leave `entities` empty: such a commit creates no row.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
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
    #: Header `Branch`.
    branches: str = ""

    def json(self) -> Any:
        """Return the decoded body."""
        return orjson.loads(self.body)


class RefusedError(Exception):
    """A sibling says no: the status of its answer, and the message in it."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status

    @property
    def body(self) -> bytes:
        """The answer, as the platform's services word their errors."""
        return orjson.dumps({"status": str(self.status), "message": str(self)})


class PlatformState:
    """The platform's data. A method `_<call>` is that call's effect and answer."""

    def __init__(self, systems: Sequence[str]) -> None:
        self.systems: list[str] = list(systems)
        #: What Discovery answers, by instance; one not listed impacts nothing.
        self.impacts: dict[str, list[dict[str, Any]]] = {}
        #: Origin events by instance; None: unknown instance; one not listed gets a plausible event.
        self.origins: dict[str, dict[str, Any] | None] = {}
        self.forks: set[str] = set()
        #: What Domain says that an instance's commit would write; of those with `changeTrack` `create` each persist
        #: makes a row.
        self.entities: dict[str, list[dict[str, Any]]] = {}
        #: The same of every instance that `entities` does not list.
        self.default_entities: list[dict[str, Any]] = []
        #: (host, port) of a system's domain; default: this very server.
        self.domains: dict[str, tuple[str, int]] = {}
        #: Instances committed, in order.
        self.commits: list[str] = []
        self.statuses: dict[str, str] = {}
        #: Seconds after its commit until an instance is `finished`; a function of the instance may say so for each.
        #: None: the news is lost.
        self.finished_after: float | Callable[[str], float | None] | None = 0.0
        #: Instances that Discovery names and that are not finished; the others that it names are.
        self.running: set[str] = set()
        #: Instances that API core does not know.
        self.unknown: set[str] = set()
        #: Instances whose status cannot be set any more.
        self.unchangeable: set[str] = set()
        #: Operations, by the name of the event that starts them.
        self.operations: dict[str, list[dict[str, Any]]] = {}
        #: Rows that Domain holds, as it shows them through a map; `created` counts those of each instance.
        self.rows: list[dict[str, Any]] = []
        #: Maps by system, and seconds until a new one is usable.
        self.maps: dict[str, dict[str, float]] = defaultdict(dict)
        self.map_usable_after: float = 0.0
        #: What Process Memory keeps of an instance's computation: its dataset as computed, and as read. One not
        #: listed computed without a dataset.
        self.heads: dict[str, dict[str, Any]] = {}
        self.read: dict[str, dict[str, Any]] = {}
        self.documents: dict[str, dict[str, Any]] = {}
        #: How many documents of an id Process Memory holds: more than one is a fault of its caller.
        self.inserted: Counter[str] = Counter()
        #: Why an event is refused, by its name, and by system while that is locked.
        self.refused: dict[str, str] = {}
        #: Which generation the Event Manager is: that of 2018 drops unknown keys of `reprocessing`.
        self.event_manager: int = 2020
        #: Events that the Event Manager accepted, in order.
        self.events: list[dict[str, Any]] = []
        #: Where all of it is served, once it is.
        self.port: int = 0
        self._system_of: dict[str, str] = {}
        self._finished_at: dict[str, float] = {}

    @property
    def created(self) -> Counter[str]:
        """How many rows each instance created."""
        return Counter(row["_metadata"]["instance_id"] for row in self.rows)

    @property
    def doubled(self) -> list[str]:
        """Instances whose created rows were written more than once."""
        return sorted(
            instance for instance, count in self.created.items() if count > len(_creates(self._entities_of(instance)))
        )

    def status_of(self, instance_id: str) -> str:
        """Return an instance's status: what was set last, by us or by the Event Manager after the commit."""
        if monotonic() >= self._finished_at.get(instance_id, float("inf")):
            self.statuses[instance_id] = "finished"
            del self._finished_at[instance_id]
        named = instance_id in self._system_of and instance_id not in {*self.commits, *self.running}
        return self.statuses.get(instance_id, "finished" if named else "running")

    def answer(self, call: Call) -> Any:
        """Do what `call` asks and return the answer's JSON. Raises `RefusedError`."""
        return getattr(self, f"_{call.name}")(call)

    def _impacted(self, call: Call) -> list[dict[str, Any]]:
        """Name what the test says, but for what was committed here and is not finished: Discovery does not see it."""
        units = self.impacts.get(call.instance_id, [])
        for unit in units:
            self._system_of[unit["instanceId"]] = call.query.get("systemID", "")
        committed = set(self.commits)
        return [
            unit
            for unit in units
            if unit["instanceId"] not in committed or self.status_of(unit["instanceId"]) == "finished"
        ]

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

    def _save_document(self, call: Call) -> dict[str, Any]:
        document = call.json()
        identity = call.query.get("id") or document["id"]
        found = int(identity in self.documents)
        if call.method == "POST":
            self.inserted[identity] += 1
        elif not found:
            return {"result": {"n": 0, "nModified": 0, "ok": 1}}
        self.documents[identity] = document
        return {"result": {"n": 1, "nModified": found, "ok": 1}}

    def _head(self, call: Call) -> dict[str, Any]:
        return self.heads.get(call.instance_id, {})

    def _history(self, call: Call) -> list[dict[str, Any]]:
        kept = (book[call.instance_id] for book in (self.read, self.heads) if call.instance_id in book)
        return [*self._origin(call), *kept]

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
        if call.instance_id in self.unknown:
            return []
        status = self.status_of(call.instance_id)
        return [{"id": call.instance_id, "isFork": call.instance_id in self.forks, "status": status}]

    def _set_instance_status(self, call: Call) -> list[dict[str, Any]]:
        changes: list[dict[str, Any]] = call.json()
        for change in changes:
            if change["_metadata"]["type"] == "map":
                self.maps[change["systemId"]].setdefault(change["name"], monotonic() + self.map_usable_after)
            elif change["id"] in self.unknown:
                raise RefusedError(f"no process instance {change['id']}")
            elif change["id"] in self.unchangeable:
                raise RefusedError("Multiple rows were found for one()")
            else:
                self.statuses[change["id"]] = change["status"]
                if change["status"] == "finished":
                    self._finished_at.pop(change["id"], None)
        return changes

    def _operation(self, call: Call) -> list[dict[str, Any]]:
        return self.operations.get(call.query.get("event", ""), [])

    def _commit(self, call: Call) -> dict[str, str]:
        instance = call.instance_id
        self.commits.append(instance)
        self.rows += [_stored(row, instance) for row in _creates(self._entities_of(instance))]
        delay = self.finished_after(instance) if callable(self.finished_after) else self.finished_after
        if delay is not None:
            self._finished_at[instance] = monotonic() + delay
        return {"message": "ok"}

    def _mapped(self, call: Call) -> list[dict[str, Any]]:
        """Rows of an instance through a map; Domain's address tells the system, which is not told apart here."""
        _, name, type_ = call.path.split("/")
        usable = [maps[name] for maps in self.maps.values() if name in maps]
        if not usable or min(usable) > monotonic() or call.query.get("filter") != "byInstance":
            raise RefusedError(f"no map {name} with a filter {call.query.get('filter')}")
        branches = None if call.branches == "all" else ("master",)
        return [
            row for row in self.rows
            if row["_metadata"]["instance_id"] == call.query.get("instance") and row["_metadata"]["type"] == type_
            and (branches is None or row["_metadata"].get("branch", "master") in branches)
        ]  # fmt: skip

    def _entities(self, call: Call) -> list[dict[str, Any]]:
        return self._entities_of(call.instance_id)

    def _entities_of(self, instance_id: str) -> list[dict[str, Any]]:
        return self.entities.get(instance_id, self.default_entities)

    def _send(self, call: Call) -> dict[str, str]:
        event = call.json()
        reason = self.refused.get(event.get("name", "")) or (
            self.refused.get(event.get("systemId", "")) if event.get("scope") != "reprocessing" else None
        )
        if reason:
            raise RefusedError(reason)
        if self.event_manager == 2018 and "reprocessing" in event:
            known = ("id", "instance_id", "system_id", "image")
            event["reprocessing"] = {key: value for key, value in event["reprocessing"].items() if key in known}
        self.events.append(event)
        return {"message": "OK"}


def _creates(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row.get("_metadata", {}).get("changeTrack") == "create"]


def _stored(row: dict[str, Any], instance: str) -> dict[str, Any]:
    """Return a row as Domain keeps it: with the instance that wrote it."""
    kept = {key: value for key, value in row["_metadata"].items() if key != "changeTrack"}
    return {**row, "_metadata": {**kept, "instance_id": instance}}

"""API core: what is installed, and the state of process instances."""

import re
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final

import msgspec
import orjson

from maestro.platform.errors import RefusalError, WrongShapeError
from maestro.platform.target import address
from maestro.platform.transport import CallName, Transport, nothing

_SYSTEMS: Final = CallName("apicore", "systems")
_DOMAIN_ADDRESS: Final = CallName("apicore", "domain_address")
_INSTANCE: Final = CallName("apicore", "instance")
_STARTS_OPERATION: Final = CallName("apicore", "starts_operation")
_SET_STATUS: Final = CallName("apicore", "set_instance_status")
_REGISTER_MAP: Final = CallName("apicore", "register_map")
#: Name of the maps of ours, and where Domain serves what they find.
MAP: Final = "maestro"
_HIGHEST_PORT: Final = 65535
#: A name or an address; nothing that would make another URL of the one it is put into.
_HOST: Final = re.compile(r"[^\s\x00-\x20/@?#\\\[\]]+")


@dataclass(frozen=True, slots=True)
class DomainAddress:
    """Where a system's domain service is, as API core says."""

    host: str
    port: int


class _System(msgspec.Struct):
    id: str


class _App(msgspec.Struct):
    host: str
    port: int | str


class _Instance(msgspec.Struct, rename="camel"):
    # Absent or null: an instance from before there were forks. An admin is asked, which is the safe side.
    is_fork: bool | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True)
class ProcessInstance:
    """A process instance as API core knows it: whether it opens a branch, and its status text."""

    is_fork: bool
    status: str


_SYSTEM_LIST: Final = msgspec.json.Decoder(list[_System])
_APP_LIST: Final = msgspec.json.Decoder(list[_App])
_INSTANCE_LIST: Final = msgspec.json.Decoder(list[_Instance])
_ANYTHING: Final = msgspec.json.Decoder(list[msgspec.Raw])


class ApiCore:
    """Client of API core, at `base` (scheme, host and port)."""

    def __init__(self, transport: Transport, base: str) -> None:
        self._transport = transport
        self._systems = address(base, "/core/system").asking(filter="")
        self._apps = address(base, "/core/installedApp")
        self._instances = address(base, "/core/processInstance")
        self._operations = address(base, "/core/operation")
        self._persist = address(base, "/core/persist")

    def systems(self, *, tries: int | None = None) -> Awaitable[tuple[str, ...]]:
        """Return the ids of the installed systems. `tries` replaces the setting.

        Raises:
            SiblingUnreachable: no usable answer.
            SiblingRefused: API core answered 4xx.
        """
        return self._transport.call(_SYSTEMS, "GET", self._systems, _system_ids, tries=tries)

    def domain_address(self, system_id: str, *, tries: int | None = None) -> Awaitable[DomainAddress]:
        """Return where the system's domain service is.

        Raises:
            SiblingUnreachable: no usable answer.
            SiblingRefused: API core answered 4xx, or knows no domain of that system.
        """
        target = self._apps.asking(filter="bySystemIdAndType", systemId=system_id, type="domain")
        return self._transport.call(_DOMAIN_ADDRESS, "GET", target, _address, tries=tries)

    def instance(self, instance_id: str, *, tries: int | None = None) -> Awaitable[ProcessInstance | None]:
        """Return what API core knows of the instance; None when it knows none of that id. `tries` replaces the setting.

        Raises:
            SiblingUnreachable: no usable answer.
            SiblingRefused: API core answered 4xx.
        """
        target = self._instances.asking(filter="byId", id=instance_id)
        return self._transport.call(_INSTANCE, "GET", target, _process_instance, tries=tries)

    def register_map(self, system_id: str, type_: str) -> Awaitable[None]:
        """Register the map by which Domain finds the rows of a type that an instance wrote. One try.

        It is usable some seconds later; registered twice it would be two.

        Raises:
            SiblingUnreachable: no usable answer; it may be registered all the same.
            SiblingRefused: API core answered 4xx.
        """
        new = {"_metadata": {"type": "map", "changeTrack": "create"}, "name": MAP, "systemId": system_id}
        body = orjson.dumps([new | {"version": "1", "content": _map_of(type_)}])
        return self._transport.call(_REGISTER_MAP, "POST", self._persist, nothing, body=body, tries=1)

    def starts_operation(self, event: str, version: str) -> Awaitable[bool]:
        """Return whether an event starts an operation.

        Raises:
            SiblingUnreachable: no usable answer.
            SiblingRefused: API core answered 4xx.
        """
        target = self._operations.asking(filter="byEventAndVersion", event=event, version=version)
        return self._transport.call(_STARTS_OPERATION, "GET", target, _is_any)

    def set_instance_status(self, instance_id: str, status: str, *, tries: int | None = None) -> Awaitable[None]:
        """Set the instance's status text. `tries` replaces the setting.

        What API core answers is not read: it shows columns that were not named as null.

        Raises:
            SiblingUnreachable: no usable answer; it may be set all the same.
            SiblingRefused: API core answered 4xx: a trouble of its own, or it knows no such instance.
        """
        change = {"_metadata": {"type": "processInstance", "changeTrack": "update"}, "id": instance_id}
        body = orjson.dumps([change | {"status": status}])
        return self._transport.call(_SET_STATUS, "POST", self._persist, nothing, body=body, tries=tries)


def _map_of(type_: str) -> str:
    """Return the map that finds rows of a type by the instance that wrote them, as YAML."""
    return f"""{type_}:
  model: {type_}
  fields: {{}}
  filters:
    byInstance: "meta_instance_id = :instance"
"""


def _system_ids(answer: bytes) -> tuple[str, ...]:
    return tuple(system.id for system in _SYSTEM_LIST.decode(answer))


def _address(answer: bytes) -> DomainAddress:
    apps = _APP_LIST.decode(answer)
    if not apps:
        raise RefusalError("no domain is installed for this system")
    host, port = apps[0].host, str(apps[0].port)
    if not _HOST.fullmatch(host) or not (port.isascii() and port.isdigit() and 0 < int(port) <= _HIGHEST_PORT):
        raise WrongShapeError(f"no address of a domain: host {host[:80]!r}, port {port[:20]!r}")
    return DomainAddress(host, int(port))


def _process_instance(answer: bytes) -> ProcessInstance | None:
    instances = _INSTANCE_LIST.decode(answer)
    return ProcessInstance(bool(instances[0].is_fork), instances[0].status or "") if instances else None


def _is_any(answer: bytes) -> bool:
    return bool(_ANYTHING.decode(answer))

"""The messages between main, supervisor and shells: what is about lives. Commands are imperative, facts past tense.

thespian carries them. All of them get lost, doubled and reordered on the way; each is repeated by its sender until its
answer is there. What services themselves exchange travels over `maestro.links`.
"""

from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from maestro.settings.model import Settings
from maestro.telemetry.metrics import Snapshot

#: Where an actor is: opaque. Compare with `==`, never by its text.
Address = object


class Role(StrEnum):
    """What an actor is for."""

    INGRESS = "ingress"
    CASCADE = "cascade"
    SYSTEM = "system"


class Factories(Struct, frozen=True):
    """Where the services come from: "module:Class" for each role."""

    ingress: str = "maestro.ingress.service:IngressService"
    cascade: str = "maestro.cascade.service:CascadeService"
    system: str = "maestro.system.service:SystemService"

    def of(self, role: Role) -> str:
        """Return the factory of that role's service."""
        return {Role.INGRESS: self.ingress, Role.CASCADE: self.cascade, Role.SYSTEM: self.system}[role]


# --- main and host ----------------------------------------------------------------------------------------------


class HostOrder(Struct, frozen=True):
    """Start the actor system of `run_id` and write a `HostReport` to the file `report`."""

    run_id: str
    key: bytes
    settings: Settings
    factories: Factories
    main_pid: int
    report: Path
    log_file: Path


class HostReport(Struct, frozen=True):
    """What was started: pids, and the supervisor's port."""

    admin_pid: int
    supervisor_pid: int
    supervisor_port: int


# --- main, ingress and supervisor -----------------------------------------------------------------------------


class Oversee(Struct, frozen=True):
    """Start work as the supervisor of this run: create ingress and cascade. Answered by `Overseeing`."""

    run_id: str
    settings: Settings
    factories: Factories
    main_pid: int


class Overseeing(Struct, frozen=True):
    """The supervisor of `run_id` is at work."""

    run_id: str
    pid: int


class Replace(Struct, frozen=True):
    """Kill this life of a system's actor, which no longer answers, and start another."""

    system_id: str
    epoch: int


class GetDirectory(Struct, frozen=True):
    """Serve each system of `install`, and answer the directory; also a sign of life, both ways.

    One message at a time: thespian takes hundreds of small ones to one receiver badly.
    """

    #: The version the asker has; what has not changed since is left out.
    version: int
    install: tuple[str, ...]
    #: Passivated systems that somebody has a question for. Repeated until each has a session.
    wake: tuple[str, ...] = ()
    #: Systems that are to be stopped, and not to be served any more. Repeated until the answer says so of each.
    release: tuple[str, ...] = ()


class Entry(Struct, frozen=True):
    """One actor: `system_id` is empty for ingress and cascade; `address` is None while it is not running."""

    role: Role
    system_id: str
    address: Address | None
    epoch: int
    pid: int
    state: str
    #: What keeps its service from its work, as far as it has said; empty: nothing.
    problem: str = ""
    #: Times it was created again.
    restarts: int = 0
    #: When its process started, in clock ticks since boot.
    started: int = 0


class Directory(Struct, frozen=True):
    """The actors that have changed since the version that the asker has.

    `snapshots`: what ingress and cascade measured, by role, as far as they have told. `released`: the systems that were
    to be stopped and that have no process, whatever was asked before.
    """

    run_id: str
    version: int
    entries: tuple[Entry, ...]
    snapshots: tuple[tuple[Role, Snapshot], ...] = ()
    released: tuple[str, ...] = ()


class Wake(Struct, frozen=True):
    """Have an actor again for each of these systems that is passivated: ingress has an event for it.

    Repeated until it has a session.
    """

    system_ids: tuple[str, ...]


class StopServices(Struct, frozen=True):
    """Stop ingress, then the systems, then cascade, each in good order. Answered by `ServicesStopped`."""


class ServicesStopped(Struct, frozen=True):
    """No service runs any more; `unclean` names those that did not stop in time and were killed."""

    unclean: tuple[str, ...]


# --- supervisor and shells ------------------------------------------------------------------------------------


class StartService(Struct, frozen=True):
    """Build the service and start it. Repeated until `ServiceStarted`."""

    factory: str
    role: Role
    system_id: str
    epoch: int
    settings: Settings
    main_pid: int


class ServiceStarted(Struct, frozen=True):
    """The service of `epoch` is started. `problem` says what keeps it from its work; empty: nothing."""

    epoch: int
    pid: int
    problem: str


class StopService(Struct, frozen=True):
    """Stop the service in good order. Repeated until `ServiceStopped`."""

    epoch: int


class ServiceStopped(Struct, frozen=True):
    """The service of `epoch` is stopped."""

    epoch: int


class Ping(Struct, frozen=True):
    """Are both threads of the actor alive?"""

    epoch: int


class Pong(Struct, frozen=True):
    """They are: this passed through both. `problem` says what keeps the service from its work; empty: nothing.

    `snapshot` is what ingress or cascade measured.
    """

    epoch: int
    problem: str
    snapshot: Snapshot | None = None

"""The supervisor's directory as the main process saw it last: which actors there are, and how each of them is."""

from collections.abc import Mapping

from maestro.actors.child import WAKING, State
from maestro.actors.messages import Directory, Entry, Role
from maestro.telemetry.metrics import ActorState, Snapshot


class DirectoryView:
    """What one actor system's supervisor said; it tells what has changed since a version."""

    def __init__(self) -> None:
        self.version = 0
        #: All entries; another tuple once something has changed.
        self.entries: tuple[Entry, ...] = ()
        self._by_name: dict[tuple[Role, str], Entry] = {}
        self._snapshots: dict[Role, Snapshot] = {}

    def take(self, message: Directory) -> tuple[Entry, ...]:
        """Take in what the supervisor says; return the entries that are new or changed."""
        self._snapshots = dict(message.snapshots)
        if message.version <= self.version:
            return ()
        self.version = message.version
        for entry in message.entries:
            self._by_name[entry.role, entry.system_id] = entry
            if entry.state == State.RELEASED:
                del self._by_name[entry.role, entry.system_id]
        self.entries = tuple(self._by_name.values())
        return message.entries

    def of(self, role: Role, system_id: str = "") -> Entry | None:
        """Return the entry of a role, or of a system."""
        return self._by_name.get((role, system_id))

    @property
    def troubled(self) -> bool:
        """Whether a part has a problem."""
        return any(entry.problem for entry in self.entries)

    @property
    def roles_run(self) -> bool:
        """Whether ingress and cascade run."""
        found = (self.of(Role.INGRESS), self.of(Role.CASCADE))
        return all(entry is not None and entry.address is not None for entry in found)

    def passivated(self) -> int:
        """Return how many systems are passivated."""
        return sum(entry.state == State.PASSIVATED for entry in self.entries)

    def states(self) -> Mapping[str, str]:
        """Return the state of each part that is no system."""
        absent = dict.fromkeys((Role.INGRESS.value, Role.CASCADE.value), "absent")
        return absent | {entry.role.value: entry.state for entry in self.entries if entry.role is not Role.SYSTEM}

    def problems(self) -> Mapping[str, str]:
        """Return what is wrong, by part."""
        return {_part(entry): entry.problem for entry in self.entries if entry.problem}

    def actors(self) -> tuple[ActorState, ...]:
        """Return all actors, with what ingress and cascade measured; passivated systems have none."""
        return tuple(
            ActorState(
                entry.role.value, entry.system_id, entry.pid, entry.state == State.RUNNING, entry.restarts,
                None if entry.role is Role.SYSTEM else self._snapshots.get(entry.role),
            )
            for entry in self.entries
            if entry.state not in (State.PASSIVATED, WAKING)
        )  # fmt: skip


def _part(entry: Entry) -> str:
    return f"system {entry.system_id}" if entry.role is Role.SYSTEM else entry.role.value

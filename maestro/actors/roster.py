"""Who works in this run: the supervisor's knowledge and decisions, as a plain object.

Pure: events and the time go in, commands come out, and `maestro.actors.supervisor` runs them. A slot (ingress,
cascade, each system) is always on its way to having one living process:

    absent ──Create──> starting ──ServiceStarted──> running ──StopService──> stopping ──> stopped
      ^                   │                            │
      └──── pause ────────┴──── the process ended ─────┘       (silent too long, or Replace: Kill first)
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Final

from maestro.actors.messages import (
    Directory,
    Factories,
    Ping,
    Role,
    StartService,
    StopService,
    TellChanges,
)
from maestro.actors.processes import Process
from maestro.actors.slot import Key, Slot, State
from maestro.runtime.measures import Snapshot
from maestro.runtime.service import Address, Attach, Detach
from maestro.settings import Settings

#: Seconds between two sends of what is not answered.
REPEAT: Final = 1.0
#: Seconds from an answer to the next question whether ingress or cascade is well, at most a quarter of what they may be
#: silent; asked with the next tick.
PING: Final = 1.5
#: Seconds from its creation in which a system with a problem is asked that often, too: as a rule it waits for the broker
#: to say whose the events are.
_NEW: Final = 15.0
#: Seconds until the next tick: while something is on its way, and else, at most an eighth of what one may be silent.
_MOVING: Final = 0.2
_RESTING: Final = 2.0
#: Seconds until a fork that failed is tried again.
_FORK_PAUSE: Final = 5.0
#: The stages of an orderly stop, and the seconds each gets before what is left of it is killed.
STAGES: Final = {Role.INGRESS: 2.0, Role.SYSTEM: 5.2, Role.CASCADE: 1.0}
#: Seconds between two ticks after which it is we who were frozen, and no silence before counts: at most half of what
#: one may be silent.
_FROZEN: Final = 4.0
#: Actors that start side by side: the next is forked once one of them is up, so that the supervisor goes on answering
#: while hundreds are started, and each gets its messages soon. One that takes longer than so many seconds is not waited
#: for.
SIDE_BY_SIDE: Final = 12
_SLOW: Final = 1.0


@dataclass(frozen=True, slots=True)
class Create:
    """Fork an actor for this slot, then report `Roster.created`."""

    key: Key


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL the process."""

    process: Process


@dataclass(frozen=True, slots=True)
class Tell:
    """Send a message."""

    address: Address
    message: object


Command = Create | Kill | Tell


class Roster:
    """The slots of one run.

    Args:
        epochs: yields a larger number each time.
        alive: whether a process still runs.
        beat: when the heart of a system's actor, of that epoch, last beat; 0: it has none that can be seen.
    """

    def __init__(
        self,
        run_id: str,
        settings: Settings,
        factories: Factories,
        main_pid: int,
        *,
        epochs: Callable[[], int],
        alive: Callable[[Process], bool],
        beat: Callable[[str, int], float] = lambda _system_id, _epoch: 0.0,
    ) -> None:
        self.run_id: Final = run_id
        self._settings = settings
        self._factories = factories
        self._main_pid = main_pid
        self._epochs = epochs
        self._alive = alive
        self._beat = beat
        self._looked = 0.0
        self._ticked = 0.0
        self._slots: dict[Key, Slot] = {}
        self._by_epoch: dict[int, Slot] = {}
        self._version = 1
        self._changes: Iterator[int] = count(1)
        self._stages: list[Role] | None = None
        self._stage_until = 0.0
        self.unclean: list[str] = []

    # --- what happens -----------------------------------------------------------------------------------------

    def open(self, now: float) -> list[Command]:
        """Create ingress and cascade."""
        self._add(Role.INGRESS, "", now)
        self._add(Role.CASCADE, "", now)
        return self._create_due(now)

    def install(self, system_ids: Iterable[str], now: float) -> list[Command]:
        """Have an actor for each system; those that have one keep it, and when everything is stopping none gets one."""
        for system_id in system_ids:
            if (Role.SYSTEM, system_id) not in self._slots and self._stages is None:
                self._add(Role.SYSTEM, system_id, now)
        return self._create_due(now)

    def created(self, key: Key, address: Address, process: Process, now: float) -> list[Command]:
        """The actor has been forked. `address` serves until its first message brings the real one."""
        slot = self._slots[key]
        slot.state, slot.address, slot.process = State.STARTING, address, process
        self._by_epoch.pop(slot.epoch, None)
        slot.epoch = self._epochs()
        self._by_epoch[slot.epoch] = slot
        slot.born = slot.heard = now
        slot.beat, slot.answered, slot.problem, slot.repeats = 0.0, False, "", 0
        slot.births += 1
        self._changed(slot)
        return [self._start(slot, now)]

    def not_created(self, key: Key, now: float) -> None:
        """The fork failed: the machine is short of something, so the next try takes its time."""
        self._slots[key].restart_at = now + _FORK_PAUSE

    def started(self, epoch: int, address: Address, now: float, problem: str = "") -> list[Command]:
        """The service of `epoch` is up: ingress and cascade are told about a system, or all systems about them."""
        slot = self._of_epoch(epoch)
        if slot is None or slot.state is not State.STARTING:
            return []
        slot.state, slot.address, slot.heard, slot.problem = State.RUNNING, address, now, problem
        slot.answered = True
        self._changed(slot)
        return [*self._introduce(slot, now), *self._create_due(now)]

    def heard(self, epoch: int, now: float, problem: str | None = None) -> None:
        """A sign of life of both threads, and what the service says keeps it from its work."""
        slot = self._of_epoch(epoch)
        if slot is None:
            return
        slot.heard = now
        slot.answered = slot.answered or problem is not None
        if problem is not None and problem != slot.problem:
            slot.problem = problem
            self._changed(slot)

    def told(self, epoch: int, figures: Snapshot | None) -> None:
        """Keep what an actor measured, for whoever asks for the directory. It makes no new version of that."""
        slot = self._of_epoch(epoch)
        if slot is not None:
            slot.figures = figures

    def acknowledged(self, epoch: int, version: int, now: float) -> list[Command]:
        """Ingress or cascade has taken the changes up to that version; what has come up since goes next."""
        slot = self._of_epoch(epoch)
        if slot is None:
            return []
        slot.pending = {system: change for system, change in slot.pending.items() if change.version > version}
        slot.pushed = None
        return self._push(slot, now)

    def stopped(self, epoch: int, now: float) -> list[Command]:
        """The service of `epoch` has stopped in good order."""
        slot = self._of_epoch(epoch)
        if slot is None or slot.state is not State.STOPPING:
            return []
        slot.state = State.STOPPED
        return self._next_stage(now)

    def replace(self, system_id: str, epoch: int) -> list[Command]:
        """Kill that life of the system's actor; its end is noticed and it is created anew."""
        slot = self._slots.get((Role.SYSTEM, system_id))
        return [Kill(slot.process)] if slot is not None and slot.lives and slot.epoch == epoch else []

    def ended(self, now: float) -> list[Command]:
        """Some process may have ended: see which, and plan anew for its slot."""
        self._looked = now
        commands: list[Command] = []
        for slot in self._slots.values():
            if slot.lives and not self._alive(slot.process):
                commands += self._bury(slot, now)
        return commands + self._create_due(now)

    def tick(self, now: float) -> list[Command]:
        """Repeat what is unanswered, ping, kill what is silent, create what is due."""
        if now - self._ticked >= min(_FROZEN, self._settings.actors.replace_after / 2):
            for slot in self._slots.values():
                slot.heard = now
        self._ticked = now
        commands = self.ended(now) if now - self._looked >= REPEAT else self._create_due(now)
        for slot in self._slots.values():
            if slot.role is Role.SYSTEM and slot.lives:
                slot.beat = self._beat(slot.system_id, slot.epoch)
            commands += self._tend(slot, now)
        if self._stages is not None and now >= self._stage_until:
            commands += self._give_up_stage(now)
        return commands

    def stop(self, now: float) -> list[Command]:
        """Begin the orderly stop; `done` says when it is over."""
        if self._stages is not None:
            return []
        self._stages = list(STAGES)
        return self._open_stage(now)

    # --- what is the case -------------------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether an orderly stop is over."""
        return self._stages == []

    @property
    def pace(self) -> float:
        """Seconds until the next tick is worth its while."""
        resting = all(slot.state is State.RUNNING and slot.pushed is None for slot in self._slots.values())
        return min(_RESTING, self._settings.actors.replace_after / 8) if resting and self._stages is None else _MOVING

    def directory(self, known: int) -> Directory:
        """Return the directory: those entries that have changed since the version that the asker knows."""
        figures = tuple((slot.role, slot.figures) for slot in self._slots.values() if slot.figures is not None)
        changed = [slot for slot in self._slots.values() if slot.version > known] if known != self._version else []
        return Directory(self.run_id, self._version, tuple(slot.entry for slot in changed), figures)

    # --- steps ------------------------------------------------------------------------------------------------

    def _add(self, role: Role, system_id: str, now: float) -> None:
        slot = Slot(role, system_id, self._settings.actors.beat_fresh, restart_at=now)
        self._slots[slot.key] = slot
        self._changed(slot)

    def _changed(self, slot: Slot) -> None:
        self._version += 1
        slot.version = self._version

    def _create_due(self, now: float) -> list[Command]:
        if self._stages is not None:
            return []
        room = SIDE_BY_SIDE
        due: list[Slot] = []
        for slot in self._slots.values():
            if slot.state is State.ABSENT and now >= slot.restart_at:
                due.append(slot)
            elif slot.state is State.STARTING and now - slot.born < _SLOW:
                room -= 1
        return [Create(slot.key) for slot in due[: max(0, room)]]

    def _start(self, slot: Slot, now: float) -> Tell:
        slot.told = now
        factory = self._factories.of(slot.role)
        order = StartService(factory, slot.role, slot.system_id, slot.epoch, self._settings, self._main_pid)
        return Tell(slot.address, order)

    def _bury(self, slot: Slot, now: float) -> list[Command]:
        was_running = slot.state is State.RUNNING
        slot.restart_at = now + slot.backoff.after(now - slot.born)
        slot.address = None
        slot.pending = {}
        self._changed(slot)
        if self._stages is not None:
            slot.state = State.STOPPED
            return self._next_stage(now)
        slot.state = State.ABSENT
        if was_running and slot.role is Role.SYSTEM:
            return self._publish(Detach(next(self._changes), slot.system_id), now)
        return []

    def _tend(self, slot: Slot, now: float) -> list[Command]:
        match slot.state:
            case State.STARTING | State.RUNNING if slot.owing(now) >= self._settings.actors.replace_after:
                slot.heard = now  # once, not on each tick
                return [Kill(slot.process)]
            case State.STARTING if now - slot.told >= self._pause(slot):
                slot.repeats += 1
                return [self._start(slot, now), Tell(slot.address, Ping(slot.epoch))]
            case State.RUNNING:
                self._note_silence(slot, now)
                return [*self._ping(slot, now), *self._push(slot, now)]
            case State.STOPPING if now - slot.told >= REPEAT:
                slot.told = now
                return [Tell(slot.address, StopService(slot.epoch))]
        return []

    def _ping(self, slot: Slot, now: float) -> list[Command]:
        often = self._settings.actors.replace_after / 4
        if slot.role is not Role.SYSTEM or (slot.problem and now - slot.born < _NEW):
            often = min(PING, often)
        if now - slot.heard < max(often, slot.spared(now)) or now - slot.told < often:
            return []
        slot.told = now
        return [Tell(slot.address, Ping(slot.epoch))]

    def _pause(self, slot: Slot) -> float:
        """Return for how long to wait for a start: many that start together are slow, and repeats slow them more."""
        return min(REPEAT * 2.0**slot.repeats, self._settings.actors.replace_after / 4)

    def _note_silence(self, slot: Slot, now: float) -> None:
        if not slot.problem and slot.unseen(now) >= self._settings.actors.replace_after / 2:
            slot.problem = "it shows no sign of life"
            self._changed(slot)

    def _introduce(self, slot: Slot, now: float) -> list[Command]:
        """Tell ingress and cascade about a system that is up, or one of these about all systems that are."""
        if slot.role is Role.SYSTEM:
            return self._publish(Attach(next(self._changes), slot.system_id, slot.address, slot.epoch), now)
        slot.pending, slot.pushed = {}, None
        for system in self._running_systems():
            slot.pending[system.system_id] = Attach(next(self._changes), system.system_id, system.address, system.epoch)
        return self._push(slot, now)

    def _publish(self, change: Attach | Detach, now: float) -> list[Command]:
        commands: list[Command] = []
        for slot in self._subscribers():
            slot.pending[change.system_id] = change
            commands += self._push(slot, now)
        return commands

    def _push(self, slot: Slot, now: float) -> list[Command]:
        if not slot.pending or (slot.pushed is not None and now - slot.pushed < REPEAT):
            return []
        slot.pushed = now
        return [Tell(slot.address, TellChanges(tuple(slot.pending.values())))]

    def _open_stage(self, now: float) -> list[Command]:
        assert self._stages
        self._stage_until = now + STAGES[self._stages[0]]
        commands: list[Command] = []
        for slot in self._in_stage():
            if slot.state is State.ABSENT:
                slot.state = State.STOPPED
            elif slot.lives:
                slot.state, slot.told = State.STOPPING, now
                commands.append(Tell(slot.address, StopService(slot.epoch)))
        return commands or self._next_stage(now)

    def _next_stage(self, now: float) -> list[Command]:
        if not self._stages or any(slot.lives for slot in self._in_stage()):
            return []
        self._stages.pop(0)
        return self._open_stage(now) if self._stages else []

    def _give_up_stage(self, now: float) -> list[Command]:
        commands: list[Command] = []
        for slot in self._in_stage():
            if slot.lives:
                self.unclean.append(slot.system_id or slot.role.value)
                slot.state = State.STOPPED
                commands.append(Kill(slot.process))
        return commands + self._next_stage(now)

    def _in_stage(self) -> list[Slot]:
        return [slot for slot in self._slots.values() if self._stages and slot.role is self._stages[0]]

    def _subscribers(self) -> list[Slot]:
        return [slot for slot in self._slots.values() if slot.role is not Role.SYSTEM and slot.state is State.RUNNING]

    def _running_systems(self) -> list[Slot]:
        return [slot for slot in self._slots.values() if slot.role is Role.SYSTEM and slot.state is State.RUNNING]

    def _of_epoch(self, epoch: int) -> Slot | None:
        slot = self._by_epoch.get(epoch)
        return slot if slot is not None and slot.lives else None

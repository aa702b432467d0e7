"""Who works in this run: the supervisor's knowledge and decisions, as a plain object.

Pure: events and the time go in, commands come out, and `maestro.actors.supervisor` runs them. A child (ingress,
cascade, each system) is always on its way to having one living process:

    absent ──Create──> starting ──ServiceStarted──> running ──StopService──> stopping ──> stopped
      ^                   │                            │
      └──── pause ────────┴──── the process ended ─────┤       (silent too long, or Replace: Kill first)
      └──── wake ──── passivated <─── it ended at rest ┘

A system whose mark says that it is at rest has no process until somebody wants it awake. One that is released is
stopped in good order, without the others, and has no process until it is installed again.
"""

from collections.abc import Callable, Iterable
from typing import Final

from maestro.actors.child import Child, Key, State
from maestro.actors.messages import Address, Directory, Factories, Ping, Role, StartService, StopService
from maestro.actors.processes import NOBODY, Process
from maestro.actors.supervision_commands import Command, Create, Kill, Tell
from maestro.backoff import pause
from maestro.settings.model import Settings
from maestro.telemetry.metrics import Snapshot

#: Seconds between two sends of what is not answered.
REPEAT: Final = 1.0
#: Seconds from an answer to the next question whether ingress or cascade is well, at most a quarter of what they may be
#: silent; asked with the next tick.
PING: Final = 1.5
#: Seconds from its creation in which a child with a problem is asked more often: as a rule it waits for the broker to
#: say whose the events are. The pause is a quarter of its age, and at least this.
_NEW: Final = 15.0
_PING_NEW: Final = 0.25
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
#: Seconds after which one that starts is not waited for any more: only so many start side by side
#: (`actors.start_at_once`), so that the supervisor goes on answering while hundreds are started, and each gets its
#: messages soon.
_SLOW: Final = 1.0


class SupervisionPlan:
    """The children of one run.

    Args:
        epochs: yields a larger number each time.
        alive: whether a process still runs.
        beat: when the heart of a system's actor, of that epoch, last beat; 0: it has none that can be seen.
        rests: whether a system without a process is at rest (`maestro.store.rest_mark`).
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
        rests: Callable[[str], bool] = lambda _system_id: False,
    ) -> None:
        self.run_id: Final = run_id
        self._settings = settings
        self._factories = factories
        self._main_pid = main_pid
        self._epochs = epochs
        self._alive = alive
        self._beat = beat
        self._rests = rests
        self._looked = 0.0
        self._ticked = 0.0
        self._children: dict[Key, Child] = {}
        self._by_epoch: dict[int, Child] = {}
        self._version = 1
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
        """Have an actor for each system that is not at rest; those that have one keep it.

        When everything is stopping none gets one.
        """
        for system_id in system_ids:
            child = self._children.get((Role.SYSTEM, system_id))
            if (child is None or child.state is State.RELEASED) and self._stages is None:
                self._add(Role.SYSTEM, system_id, now)
        return self._create_due(now)

    def release(self, system_ids: Iterable[str], now: float) -> list[Command]:
        """Stop each of these systems in good order, and have no process for it any more; asked again, nothing happens.

        The directory says when it is released. What has not stopped in time is killed.
        """
        commands: list[Command] = []
        for system_id in system_ids:
            child = self._children.get((Role.SYSTEM, system_id))
            if child is None or child.release_until or self._stages is not None:
                continue
            child.release_until = now + STAGES[Role.SYSTEM]
            if child.lives:
                child.state, child.told = State.STOPPING, now
                commands.append(Tell(child.address, StopService(child.epoch)))
                self._changed(child)
            else:
                self._released(child)
        return commands

    def _released(self, child: Child) -> None:
        child.state, child.process, child.problem, child.address = State.RELEASED, NOBODY, "", None
        self._by_epoch.pop(child.epoch, None)
        self._changed(child)

    def wake(self, system_ids: Iterable[str], now: float) -> list[Command]:
        """Have an actor again for each of these systems that is passivated, or as soon as it is.

        One that runs and has left its mark is about to end; to others with a process nothing happens.
        """
        if self._stages is not None:
            return []
        commands: list[Command] = []
        for system_id in system_ids:
            child = self._children.get((Role.SYSTEM, system_id))
            if child is not None and child.lives and not self._alive(child.process):
                commands += self._bury(child, now)
            if child is not None and child.state is State.PASSIVATED:
                self._awaken(child, now)
            elif child is not None and child.state is State.RUNNING and self._rests(system_id):
                child.wanted = True
        return commands + self._create_due(now)

    def _awaken(self, child: Child, now: float) -> None:
        child.state, child.restart_at, child.waking = State.ABSENT, now, True
        child.wakes += child.births > 0
        self._changed(child)

    def created(self, key: Key, address: Address, process: Process, now: float) -> list[Command]:
        """The actor has been forked. `address` serves until its first message brings the real one."""
        child = self._children[key]
        child.state, child.address, child.process = State.STARTING, address, process
        self._by_epoch.pop(child.epoch, None)
        child.epoch = self._epochs()
        self._by_epoch[child.epoch] = child
        child.started_at = child.heard_at = now
        child.beat, child.answered, child.problem, child.repeats, child.wanted = 0.0, False, "", 0, False
        child.births += 1
        self._changed(child)
        return [self._start(child, now)]

    def not_created(self, key: Key, now: float) -> None:
        """The fork failed: the machine is short of something, so the next try takes its time."""
        self._children[key].restart_at = now + _FORK_PAUSE

    def started(self, epoch: int, address: Address, now: float, problem: str = "") -> list[Command]:
        """The service of `epoch` is up."""
        child = self._of_epoch(epoch)
        if child is None or child.state is not State.STARTING:
            return []
        child.state, child.address, child.heard_at, child.problem = State.RUNNING, address, now, problem
        child.answered, child.waking = True, False
        self._changed(child)
        return self._create_due(now)

    def heard_at(self, epoch: int, now: float, problem: str | None = None) -> None:
        """A sign of life of both threads, and what the service says keeps it from its work."""
        child = self._of_epoch(epoch)
        if child is None:
            return
        child.heard_at = now
        child.answered = child.answered or problem is not None
        if problem is not None and problem != child.problem:
            child.problem = problem
            self._changed(child)

    def told(self, epoch: int, snapshot: Snapshot | None) -> None:
        """Keep what an actor measured, for the next answer with the directory. That makes no new version of it."""
        child = self._of_epoch(epoch)
        if child is not None:
            child.snapshot = snapshot

    def stopped(self, epoch: int, now: float) -> list[Command]:
        """The service of `epoch` has stopped in good order."""
        child = self._of_epoch(epoch)
        if child is None or child.state is not State.STOPPING:
            return []
        if child.release_until and self._stages is None:
            return [Kill(child.process)]  # it has closed everything; its end is noticed
        child.state = State.STOPPED
        return self._next_stage(now)

    def replace(self, system_id: str, epoch: int) -> list[Command]:
        """Kill that life of the system's actor; its end is noticed and it is created again."""
        child = self._children.get((Role.SYSTEM, system_id))
        return [Kill(child.process)] if child is not None and child.lives and child.epoch == epoch else []

    def ended(self, now: float) -> list[Command]:
        """Some process may have ended: see which, and plan again for its child."""
        self._looked = now
        commands: list[Command] = []
        for child in self._children.values():
            if child.lives and not self._alive(child.process):
                commands += self._bury(child, now)
        return commands + self._create_due(now)

    def tick(self, now: float) -> list[Command]:
        """Repeat what is unanswered, ping, kill what is silent, create what is due."""
        if now - self._ticked >= min(_FROZEN, self._settings.actors.replace_after / 2):
            for child in self._children.values():
                child.heard_at = now
        self._ticked = now
        commands = self.ended(now) if now - self._looked >= REPEAT else self._create_due(now)
        for child in self._children.values():
            if child.lives:
                if child.release_until and now >= child.release_until:
                    commands.append(Kill(child.process))
                if child.role is Role.SYSTEM:
                    child.beat = self._beat(child.system_id, child.epoch)
                commands += self._tend(child, now)
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
        resting = all(
            child.state in (State.PASSIVATED, State.RELEASED) or (child.state is State.RUNNING and not child.problem)
            for child in self._children.values()
        )
        return min(_RESTING, self._settings.actors.replace_after / 8) if resting and self._stages is None else _MOVING

    def directory(self, known: int, releasing: Iterable[str] = ()) -> Directory:
        """Return the directory: those entries that have changed since the version that the asker knows.

        `releasing`: the systems that the asker wants to be released.
        """
        told = ((child.role, child.snapshot) for child in self._children.values())
        measured = tuple((role, snapshot) for role, snapshot in told if snapshot is not None)
        changed = (
            [child for child in self._children.values() if child.version > known] if known != self._version else []
        )
        released = tuple(filter(self._is_released, releasing))
        return Directory(self.run_id, self._version, tuple(child.entry for child in changed), measured, released)

    def _is_released(self, system_id: str) -> bool:
        child = self._children.get((Role.SYSTEM, system_id))
        return child is None or child.state is State.RELEASED

    # --- steps ------------------------------------------------------------------------------------------------

    def _add(self, role: Role, system_id: str, now: float) -> None:
        child = Child(role, system_id, self._settings.actors.beat_fresh, restart_at=now)
        if role is Role.SYSTEM and self._rests(system_id):
            child.state = State.PASSIVATED
        self._children[child.key] = child
        self._changed(child)

    def _changed(self, child: Child) -> None:
        self._version += 1
        child.version = self._version

    def _create_due(self, now: float) -> list[Command]:
        if self._stages is not None:
            return []
        room = self._settings.actors.start_at_once
        due: list[Child] = []
        for child in self._children.values():
            if child.state is State.ABSENT and now >= child.restart_at:
                due.append(child)
            elif child.state is State.STARTING and now - child.started_at < _SLOW:
                room -= 1
        return [Create(child.key) for child in due[: max(0, room)]]

    def _start(self, child: Child, now: float) -> Tell:
        child.told = now
        factory = self._factories.of(child.role)
        order = StartService(factory, child.role, child.system_id, child.epoch, self._settings, self._main_pid)
        return Tell(child.address, order)

    def _bury(self, child: Child, now: float) -> list[Command]:
        at_rest = child.role is Role.SYSTEM and child.state is State.RUNNING and self._rests(child.system_id)
        child.address = None
        self._changed(child)
        if self._stages is not None:
            child.state = State.STOPPED
            return self._next_stage(now)
        if child.release_until:
            self._released(child)
            return []
        if at_rest:
            child.state, child.process, child.problem = State.PASSIVATED, NOBODY, ""
            if child.wanted:
                self._awaken(child, now)
            return []
        child.restart_at = now + child.backoff.after(now - child.started_at)
        child.state, child.waking = State.ABSENT, False
        return []

    def _tend(self, child: Child, now: float) -> list[Command]:
        match child.state:
            case State.STARTING | State.RUNNING if child.owing(now) >= self._settings.actors.replace_after:
                child.heard_at = now  # once, not on each tick
                return [Kill(child.process)]
            case State.STARTING if now - child.told >= self._pause(child):
                child.repeats += 1
                return [self._start(child, now), Tell(child.address, Ping(child.epoch))]
            case State.RUNNING:
                self._note_silence(child, now)
                return self._ping(child, now)
            case State.STOPPING if now - child.told >= REPEAT:
                child.told = now
                return [Tell(child.address, StopService(child.epoch))]
        return []

    def _ping(self, child: Child, now: float) -> list[Command]:
        often = self._settings.actors.replace_after / 4
        if child.role is not Role.SYSTEM:
            often = min(PING, often)
        if child.problem and now - child.started_at < _NEW:
            often = min(PING, often, max(_PING_NEW, (now - child.started_at) / 4))
        if now - child.heard_at < max(often, child.spared(now)) or now - child.told < often:
            return []
        child.told = now
        return [Tell(child.address, Ping(child.epoch))]

    def _pause(self, child: Child) -> float:
        """Return for how long to wait for a start: many that start together are slow, and repeats slow them more."""
        return pause(child.repeats, REPEAT, self._settings.actors.replace_after / 4)

    def _note_silence(self, child: Child, now: float) -> None:
        if not child.problem and child.unseen(now) >= self._settings.actors.replace_after / 2:
            child.problem = "it shows no sign of life"
            self._changed(child)

    def _open_stage(self, now: float) -> list[Command]:
        assert self._stages
        self._stage_until = now + STAGES[self._stages[0]]
        commands: list[Command] = []
        for child in self._in_stage():
            if child.state in (State.ABSENT, State.PASSIVATED, State.RELEASED):
                child.state = State.STOPPED
            elif child.lives:
                child.state, child.told = State.STOPPING, now
                commands.append(Tell(child.address, StopService(child.epoch)))
        return commands or self._next_stage(now)

    def _next_stage(self, now: float) -> list[Command]:
        if not self._stages or any(child.lives for child in self._in_stage()):
            return []
        self._stages.pop(0)
        return self._open_stage(now) if self._stages else []

    def _give_up_stage(self, now: float) -> list[Command]:
        commands: list[Command] = []
        for child in self._in_stage():
            if child.lives:
                self.unclean.append(child.system_id or child.role.value)
                child.state = State.STOPPED
                commands.append(Kill(child.process))
        return commands + self._next_stage(now)

    def _in_stage(self) -> list[Child]:
        return [child for child in self._children.values() if self._stages and child.role is self._stages[0]]

    def _of_epoch(self, epoch: int) -> Child | None:
        child = self._by_epoch.get(epoch)
        return child if child is not None and child.lives else None

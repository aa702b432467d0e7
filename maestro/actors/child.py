"""One place of the plan: who fills it, where it is on its way, and what signs of life there are of it."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from maestro.actors.backoff import RestartBackoff
from maestro.actors.messages import Address, Entry, Role
from maestro.actors.processes import NOBODY, Process
from maestro.telemetry.metrics import Snapshot

#: Seconds between two questions to a system whose heart beats: for its actor's own thread, which has no heartbeat.
#: They are spread by up to as much again: systems start together.
PROBE: Final = 60.0


class State(StrEnum):
    """Where a child is on its way; see the diagram of `maestro.actors.supervision_plan`."""

    ABSENT = "absent"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    #: A system at rest: no process is wanted until somebody has something for it.
    PASSIVATED = "passivated"
    #: A system that this Maestro has let go: no process is wanted until it is installed again.
    RELEASED = "released"


#: The directory's word for a system that was passivated and is on its way to running again.
WAKING: Final = "waking"

Key = tuple[Role, str]


@dataclass(slots=True)
class Child:
    """One place to fill, and who fills it."""

    role: Role
    system_id: str
    #: How old its heartbeat may be, in seconds, to spare it the question.
    fresh: float
    state: State = State.ABSENT
    epoch: int = 0
    #: The version of the directory that first had it as it is.
    version: int = 0
    process: Process = NOBODY
    address: Address | None = None
    started_at: float = 0.0
    heard_at: float = 0.0
    #: When its heart last beat, where that can be seen.
    beat: float = 0.0
    told: float = 0.0
    #: It has said, with its start or an answer, what keeps it from its work.
    answered: bool = False
    problem: str = ""
    snapshot: Snapshot | None = None
    births: int = 0
    #: Births by which it was woken: they are no restarts.
    wakes: int = 0
    #: It was passivated, and has not come up since.
    waking: bool = False
    #: Somebody has something for it while its process, which has left its mark, is about to end.
    wanted: bool = False
    #: How often its order to start was repeated.
    repeats: int = 0
    restart_at: float = 0.0
    #: When what is left of one that is being released is killed; 0: it is not.
    release_until: float = 0.0
    backoff: RestartBackoff = field(default_factory=RestartBackoff)

    @property
    def key(self) -> Key:
        """The child's name."""
        return self.role, self.system_id

    @property
    def lives(self) -> bool:
        """Whether a process fills it, as far as is known."""
        return self.state in (State.STARTING, State.RUNNING, State.STOPPING)

    @property
    def entry(self) -> Entry:
        """What the directory says of it."""
        address = self.address if self.state is State.RUNNING else None
        state = WAKING if self.waking and self.state in (State.ABSENT, State.STARTING) else self.state.value
        return Entry(
            self.role, self.system_id, address, self.epoch, self.process.pid, state, self.problem,
            max(0, self.births - self.wakes - 1), self.process.started,
        )  # fmt: skip

    # --- signs of life, in seconds --------------------------------------------------------------------------------

    def is_beating(self, now: float) -> bool:
        """Whether its heart, if it has one that can be seen, beats."""
        return now - self.beat < self.fresh

    def unseen(self, now: float) -> float:
        """Return for how long it has shown no sign of life, neither answer nor heartbeat; 0 while its heart beats."""
        return 0.0 if self.is_beating(now) else now - max(self.heard_at, self.beat)

    def spared(self, now: float) -> float:
        """Return for how long after its last answer it need not be asked, since its heart beats."""
        if not self.answered or self.problem or not self.is_beating(now):
            return 0.0
        return PROBE + self.epoch % int(PROBE)

    def owing(self, now: float) -> float:
        """Return for how long it has owed a sign of life: where the heart beats, an answer of the actor's own thread.

        Negative: none is owed yet.
        """
        return now - self.heard_at - self.spared(now) if self.is_beating(now) else self.unseen(now)

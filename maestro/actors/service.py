"""What an actor expects of the service inside it.

A service holds the logic and lives on its own asyncio loop, in its own thread, where it reads and writes its links
itself; the actor around it (its shell, `base`) starts and stops it. Services know neither thespian nor
each other.
"""

from typing import Protocol

from maestro.telemetry.metrics import Snapshot


class Service(Protocol):
    """The logic inside an actor.

    It is built as `Factory(settings=..., epoch=...)`, a system's with `system_id=...` as well, and `tell=...`,
    which has `problem` known at once when it changed; ingress with `wake=...`, which has passivated systems woken. Both
    are called on its loop's thread. What it needs is imported before the fork (`preload`).
    """

    @property
    def problem(self) -> str:
        """What keeps the service from its work now, in words; empty: nothing. Read on the loop's thread."""

    def snapshot(self) -> Snapshot | None:
        """Return what the process measured, on the loop's thread; it goes to the supervisor with each sign of life.

        None for a system, which is asked with `Measure`.
        """

    async def start(self) -> None:
        """Get ready. When it raises, the actor's process ends and the supervisor starts a new one."""

    async def stop(self) -> None:
        """Finish what is in hand and close everything, its links last.

        A system has 5 s for it, ingress 2 s, cascade 1 s; then the process is killed.
        """

"""Commits that take long: Domain has no time limit, so what is not answered soon is said, counted and shown."""

import asyncio
import time

from maestro import logs
from maestro.rules.state import CommitUnderWay, System
from maestro.telemetry.definitions import LONG_COMMITS
from maestro.telemetry.metrics import MetricsRegistry

#: Seconds after which a commit takes long, and between two lines about the same one.
LONG = 30.0
SAID_EVERY = 600.0


class LongCommits:
    """Follows the commits of one system that are under way. Belongs to its event loop.

    One timer serves all: a timer for each commit would cost more than all else that is done about it here.
    """

    def __init__(self, system: System, registry: MetricsRegistry) -> None:
        self._under_way = system.commits_under_way
        self._registry = registry
        self._log = logs.get(system=system.id)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        #: When each long one is said next, by token.
        self._due: dict[int, float] = {}

    def begun(self, token: int, instance_id: str, kind: str) -> None:
        """A commit is called."""
        self._under_way[token] = CommitUnderWay(instance_id, kind, time.time())
        if self._timer is None:
            self._timer = self._loop.call_later(LONG, self._look)

    def ended(self, token: int) -> None:
        """Its call ended, however it did."""
        commit = self._under_way.pop(token)
        if token in self._due:
            del self._due[token]
            seconds = round(time.time() - commit.since, 1)
            self._log.warning("commit that took long ended", instance=commit.instance_id, kind=commit.kind,
                              duration=seconds)  # fmt: skip

    def close(self) -> None:
        """Stop following."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now, self._timer = time.time(), None
        for token, commit in self._under_way.items():
            if now < self._due.get(token, commit.since + LONG):
                continue
            if token not in self._due:
                self._registry.count(LONG_COMMITS)
            self._due[token] = now + SAID_EVERY
            self._log.warning("commit takes long", instance=commit.instance_id, kind=commit.kind,
                              duration=round(now - commit.since, 1))  # fmt: skip
        if self._under_way:
            next_at = min(self._due.get(token, commit.since + LONG) for token, commit in self._under_way.items())
            self._timer = self._loop.call_later(max(0.1, next_at - now), self._look)

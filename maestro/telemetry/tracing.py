"""The hooks that a system's service calls for traces. Without `trace.enabled` each hook costs one branch."""

from collections.abc import Sequence
from typing import Protocol

from maestro.rules.commands import Command
from maestro.rules.facts import Fact
from maestro.rules.state import System
from maestro.rules.step import Save
from maestro.settings.model import TraceSettings


class Call(Protocol):
    """One call to a sibling, under way."""

    def end(self, problem: str) -> None:
        """It ended; `problem` is empty when it did what was asked."""


class Trace(Protocol):
    """Follows one system's events and reprocessings. Called on the service's loop; it must not wait, nor raise."""

    def delivered(self, key: str, at: float) -> None:
        """Ingress got the event of `key` from the broker at `at` (seconds since the epoch). Told before it happens."""

    def happened(self, fact: Fact, saves: Sequence[Save]) -> None:
        """The rules took in a fact, and ordered these saves."""

    def call(self, command: Command) -> Call | None:
        """A command to a sibling begins; None when it belongs to nothing that is traced."""

    async def close(self) -> None:
        """End what is open and hand over what was gathered, within a second or so."""


def open_trace(settings: TraceSettings, system: System) -> Trace | None:
    """Return a system's trace; None when there is to be none."""
    if not settings.enabled:
        return None
    from maestro.telemetry.spans import Spans  # noqa: PLC0415 - an optional package, and not cheap to import

    return Spans(settings, system)

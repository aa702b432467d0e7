"""Names of exchanges, queues and keys, as the platform's contract fixes them, and nothing else."""

from dataclasses import dataclass
from typing import Final

from maestro.broker.base import Binding

PERSIST: Final = "persist"
PERSIST_ERROR: Final = "persist_error"
PUBLISH_ERROR: Final = "events.publish_error"
PUBLISH_ERROR_KEY: Final = "exception"
REPROCESSING: Final = "reprocessing"
REPROCESSING_EVENTS: Final = "reprocessing-events"

EXCHANGES: Final = (PERSIST, PERSIST_ERROR, PUBLISH_ERROR, REPROCESSING, REPROCESSING_EVENTS)
#: The Event Manager's exchange of all events, and the queue on which Maestro hears of ended processes.
EVENTS_PUBLISH: Final = "events.publish"
OUTCOMES: Final = "maestro.outcomes.queue"
#: The oldest are dropped when nobody hears them: they only hasten what is known otherwise.
_BOUNDED: Final = (("x-max-length", 100_000), ("x-overflow", "drop-head"))
OUTCOMES_BINDINGS: Final = tuple(
    Binding(EVENTS_PUBLISH, pattern, OUTCOMES, _BOUNDED, foreign=True) for pattern in ("#.finished.#", "#.exception.#")
)
#: Where, in a cluster, the node that hears outcomes passes on what is about other nodes' systems; each hears them on a
#: queue of its own. The key is the system's id; of an outcome that names no system this one.
OUTCOMES_PASSED: Final = "maestro.outcomes"
NO_SYSTEM: Final = "_"


def passed_outcomes_of(node: str) -> Binding:
    """Return the queue of one node; it goes when the node has been gone for ten minutes."""
    return Binding(OUTCOMES_PASSED, "#", f"maestro.outcomes.{node}.queue", (*_BOUNDED, ("x-expires", 600_000)))


#: Whose installation owns this vhost's events: one message (semantics: Who owns the broker's events).
OWNER: Final = "maestro.owner"
OWNER_BINDING: Final = Binding("", "", OWNER, (("x-single-active-consumer", True),))
#: Header of a message on an error queue: why it is there.
ERROR_HEADER: Final = "x-maestro-error"
#: Header of a message on an error queue whose commit is in doubt: the doubt's key.
DOUBT_HEADER: Final = "x-maestro-doubt"
#: Header of a message on an error queue: what it is chosen by.
ERROR_ID_HEADER: Final = "x-maestro-id"
#: Header of a message on an error queue: when it came there, in UTC.
FAILED_AT_HEADER: Final = "x-maestro-failed-at"
#: Header of a message that was given back from an error queue: by whom.
REDRIVE_HEADER: Final = "x-maestro-redrive"


@dataclass(frozen=True, slots=True)
class SystemQueues:
    """The queues and routing keys of one system."""

    system_id: str

    @property
    def persist(self) -> str:
        """Ingress: persist events from the platform."""
        return f"persist.{self.system_id}.queue"

    @property
    def persist_error(self) -> str:
        """Persist events that failed for good."""
        return f"persist.{self.system_id}.queue.error"

    @property
    def wait(self) -> str:
        """Persist events held while the system is not open."""
        return f"persist.{self.system_id}.wait.queue"

    @property
    def wait_key(self) -> str:
        """Routing key to the wait queue, on exchange `persist`."""
        return f"wait_{self.system_id}"

    @property
    def reprocessings(self) -> str:
        """Approved reprocessings, in line."""
        return f"reprocessing.{self.system_id}.queue"

    @property
    def reprocessings_error(self) -> str:
        """Reprocessing documents that failed."""
        return f"reprocessing.{self.system_id}.error.queue"

    @property
    def error_key(self) -> str:
        """Routing key to the failed documents, on exchange `reprocessing`."""
        return f"error_{self.system_id}"

    @property
    def events(self) -> str:
        """Events to replay."""
        return f"reprocessing.{self.system_id}.events.queue"

    @property
    def control(self) -> str:
        """One message for each replay not yet persisted."""
        return f"reprocessing.{self.system_id}.events.control.queue"

    @property
    def events_and_control_key(self) -> str:
        """Routing key that reaches the events queue and the control queue at once."""
        return f"{self.system_id}.control_{self.system_id}"

    def bindings(self) -> tuple[Binding, ...]:
        """Return everything to declare for the system."""
        return (*self.persist_bindings(), *self.reprocessing_bindings())

    def persist_bindings(self) -> tuple[Binding, ...]:
        """Return what ingress works with, the queue that it consumes first."""
        sid = self.system_id
        return (
            Binding(PERSIST, sid, self.persist),
            Binding(PERSIST, self.wait_key, self.wait),
            Binding(PERSIST_ERROR, sid, self.persist_error),
        )

    def reprocessing_bindings(self) -> tuple[Binding, ...]:
        """Return what cascade works with."""
        sid = self.system_id
        return (
            Binding(REPROCESSING, f"#.{sid}.#", self.reprocessings),
            Binding(REPROCESSING, f"#.{self.error_key}.#", self.reprocessings_error),
            Binding(REPROCESSING_EVENTS, f"#.{sid}.#", self.events),
            Binding(REPROCESSING_EVENTS, f"#.control_{sid}.#", self.control),
        )

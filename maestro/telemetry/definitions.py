"""Every metric Maestro has: name, unit, labels, meaning. `docs/metrics.md` is written from this list."""

from itertools import product

from maestro.rules.commands import Alarm
from maestro.rules.policies import Effect
from maestro.rules.status import Status
from maestro.statuses import INSTANCE_FINISHED, SystemState
from maestro.telemetry.metrics import Kind, Metric, Scope

#: Seconds: from a local commit to a sibling that is retried.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)
SIBLINGS = ("apicore", "discovery", "domain", "event_manager", "process_memory")
#: What an event is to its system when its data is committed, or its impact asked for.
EVENT, HELD, REPLAY, RECHECK = "event", "held", "replay", "recheck"
#: What becomes of a notice.
DELIVERED, FAILED, GIVEN_UP = "delivered", "failed", "given_up"
#: Outcomes of a try at a sibling.
OK, REFUSED, UNREACHABLE = "ok", "refused", "unreachable"
#: Why an event went to an error queue, beside the sibling at fault.
BAD_INPUT, NO_EVENT, SUPERSEDED, UNKNOWN_REPROCESSING, OTHER = (
    "bad_input", "no_event", "superseded", "unknown_reprocessing", "other"
)  # fmt: skip
STATES = tuple(SystemState)


def _each(*values: str) -> tuple[tuple[str, ...], ...]:
    return tuple((value,) for value in values)


def _counter(name: str, text: str, scope: Scope, *labels: str, known: tuple[tuple[str, ...], ...] = ()) -> Metric:
    return Metric(name, Kind.COUNTER, text, scope, labels, known=known if labels else ((),))


def _gauge(name: str, text: str, scope: Scope, *labels: str) -> Metric:
    return Metric(name, Kind.GAUGE, text, scope, labels)


def _histogram(name: str, text: str, scope: Scope, *labels: str) -> Metric:
    return Metric(name, Kind.HISTOGRAM, text, scope, labels, buckets=_SECONDS)


_SYSTEM, _ACTOR, _GATEWAY = Scope.SYSTEM, Scope.ACTOR, Scope.GATEWAY

# --- events -----------------------------------------------------------------------------------------------------

EVENTS = _counter(
    "maestro_events_total",
    "Persist events by what became of them: commit, pending (held), waiting, error, duplicate, superseded. "
    "One that waited counts as waiting, again with its final verdict, and its copy on the wait queue as a duplicate.",
    _SYSTEM, "verdict",
)  # fmt: skip
EVENT_SECONDS = _histogram(
    "maestro_event_seconds",
    "From an event's arrival at its system to its verdict, stored and carried out (commit: Domain has it).",
    _SYSTEM, "verdict",
)  # fmt: skip
ERRORS = _counter(
    "maestro_errors_total",
    "Events that went to an error queue, by class of reason: bad_input, no_event, superseded, unknown_reprocessing, "
    "other, or the sibling at fault.",
    _SYSTEM, "reason", known=_each(BAD_INPUT, NO_EVENT, SUPERSEDED, UNKNOWN_REPROCESSING, OTHER, *SIBLINGS),
)  # fmt: skip
WAITING = _gauge("maestro_waiting_events", "Events that wait until the system is open.", _SYSTEM)
INBOX = _gauge("maestro_inbox_events", "Events admitted and not judged yet.", _SYSTEM)
QUEUE = _gauge(
    "maestro_queue_messages",
    "Ready messages on a queue of the broker: persist, wait, error, reprocessing, reprocessing_error, events, control. "
    "Measured at most every 15 s, on a scrape; absent while the broker is out of reach.",
    _SYSTEM, "queue",
)  # fmt: skip
QUEUE_AGE = _gauge("maestro_queue_measured_age_seconds", "Age of what `maestro_queue_messages` says.", _SYSTEM)

# --- reprocessings ----------------------------------------------------------------------------------------------

STATE = _gauge("maestro_system_state", "1 for the state the system is in, 0 for the others.", _SYSTEM, "state")
REPROCESSINGS = _counter(
    "maestro_reprocessings_total", "Reprocessings by each status they took.", _SYSTEM, "status", known=_each(*Status)
)
POLICIES = _counter(
    "maestro_policy_demands_total",
    "Documents that policies were asked about when they were held, by what was demanded: approve (at once), ask, "
    "two_approvers; and refuse_skip beside it.",
    _SYSTEM, "demand", known=_each(*Effect),
)  # fmt: skip
PENDING = _gauge("maestro_pending_reprocessings", "Reprocessings that wait for a decision.", _SYSTEM)
PENDING_AGE = _gauge(
    "maestro_pending_age_seconds", "How long the oldest of them has waited for a decision; 0: none does.", _SYSTEM
)
LOCK_AGE = _gauge("maestro_lock_age_seconds", "How long the present lock has been held; 0: not locked.", _SYSTEM)
LOCK_HELD = _counter(
    "maestro_lock_held_seconds_total", "Seconds under lock, in this life of the system's actor.", _SYSTEM
)
RUN_IDLE = _gauge(
    "maestro_run_idle_seconds",
    "How long the running reprocessing has made no progress (a replay persisted, a change of status); 0: none runs.",
    _SYSTEM,
)  # fmt: skip
RUN_OUTSTANDING = _gauge(
    "maestro_run_outstanding_units", "Units the running reprocessing has still to replay.", _SYSTEM
)
REPLAY_SENDS = _counter("maestro_replay_sends_total", "Replays sent to the Event Manager, repeats included.", _SYSTEM)
REPLAYS = _counter("maestro_replays_total", "Replays whose result was persisted.", _SYSTEM)
CASCADED = _counter("maestro_cascade_units_total", "Units that a replay brought into its reprocessing.", _SYSTEM)
LEDGER_ROWS = _gauge("maestro_ledger_rows", "Rows that the ledger takes.", _SYSTEM)
LEDGER_HELD = _counter("maestro_ledger_held_total", "Events held for units that the ledger alone named.", _SYSTEM)
STALE = _gauge(
    "maestro_stale_units",
    "Units not known to be fresh: stale, unverified, not_remembered, overwrite, accepted, left_out, not_finished.",
    _SYSTEM, "state",
)  # fmt: skip
ALARMS = _counter(
    "maestro_alarms_total",
    "What somebody must look at: left_out (a run that a rule approved left units out), held_named (a replay impacts "
    "the held instance itself), persists_often (an instance persisted more than ten times within a minute), unverified "
    "(API core refuses to call a committed instance finished, so Discovery may never name it), missed (Discovery, "
    "asked again, names what it had not named before a commit), ledger_holds (the ledger alone held more than 10 of "
    "the last 100 events), late_again (late runs make results of late runs stale).",
    _SYSTEM, "alarm", known=_each(*Alarm),
)  # fmt: skip
OUTBOX = _gauge("maestro_outbox_messages", "Messages to siblings that are still to be delivered.", _SYSTEM)

# --- siblings ---------------------------------------------------------------------------------------------------

DISCOVERY_SECONDS = _histogram(
    "maestro_discovery_seconds", "Asking Discovery what an event or a replay impacts, retries included.",
    _SYSTEM, "kind",
)  # fmt: skip
COMMIT_SECONDS = _histogram(
    "maestro_commit_seconds", "Calls of Domain that commit an event, a held event or a replay.", _SYSTEM, "kind",
)  # fmt: skip
LONG_COMMITS = _counter("maestro_commits_long_total", "Commits that took more than 30 s.", _SYSTEM)
COMMIT_AGE = _gauge(
    "maestro_commit_age_seconds", "How long the commit has been under way that was called first; 0: none is.", _SYSTEM
)
LONGEST_COMMIT = _gauge("maestro_commit_longest_seconds", "How long the longest commit took.", _SYSTEM)
IN_DOUBT = _gauge("maestro_commits_in_doubt", "Commits whose end is being found out; the system waits.", _SYSTEM)
DOUBTS_ENDED = _counter(
    "maestro_commits_doubt_ended_total",
    "Commits that were in doubt, by how that ended: made, call (not made, or harmless to repeat), unproved.",
    _SYSTEM, "outcome", known=_each("made", "call", "unproved"),
)  # fmt: skip
DOUBTS = _gauge("maestro_doubts", "Commits that nothing proves: a person must say what became of them.", _SYSTEM)
TRIES = _counter(
    "maestro_sibling_tries_total", "Calls to siblings, each try, by outcome: ok, refused, unreachable.",
    _SYSTEM, "sibling", "outcome", known=tuple(product(SIBLINGS, (OK, REFUSED, UNREACHABLE))),
)  # fmt: skip
RETRIES = _counter(
    "maestro_sibling_retries_total", "Tries after the first of a call to a sibling, by outcome.",
    _SYSTEM, "sibling", "outcome", known=tuple(product(SIBLINGS, (OK, REFUSED, UNREACHABLE))),
)  # fmt: skip

# --- what is committed becomes visible --------------------------------------------------------------------------

LOOKS = _counter(
    "maestro_looks_total",
    "Looks at API core whether a committed instance is visible to Discovery, by what came of them: finished, not_yet, "
    "unknown (API core knows no such instance), set (Maestro called it finished, for the platform did not in time).",
    _SYSTEM, "found", known=_each(INSTANCE_FINISHED, "not_yet", "unknown", "set"),
)  # fmt: skip
STALLED = _gauge(
    "maestro_stalled_seconds",
    "How long the system has waited for a sibling, without which nothing can be judged, committed or replayed; "
    "0: it does not.",
    _SYSTEM,
)  # fmt: skip
LOOKS_OWED = _gauge(
    "maestro_looks_owed", "Committed instances that are not known to be visible to Discovery yet.", _SYSTEM
)

# --- store ------------------------------------------------------------------------------------------------------

STORE_SECONDS = _histogram(
    "maestro_store_commit_seconds", "Commits of a system's store; `durable`: synced to disk.", _SYSTEM, "durable"
)
STORE_BYTES = _gauge("maestro_store_bytes", "Size of a system's store on disk, its log included.", _SYSTEM)
STORE_WAITS = _gauge(
    "maestro_store_waits_seconds",
    "How long the oldest commit that PostgreSQL has not confirmed has waited; 0: none waits. Not told of files.",
    _SYSTEM,
)  # fmt: skip
STORE_FREE = _gauge("maestro_store_free_bytes", "Space left on the disk of a system's store.", _SYSTEM)

# --- processes --------------------------------------------------------------------------------------------------

ACTOR_UP = _gauge("maestro_actor_up", "1 when the actor's service runs.", _ACTOR)
RESTARTS = _counter("maestro_actor_restarts_total", "Times the actor's process was started again.", _ACTOR)
WAKE_UPS = _counter(
    "maestro_wakeups_total", "Passivated systems that were woken, by who had something for them: ingress, gateway.",
    _ACTOR,
)  # fmt: skip
WAKE_SECONDS = _histogram(
    "maestro_wakeup_seconds", "From the event or question for a passivated system until its new process is there.",
    _ACTOR,
)  # fmt: skip
CPU = _counter("maestro_process_cpu_seconds_total", "CPU time of the actor's process.", _ACTOR)
MEMORY = _gauge("maestro_process_resident_bytes", "Resident memory of the actor's process.", _ACTOR)
LINK_FRAMES = _counter("maestro_link_frames_total", "Frames sent to other processes.", _ACTOR)
LINK_REFUSED = _counter("maestro_link_refused_total", "Links ended, and items dropped, for what they carried.", _ACTOR)
CONNECTED = _gauge("maestro_broker_connected", "1 when the actor has its connection to the broker.", _ACTOR)
DELIVERIES = _counter(
    "maestro_deliveries_total", "Deliveries of the broker, by queue: persist, wait.",
    _ACTOR, "source", known=_each("persist", "wait"),
)  # fmt: skip
UNSETTLED = _gauge("maestro_deliveries_unsettled", "Deliveries that are held until their system settles them.", _ACTOR)
UNDECODABLE = _counter(
    "maestro_deliveries_undecodable_total", "Deliveries whose headers or properties cannot be decoded: dead-lettered.",
    _ACTOR,
)  # fmt: skip
UNPUBLISHABLE = _counter(
    "maestro_unpublishable_total", "Messages that the broker can never take, however often it is tried.", _ACTOR
)
UNRETURNED = _counter(
    "maestro_deliveries_unreturned_total",
    "Deliveries that RabbitMQ did not bring again in time after a lost connection: younger ones went on before them.",
    _ACTOR,
)  # fmt: skip
OWNER = _gauge(
    "maestro_broker_owner", "1 when the events of the broker's vhost are this installation's, by a message it holds.",
    _ACTOR,
)  # fmt: skip
BLOCKED = _gauge(
    "maestro_broker_blocked", "1 while RabbitMQ takes no publishes, by a memory or disk alarm of its own.", _ACTOR
)
OPERATION_SECONDS = _histogram(
    "maestro_cascade_operation_seconds", "Operations on the reprocessing queues, waiting for the broker included.",
    _ACTOR, "operation",
)  # fmt: skip

# --- gateway ----------------------------------------------------------------------------------------------------

LOCK_CHECKS = _counter(
    "maestro_lock_checks_total",
    "Lock checks (`proceed`) by answer: allowed, locked, failed; and by who knew it: the lock board, which also stands "
    "for the mark of a system at rest, or the actor.",
    _GATEWAY, "source", "answer", known=tuple(product(("board", "actor"), ("allowed", "locked", "failed"))),
)  # fmt: skip
HTTP_SECONDS = _histogram(
    "maestro_http_request_seconds", "HTTP requests by route and status, and how long they took.",
    _GATEWAY, "route", "status",
)  # fmt: skip
SYSTEM_UP = _gauge("maestro_system_up", "1 when the system answered this scrape.", _SYSTEM)
SYSTEMS = _gauge(
    "maestro_systems", "Systems that are served: active (a process of their own), passivated (at rest, without one).",
    _GATEWAY, "state",
)  # fmt: skip
NOTICES = _counter(
    "maestro_notices_total",
    "Notices of what waits for a person, by way (slack, teams, webhook, email) and by what became of a try: delivered, "
    "failed, given_up (the last of the tries failed).",
    _GATEWAY, "way", "outcome",
)  # fmt: skip
READY = _gauge("maestro_ready", "1 when all parts are in their place (`/readyz` is 200).", _GATEWAY)
BUILD = _gauge("maestro_build_info", "Always 1; the labels say what runs.", _GATEWAY, "version", "python")

COMMITS_FENCED = _counter(
    "maestro_commits_fenced_total",
    "Commits that PostgreSQL refused because another owner had the system by then, since the data folder was made.",
    _GATEWAY,
)  # fmt: skip
COMMITS_LOST = _counter(
    "maestro_commits_lost_total",
    "Commits that PostgreSQL had confirmed and did not have any more, as after a fail-over to a standby that did not "
    "confirm them, since the data folder was made.",
    _GATEWAY,
)  # fmt: skip

# --- a node of a cluster ------------------------------------------------------------------------------------------

LEASE_AGE = _gauge(
    "maestro_node_lease_age_seconds",
    "How long ago the beat was sent that renewed this node's lease last; it is believed for almost `cluster.lease`.",
    _GATEWAY,
)  # fmt: skip
NODE_SYSTEMS = _gauge("maestro_node_systems", "Systems that this node owns.", _GATEWAY)
UNOWNED = _gauge("maestro_systems_unowned", "Systems that no node owns, as this node sees them.", _GATEWAY)
NODES = _gauge("maestro_nodes", "Nodes of the cluster whose lease is held, as this node sees them.", _GATEWAY)
DRAINING = _gauge("maestro_node_draining", "1 while this node hands over what it owns.", _GATEWAY)
LEASES_BROKEN = _counter(
    "maestro_leases_broken_total", "Leases of other nodes that this one broke: their systems are taken over.", _GATEWAY
)
LEASES_LOST = _counter(
    "maestro_leases_lost_total",
    "Times that other nodes broke this one's lease: all it had in hand ended, and its late commits were refused.",
    _GATEWAY,
)  # fmt: skip
CLAIMS = _counter("maestro_systems_claimed_total", "Systems that this node made its own.", _GATEWAY)
HAND_OVERS = _counter("maestro_hand_overs_total", "Systems that this node handed over to others.", _GATEWAY)

ALL: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
BY_NAME = {metric.name: metric for metric in ALL}
#: What a system's process counts itself, rather than reads off its state.
OF_SYSTEM = (
    ALARMS, ERRORS, REPROCESSINGS, POLICIES, REPLAY_SENDS, LONG_COMMITS, TRIES, RETRIES, LOOKS, LINK_FRAMES,
    LINK_REFUSED,
)  # fmt: skip
OF_INGRESS = (LINK_FRAMES, LINK_REFUSED, DELIVERIES, UNDECODABLE, UNPUBLISHABLE, WAKE_UPS, WAKE_SECONDS)
OF_GATEWAY = (LINK_FRAMES, LINK_REFUSED, WAKE_UPS, WAKE_SECONDS)
OF_CASCADE = (LINK_FRAMES, LINK_REFUSED)
#: What the gateway counts of its own requests.
OF_REQUESTS = (LOCK_CHECKS,)
OF_NODE = (LEASES_BROKEN, LEASES_LOST, CLAIMS, HAND_OVERS)


def error_class(reason: str) -> str:
    """Return the class of the reason why an event failed."""
    service = reason.partition(".")[0]
    if service in SIBLINGS:
        return service
    if reason.startswith("superseded"):
        return SUPERSEDED
    return UNKNOWN_REPROCESSING if reason.startswith("reprocessing.") else OTHER

"""Every operation of the gateway, and the routes made of them. The first that fits wins."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from maestro.access.roles import Role
from maestro.http import (
    audit,
    console_routes,
    description,
    lists,
    nodes,
    notices,
    platform_calls,
    reprocessings,
    streams,
    systems,
)
from maestro.http.deciding import body_of
from maestro.http.deciding_many import decide_many
from maestro.http.guards import Guards
from maestro.http.middleware import expected, unmatched, wrapped
from maestro.http.observed import observed
from maestro.http.operations import Operation
from maestro.http.proceed import checked_system, fast_path
from maestro.http.report import handlers as report
from maestro.http.request_context import unrestricted
from maestro.http.shapes.audit import AuditPage, AuditQuery
from maestro.http.shapes.decisions import (
    DecidedManyShape,
    DecideManyBody,
    DecisionBody,
    LeaveOutBody,
    ReasonedBody,
    SetStatusQuery,
)
from maestro.http.shapes.documents import DocumentShape, EntitiesPage, EntitiesQuery, FindQuery, ReportQuery
from maestro.http.shapes.doubts import DoubtShape, DoubtsPage, ResolveBody
from maestro.http.shapes.error_queue import (
    ErrorGroupsPage,
    ErrorsPage,
    ErrorsQuery,
    RedriveBody,
    RedrivenShape,
    SetAsideEventShape,
)
from maestro.http.shapes.events import (
    ErrorEventBody,
    EventBody,
    EventShape,
    JudgedShape,
    QueueQuery,
    SkippedPage,
    WaitingShape,
)
from maestro.http.shapes.health import NotReadyBody, OkBody, ReadyBody
from maestro.http.shapes.lists import RecordsPage, RecordsQuery, TodoPage, TodoQuery
from maestro.http.shapes.nodes import NodesShape
from maestro.http.shapes.notices import DeliveriesQuery, DeliveryPage, NoticeTestBody, TestedWays, WaysBody
from maestro.http.shapes.policies import ExplainedShape, PoliciesShape
from maestro.http.shapes.shared import MessageBody, PageQuery
from maestro.http.shapes.stale import StalePage, StaleQuery
from maestro.http.shapes.systems import CopiedStore, LockShape, StorePage, StoreQuery, SystemShape
from maestro.http.shapes.units import EvidencePage, EvidenceQuery, FindUnitsQuery, FoundUnitsPage, UnitsQuery
from maestro.http.shapes.values import LabelsShape, OutcomePage, UnusualPage
from maestro.messages.decisions import Approve, Cancel, Pause, Recheck, Reconsider, Resume, Retry, Skip

_V1: Final = "/v1.0.0"
_REPROCESSING: Final = f"{_V1}/reprocessing"
_SYSTEMS: Final = f"{_V1}/systems"
PROCEED: Final = "proceed"
#: What a call of the platform's own services counts towards the request rate.
_CHEAP: Final = 0.1
#: And one that has Process Memory asked about every unit of a document.
_DEAR: Final = 5.0


def operations(proceed: Handler, metrics: Handler) -> list[Operation]:
    """Return all operations, given the handlers that `app` makes."""
    return [
        *_platform(checked_system(proceed)),
        *_documents(),
        *_decisions(),
        *_lists(),
        *_doubts(),
        *_systems(),
        *_about(metrics),
        *_console(),
    ]


def _platform(proceed: Handler) -> Iterable[Operation]:
    yield _get(
        # The id may be empty: the platform asks so for events of no system.
        f"{_V1}/gateway/{{systemId}}/proceed", proceed, PROCEED, Role.PLATFORM,
        "May events of this system proceed?", {200: None, 403: LockShape},
        route=f"{_V1}/gateway/{{systemId:[^/]*}}/proceed", cost=0.0, refusal=401,
    )  # fmt: skip
    yield _post(
        f"{_V1}/handler/persist", platform_calls.handler_persist, "handler_persist", Role.PLATFORM,
        "Consume a system's persist queue from now on", {200: MessageBody},
        query=QueueQuery, decides=True, cost=_CHEAP,
    )  # fmt: skip
    yield _post(
        f"{_V1}/persist/sync", platform_calls.persist_sync, "persist_sync", Role.PLATFORM,
        "Judge one persist event, and answer with what became of it",
        {200: JudgedShape, 202: dict[str, Any]},
        body=EventBody, cost=_CHEAP, notable=True,
    )  # fmt: skip
    yield _post(
        f"{_REPROCESSING}/failure", platform_calls.failure, "failure", Role.PLATFORM,
        "Report that a replayed process ended in error", {200: MessageBody},
        body=ErrorEventBody, cost=_CHEAP,
    )  # fmt: skip


def _documents() -> Iterable[Operation]:
    several = {200: list[DocumentShape]}
    yield _get(
        f"{_REPROCESSING}/{{systemId}}/pending", reprocessings.pending, "pending", Role.VIEWER,
        "The system's documents waiting for a decision, oldest first", several,
    )  # fmt: skip
    yield _get(
        f"{_REPROCESSING}/{{systemId}}/find", reprocessings.find, "find", Role.VIEWER,
        "The system's documents, all or of one status, oldest first", several, query=FindQuery,
    )  # fmt: skip
    yield _get(
        f"{_REPROCESSING}/{{id}}", reprocessings.get, "document", Role.VIEWER,
        "One document; with a limit, a page of its units and events", {200: DocumentShape},
        query=UnitsQuery,
    )  # fmt: skip
    yield _get(
        f"{_REPROCESSING}/{{id}}/entities", reprocessings.entities, "entities", Role.VIEWER,
        "What the commit of the held event would write", {200: EntitiesPage}, query=EntitiesQuery,
    )  # fmt: skip
    yield _get(
        f"{_REPROCESSING}/{{id}}/unusual", reprocessings.unusual, "unusual", Role.VIEWER,
        "What is unusual about the held commit: its new numbers against their past values", {200: UnusualPage},
    )  # fmt: skip
    yield _get(
        f"{_REPROCESSING}/{{id}}/policies", reprocessings.policies, "explain_policies", Role.VIEWER,
        "What each policy says of the document as it is now, and why", {200: ExplainedShape},
    )  # fmt: skip
    yield _get(
        f"{_REPROCESSING}/{{id}}/evidence", reprocessings.evidence, "evidence", Role.VIEWER,
        "Why each unit is in the document: who named it, and what it read that is changed", {200: EvidencePage},
        query=EvidenceQuery,
    )  # fmt: skip
    yield _get(
        f"{_REPROCESSING}/{{id}}/units", reprocessings.units, "units", Role.VIEWER,
        "The units of a document that fit, and how many there are of each process, branch, period and state",
        {200: FoundUnitsPage}, query=FindUnitsQuery,
    )  # fmt: skip
    yield _get(
        f"{_REPROCESSING}/{{id}}/outcome", reprocessings.outcome, "outcome", Role.VIEWER,
        "What the replays changed: each value before and after, the largest changes first", {200: OutcomePage},
        query=PageQuery,
    )  # fmt: skip
    yield _get(
        f"{_REPROCESSING}/{{id}}/outcome.csv", reprocessings.outcome_csv, "outcome_csv", Role.VIEWER,
        "The same of all units, as CSV: a line for each value", {200: str}, media="text/csv", cost=_DEAR,
    )  # fmt: skip
    yield _get(
        f"{_REPROCESSING}/{{id}}/report", report.page, "report", Role.VIEWER,
        "The decision report: what was asked, shown, decided, by whom, why, what ran and what changed, as a page",
        {200: str}, query=ReportQuery, media="text/html", cost=_DEAR, recorded=True,
    )  # fmt: skip
    yield _get(
        f"{_REPROCESSING}/{{id}}/report.json", report.form, "report_json", Role.VIEWER,
        "The facts of the report in their canonical form, whose SHA-256 is its digest", {200: dict[str, Any]},
        cost=_DEAR, recorded=True,
    )  # fmt: skip


def _decisions() -> Iterable[Operation]:
    yield _post(
        f"{_REPROCESSING}/set_status", reprocessings.set_status, "set_status", Role.ADMIN,
        "Override a document's status by hand", {200: DocumentShape, 202: DocumentShape},
        query=SetStatusQuery, decides=True, repeatable=True,
    )  # fmt: skip
    for kind, summary in (
        (Approve, "Approve the pending reprocessing; 202 when a second user must, too"),
        (Skip, "Skip the pending reprocessing: its commit is dropped"),
        (Retry, "Approve a failed, aborted or cancelled reprocessing again"),
        (Cancel, "Cancel an approved or paused reprocessing, or a running one after its current replay"),
        (Pause, "Pause a running reprocessing after its current replay"),
        (Resume, "Go on with a paused reprocessing"),
        (Recheck, "Ask Discovery again about a pending reprocessing"),
    ):
        name = kind.__name__.lower()
        yield _post(
            f"{_REPROCESSING}/{{id}}/{name}", reprocessings.decision(kind), name, Role.APPROVER, summary,
            {200: DocumentShape, 202: DocumentShape}, body=body_of(kind), decides=True, repeatable=True,
        )  # fmt: skip
    yield _post(
        f"{_V1}/decisions", decide_many, "decide_many", Role.APPROVER,
        "Approve or skip several pending reprocessings, each if it is what was shown; what became of each",
        {200: DecidedManyShape}, body=DecideManyBody, decides=True, repeatable=True,
        records_itself=True, cost=_DEAR,
    )  # fmt: skip
    yield _post(
        f"{_REPROCESSING}/{{id}}/units/leave_out", reprocessings.leave_out, "leave_out", Role.APPROVER,
        "Leave outstanding units out of a paused, failed, aborted or cancelled reprocessing",
        {200: DocumentShape}, body=LeaveOutBody, decides=True, repeatable=True,
    )  # fmt: skip
    yield _post(
        f"{_REPROCESSING}/{{id}}/reconsider", reprocessings.reconsider, "reconsider", Role.APPROVER,
        "Judge the event of a skipped reprocessing again", {200: JudgedShape, 202: dict[str, Any]},
        body=body_of(Reconsider), decides=True, repeatable=True,
    )  # fmt: skip
    yield _post(
        f"{_SYSTEMS}/{{systemId}}/errors/redrive", systems.redrive, "redrive", Role.APPROVER,
        "Have messages of the error queue judged again", {200: RedrivenShape},
        body=RedriveBody, decides=True, repeatable=True,
    )  # fmt: skip
    yield _post(
        f"{_SYSTEMS}/{{systemId}}/stalled/set-aside", systems.set_aside, "set_aside", Role.APPROVER,
        "Put the event that a stalled system has in hand on its error queue", {200: SetAsideEventShape},
        body=ReasonedBody, decides=True, repeatable=True,
    )  # fmt: skip


def _lists() -> Iterable[Operation]:
    yield _get(
        f"{_V1}/todo", lists.todo, "todo", Role.VIEWER,
        "What waits for a person, in all systems that the caller may touch: the most urgent first",
        {200: TodoPage}, query=TodoQuery,
    )  # fmt: skip
    yield _get(
        f"{_V1}/history", lists.history, "history", Role.VIEWER,
        "The reprocessings of all systems, newest first: what was held, who decided what and why",
        {200: RecordsPage}, query=RecordsQuery,
    )  # fmt: skip


def _doubts() -> Iterable[Operation]:
    yield _get(
        f"{_SYSTEMS}/{{systemId}}/doubts", systems.doubts, "doubts", Role.VIEWER,
        "Commits that were begun and not confirmed: proof is looked for, or a person must say what became of them",
        {200: DoubtsPage},
    )  # fmt: skip
    yield _post(
        f"{_SYSTEMS}/{{systemId}}/doubts/{{key}}", systems.resolve_doubt, "resolve_doubt", Role.APPROVER,
        "Say that a commit in doubt was made, or that it is to be made again", {200: DoubtShape},
        body=ResolveBody, decides=True, repeatable=True,
    )  # fmt: skip


def _systems() -> Iterable[Operation]:
    yield _get(_SYSTEMS, systems.list_systems, "systems", Role.VIEWER, "Every system served", {200: list[SystemShape]})
    yield _get(
        f"{_SYSTEMS}/{{systemId}}", systems.describe, "system", Role.VIEWER,
        "One system's state, lock, progress, queue depths and counters", {200: SystemShape},
    )  # fmt: skip
    yield _get(
        f"{_SYSTEMS}/{{systemId}}/labels", systems.labels, "labels", Role.VIEWER,
        "What the system's data are called, their units and decimals: from labels.toml", {200: LabelsShape},
    )  # fmt: skip
    yield _get(
        f"{_SYSTEMS}/{{systemId}}/waiting", systems.waiting, "waiting", Role.VIEWER,
        "The events that wait, oldest first", {200: WaitingShape}, query=PageQuery,
    )  # fmt: skip
    yield _get(
        f"{_SYSTEMS}/{{systemId}}/waiting/{{number}}", systems.waiting_event, "waiting_event", Role.VIEWER,
        "One waiting event with its body", {200: EventShape},
    )  # fmt: skip
    yield _get(
        f"{_SYSTEMS}/{{systemId}}/skipped", systems.skipped, "skipped", Role.VIEWER,
        "The skipped events, oldest first", {200: SkippedPage}, query=PageQuery,
    )  # fmt: skip
    yield _get(
        f"{_SYSTEMS}/{{systemId}}/policies", systems.policies, "policies", Role.VIEWER,
        "The policies that are for the system, and the settings beside them", {200: PoliciesShape},
    )  # fmt: skip
    yield _get(
        f"{_SYSTEMS}/{{systemId}}/store", systems.read_store, "store", Role.ADMIN,
        "What the system's store holds, for a post-mortem: its tables, or documents of one", {200: StorePage},
        query=StoreQuery,
    )  # fmt: skip
    yield _post(
        f"{_SYSTEMS}/{{systemId}}/store/copy", systems.copy_store, "copy_store", Role.ADMIN,
        "Have the system's store copied beside it while it is in use, for a backup", {200: CopiedStore},
        body=DecisionBody, decides=True, cost=_DEAR,
    )  # fmt: skip
    yield _get(
        f"{_SYSTEMS}/{{systemId}}/stale", systems.stale, "stale", Role.VIEWER,
        "The units whose results are not known to be fresh, oldest note first", {200: StalePage},
        query=StaleQuery,
    )  # fmt: skip
    yield _get(
        f"{_SYSTEMS}/{{systemId}}/errors", systems.errors, "errors", Role.VIEWER,
        "The oldest messages of the error queue", {200: ErrorsPage}, query=ErrorsQuery,
    )  # fmt: skip
    yield _get(
        f"{_SYSTEMS}/{{systemId}}/errors/groups", systems.error_groups, "error_groups", Role.VIEWER,
        "The messages of the error queue by why they failed, with first and last time",
        {200: ErrorGroupsPage}, query=PageQuery,
    )  # fmt: skip
    for path, handler, name, summary in (
        (f"{_SYSTEMS}/{{systemId}}/stream", streams.system_stream, "stream", "One system as it changes"),
        (f"{_V1}/stream", streams.all_streams, "streams", "Every system as it changes"),
    ):
        yield _get(path, handler, name, Role.VIEWER, summary, {200: str}, media="text/event-stream", endless=True)


def _about(metrics: Handler) -> Iterable[Operation]:
    yield _get(
        f"{_V1}/nodes", nodes.nodes, "nodes", Role.VIEWER,
        "The nodes of the cluster: who lives, what each owns, who claims; without one, none", {200: NodesShape},
    )  # fmt: skip
    yield _get(
        f"{_V1}/audit", audit.page, "audit", Role.ADMIN,
        "The audit log, oldest first", {200: AuditPage}, query=AuditQuery,
    )  # fmt: skip
    yield _get(
        f"{_V1}/webhooks/deliveries", systems.deliveries, "deliveries", Role.ADMIN,
        "A system's webhook deliveries, oldest first", {200: DeliveryPage}, query=DeliveriesQuery,
    )  # fmt: skip
    yield _get(
        f"{_V1}/notices", unrestricted(notices.notices), "notices", Role.ADMIN,
        "The ways by which people are told what waits for them, and how each does", {200: WaysBody},
    )  # fmt: skip
    yield _post(
        f"{_V1}/notices/test", unrestricted(notices.try_notice), "test_notice", Role.ADMIN,
        "Send a test by each way, or by one", {200: TestedWays}, body=NoticeTestBody, decides=True,
        cost=_DEAR,
    )  # fmt: skip
    yield _get("/healthz", systems.healthz, "healthz", None, "The gateway is alive", {200: OkBody})
    yield _get(
        "/readyz", systems.readyz, "readyz", None, "Maestro can work; else what keeps it from it",
        {200: ReadyBody, 503: NotReadyBody},
    )  # fmt: skip
    yield _get(
        "/metrics", unrestricted(metrics), "metrics", Role.VIEWER, "What is measured, for Prometheus",
        {200: str}, media="text/plain",
    )  # fmt: skip
    yield _get("/openapi.json", description.openapi, "openapi", None, "This description", {200: dict[str, Any]})
    for path, handler, name, media in (
        ("/docs", description.docs, "docs", "text/html"),
        ("/docs/reference.js", description.script, "docs_script", "text/javascript"),
        ("/docs/reference.css", description.style, "docs_style", "text/css"),
    ):
        yield _get(path, handler, name, None, "The reference page", {200: str}, media=media, hidden=True)


def _console() -> Iterable[Operation]:
    """The page is public: its reader still needs a credential for each call."""
    for path, name, handler in console_routes.handlers():
        yield _get(path, handler, name, None, "The console", {200: str}, media="text/html", hidden=True)


def routes(known: Iterable[Operation], proceed: Handler, guards: Guards) -> list[web.RouteDef]:
    """Return the routes; `proceed` is the only one that can be answered without what wraps the others."""
    made = [_route(operation, guards, proceed) for operation in known]
    nothing = Operation(
        name="unmatched", method=hdrs.METH_ANY, path="/{tail}", handler=unmatched, role=None, summary="", hidden=True
    )
    return [*made, _catch_all(nothing, guards)]


def _catch_all(nothing: Operation, guards: Guards) -> web.RouteDef:
    handler = observed(nothing.name, wrapped(nothing, guards))
    return web.route(nothing.method, "/{tail:.*}", handler, expect_handler=expected)


def _route(operation: Operation, guards: Guards, proceed: Handler) -> web.RouteDef:
    handler = wrapped(operation, guards)
    # `proceed` measures itself.
    if operation.name == PROCEED:
        handler = fast_path(proceed, handler, guards.authentication)
    else:
        handler = observed(operation.name, handler)
    path = operation.route or operation.path
    # A GET answers HEAD, too.
    if operation.method == hdrs.METH_GET:
        return web.get(path, handler, expect_handler=expected)
    return web.route(operation.method, path, handler, expect_handler=expected)


def _get(
    path: str, handler: Handler, name: str, role: Role | None, summary: str, answers: Mapping[int, Any], **more: Any
) -> Operation:
    return Operation(
        name=name, method=hdrs.METH_GET, path=path, handler=handler, role=role, summary=summary, answers=answers, **more
    )


def _post(
    path: str, handler: Handler, name: str, role: Role | None, summary: str, answers: Mapping[int, Any], **more: Any
) -> Operation:
    return Operation(
        name=name, method=hdrs.METH_POST, path=path, handler=handler, role=role, summary=summary, answers=answers,
        **more,
    )  # fmt: skip

"""A system's state as rows, and back: the only place that knows which row means what.

| table | key | what |
|---|---|---|
| `deliveries` | number | one persist event: verdict and progress |
| `bodies` | number | its original body, for as long as it may be needed again |
| `documents` | id | a reprocessing's header |
| `units` | id/position | one unit of a reprocessing |
| `units_ahead` | document's id | how many units are stored of a reprocessing that is not (see `system.units_ahead`) |
| `previews` | id/n | the units a pending document had before they changed, the last few |
| `paces` | event name | how long replays take |
| `growth` | event name | how many units its last runs showed, and how many replays they made |
| `doubts` | key | a commit that nothing proves, and what was said of it |
| `commits` | `memory` | how long the longest commit took, and since when each is known |
| `covers` | document's id | a decision that covers its tag |
| `outbox` | number | a message to a sibling that is still to be delivered |
| `canaries` | sibling | instances that the sibling answered about (see `runtime.canaries`) |
| `ledger` | `book` | the ledger's extent |
| `ledger_owed` | number | a commit of which the ledger has still to learn something |
| `ledger_log` | number | one entry of the ledger: whose commit, whose result |
| `ledger_stale` | instance/branch | a unit whose result is not known to be fresh |
| `ledger_unknown` | number | an entry whose rows are not known: its writer, and its place in the log |
| `ledger_units` | instance/branch | the number of the entry with the unit's last reads |
| `ledger_writes`, `ledger_reads` | number | the rows that the entry's commit changed, that its computation read |
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from maestro.events import parse_celery
from maestro.messages.decisions import Budget
from maestro.rules.budget import limited
from maestro.rules.delivery import Delivery, Sight, Verdict
from maestro.rules.document import Document, Ending, HistoryEntry
from maestro.rules.growth import Run
from maestro.rules.identity import fingerprint_of, old_reconsidered
from maestro.rules.impact import Impacted, UnitKey
from maestro.rules.pace import Pace
from maestro.rules.preview import REMEMBERED
from maestro.rules.rendering import error_event
from maestro.rules.state import OutboxKind, OutboxMessage, Rules, System
from maestro.rules.status import IN_PROGRESS, Status, Trigger
from maestro.rules.step import (
    DropCover,
    DropEntry,
    DropOutboxMessage,
    DropPreviews,
    DropStale,
    DropUnit,
    ForgetDelivery,
    ForgetDoubt,
    Save,
    SaveBook,
    SaveCommits,
    SaveCover,
    SaveDelivery,
    SaveDocument,
    SaveDoubt,
    SaveEntry,
    SaveGrowth,
    SaveOutboxMessage,
    SaveOwed,
    SavePace,
    SavePreview,
    SaveSight,
    SaveStale,
    SaveUnit,
)
from maestro.rules.unit import Unit
from maestro.store.base import Delete, Put, Store, Write
from maestro.system import demand_rows, doubt_records, ledger_records
from maestro.system.cover_rows import approval_row, cover_row, to_approval, to_cover
from maestro.system.delivery_rows import delivery_row, to_delivery
from maestro.system.unit_rows import UNITS, to_unit, unit_key, unit_row
from maestro.system.units_ahead import UnitsAhead

DELIVERIES = "deliveries"
BODIES = "bodies"
DOCUMENTS = "documents"
OUTBOX = "errands"
PREVIEWS = "previews"
PACES = "paces"
GROWTH = "growth"
CANARIES = "canaries"
COVERS = "covers"


class Repository:
    """Loads a system from its store, and turns what a step saves into writes."""

    def __init__(self, store: Store, system_id: str, rules: Rules) -> None:
        self.store = store
        self._system_id = system_id
        self._rules = rules
        #: Bodies of events in hand, by delivery number.
        self._bodies: dict[int, bytes] = {}
        #: Numbers of the bodies that the store keeps.
        self._kept: set[int] = set()
        self.ahead = UnitsAhead()

    # --- bodies ------------------------------------------------------------------------------------------------

    def remember_body(self, number: int, body: bytes) -> None:
        """Keep an admitted event's body at hand until the store keeps it, or it is done."""
        if number not in self._kept:
            self._bodies[number] = body

    def body(self, number: int) -> bytes | None:
        """Return an event's original body, if it is still there. Raises `StoreDamaged`."""
        body = self._bodies.get(number)
        if body is None and number in self._kept:
            row = self.store.get(BODIES, _number(number))
            body = row["body"].encode() if row else None
        return body

    # --- saving ------------------------------------------------------------------------------------------------

    def writes(self, saves: Sequence[Save]) -> list[Write]:
        """Return the rows to write for `saves`: each record once, as it is now."""
        latest = {_identity(save): save for save in saves}
        writes: list[Write] = []
        for save in self.ahead.not_stored(latest.values()):
            writes += self._rows(save)
        writes += self.ahead.opened(saves)
        return writes

    def _rows(self, save: Save) -> list[Write]:  # noqa: C901, PLR0911, PLR0912 - one for each kind of record
        match save:  # those that are frequent come first
            case SaveDelivery(delivery):
                return [Put(DELIVERIES, _number(delivery.number), delivery_row(delivery)), *self._body_rows(delivery)]
            case SaveUnit(document, unit):
                return [Put(UNITS, unit_key(document.id, unit.position), unit_row(unit))]
            case SaveDocument(document):
                return [Put(DOCUMENTS, document.id, _document(document))]
            case SaveBook() | SaveOwed() | SaveEntry() | DropEntry() | SaveStale() | DropStale():
                return ledger_records.writes(save)
            case SaveSight(owner):
                return self._rows(SaveDelivery(owner) if isinstance(owner, Delivery) else SaveDocument(owner))
            case ForgetDelivery(number):
                self._bodies.pop(number, None)
                return [Delete(DELIVERIES, _number(number)), *self._drop_body(number)]
            case DropUnit(document, position):
                return [Delete(UNITS, unit_key(document.id, position))]
            case SavePreview(document, revision, digest, units):
                row = {"digest": digest, "units": [list(unit) for unit in units]}
                return [Put(PREVIEWS, _preview(document, revision), row)]
            case DropPreviews(document):
                return [Delete(PREVIEWS, _preview(document, n)) for n in range(min(document.revision, REMEMBERED))]
            case SavePace(name, pace):
                return [Put(PACES, name, {"count": pace.count, "seconds": pace.seconds})]
            case SaveGrowth(name, runs):
                return [Put(GROWTH, name, {"runs": [[run.shown, run.made] for run in runs]})]
            case SaveCover(cover):
                return [Put(COVERS, cover.document_id, cover_row(cover))]
            case DropCover(cover):
                return [Delete(COVERS, cover.document_id)]
            case SaveOutboxMessage(message):
                return [Put(OUTBOX, _number(message.number), self._outbox_message(message))]
            case SaveDoubt() | ForgetDoubt() | SaveCommits():
                return doubt_records.writes(save)
            case DropOutboxMessage(number):
                return [Delete(OUTBOX, _number(number))]

    def _body_rows(self, delivery: Delivery) -> list[Write]:
        number = delivery.number
        if not delivery.keeps_body:
            if delivery.done:
                self._bodies.pop(number, None)
            return self._drop_body(number)
        body = self._bodies.get(number)
        if delivery.verdict is Verdict.WAITING:  # may wait for long, and may be many: not in memory
            self._bodies.pop(number, None)
        if body is None or number in self._kept:
            return []
        self._kept.add(number)
        return [Put(BODIES, _number(number), {"body": body.decode()})]

    def _drop_body(self, number: int) -> list[Write]:
        if number not in self._kept:
            return []
        self._kept.discard(number)
        return [Delete(BODIES, _number(number))]

    def _outbox_message(self, message: OutboxMessage) -> dict[str, Any]:
        row = {"kind": message.kind, "instance": message.instance_id, "text": message.text}
        body = self.body(message.about) if message.about else None
        if body is not None:
            event = parse_celery(body).event.raw
            row["event"] = error_event(event, message.instance_id, message.text).decode()
        return row

    def error_event(self, message: OutboxMessage) -> bytes | None:
        """Return the event a message is to send; None when the failed event's body was not at hand."""
        row = self.store.get(OUTBOX, _number(message.number)) or {}
        return row["event"].encode() if "event" in row else None

    # --- loading -----------------------------------------------------------------------------------------------

    def load(self) -> System:
        """Read the whole state, as a restart finds it. Raises `StoreDamaged`."""
        system = System(self._system_id, self._rules)
        self._kept = {int(key) for key, _ in self.store.rows(BODIES)}
        headers = [_to_document(key, self._system_id, row) for key, row in self.store.rows(DOCUMENTS)]
        again = {doc.reconsidered for doc in headers if doc.reconsidered}
        for key, row in self.store.rows(DELIVERIES):
            delivery = to_delivery(int(key), row)
            if delivery.number in again:  # stored before keys had namespaces, perhaps
                delivery.key = old_reconsidered(delivery.key) or delivery.key
            delivery.bodiless = not delivery.done and delivery.number not in self._kept
            _file(system, delivery)
        for doc in sorted(headers, key=lambda doc: doc.number):
            if doc.live or doc.announce:
                doc.load(self.units(doc.id))
            system.add_document(doc)
        for name, row in self.store.rows(PACES):
            system.paces.by_name[name] = Pace(row["count"], row["seconds"])
        for name, row in self.store.rows(GROWTH):
            system.growth.by_name[name] = tuple(Run(*run) for run in row["runs"])
        doubt_records.load(self.store, system)
        for key, row in self.store.rows(COVERS):
            cover = to_cover(key, row)
            system.covers[cover.subject] = cover
        for key, row in self.store.rows(OUTBOX):
            message = OutboxMessage(int(key), OutboxKind(row["kind"]), row["instance"], row["text"])
            system.outbox[message.number] = message
            system.outbox_begun.add(message.number)  # a former life may have begun to deliver it
            system.next_outbox_message = message.number + 1
        ledger_records.load(self.store, system.ledger)
        return system

    def canaries(self) -> dict[str, list[str]]:
        """Return what each sibling answered about, newest first. Raises `StoreDamaged`."""
        return {key: list(row["instances"]) for key, row in self.store.rows(CANARIES)}

    def units(self, document_id: str) -> tuple[Unit, ...]:
        """Read the stored units of a document, in the order of their positions. Raises `StoreDamaged`."""
        return tuple(to_unit(key, row) for key, row in self.store.rows(UNITS, f"{document_id}/"))

    def preview(self, document_id: str, digest: str) -> tuple[UnitKey, ...] | None:
        """Return the units of an earlier preview of a pending document, if it is remembered. Raises `StoreDamaged`."""
        for _, row in self.store.rows(PREVIEWS, f"{document_id}/"):
            if row["digest"] == digest:
                return tuple((instance_id, branch) for instance_id, branch in row["units"])
        return None


def _number(number: int) -> str:
    return f"{number:015d}"


def _preview(document: Document, revision: int) -> str:
    return f"{document.id}/{revision % REMEMBERED}"


def _identity(save: Save) -> tuple[str, object]:  # noqa: C901, PLR0911, PLR0912 - one for each kind of record
    match save:
        case SaveDelivery(delivery):
            return (DELIVERIES, delivery.number)
        case SaveUnit(document, unit):
            return (UNITS, (document.id, unit.position))
        case SaveDocument(document):
            return (DOCUMENTS, document.id)
        case SaveBook() | SaveOwed() | SaveEntry() | DropEntry() | SaveStale() | DropStale():
            return ledger_records.identity(save)
        case SaveSight(owner):
            return (DELIVERIES, owner.number) if isinstance(owner, Delivery) else (DOCUMENTS, owner.id)
        case ForgetDelivery(number):
            return (DELIVERIES, number)
        case DropUnit(document, position):
            return (UNITS, (document.id, position))
        case SavePreview(document, revision):
            return (PREVIEWS, _preview(document, revision))
        case DropPreviews(document):
            return (PREVIEWS, document.id)
        case SavePace(name):
            return (PACES, name)
        case SaveGrowth(name):
            return (GROWTH, name)
        case SaveCover(cover) | DropCover(cover):
            return (COVERS, cover.document_id)
        case SaveOutboxMessage(message):
            return (OUTBOX, message.number)
        case SaveDoubt() | ForgetDoubt() | SaveCommits():
            return doubt_records.identity(save)
        case DropOutboxMessage(number):
            return (OUTBOX, number)


def _file(system: System, delivery: Delivery) -> None:
    """Put a loaded delivery where its verdict says it belongs."""
    system.next_number = delivery.number + 1
    system.deliveries[delivery.key] = delivery
    if mark := fingerprint_of(delivery.key):
        system.fingerprints[mark] = delivery.key
    system.parked += delivery.parked
    if delivery.done:
        if not delivery.doubt:
            system.finished.append(delivery.key)
    elif delivery.verdict is Verdict.WAITING:
        system.waiting[delivery.number] = delivery
    elif delivery.verdict is Verdict.COMMIT and not delivery.replay:
        system.unfinished.append(delivery)


_HEADER = ("number", "tag", "branch", "forking", "held_instance", "status", "line", "held_committed", "cancelling",
           "announce", "total", "replayed", "cascaded", "next_turn")  # fmt: skip
#: Written only when they say something, and absent from rows of before there were any.
_OPTIONAL = ("held_stored", "cancel_reason", "pausing", "pause_reason", "budget_from", "budget_since", "revision",
             "reconsidered", "kept", "outdated", "beside", "repeated", "held_named_by", "sight", "text_late", "late",
             "generation", "unlisted")  # fmt: skip


#: One call each for all fields: a header is saved with each replay.
_header_fields = attrgetter(*_HEADER)
_optional_fields = attrgetter(*_OPTIONAL)


def _document(doc: Document) -> dict[str, Any]:
    ending = doc.ending
    return {
        **dict(zip(_HEADER, _header_fields(doc), strict=True)),
        "pending_event": doc.pending_event.decode(),
        "origin": doc.origin.decode(),
        "held_begun": doc.held_begun,
        **{name: value for name, value in zip(_OPTIONAL, _optional_fields(doc), strict=True) if value},
        **({"budget": [doc.budget.replays, doc.budget.minutes]} if limited(doc.budget) else {}),
        **({"not_finished": [(*unit.key, unit.forking) for unit in doc.not_finished]} if doc.not_finished else {}),
        **({"approval": approval_row(doc.first_approval)} if doc.first_approval else {}),
        **({"approval_digest": doc.first_approval.digest} if doc.first_approval and doc.first_approval.digest else {}),
        **({} if doc.rows is None else {"rows": doc.rows}),
        **({"demand": demand_rows.to_row(doc.demand)} if doc.demand is not None else {}),
        "history": [[entry.status, entry.at, entry.user, entry.cause, entry.reason] for entry in doc.history],
        "ending": [ending.trigger, ending.at, ending.user, ending.cause, ending.reason] if ending else None,
    }


def _to_document(key: str, system_id: str, row: dict[str, Any]) -> Document:
    header = {name: row[name] for name in _HEADER} | {"status": Status(row["status"])}
    header |= {name: row[name] for name in _OPTIONAL if name in row}
    # A row of an earlier version does not say whether the held commit was begun: it may have been.
    begun = header["status"] in IN_PROGRESS and not row["held_committed"]
    header["held_begun"] = row.get("held_begun", begun)
    header["sight"] = Sight(row.get("sight", ""))
    return Document(
        id=key, system_id=system_id, **header,
        pending_event=row["pending_event"].encode(), origin=row["origin"].encode(),
        history=[HistoryEntry(Status(status), *rest) for status, *rest in row["history"]],
        budget=Budget(*row.get("budget", ())),
        not_finished=tuple(Impacted(*unit) for unit in row.get("not_finished", ())),
        first_approval=to_approval(row["approval"], row.get("approval_digest", "")) if "approval" in row else None,
        rows=row.get("rows"), demand=demand_rows.from_row(row["demand"]) if "demand" in row else None,
        ending=_to_ending(row["ending"]),
    )  # fmt: skip


def _to_ending(row: Sequence[Any] | None) -> Ending | None:
    return Ending(Trigger(row[0]), *row[1:]) if row else None

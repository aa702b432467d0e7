"""Flow 3, before the decision: Discovery is asked again what a pending document's event would change.

Fails closed: the units are only replaced once Discovery and Process Memory said all there is to know.
"""

from maestro.events import MASTER
from maestro.messages.answers import Code
from maestro.rules import commands as do
from maestro.rules import demanding, facts, not_finished
from maestro.rules.asking import answer, conflict, found, refuse
from maestro.rules.document import Document
from maestro.rules.impact import Impacted, Origin, relevant, replay_order
from maestro.rules.preview import Recheck, difference, digest
from maestro.rules.state import System
from maestro.rules.status import Status
from maestro.rules.step import DropUnit, SaveDocument, SavePreview, SaveUnit, Step


def on_recheck_asked(system: System, fact: facts.RecheckAsked, step: Step) -> None:
    """Ask Discovery; who asks while it is being asked shares the answer."""
    doc = found(system, fact, step)
    if doc is None:
        return
    if doc.status is not Status.PENDING:
        conflict(fact, doc, step)
    elif doc.late:
        refuse(fact, Code.CONFLICT, f"reprocessing {doc.id} is late: nothing is held that could be asked about", step)
    elif doc.recheck is not None:
        doc.recheck.tickets.append(fact.ticket)
    else:
        doc.recheck = Recheck(system.token(), fact.user, [fact.ticket])
        step.do(do.AskRecheck(doc.id, doc.recheck.token, doc.held_instance))


def on_recheck_found(system: System, fact: facts.RecheckFound, step: Step) -> None:
    """Fetch the origins of units not met before, if there are any."""
    doc = _awaited(system, fact.id, fact.token)
    if doc is None or doc.recheck is None:
        return
    doc.recheck.rows = fact.rows
    doc.recheck.found = relevant(fact.units, own_instance=doc.held_instance, on_master=doc.branch == MASTER)
    new = tuple(one for one in doc.recheck.found if doc.unit_of(one) is None)
    if new:
        step.do(do.FetchRecheckOrigins(doc.id, doc.recheck.token, new))
    else:
        _take_over(system, doc, doc.recheck, (), step)


def on_recheck_origins_fetched(system: System, fact: facts.RecheckOriginsFetched, step: Step) -> None:
    """All that the new preview needs is known."""
    doc = _awaited(system, fact.id, fact.token)
    if doc is not None and doc.recheck is not None:
        _take_over(system, doc, doc.recheck, fact.origins, step)


def on_recheck_failed(system: System, fact: facts.RecheckFailed, step: Step) -> None:
    """Nothing changes."""
    doc = _awaited(system, fact.id, fact.token)
    if doc is None or doc.recheck is None:
        return
    for ticket in doc.recheck.tickets:
        step.do(do.Reply(ticket, Code.FAILED, fact.cause))
    doc.recheck = None


def _awaited(system: System, id_: str, token: int) -> Document | None:
    doc = system.documents.get(id_)
    return doc if doc is not None and doc.recheck is not None and doc.recheck.token == token else None


def _take_over(system: System, doc: Document, recheck: Recheck, new: tuple[Origin, ...], step: Step) -> None:
    """Replace the units by what Discovery named now, in the order of replay, and answer with what changed."""
    before = [unit.key for unit in doc.order]
    new, early = not_finished.part(system, new)
    not_finished.note(system, early, doc.held_instance, step)
    if early != doc.not_finished:
        doc.not_finished = early
        step.save(SaveDocument(doc))
    origins = replay_order(_origins(doc, [one for one in recheck.found if one not in early], new))
    if [origin.unit for origin in origins] != [unit.as_origin().unit for unit in doc.order]:
        step.save(SavePreview(doc, doc.revision, digest(doc.held_instance, before), tuple(before)))
        units = doc.replace_units(origins)
        doc.revision += 1
        step.save(SaveDocument(doc), *(SaveUnit(doc, unit) for unit in units))
        step.save(*(DropUnit(doc, position) for position in range(doc.total, len(before))))
    if recheck.rows not in (None, doc.rows):
        doc.rows = recheck.rows
        step.save(SaveDocument(doc))
    demanding.look_again(system, doc, step)
    changes = tuple(difference(before, [unit.key for unit in doc.order]).items())
    for ticket in recheck.tickets:
        answer(facts.RecheckAsked(doc.id, recheck.user, ticket), doc, step, changes)
    doc.recheck = None


def _origins(doc: Document, found_now: list[Impacted], new: tuple[Origin, ...]) -> list[Origin]:
    """Return what Discovery named, in its order, with the origin events known before or fetched now."""
    fetched = {origin.unit.key: origin for origin in new}
    origins = []
    for one in found_now:
        known = doc.unit_of(one)
        origin = fetched[one.key] if known is None else known.as_origin()
        origins.append(Origin(one, origin.event, origin.timestamp))
    return origins

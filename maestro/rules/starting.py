"""Flow 3, the start of a run: what the held commit impacts is asked once more, under the lock, before it is made.

What was committed since the document was made may read what the held commit changes. Each start asks until the held
commit is recorded as done: a retry of an aborted run may come hours later (semantics: Flow 3, step 2).
"""

from maestro.rules import commands as do
from maestro.rules import facts, not_finished, outage
from maestro.rules.document import MAESTRO, START, Document, Stage
from maestro.rules.impact import relevant, replay_order
from maestro.rules.state import System
from maestro.rules.step import SaveDocument, SaveUnit, Step


def must_ask(doc: Document) -> bool:
    """Whether Discovery is to be asked before the run goes on."""
    return not (doc.held_committed or doc.start_asked or doc.cancelling)


def ask(system: System, doc: Document, step: Step) -> None:
    """Ask Discovery about the held instance."""
    doc.await_answer(Stage.START_IMPACT, system.token())
    step.do(do.AskStartImpact(doc.id, doc.token, doc.held_instance))


def on_impact_found(system: System, doc: Document, fact: facts.StartImpactFound, step: Step) -> None:
    """Fetch the origins of the units that the document has not; without any the run goes on as it is."""
    doc.footprint = fact.footprint
    named = relevant(fact.units, own_instance=doc.held_instance, on_master=doc.on_master)
    new = tuple(one for one in named if doc.unit_of(one) is None)
    if new:
        outage.answered(system, doc.id)
        doc.await_answer(Stage.START_ORIGINS, system.token())
        step.do(do.FetchReplayOrigins(doc.id, doc.token, new))
    else:
        outage.over(system, doc.id)
        doc.start_asked = True


def on_origins_fetched(system: System, doc: Document, fact: facts.ReplayOriginsFetched, step: Step) -> None:
    """Add the units at the end, in the order of replay. The queues are filled with them: that comes next."""
    outage.over(system, doc.id)
    doc.start_asked = True
    new, early = not_finished.part(system, fact.origins)
    not_finished.note(system, early, doc.held_instance, step)
    if not_finished.listed(doc, early) and not new:
        step.save(SaveDocument(doc))
    if not new:
        return
    units = doc.add(replay_order(new), START)
    doc.cascaded += len(units)
    system.counters.cascaded += len(units)
    number = len(units)
    added = f"the start added {number} unit that the held commit impacts by now"
    if number != 1:
        added = f"the start added {number} units that the held commit impacts by now"
    doc.note(system.now, MAESTRO, added, "")
    step.save(SaveDocument(doc), *(SaveUnit(doc, unit) for unit in units))

"""Results that were accepted and not committed when their run ended: whether they still count after a retry.

A replay computed its result from the data as it was. Once anything else of the system is committed, the result may
build on what is no longer so: it is superseded, and its unit is sent again (semantics: Retry).
"""

from maestro.messages.answers import Code
from maestro.rules import committing
from maestro.rules.document import MAESTRO, Document
from maestro.rules.doubt import Doubt, Use, Word
from maestro.rules.ending import SUPERSEDED
from maestro.rules.settling import answer, reject
from maestro.rules.state import System
from maestro.rules.step import SaveDocument, SaveDoubt, SaveUnit, Step
from maestro.rules.unit import IN_FLIGHT


def outdate(system: System, committed: Document | None, step: Step) -> None:
    """Note that something was committed: by the run of a document, or (None) by flow 1.

    What is in doubt and changes nothing when it is made again would undo that, if it was made before.
    """
    for doc in system.live.values():
        has_result = doc.current is not None and doc.current.state not in IN_FLIGHT
        if doc is not committed and has_result and not doc.outdated:
            doc.outdated = True
            step.save(SaveDocument(doc))
    for doc in list(system.keeping.values()):
        if doc is not committed:
            doc.kept = False
            system.file(doc)
            step.save(SaveDocument(doc))
    for doubt in system.doubts.values():
        if not doubt.overtaken and (doubt.open or _is_yet_to_be_made_again(system, doubt)):
            doubt.overtaken, doubt.verdict = True, ""
            step.save(SaveDoubt(doubt))


def _is_yet_to_be_made_again(system: System, doubt: Doubt) -> bool:
    """Whether a held commit was found harmless to make again, by nobody's word, and is not called again yet."""
    if doubt.use is not Use.HELD or (doubt.verdict, doubt.user) != (Word.MAKE_AGAIN, MAESTRO):
        return False  # nearly all that are remembered: each commit asks
    doc = system.documents.get(doubt.document)
    if doc is None or doubt.called_again or system.rules.commit_repeatable:
        return False
    return not (doc.held_committed or doc.held_begun)


def settle(system: System, doc: Document, step: Step) -> None:
    """At a start: go on with a kept result that still counts; else its unit is outstanding again.

    A commit that is under way counts as made.
    """
    counts, doc.kept = doc.kept and not system.committing, False
    system.file(doc)
    if not counts and doc.current is not None:
        supersede(system, doc, step)


def supersede(system: System, doc: Document, step: Step) -> None:
    """Give up the accepted result of the current unit: the unit is outstanding again."""
    unit = doc.current
    assert unit is not None
    result = system.deliveries.get(unit.result_key)
    if result is not None and not result.done:
        result.replay = False
        answer(result, step, Code.FAILED, message=SUPERSEDED)
        reject(system, result, SUPERSEDED, step)
        system.counters.superseded += 1
    doc.put_back_current(accepted=True)
    committing.note_repeated(doc, step, repeated=False)
    step.save(SaveUnit(doc, unit))

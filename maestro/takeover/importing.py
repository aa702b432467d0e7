"""Writes what was found into the systems' stores. The store comes first, then the messages leave their queues.

A document whose id a store has is known: it is left as it is. So a second import changes nothing, and finishes one that
broke off.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from maestro.events import BadInput
from maestro.rules.document import Document
from maestro.rules.state import Rules
from maestro.rules.status import IN_PROGRESS, Status
from maestro.rules.step import Save, SaveDocument, SaveUnit
from maestro.rules.unit import UnitState
from maestro.store.door import Stores
from maestro.store.memory import MemoryStore
from maestro.system.repository import Repository
from maestro.takeover.documents import converted
from maestro.takeover.gathering import Found


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of one document."""

    id: str
    #: As it was found, and as it is in the store; empty: it is not taken over.
    found: str
    status: str
    units: int
    done: int
    #: It was in the store before.
    known: bool = False
    note: str = ""


@dataclass(slots=True)
class Taken:
    """What becomes of one system's documents."""

    documents: list[Outcome] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


async def take_over(found: Found, stores: Stores, at: float, *, dry: bool) -> Taken:
    """Put a system's documents into its store; with `dry` only say what would become of them.

    Raises:
        StoreError: the store cannot be read or written; nothing of this system was taken over.
    """
    if dry and found.system_id not in await stores.systems():
        return _into(Repository(MemoryStore(), found.system_id, Rules()), found, at)[0]
    with_store = await stores.open(found.system_id)
    try:
        repository = Repository(with_store, found.system_id, Rules())
        taken, new = _into(repository, found, at)
        if new and not dry:
            saves: list[Save] = []
            for doc in new:
                saves += [SaveDocument(doc), *(SaveUnit(doc, unit) for unit in doc.order)]
            await with_store.commit(repository.writes(saves), durable=True)
        return taken
    finally:
        with_store.close()


def _into(repository: Repository, found: Found, at: float) -> tuple[Taken, list[Document]]:
    system = repository.load()
    taken = Taken(problems=list(found.problems))
    new: list[Document] = []
    lines = _lines(found)
    for left in found.documents:
        known = system.documents.get(left.id)
        if known is not None:
            taken.documents.append(Outcome(left.id, left.status, known.status, known.total, known.replayed, known=True))
            continue
        try:
            doc, units = converted(left, found.queued, system.next_number, system.next_line + lines[left.id], at)
        except BadInput as bad:
            taken.problems.append(f"reprocessing {left.id}: {bad}")
            continue
        system.next_number = doc.number + 1
        doc.order = units
        new.append(doc)
        done = sum(unit.state is UnitState.DONE for unit in units)
        taken.documents.append(Outcome(doc.id, left.status, doc.status, len(units), done, note=doc.history[-1].cause))
    taken.problems += _several_running(new)
    return taken, new


def _lines(found: Found) -> Mapping[str, int]:
    """Return each document's place in the line: what runs, what was taken off the queue already, then the queue."""
    order = {left.id: 0 for left in found.documents}
    in_line = {left.id: place for place, left in enumerate(found.queued.line, start=1)}
    return {id_: in_line.get(id_, 0) for id_ in order}


def _several_running(new: list[Document]) -> list[str]:
    running = [doc.id for doc in new if doc.status in IN_PROGRESS and doc.status is not Status.RUNNING_WITHOUT_LOCK]
    return [f"several run with lock: {', '.join(running)}; decide by set_status which ends"] if len(running) > 1 else []

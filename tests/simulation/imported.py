"""Reprocessings that were pending before this system was ours: the only way that several are pending at once."""

import orjson

from maestro.events import MASTER
from maestro.rules.document import MAESTRO, Document, HistoryEntry
from maestro.rules.state import Rules
from maestro.rules.status import Status
from maestro.rules.step import SaveDocument, SaveUnit
from maestro.system.repository import Repository
from tests.simulation.domain import FINISHED, Instance
from tests.simulation.host import Host
from tests.simulation.siblings import Siblings


def imported_documents(host: Host, siblings: Siblings) -> None:
    """Give a system some data, and two pending reprocessings in its store."""
    data = siblings.data
    for name, reads, writes in (
        ("i0", (), "k0"),
        ("i1", (), "k1"),
        ("i2", ("k0",), "e-i2"),
        ("i3", ("k1", "e-i2"), "e-i3"),
    ):
        instance = _instance(host.system_id, name, reads, writes)
        instance.started_at, instance.unheard = 0.1, True
        data.instances[instance.id] = instance
        data.compute(instance)
        data.commit(instance, 0.0, "")
        data.statuses[instance.id] = FINISHED
    repository = Repository(host.store, host.system_id, Rules())
    for number, (name, writes) in enumerate((("h0", "k0"), ("h1", "k1")), start=1):
        held = _instance(host.system_id, name, (), writes)
        data.instances[held.id] = held
        data.compute(held)
        doc = Document(
            f"{host.system_id}-imported-{number}", host.system_id, number, held.id, MASTER, forking=False,
            held_instance=held.id, pending_event=held.origin, origin=held.origin,
            history=[HistoryEntry(Status.PENDING, 0.0, MAESTRO)],
        )  # fmt: skip
        held.asked_at = 0.0
        units = doc.add(siblings.origins(data.impacted(held)))
        writes_ = repository.writes([SaveDocument(doc), *(SaveUnit(doc, unit) for unit in units)])
        host.store.commit(writes_, durable=True)
        host.watch.committed(writes_)


def _instance(system_id: str, name: str, reads: tuple[str, ...], writes: str) -> Instance:
    id_ = f"{system_id}.{name}"
    origin = orjson.dumps(
        {"name": "p", "systemId": system_id, "instanceId": id_, "tag": id_, "branch": MASTER,
         "timestamp": "2018-07-20T14:00:00"}
    )  # fmt: skip
    return Instance(id_, MASTER, reads, writes, len(name) + len(writes) * 7, origin)

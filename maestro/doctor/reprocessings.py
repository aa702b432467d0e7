"""Whether any reprocessing is stuck, or waits for somebody."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec

from maestro.client.api import Maestro
from maestro.client.errors import ClientError
from maestro.client.finding import documents
from maestro.client.shapes.documents import Document
from maestro.client.shapes.systems import System
from maestro.doctor.finding import Finding, ok, problem, warning
from maestro.doctor.site import Site
from maestro.statuses import FAILED, RUNNING, Status, ordered

CHECK: Final = "reprocessing"
_FAILED: Final = ordered(FAILED)
_DENIED: Final = (401, 403)
_LATER: Final = "maestro doctor, once they answer"
_HOUR: Final = 3600.0


async def check_reprocessings(site: Site, pending_hours: float) -> list[Finding]:
    """Whether runs make progress, and what waits for a decision (too long: beyond `pending_hours`)."""
    if site.refused is not None and site.refused.status in _DENIED:
        return [
            warning(CHECK, "all", "not known: this token may not look", "MAESTRO_TOKEN=<one that may> maestro doctor")
        ]
    if not site.answers:
        return [warning(CHECK, "all", "not known: Maestro does not say", "maestro doctor, once the gateway answers")]
    found: list[Finding] = []
    silent = []
    for system in site.served:
        try:
            docs = None if system.state == "unavailable" else await asyncio.to_thread(_documents, site.maestro, system)
        except ClientError:
            docs = None
        if docs is None:
            silent.append(system.id)
        else:
            found += _findings(docs, site.settings.reprocessing.replay_timeout, pending_hours)
    if silent:
        systems = ", ".join(silent)
        said = f"not known of {systems}: no answer"
        found.append(warning(CHECK, "all" if len(silent) == len(site.served) else "some", said, _LATER))
    return found or [ok(CHECK, "all", "none is stuck, failed, or undecided for long")]


def _documents(maestro: Maestro, system: System) -> list[Document]:
    live = [*system.pending, *([system.running.id] if system.running else ())]
    failed = (msgspec.json.decode(raw, type=Document) for raw in documents(maestro, (system.id,), _FAILED))
    return [*(maestro.document(id_).value for id_ in live), *failed]


def _findings(docs: list[Document], replay_timeout: float, pending_hours: float) -> Iterator[Finding]:
    for doc in docs:
        since = time.time() - last_progress(doc)
        about = f"{doc.id} of {doc.system_id}"
        if doc.status in RUNNING and since > replay_timeout:
            left = f"{doc.progress.replayed} replayed, {doc.progress.outstanding} left"
            message = f"runs without progress for {since / 60:.0f} min ({left}); replay_timeout is {replay_timeout:g} s"
            yield problem(CHECK, about, message, f"maestro show {doc.id}; then maestro cancel {doc.id}")
        elif doc.status in {Status.PENDING, Status.PAUSED} and since > pending_hours * _HOUR:
            yes, no = ("resume", "cancel") if doc.status == Status.PAUSED else ("approve", "skip")
            message = f"{doc.status} for {since / _HOUR:.0f} h: somebody has to decide"
            decide = f"maestro show {doc.id}; then maestro {yes} {doc.id} or maestro {no} {doc.id}"
            yield warning(CHECK, about, message, decide)
        elif doc.status in _FAILED:
            taken = doc.taken
            cause = (taken and (taken.cause or taken.reason)) or "no cause known"
            yield warning(CHECK, about, f"{doc.status}: {cause}", f"mend the cause; then maestro retry {doc.id}")


def last_progress(doc: Document) -> float:
    """Return when a reprocessing last came on, in seconds since the epoch: a replay done, or a change of status."""
    times = [doc.taken.timestamp] if doc.taken else []
    times += [unit.done_at for unit in doc.units or () if unit.done_at]
    return max((datetime.fromisoformat(one).replace(tzinfo=UTC).timestamp() for one in times), default=time.time())

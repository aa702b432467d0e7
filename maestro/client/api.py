"""Maestro's API, a method for each call. Every method raises `NotReachable` and `Rejected`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote

import msgspec

from maestro.client.shapes.documents import Document, EntitiesPage, Reconsidered
from maestro.client.shapes.doubts import Doubt, Doubts
from maestro.client.shapes.error_queue import ErrorGroup, ErrorGroupsPage, ErrorPage, Redriven, SetAside
from maestro.client.shapes.events import SkippedPage, WaitingPage
from maestro.client.shapes.lists import DecidedMany, RecordsPage, TodoPage
from maestro.client.shapes.nodes import Nodes
from maestro.client.shapes.notices import Ways
from maestro.client.shapes.policies import Explained, Policies
from maestro.client.shapes.stale import StalePage
from maestro.client.shapes.systems import CopiedStore, Health, Seen, StorePage, System
from maestro.client.shapes.units import EvidencePage, FoundUnitsPage
from maestro.client.shapes.values import Labels, OutcomePage, UnusualPage
from maestro.client.target import Target
from maestro.client.transport import Reply, Transport

#: Seconds for a call that waits for the end of something: longer than the gateway's own `sync_timeout`.
PATIENT: Final = 150.0
#: Seconds of silence after which a stream is taken for dead; the gateway sends a comment every 15.
SILENCE: Final = 45.0
#: Documents asked for at once: each may be of thousands of units.
DOCUMENTS_PAGE: Final = 20
_V1: Final = "/v1.0.0"


class Decision(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a decision says: who (None: whose token it is), why, on which preview, how far."""

    user: str | None = None
    reason: str = ""
    digest: str = ""
    budget: dict[str, float] | None = None
    #: "tag": it is taken for what else becomes pending of the tag, soon, and up to how many units (None: as many).
    covers: str | None = None
    covers_limit: int | None = None


class Maestro:
    """One Maestro's API."""

    def __init__(self, target: Target) -> None:
        self.target: Final = target
        self._http = Transport(target)

    # --- looking -----------------------------------------------------------------------------------------------

    def ready(self, timeout: float | None = None) -> None:
        """Return if all parts of Maestro are there; `Rejected` (503) names those that are not, in `problems`."""
        self._http.call("GET", "/readyz", Health, timeout=timeout)

    def systems(self, timeout: float | None = None) -> Reply[list[System]]:
        """Return all systems, by id."""
        return self._http.call("GET", f"{_V1}/systems", list[System], timeout=timeout)

    def system(self, system_id: str) -> Reply[System]:
        """Return one system, with its queues measured."""
        return self._http.call("GET", _system(system_id), System)

    def nodes(self) -> Reply[Nodes]:
        """Return the nodes of the cluster; without one none."""
        return self._http.call("GET", f"{_V1}/nodes", Nodes)

    def documents(self, system_id: str, status: str = "") -> Iterator[msgspec.Raw]:
        """Yield a system's documents, all or of one status, oldest first, each as it came; asked for page by page."""
        path = f"{_V1}/reprocessing/{_part(system_id)}/find"
        after = ""
        while True:
            query = {"status": status, "after": after, "limit": DOCUMENTS_PAGE}
            reply = self._http.call("GET", path, list[msgspec.Raw], query=query)
            yield from reply.value
            after = reply.next_after
            if not after:
                return

    def document(self, document_id: str) -> Reply[Document]:
        """Return one document."""
        return self._http.call("GET", _document(document_id), Document)

    def todo(self, system_id: str, after: int, limit: int) -> Reply[TodoPage]:
        """Return what waits for a person, in a system or in all: a page of it, the most urgent first."""
        query = {"system": system_id, "after": after, "limit": limit}
        return self._http.call("GET", f"{_V1}/todo", TodoPage, query=query)

    def history(self, system_id: str, status: str, before: str, limit: int, text: str = "") -> Reply[RecordsPage]:
        """Return a page of the history of a system, or of all: newest first, those behind the cursor `before`."""
        query = {"system": system_id, "status": status, "text": text, "before": before, "limit": limit}
        return self._http.call("GET", f"{_V1}/history", RecordsPage, query=query)

    def units(self, document_id: str, after: int, limit: int, **conditions: str) -> Reply[FoundUnitsPage]:
        """Return the units of a document that fit `process`, `branch`, `period`, `state` and `text`; and counts."""
        query: dict[str, Any] = {"after": after, "limit": limit, **conditions}
        return self._http.call("GET", _document(document_id, "units"), FoundUnitsPage, query=query)

    def evidence(self, document_id: str, positions: Sequence[int]) -> Reply[EvidencePage]:
        """Return why the units at these positions (at most 50) are in a document."""
        query = {"positions": ",".join(map(str, positions))}
        return self._http.call("GET", _document(document_id, "evidence"), EvidencePage, query=query)

    def entities(self, document_id: str, limit: int) -> Reply[EntitiesPage]:
        """Return the first of what a document's held commit would write."""
        return self._http.call("GET", _document(document_id, "entities"), EntitiesPage, query={"limit": limit})

    def unusual(self, document_id: str) -> Reply[UnusualPage]:
        """Return what is unusual about a document's held commit, as far as it is known."""
        return self._http.call("GET", _document(document_id, "unusual"), UnusualPage)

    def labels(self, system_id: str) -> Reply[Labels]:
        """Return what a system's data are called."""
        return self._http.call("GET", _system(system_id, "labels"), Labels)

    def policies(self, system_id: str) -> Reply[Policies]:
        """Return the policies that are for a system."""
        return self._http.call("GET", _system(system_id, "policies"), Policies)

    def explain_policies(self, document_id: str) -> Reply[Explained]:
        """Return what each policy says of a document as it is now, and why."""
        return self._http.call("GET", _document(document_id, "policies"), Explained)

    def outcome(self, document_id: str, after: int, limit: int) -> Reply[OutcomePage]:
        """Return what a reprocessing changed, as far as it is known: a page of its units, the summary of all."""
        query = {"after": after, "limit": limit}
        return self._http.call("GET", _document(document_id, "outcome"), OutcomePage, query=query)

    @contextmanager
    def outcome_csv(self, document_id: str) -> Iterator[Iterator[bytes]]:
        """Yield all that a reprocessing changed, as CSV in parts, which come as long as units are asked about."""
        with self._http.download(_document(document_id, "outcome.csv"), PATIENT) as parts:
            yield parts

    def report(self, document_id: str, language: str) -> tuple[bytes, str]:
        """Return the decision report as an HTML page, in `language` ("en", "pt-BR"), and its digest."""
        query = {"language": language}
        raw, headers = self._http.fetch("GET", _document(document_id, "report"), query=query, timeout=self._patient)
        return raw, headers.get("X-Report-Digest", "")

    def report_form(self, document_id: str) -> tuple[bytes, str]:
        """Return the facts of the decision report in their canonical form, and its digest: that form's SHA-256."""
        raw, headers = self._http.fetch("GET", _document(document_id, "report.json"), timeout=self._patient)
        return raw, headers.get("X-Report-Digest", "")

    @property
    def _patient(self) -> float:
        return max(self.target.timeout, PATIENT)

    def waiting(self, system_id: str, after: int, limit: int) -> Reply[WaitingPage]:
        """Return a page of the events that wait, oldest first."""
        return self._page(system_id, "waiting", WaitingPage, after, limit)

    def skipped(self, system_id: str, after: int, limit: int) -> Reply[SkippedPage]:
        """Return a page of what was skipped, oldest first."""
        return self._page(system_id, "skipped", SkippedPage, after, limit)

    def stale(self, system_id: str, state: str, after: int, limit: int, *, values: bool = False) -> Reply[StalePage]:
        """Return a page of the units that are not known to be fresh, oldest note first.

        `values`: with both values of each overwrite; at most 20 units then.
        """
        query = {"state": state, "after": after, "limit": limit} | ({"values": "true"} if values else {})
        return self._http.call("GET", _system(system_id, "stale"), StalePage, query=query)

    def errors(self, system_id: str, limit: int, group: str = "", after: int = 0) -> Reply[ErrorPage]:
        """Return the oldest messages of a system's error queue, or of one group of it, behind the first `after`."""
        query = {"limit": limit, "group": group, "after": after}
        return self._http.call("GET", _system(system_id, "errors"), ErrorPage, query=query)

    def error_groups(self, system_id: str, after: int = 0, limit: int = 100) -> Reply[ErrorGroupsPage]:
        """Return the messages of a system's error queue by why they failed: a page of the groups."""
        query = {"after": after, "limit": limit}
        return self._http.call("GET", _system(system_id, "errors/groups"), ErrorGroupsPage, query=query)

    @contextmanager
    def watch(
        self, system_id: str, silence: float = SILENCE, until: float | None = None
    ) -> Iterator[Iterator[Reply[Document | None]]]:
        """Watch a system: yields the document that is at stake whenever something changed.

        The events raise `NotReachable` when the stream breaks off, after `silence` seconds, or at `until` (monotonic).
        """
        with self._http.stream(_system(system_id, "stream"), silence, until) as events:
            yield (self._at_stake(data) for data in events if data)

    def _at_stake(self, data: bytes) -> Reply[Document | None]:
        raw = bytes(self._http.decoded(data, Seen).document)
        return Reply(raw, None if raw == b"null" else self._http.decoded(raw, Document))

    def notices(self) -> Reply[Ways]:
        """Return the ways by which people are told what waits for them."""
        return self._http.call("GET", f"{_V1}/notices", Ways)

    def test_notice(self, way: str, user: str | None) -> Reply[Ways]:
        """Send a test by a way, or (empty) by all; what became of each."""
        body = {"way": way} | ({} if user is None else {"user": user})
        return self._http.call("POST", f"{_V1}/notices/test", Ways, body=body, timeout=self._patient)

    # --- deciding ----------------------------------------------------------------------------------------------

    def decide(self, action: str, document_id: str, decision: Decision) -> Reply[Document]:
        """approve, skip, retry, cancel, pause, resume or recheck; the document as it is then."""
        timeout = self._patient if action == "recheck" else None
        return self._http.call("POST", _document(document_id, action), Document, body=decision, timeout=timeout)

    def decide_many(self, action: str, items: Mapping[str, str], user: str | None, reason: str) -> Reply[DecidedMany]:
        """Approve or skip several pending reprocessings (id: digest that was seen); what became of each."""
        named = [{"id": id_, "digest": digest} for id_, digest in items.items()]
        body: dict[str, Any] = {"action": action, "reason": reason, "items": named}
        if user is not None:
            body["user"] = user
        return self._http.call("POST", f"{_V1}/decisions", DecidedMany, body=body, timeout=PATIENT)

    def reconsider(self, document_id: str, decision: Decision) -> Reply[Reconsidered]:
        """Have a skipped event judged again; what became of it."""
        path = _document(document_id, "reconsider")
        return self._http.call("POST", path, Reconsidered, body=decision, timeout=PATIENT)

    def leave_out(self, document_id: str, units: Sequence[tuple[str, str]], decision: Decision) -> Reply[Document]:
        """Leave units (instance, branch) out of a reprocessing at rest, or given up; the document as it is then."""
        named = [{"instanceId": instance_id, "branch": branch} for instance_id, branch in units]
        body: dict[str, Any] = {"units": named, "reason": decision.reason}
        if decision.user is not None:
            body["user"] = decision.user
        return self._http.call("POST", _document(document_id, "units/leave_out"), Document, body=body)

    def redrive(self, system_id: str, ids: Sequence[str], user: str | None) -> Reply[Redriven]:
        """Give messages of the error queue back to be judged again, in the order of the queue."""
        body: dict[str, Any] = {"ids": ids} if user is None else {"ids": ids, "user": user}
        return self._http.call("POST", _system(system_id, "errors/redrive"), Redriven, body=body, timeout=PATIENT)

    def redrive_groups(self, system_id: str, groups: Sequence[ErrorGroup], user: str | None) -> Reply[Redriven]:
        """Give the messages of groups back as they were shown; `Rejected` (409), and nothing is, if one changed."""
        named = [{"key": one.key, "count": one.count, "digest": one.digest} for one in groups]
        body: dict[str, Any] = {"groups": named} if user is None else {"groups": named, "user": user}
        return self._http.call("POST", _system(system_id, "errors/redrive"), Redriven, body=body, timeout=PATIENT)

    def store(
        self,
        system_id: str,
        table: str = "",
        *,
        key: str = "",
        where: Sequence[str] = (),
        after: str = "",
        limit: int = 100,
    ) -> Reply[StorePage]:
        """Return what a system's store holds: its tables, one document, or a page of those that fit all of `where`."""
        query = {
            "table": table,
            "key": key,
            "where": msgspec.json.encode(where).decode(),
            "after": after,
            "limit": limit,
        }
        return self._http.call("GET", _system(system_id, "store"), StorePage, query=query)

    def doubts(self, system_id: str) -> Reply[Doubts]:
        """Return the commits in doubt, oldest first."""
        return self._http.call("GET", _system(system_id, "doubts"), Doubts)

    def resolve_doubt(self, system_id: str, key: str, verdict: str, reason: str, user: str | None) -> Reply[Doubt]:
        """Say what became of a commit in doubt: `made` or `make_again`."""
        body = {"verdict": verdict, "reason": reason} | ({} if user is None else {"user": user})
        return self._http.call("POST", _system(system_id, f"doubts/{_part(key)}"), Doubt, body=body)

    def set_aside(self, system_id: str, decision: Decision) -> Reply[SetAside]:
        """Put the event that a stalled system has in hand on its error queue."""
        return self._http.call("POST", _system(system_id, "stalled/set-aside"), SetAside, body=decision)

    def copy_store(self, system_id: str, user: str | None, timeout: float | None = None) -> Reply[CopiedStore]:
        """Have a system's store copied beside it, for a backup."""
        path = _system(system_id, "store/copy")
        body = {"user": user} if user else {}
        return self._http.call("POST", path, CopiedStore, body=body, timeout=timeout)

    def _page(self, system_id: str, what: str, shape: type[Any], after: int, limit: int) -> Reply[Any]:
        return self._http.call("GET", _system(system_id, what), shape, query={"after": after, "limit": limit})


def _part(text: str) -> str:
    return quote(text, safe="")


def _system(system_id: str, what: str = "") -> str:
    return f"{_V1}/systems/{_part(system_id)}" + (f"/{what}" if what else "")


def _document(document_id: str, what: str = "") -> str:
    return f"{_V1}/reprocessing/{_part(document_id)}" + (f"/{what}" if what else "")

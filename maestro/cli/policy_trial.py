"""What policies would have said of reprocessings that were held before: nothing is asked, and nothing changes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from maestro import json_text
from maestro.rules.document import OPEN_BRANCH, PLATFORM
from maestro.rules.policies import Effect, Known, Policy, Verdict, for_system, verdict
from maestro.rules.rendering import document_json
from maestro.rules.state import Rules
from maestro.rules.unit import name_of
from maestro.settings.model import Settings
from maestro.statuses import Status
from maestro.store.copies import backed_up, restore_system
from maestro.store.sqlite import open_store
from maestro.system.policies import policies_of
from maestro.system.repository import Repository

_NULL = b"null"


class Decided(StrEnum):
    """What became of a document that was held."""

    BY_PERSON = "approved by a person"
    BY_RULE = "approved by a rule"
    SKIPPED = "skipped"
    #: It opens a branch: no policy is asked about it.
    FORK = "opens a branch"
    WAITS = "not decided"


class _Entry(msgspec.Struct):
    status: str
    timestamp: str
    user: str = ""


class _Unit(msgspec.Struct):
    cause: int = -1


@dataclass(frozen=True, slots=True)
class Held:
    """A document of the past, as far as policies look at it: as it was when it was decided."""

    id: str
    system_id: str
    decided: Decided
    late: bool
    known: Known


@dataclass(frozen=True, slots=True)
class Trial:
    """What the policies would have said of it."""

    held: Held
    verdict: Verdict

    @property
    def careful(self) -> bool:
        """Whether something was not known that a policy looked at, and the careful side counted."""
        return any(one.applies is None for one in self.verdict.weighed)


def held_of(document: bytes) -> Held:
    """Read a document as the API has it. Raises `ValueError`: it is none."""
    fields = json_text.members(document)

    def part(name: str) -> bytes:
        return bytes(fields.get(name, _NULL))

    try:
        history = msgspec.json.decode(part("history"), type=list[_Entry])
        units = msgspec.json.decode(part("units"), type=list[_Unit])
        rows = msgspec.json.decode(part("rows"), type=int | None)
        late, forking = (msgspec.json.decode(part(name), type=bool) for name in ("late", "forking"))
        today = date.fromisoformat(history[0].timestamp[:10])
    except (msgspec.DecodeError, IndexError) as problem:
        raise ValueError(str(problem)) from problem
    origin = b"" if part("origin") == _NULL else part("origin")
    name = json_text.text_of(part("pendingEvent"), "name") if late else name_of(origin)
    shown = sum(unit.cause == -1 for unit in units)  # cascades, and the start, brought the others
    known = Known(name or None, json_text.text_of(document, "branch"), shown, 0 if late else rows, origin, today)
    ids = [json_text.text_of(document, one) for one in ("id", "systemId")]
    return Held(ids[0], ids[1], Decided.FORK if forking else _decided(history), late, known)


def _decided(history: Sequence[_Entry]) -> Decided:
    for entry in history:
        if entry.status == Status.SKIPPED:
            return Decided.SKIPPED
        if entry.status == Status.APPROVED:
            return Decided.BY_RULE if entry.user in (PLATFORM, OPEN_BRANCH) else Decided.BY_PERSON
    return Decided.WAITS


def tried(settings: Settings, documents: Iterable[Held]) -> list[Trial]:
    """Return what the configured policies, and the settings beside them, say of each. Forks are left out."""
    policies = policies_of(settings)
    return [_tried(settings, policies, one) for one in documents if one.decided is not Decided.FORK]


def _tried(settings: Settings, policies: Sequence[Policy], held: Held) -> Trial:
    given = []
    if held.system_id in settings.access.two_approvers:
        given.append(Effect.TWO_APPROVERS)
    if held.late:
        if settings.late.policy == "replay":
            given.append(Effect.APPROVE)
    elif held.system_id in settings.reprocessing.auto_approve:
        given.append(Effect.APPROVE)
    return Trial(held, verdict(for_system(policies, held.system_id), held.known, *given, spares=not held.late))


def of_backup(folder: Path, system_id: str) -> Iterator[bytes]:
    """Yield the documents of a backup's stores as the API has them, of one system or (empty) of all.

    A copy of each store is read: opening one may write to it. Raises `StoreError`.
    """
    for name in [system_id] if system_id else backed_up(folder):
        with TemporaryDirectory(prefix="maestro-dry-run-") as scratch:
            path = restore_system(folder, Path(scratch), name)
            store = open_store(path)
            try:
                repository = Repository(store, name, Rules())
                for doc in repository.load().documents.values():
                    yield document_json(doc, repository.units(doc.id))
            finally:
                store.close()

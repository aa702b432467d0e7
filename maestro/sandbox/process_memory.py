"""Process Memory: what started every instance, what it read and computed, and the home of reprocessing documents."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial, reduce
from operator import and_
from typing import Any

from aiohttp import web
from tinydb import TinyDB, where
from tinydb.storages import MemoryStorage

from maestro.sandbox.rows import Change, Row, StagedRow
from maestro.sandbox.web import Refused, Service, body_of, json, needed

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Computation:
    """The dataset of one computation: the rows it found, and those it would write."""

    found: tuple[Row, ...]
    staged: tuple[StagedRow, ...]

    def as_read(self) -> Json:
        """Render the dataset as it was read."""
        return _dataset([_as_read(row, Change.NONE) for row in self.found])

    def as_computed(self) -> Json:
        """Render the dataset as it was computed: what was read, with what is to be written in its place or beside."""
        written = {row.rid: _as_computed(row) for row in self.staged}
        read = {row.rid: _as_read(row, Change.NONE) for row in self.found}
        return _dataset([*(read | written).values()])


class ProcessMemory(Service):
    """Keeps events, datasets and documents in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._origins: dict[str, Json] = {}
        self._computations: defaultdict[str, list[Computation]] = defaultdict(list)
        # A collection without a key of its own, as MongoDB's: it is asked by field, and may have one id twice.
        self._documents = TinyDB(storage=MemoryStorage).table("reprocessing")

    def remember(self, instance: str, event: Json) -> None:
        """Keep the event that started an instance; its reference date goes by another name here."""
        kept = {key: value for key, value in event.items() if key != "referenceDate"}
        if "referenceDate" in event:
            kept["reference_date"] = event["referenceDate"]
        self._origins[instance] = kept

    def origin(self, instance: str) -> Json:
        """Return the event that started an instance, with its date under the name that events have it."""
        event = dict(self._origins[instance])
        if "reference_date" in event:
            event["referenceDate"] = event.pop("reference_date")
        return event

    def remember_computation(self, instance: str, found: Sequence[Row], staged: Sequence[StagedRow]) -> None:
        """Keep what an instance read and computed, behind what it computed before."""
        self._computations[instance].append(Computation(tuple(found), tuple(staged)))

    @property
    def documents(self) -> dict[str, Json]:
        """The documents by id; of several with one id, the first."""
        return {document["id"]: document for document in reversed(self._documents.all())}

    @property
    def doubled_documents(self) -> list[str]:
        """Ids that more than one document has."""
        ids = [document["id"] for document in self._documents]
        return sorted({one for one in ids if ids.count(one) > 1})

    def app(self) -> web.Application:
        """Return the HTTP service."""
        return self.new_app(
            web.get("/{instance}/event", self._event),
            web.get("/{instance}/head", self._head),
            web.get("/{instance}/history", self._history),
            web.get("/reprocessing", self._find),
            web.post("/reprocessing", self._insert),
            web.put("/reprocessing", self._replace),
        )

    async def _event(self, request: web.Request) -> web.Response:
        event = self._origins.get(request.match_info["instance"])
        return json([] if event is None else [event])

    async def _head(self, request: web.Request) -> web.Response:
        instance = request.match_info["instance"]
        if not self._computations.get(instance):
            raise Refused(f"no head of {instance}")
        return json(self._computations[instance][-1].as_computed())

    async def _history(self, request: web.Request) -> web.Response:
        instance = request.match_info["instance"]
        event = self._origins.get(instance)
        datasets = [
            dataset
            for one in self._computations.get(instance, ())
            for dataset in (one.as_read(), one.as_computed())
        ]  # fmt: skip
        return json([] if event is None else [event, *datasets])

    async def _find(self, request: web.Request) -> web.Response:
        wanted = request.query.items()
        conditions = [where(field).test(partial(_reads, value)) for field, value in wanted]
        return json(self._documents.search(reduce(and_, conditions)) if conditions else self._documents.all())

    async def _insert(self, request: web.Request) -> web.Response:
        document = await body_of(request)
        if not isinstance(document, dict) or not document.get("id"):
            raise Refused("a reprocessing document needs an id")
        self._documents.insert(document)
        return json({"result": {"n": 1, "ok": 1}})

    async def _replace(self, request: web.Request) -> web.Response:
        document = await body_of(request)
        identity = needed(request, "id")
        first = self._documents.search(where("id") == identity)[:1]
        found = len(self._documents.update(_becomes(document), doc_ids=[one.doc_id for one in first]))
        return json({"result": {"n": found, "nModified": found, "ok": 1}})


def _reads(text: str, value: Any) -> bool:
    return str(value) == text


def _becomes(document: Json) -> Callable[[Mapping[str, Any]], None]:
    def replace(stored: Mapping[str, Any]) -> None:
        assert isinstance(stored, dict)
        stored.clear()
        stored.update(document)

    return replace


def wire_moment(at: float, timespec: str = "microseconds") -> str:
    """Render seconds since the epoch as the platform writes them: UTC, no zone."""
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat(timespec=timespec)


def _dataset(rows: Sequence[Json]) -> Json:
    entities: dict[str, list[Json]] = {}
    for row in rows:
        entities.setdefault(row["_metadata"]["type"], []).append(row)
    return {"dataset": {"entities": entities}}


def _as_read(row: Row, change: Change) -> Json:
    return {
        **row.fields,
        "id": row.id,
        "_metadata": {
            "type": row.entity,
            "rid": row.rid,
            "branch": row.branch,
            "changeTrack": change.value,
            "instance_id": row.instance,
            # Cut to seconds here, so nobody can tell versions by it.
            "modified_at": wire_moment(row.modified_at, "seconds"),
        },
    }


def _as_computed(row: StagedRow) -> Json:
    known = {"instance_id": row.writer, "modified_at": wire_moment(row.modified_at, "seconds")} if row.writer else {}
    return {
        **row.fields,
        "id": row.id,
        "_metadata": {
            "type": row.entity,
            "rid": row.rid,
            "branch": row.branch,
            "changeTrack": row.change.value,
            **known,
        },
    }

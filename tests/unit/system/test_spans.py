"""One trace from the broker to the commit, one from a decision to its end, told by the in-memory exporter."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from maestro.messages.decisions import Approve, Skip
from maestro.messages.ingress import DeadLetter
from maestro.messages.questions import FindDocuments
from maestro.settings.model import TraceSettings
from maestro.telemetry import span_export
from maestro.telemetry.span_export import trace_id
from tests.support.in_process import InProcess, served
from tests.support.siblings import RecordingSiblings
from tests.support.stage import SYSTEM, event, eventually, unit

ON = TraceSettings(enabled=True)


class Spans:
    """What was exported, by name and parent."""

    def __init__(self) -> None:
        self._exporters: list[InMemorySpanExporter] = []

    def exporter(self, _settings: TraceSettings) -> InMemorySpanExporter:
        """Return a new one for each life of the service: the SDK shuts it down."""
        self._exporters.append(InMemorySpanExporter())
        return self._exporters[-1]

    def of(self, *about: str) -> list[ReadableSpan]:
        return [span for span in self.all() if span.context.trace_id == trace_id(*about)]

    def tree(self, *about: str) -> list[Any]:
        """Return a trace as names within names, in the order they began."""
        spans = sorted(self.of(*about), key=lambda span: span.start_time or 0)

        def below(parent: int | None) -> list[Any]:
            own = [span for span in spans if (span.parent.span_id if span.parent else None) == parent]
            found = [(span.name, below(span.context.span_id)) for span in own]
            return [{name: inner} if inner else name for name, inner in found]

        return below(None)

    def values(self, attribute: str, *about: str) -> list[Any]:
        """Return what the roots of a trace say."""
        return [span.attributes[attribute] for span in self.of(*about) if span.parent is None and span.attributes]

    def all(self) -> list[ReadableSpan]:
        return [span for exporter in self._exporters for span in exporter.get_finished_spans()]


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Spans:
    spans = Spans()
    monkeypatch.setattr(span_export, "exporter", spans.exporter)
    return spans


async def pending(it: InProcess) -> str:
    async def there() -> list[Any]:
        return orjson.loads((await it.ask(FindDocuments("pending_approval"))).body)

    return (await eventually(there, "a reprocessing is pending"))[0]["id"]


async def status(it: InProcess, id_: str, wanted: str) -> None:
    async def there() -> bool:
        return any(doc["id"] == id_ for doc in orjson.loads((await it.ask(FindDocuments(wanted))).body))

    await eventually(there, f"{id_} is {wanted}")


async def test_an_event_from_the_broker_to_its_commit(
    tmp_path: Path, siblings: RecordingSiblings, spans: Spans
) -> None:
    async with served(tmp_path, siblings, trace=ON) as it:
        key = it.publish("i1")
        await siblings.wait_for(lambda: siblings.commits == ["i1"], 10)
        await siblings.wait_for(lambda: it.acks() == [1], 10)
    assert spans.tree("event", SYSTEM, key) == [{"persist event": ["ingress", "discovery.impacted", "domain.commit"]}]
    root = spans.of("event", SYSTEM, key)[-1]
    assert root.attributes is not None
    assert root.attributes["maestro.delivery"] == key
    assert root.attributes["maestro.instance"] == "i1"
    assert root.attributes["maestro.verdict"] == "commit"
    assert root.resource.attributes["maestro.system"] == SYSTEM
    assert root.status.is_ok or root.status.is_unset


async def test_a_decision_to_its_finish_with_each_replay(
    tmp_path: Path, siblings: RecordingSiblings, spans: Spans
) -> None:
    siblings.impacts["i2"] = [unit("p1"), unit("p2")]
    async with served(tmp_path, siblings, trace=ON) as it:

        async def execute(sent: dict[str, Any]) -> None:
            if sent.get("scope") == "reprocessing":
                name = f"re-{sent['reprocessing']['instance_id']}"
                it.publish(event(name, scope="reprocessing", reprocessing=sent["reprocessing"]), name)

        siblings.on_sendevent = execute
        held = it.publish("i2")
        id_ = await pending(it)
        waited = it.publish("i3")
        await it.ask(Approve(id_, "ana"))
        await status(it, id_, "finished")
        await siblings.wait_for(lambda: siblings.commits[-1] == "i3", 10)
        await siblings.wait_for(lambda: not it.service._open._sibling_calls._tasks, 10)  # type: ignore[union-attr]  # it is open
    replay = {"replay": ["event_manager.replay", {"persist event": ["ingress"]}, "discovery.impacted", "domain.commit"]}
    (tree,) = spans.tree("reprocessing", id_, "1")
    assert list(tree) == ["reprocessing"]
    steps = tree["reprocessing"]
    assert steps[:2] == ["event_manager.starting", "domain.commit"]
    assert [sorted(map(str, one["replay"])) for one in steps[2:]] == [sorted(map(str, replay["replay"]))] * 2
    root = next(span for span in spans.of("reprocessing", id_, "1") if span.parent is None)
    assert [one.name for one in root.events] == ["approved", "running", "finished"]
    assert root.attributes is not None
    assert root.attributes["maestro.status"] == "finished"
    assert root.attributes["maestro.replayed"] == 2
    # Linked by ids: the held event's trace and the run's name the same instance. What waited is one trace of two spans.
    assert spans.values("maestro.instance", "event", SYSTEM, held) == ["i2"]
    assert spans.values("maestro.verdict", "event", SYSTEM, held) == ["pending"]
    assert spans.values("maestro.verdict", "event", SYSTEM, waited) == ["waiting", "commit"]


async def test_what_failed_is_an_error(tmp_path: Path, siblings: RecordingSiblings, spans: Spans) -> None:
    siblings.fail("discovery", "impacted", 99, 404, when=lambda call: call.instance_id == "i1")
    async with served(tmp_path, siblings, trace=ON) as it:
        it.publish("i0")
        await siblings.wait_for(lambda: bool(it.acks()), 10)
        key = it.publish("i1")
        await siblings.wait_for(lambda: any(isinstance(one, DeadLetter) for one in it.settled), 10)
    by_name = {span.name: span for span in spans.of("event", SYSTEM, key)}
    for name in ("persist event", "discovery.impacted"):
        assert not by_name[name].status.is_ok
        assert "discovery.impacted: answered 404" in str(by_name[name].status.description)


async def test_a_skip_and_a_stop_leave_no_span_open(tmp_path: Path, siblings: RecordingSiblings, spans: Spans) -> None:
    siblings.impacts["i2"] = [unit("p1")]
    async with served(tmp_path, siblings, trace=ON) as it:
        it.publish("i2")
        id_ = await pending(it)
        await it.ask(Skip(id_, "ana"))
        it.publish("i3")
        await siblings.wait_for(lambda: "i3" in siblings.commits, 10)
    assert all(span.end_time for span in spans.all())
    assert {span.name for span in spans.of("reprocessing", id_, "0")} == {"reprocessing"}


async def test_a_run_goes_on_in_its_trace_after_a_restart(
    tmp_path: Path, siblings: RecordingSiblings, spans: Spans
) -> None:
    siblings.impacts["i2"] = [unit("p1")]
    async with served(tmp_path, siblings, trace=ON) as it:
        it.publish("i2")
        id_ = await pending(it)
        await it.ask(Approve(id_, "ana"))
        await siblings.wait_for(lambda: any(sent.get("scope") == "reprocessing" for sent in siblings.events), 10)
    (sent,) = [sent for sent in siblings.events if sent.get("scope") == "reprocessing"]
    async with served(tmp_path, siblings, trace=ON) as it:
        it.publish(event("re1", scope="reprocessing", reprocessing=sent["reprocessing"]), "key-of-re1")
        await status(it, id_, "finished")
    roots = [span for span in spans.of("reprocessing", id_, "1") if span.parent is None]
    assert len(roots) == 2, "one for each life of the service"
    assert {span.name for span in spans.of("reprocessing", id_, "1")} >= {"replay", "domain.commit"}


async def test_off_is_one_branch(tmp_path: Path, siblings: RecordingSiblings, spans: Spans) -> None:
    async with served(tmp_path, siblings) as it:
        assert it.service._open is not None
        parts = (it.service._open, it.service._open._engine, it.service._open._sibling_calls)
        assert all(part._trace is None for part in parts)
        it.publish("i1")
        await siblings.wait_for(lambda: siblings.commits == ["i1"], 10)
    assert spans.all() == []


async def test_a_defect_of_the_trace_stops_no_event(
    tmp_path: Path, siblings: RecordingSiblings, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(tmp_path, siblings, trace=ON) as it:
        monkeypatch.setattr("maestro.telemetry.spans.Spans._root", lambda *_: 1 / 0)
        it.publish("i1")
        await siblings.wait_for(lambda: siblings.commits == ["i1"], 10)


async def test_a_collector_that_is_away_does_not_hold_up_a_stop(tmp_path: Path, siblings: RecordingSiblings) -> None:
    settings = TraceSettings(enabled=True, endpoint="http://127.0.0.1:9/v1/traces")
    async with served(tmp_path, siblings, trace=settings) as it:
        it.publish("i1")
        await siblings.wait_for(lambda: siblings.commits == ["i1"], 10)

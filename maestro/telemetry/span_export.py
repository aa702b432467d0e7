"""Where spans go: OpenTelemetry's SDK set up for one system's process. Needs the packages of the extra `trace`."""

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from maestro import __version__
from maestro.settings.model import TraceSettings

#: Seconds one export may take, and the last one.
EXPORT_TIMEOUT, CLOSE_TIMEOUT = 5, 1.0


class KnownIds(RandomIdGenerator):
    """Makes a trace's id out of what it is about, so that it goes on after a restart, and can be found by it."""

    def __init__(self) -> None:
        super().__init__()
        self.about: Sequence[str] = ()

    def generate_trace_id(self) -> int:
        """Return the id for `about`; a random one without."""
        if not self.about:
            return super().generate_trace_id()
        return trace_id(*self.about)


def trace_id(*about: str) -> int:
    """Return the 128-bit id of the trace about these ids."""
    return int.from_bytes(sha256("\0".join(about).encode()).digest()[:16], "big") or 1


def exporter(settings: TraceSettings) -> SpanExporter:
    """Return what sends spans. Headers, credentials among them, come from OTEL_EXPORTER_OTLP_HEADERS."""
    return OTLPSpanExporter(endpoint=settings.endpoint, timeout=EXPORT_TIMEOUT)


class Provider:
    """The SDK for one system."""

    def __init__(self, settings: TraceSettings, system_id: str) -> None:
        self.ids = KnownIds()
        resource = Resource({"service.name": "maestro", "service.version": __version__, "maestro.system": system_id})
        self._sdk = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(settings.sample)), resource=resource, id_generator=self.ids,
            shutdown_on_exit=False,
        )  # fmt: skip
        self._sdk.add_span_processor(BatchSpanProcessor(exporter(settings)))
        self.tracer = self._sdk.get_tracer("maestro")

    async def close(self) -> None:
        """Export what is left; a collector that is away costs `CLOSE_TIMEOUT` seconds at most, and what is left."""
        done = asyncio.Event()
        loop = asyncio.get_running_loop()

        def shut_down() -> None:
            self._sdk.shutdown()
            with suppress(RuntimeError):  # too late: the loop is closed
                loop.call_soon_threadsafe(done.set)

        threading.Thread(target=shut_down, name="last spans", daemon=True).start()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await done.wait()

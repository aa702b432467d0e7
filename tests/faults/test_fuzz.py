"""What comes from outside, mutated: HTTP requests, answers of siblings, frames and bodies of persist events.

Nothing of it may raise what is not named, be answered with 500, hang, or disturb what comes after it. A second of each
in every run, a minute with `--faults`, as long as wanted with `--fuzz-seconds`.
"""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from maestro import json_text
from maestro.broker.base import Delivery
from maestro.broker.rabbitmq_properties import Outgoing, Properties, read_header
from maestro.broker.topology import ERROR_HEADER
from maestro.events import BadInput, edited
from maestro.http.app import create_app
from maestro.http.server import serve_http
from maestro.ingress.error_queue import error_id
from maestro.messages.answers import Answer, Code
from maestro.messages.ingress import Arrived, DeadLetter, Source
from maestro.messages.questions import GetHeldInstance, PersistSync
from maestro.platform import Platform, SiblingError
from maestro.platform.domain import CommitEnd
from maestro.settings.model import HttpSettings
from maestro.system.arrivals import accept, accept_failure, accept_sync
from tests.support.fuzzing import corpus, mutants, until
from tests.support.raw_server import settings_for
from tests.unit.http.fake_actor_client import FakeActorClient, FakePages

pytestmark = [pytest.mark.quick, pytest.mark.timeout(900)]

HTTP_WORDS = (
    b"GET ", b"POST ", b"HEAD ", b"OPTIONS * ", b"PUT ", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b" HTTP/2.0\r\n",
    b"Host: x\r\n", b"Host: evil.example\r\n", b"Content-Length: 5\r\n", b"Content-Length: 99999999999\r\n",
    b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n", b"Connection: close\r\n",
    b"Connection: keep-alive\r\n", b"Expect: 100-continue\r\n", b"Expect: x\r\n", b"Upgrade: websocket\r\n",
    b"Upgrade: h2c\r\n", b"Content-Encoding: gzip\r\n", b"Authorization: Bearer x\r\n",
    b"Origin: http://evil.example\r\n", b"Idempotency-Key: k\r\n", b"X-Request-Id: x\r\n", b"%00", b"%2e%2e/",
    b"..%2f", b"\xc3\xbc", b"?after=-1&limit=0", b"?status=x", b"\r\n\r\n",
)  # fmt: skip
ANSWER_WORDS = (
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 500 X\r\n", b"HTTP/1.1 204 No Content\r\n", b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 301 Moved\r\nLocation: http://x/\r\n", b"Content-Length: 2\r\n",
    b"Content-Length: 99999999999999\r\n", b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Content-Encoding: gzip\r\n", b"Content-Encoding: deflate\r\n", b"ffffffffffffffff\r\n", b"0\r\n\r\n",
    b"Connection: close\r\n", b"Set-Cookie: a=b\r\n", b"ok", b"<html>", b"\r\n\r\n",
)  # fmt: skip
EVENT_WORDS = (
    b'"args":', b'"instanceId":', b'"systemId":"sysA"', b'"scope":"reprocessing"', b'"reprocessing":{}',
    b'"branch":', b'"tag":', b'"id":', b'"send":', b"[[[[", b"]]]]", b'{"a":{"a":{"a":', b'"timestamp":',
    b'"payload":',
)  # fmt: skip


FRAME_WORDS = (
    b"\x02\x00\x01", b"\x00\x3c\x00\x00", b"\xce", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x7f\xff\xff\xff",
    b"\x80\x00\x00\x00\x00\x00\x00\x00", b"T\x00\x00\x01\x9c\x92\x3a\x4c\x00", b"D\xff\x80\x00\x00\x00", b"t\x01",
    b"f\x7f\xc0\x00\x00", b"S\x00\x00\x00\x02\xff\xfe", b"x\x00\x00\x00\x01\xff", b"A\x00\x00\x00\x01V",
    b"F\x00\x00\x00\x03\x01xV", b"\x0fx-maestro-error", b"\x12x-maestro-error-id", b"\x01a",
)  # fmt: skip


@pytest.fixture
def seconds(request: pytest.FixtureRequest) -> float:
    """How long to go on."""
    wanted = request.config.getoption("--fuzz-seconds")
    return wanted or (60.0 if request.config.getoption("--faults") else 1.0)


async def test_http_requests(dice: Random, seconds: float) -> None:
    """Every request is answered or its connection closed, never with a bug, and the next one is answered as ever."""
    settings = HttpSettings(port=0, ask_timeout=0.5, sync_timeout=0.5, max_body_bytes=10_000, rate=1e9, burst=10**9)
    inputs = mutants(corpus("http"), HTTP_WORDS, dice)
    with capture_logs() as lines:
        actor_client = FakeActorClient("sysA", "sysB")
        actor_client.answers[GetHeldInstance] = Answer(Code.OK, b'{"systemId":"sysA","instanceId":"i1"}')
        async with serve_http(create_app(actor_client, settings, entities=FakePages()), settings) as (host, port):
            for _ in until(seconds):
                batch = [next(inputs) for _ in range(16)]
                answers = await asyncio.gather(*(_sent(host, port, request) for request in batch))
                for request, answer in zip(batch, answers, strict=True):
                    for status in _statuses(answer):
                        assert status < 500 or status in (501, 503, 504), (request, answer[:500])
                    assert b"Traceback" not in answer, request
                bugs = [line for line in lines if line["event"] == "http.bug"]
                assert not bugs, (bugs[0], batch)
                lines.clear()
                well = await _sent(host, port, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert well.startswith(b"HTTP/1.1 200"), batch


async def _sent(host: str, port: int, request: bytes) -> bytes:
    """Send bytes, end the sending side, and return all that comes; it must end within seconds."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(request)
        with suppress(ConnectionError):
            await writer.drain()
            writer.write_eof()
            if b"/stream" in request:  # an answer without an end
                async with asyncio.timeout(0.2):
                    return await reader.read(65536)
            async with asyncio.timeout(20):
                return await reader.read(10**7)
    except TimeoutError:
        assert b"/stream" in request, request
    finally:
        writer.close()
    return b""


def _statuses(answer: bytes) -> list[int]:
    """Return the status of each answer on a connection, as far as they can be told apart."""
    heads = answer.split(b"HTTP/1.")[1:]
    return [int(head[2:5]) for head in heads if head[2:5].isdigit()]


async def test_sibling_answers(dice: Random, seconds: float) -> None:
    """Whatever a sibling answers, a call returns what was agreed or raises `SiblingError`; within its time."""
    inputs = mutants(corpus("answers"), ANSWER_WORDS, dice)
    answer = b""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    settings = settings_for(
        server.sockets[0].getsockname()[1], tries=1, answer_timeout=2.0, domain_url="http://{host}:{port}"
    )
    async with server, await Platform.open(settings.model_copy(update={"max_answer_bytes": 100_000})) as platform:
        for _ in until(seconds):
            answer = next(inputs)
            for name, call in _calls(platform).items():
                async with asyncio.timeout(10):
                    try:
                        result = await call()
                    except SiblingError as problem:
                        said = str(problem)
                        if len(said) > 2000:
                            raise AssertionError(name, answer, said) from problem
                        continue
                if name == "commit" and result.end is CommitEnd.MADE:
                    # In parts, or compressed, it need not stand there as it is.
                    assert b"ok" in answer or b"chunked" in answer.lower() or b"gzip" in answer.lower(), answer
                elif name == "impacted":
                    assert all(isinstance(unit.instance_id, str) for unit in result), answer


def _calls(platform: Platform) -> dict[str, Callable[[], Awaitable[Any]]]:
    return {
        "systems": platform.apicore.systems,
        "instance": lambda: platform.apicore.instance("i1"),
        "operation": lambda: platform.apicore.starts_operation("x.done", "1"),
        "reads": lambda: platform.process_memory.reads("i1", "master"),
        "set_status": lambda: platform.apicore.set_instance_status("i1", "x"),
        "address": lambda: platform.apicore.domain_address("sysA"),
        "impacted": lambda: platform.discovery.impacted("sysA", "i1"),
        "origin": lambda: platform.process_memory.origin("i1"),
        "send": lambda: platform.event_manager.send(b'{"name":"x"}'),
        "commit": lambda: platform.domain.commit("sysA", "i1"),
        "entities": lambda: platform.domain.entities("sysA", "i1"),
        "page": lambda: platform.domain.entities_page("sysA", "i1", 0, 10),
        "footprint": lambda: platform.domain.footprint("sysA", "i1"),
    }


def test_bodies_of_persist_events(dice: Random, seconds: float) -> None:
    """A body is an event, or goes to an error queue unchanged with a reason; nothing else is raised."""
    inputs = mutants(corpus("celery"), EVENT_WORDS, dice)
    for number in until(seconds):
        body = next(inputs)
        fact = accept(Arrived(number, Source.PERSIST, body, redelivered=False, redriven=False), "sysA", 50_000)
        if isinstance(fact, DeadLetter):
            assert fact.body == body
            assert fact.reason
            assert fact.reason.isprintable() or len(fact.reason) < 1000, fact.reason
        else:
            assert fact.instance_id, body
        with suppress(BadInput):
            accept_failure(body)
        with suppress(BadInput):
            sync, wrapped = accept_sync(PersistSync(body), "sysA", 1)
            assert accept(Arrived(number, Source.PERSIST, wrapped, redelivered=False, redriven=False), "sysA", 10**6)
            assert sync.instance_id
        with suppress(BadInput):
            changed = edited(body, {"scope": "reprocessing"}, ("instanceId",))
            kept = json_text.members(changed)
            before = json_text.members(body)
            for key in before.keys() - {"scope", "instanceId"}:
                assert bytes(kept[key]) == bytes(before[key]), body


def test_frames_of_amqp(dice: Random, seconds: float) -> None:
    """A header frame is read, or said to be undecodable; what is read can be sent on, byte for byte, and read again."""
    seeds = corpus("amqp")
    inputs = mutants(seeds, FRAME_WORDS, dice)
    # Mutants of a whole frame seldom are one; these always are, around properties that are mutated.
    framed = (_framed(inner) for inner in mutants([seed[19:-1] for seed in seeds], FRAME_WORDS, dice))
    for _ in until(seconds):
        for buffer in (next(inputs), next(framed)):
            found = read_header(buffer)
            if found is None:
                continue
            size, header = found
            assert 20 <= size <= len(buffer), buffer
            came: Properties = header.properties
            assert "\n" not in came.problem, buffer
            assert len(came.problem) < 500, buffer
            _look_at(came)
            again = Properties(b"".join(Outgoing("id", {ERROR_HEADER: "why"}, came).encode()))
            if came.problem:
                continue
            assert not again.problem, buffer
            mark = ERROR_HEADER.encode()
            kept = [entry for entry in came.entries if entry[0] != mark]
            assert [entry for entry in again.entries if entry[0] != mark] == kept, buffer
            assert (again.message_id, again.headers[ERROR_HEADER]) == ("id", "why"), buffer


def _framed(properties: bytes) -> bytes:
    """Put properties into a header frame of a body of 2 bytes."""
    return struct.pack(">BHLHHQ", 2, 1, 12 + len(properties), 60, 0, 2) + properties + b"\xce"


def _look_at(came: Properties) -> None:
    """Do with headers what a look at an error queue does."""
    delivery = Delivery("persist.sysA.queue", b"{}", came.message_id, came.headers, redelivered=False, tag=1)
    assert error_id(delivery)
    orjson.dumps({str(key): str(value) for key, value in came.headers.items()})


def test_the_corpus_is_what_it_says() -> None:
    """Each target has inputs that are taken, so that mutants come near to being taken."""
    assert any(isinstance(orjson.loads(body), dict) for body in corpus("celery"))
    assert sum(seed.startswith((b"GET", b"POST")) for seed in corpus("http")) > 5
    read = [found[1].properties for seed in corpus("amqp") if (found := read_header(seed)) is not None]
    assert sum(not properties.problem and bool(properties.headers) for properties in read) > 5
    assert sum(seed.startswith(b"HTTP/1.1 200") for seed in corpus("answers")) > 5

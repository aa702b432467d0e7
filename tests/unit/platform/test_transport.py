"""Failures: which are tried again, how often, what they are called, and that nothing hangs or grows without bound."""

import asyncio
import gzip
import pickle
import socket
from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import capture_logs

from maestro.platform import Platform, SiblingError, SiblingRefused, SiblingUnreachable
from maestro.platform.answer import AnswerReader, BadAnswerError
from maestro.platform.target import address
from tests.support.raw_server import raw_server, settings_for
from tests.support.siblings import HOST, How, RecordingSiblings


async def impacted(platform: Platform) -> Any:
    return await platform.discovery.impacted("sysA", "i1")


@pytest.mark.parametrize("how", [500, 502, 503, 504, 408, 429, "garbage", "hang", "applied_then_fail"])
async def test_tried_again_until_it_works(siblings: RecordingSiblings, how: How) -> None:
    siblings.fail("discovery", "impacted", 2, how)
    async with await Platform.open(siblings.settings(answer_timeout=0.2)) as platform:
        assert await impacted(platform) == ()
    assert len(siblings.log) == 3


class Heard:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.tries: list[tuple[str, str]] = []
        self.retries: list[tuple[str, str]] = []

    def tried(self, service: str, outcome: str) -> None:
        self.tries.append((service, outcome))

    def retried(self, service: str, outcome: str) -> None:
        self.retries.append((service, outcome))


async def test_an_observer_hears_of_each_try(siblings: RecordingSiblings) -> None:
    siblings.fail("discovery", "impacted", 2, 503)
    heard = Heard()
    async with await Platform.open(siblings.settings(), heard) as platform:
        await impacted(platform)
        siblings.fail("discovery", "impacted", 1, 404)
        await impacted(platform)
        assert platform.failures("discovery") == 3
    away, done, refused = (("discovery", outcome) for outcome in ("unreachable", "ok", "refused"))
    assert heard.tries == [away, away, done, refused, done]
    assert heard.retries == [away, done, done]


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        (503, "answered 503: made to fail with 503"),
        ("garbage", "not the agreed answer"),
        ("hang", r"no answer within 0\.2 s"),
        ("reset", "the server hung up"),
    ],
)
async def test_raised_after_the_last_try(siblings: RecordingSiblings, how: How, cause: str) -> None:
    siblings.fail("domain", "entities", 99, how)
    async with await Platform.open(siblings.settings(answer_timeout=0.2)) as platform:
        with pytest.raises(SiblingUnreachable, match=cause) as caught:
            await platform.domain.entities("sysA", "i1")
    assert (caught.value.service, caught.value.call) == ("domain", "entities")
    # A GET is sent once more, within the same try, when a kept connection turns out to be closed.
    assert siblings.count("entities") >= 3


@pytest.mark.parametrize("status", [300, 302, 400, 401, 403, 404, 409, 413, 422])
async def test_what_says_no_is_tried_again(platform: Platform, siblings: RecordingSiblings, status: int) -> None:
    siblings.fail("discovery", "impacted", 99, status)
    with pytest.raises(SiblingRefused, match=f"answered {status}"):
        await impacted(platform)
    assert len(siblings.log) == 3
    siblings.heal()
    siblings.fail("discovery", "impacted", 2, status)
    assert await impacted(platform) == ()


async def test_redirect_is_not_followed(siblings: RecordingSiblings) -> None:
    there = f"http://{HOST}:{siblings.port}/v1.0.0/discovery/entities"
    answer = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n".encode()
    async with raw_server(answer) as settings, await Platform.open(settings) as platform:
        with pytest.raises(SiblingRefused, match="answered 307"):
            await impacted(platform)
    assert siblings.log == []


@pytest.mark.parametrize("answer", [
    b"", b"HTTP/1.1 200 OK\r\n", b"\x00\x01\x02\r\n\r\n", b"SSH-2.0-OpenSSH_9.0\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[]",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n[]\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n[]",
    b"HTTP/1.1 204 No Content\r\n\r\n",
])  # fmt: skip
async def test_half_an_answer_and_garbage(answer: bytes) -> None:
    async with raw_server(answer) as settings, await Platform.open(settings) as platform:
        with capture_logs() as lines, pytest.raises(SiblingUnreachable):
            await impacted(platform)
    assert len(lines) == 2


@pytest.mark.parametrize("answer", [
    b"",
    b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[\r\n",
])  # fmt: skip
async def test_a_stalled_answer_is_a_time_out(answer: bytes) -> None:
    async with raw_server(answer, hold=True) as there:
        settings = there.model_copy(update={"answer_timeout": 0.1})
        async with await Platform.open(settings) as platform:
            with pytest.raises(SiblingUnreachable, match=r"no answer within 0\.1 s"):
                await impacted(platform)


@pytest.mark.parametrize("head", [
    b"Content-Length: 5000\r\n\r\n" + b"[" + b" " * 4998 + b"]",
    b"Transfer-Encoding: chunked\r\n\r\n" + b"3e8\r\n" + b" " * 1000 + b"\r\n",
    b"Content-Length: 9000000000000\r\n\r\n" + b" " * 2000,
    b"Connection: close\r\n\r\n" + b" " * 5000,
])  # fmt: skip
async def test_answers_are_bounded(head: bytes) -> None:
    async with raw_server(b"HTTP/1.1 200 OK\r\n" + head, hold=True) as there:
        settings = there.model_copy(update={"max_answer_bytes": 900})
        async with await Platform.open(settings) as platform:
            with pytest.raises(SiblingUnreachable, match="larger than 900 bytes"):
                await impacted(platform)


async def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        settings = settings_for(taken.getsockname()[1])
        async with await Platform.open(settings) as platform:
            with pytest.raises(SiblingUnreachable, match="cannot connect"):
                await impacted(platform)


async def test_no_connection_in_time() -> None:
    with socket.socket() as full:
        full.bind((HOST, 0))
        full.listen(0)
        port = full.getsockname()[1]
        # Linux lets a backlog of 0 hold one connection; the next ones wait for a place.
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.settimeout(0)
            filler.connect_ex((HOST, port))
        async with await Platform.open(settings_for(port, connect_timeout=0.1)) as platform:
            with pytest.raises(SiblingUnreachable, match=r"no connection within 0\.1 s"):
                await impacted(platform)
        for filler in fillers:
            filler.close()


async def test_each_failed_try_is_logged(platform: Platform, siblings: RecordingSiblings) -> None:
    siblings.fail("discovery", "impacted", 1, 503)
    siblings.fail("discovery", "impacted", 1, 404)
    with capture_logs() as lines:
        await impacted(platform)
    assert [(line["log_level"], line["service"], line["call"], line["attempt"], line["final"]) for line in lines] == [
        ("warning", "discovery", "impacted", 1, False), ("warning", "discovery", "impacted", 2, False),
    ]  # fmt: skip
    assert "503" in lines[0]["cause"]


async def test_pauses_grow_up_to_the_longest(siblings: RecordingSiblings) -> None:
    siblings.fail("discovery", "impacted", 9, 503)
    settings = siblings.settings(tries=5, backoff=0.05, backoff_max=0.1)
    async with await Platform.open(settings) as platform:
        with pytest.raises(SiblingUnreachable):
            await impacted(platform)
    at = [call.at for call in siblings.log]
    pauses = [after - before for before, after in pairwise(at)]
    assert len(pauses) == 4
    assert pauses[0] >= 0.045
    assert all(pause >= 0.095 for pause in pauses[1:])


async def test_connections_are_kept(siblings: RecordingSiblings) -> None:
    used = set()
    async with await Platform.open(siblings.settings()) as platform:
        pools = platform._transport._connections._pools
        for _ in range(20):
            await impacted(platform)
            await platform.domain.entities("sysA", "i1")
            used |= {id(connection) for pool in pools.values() for connection in pool.idle}
    assert len(used) == 1


async def test_a_kept_connection_hangs_later(siblings: RecordingSiblings) -> None:
    """The one timer of a connection moves with its requests."""
    async with await Platform.open(siblings.settings(answer_timeout=0.3, tries=1)) as platform:
        for _ in range(4):
            await impacted(platform)
            await asyncio.sleep(0.1)
        siblings.fail("discovery", "impacted", 1, "hang")
        began = asyncio.get_running_loop().time()
        with pytest.raises(SiblingUnreachable, match="no answer within"):
            await impacted(platform)
        assert asyncio.get_running_loop().time() - began >= 0.3 - 0.01


async def test_a_kept_connection_that_the_server_closed(siblings: RecordingSiblings) -> None:
    async with await Platform.open(siblings.settings(tries=1)) as platform:
        await impacted(platform)
        await siblings.stop()
        await siblings.start()
        assert await impacted(platform) == ()


@pytest.mark.parametrize("first", range(1, 40, 3))
@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
    b"HTTP/1.1 200\r\ncontent-LENGTH:2\r\n\r\n[]",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\n[\r\n01\r\n]\r\n0\r\nTrailer: t\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
    b"HTTP/1.0 200 OK\r\n\r\n[]",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 22\r\n\r\n" + gzip.compress(b"[]", mtime=0),
])  # fmt: skip
def test_an_answer_in_parts(answer: bytes, first: int) -> None:
    reader = AnswerReader(limit=100)
    complete = False
    for start in range(0, len(answer), first):
        assert not complete
        complete = reader.feed(answer[start : start + first])
    if not complete:
        reader.end()
    assert (reader.status, reader.body()) == (200, b"[]")
    assert reader.reusable == (b"HTTP/1.1" in answer)


@pytest.mark.parametrize("answer", [
    b"HTTP/2 200 OK\r\n\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n", b"HTTP/1.1 2000\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nno field\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1 2\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\n[]",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[]\r\n", b"GARBAGE",
])  # fmt: skip
def test_no_answer(answer: bytes) -> None:
    with pytest.raises(BadAnswerError):
        AnswerReader(limit=100).feed(answer)


async def test_cancelled_in_the_middle(siblings: RecordingSiblings) -> None:
    siblings.fail("discovery", "impacted", 1, "hang")
    async with await Platform.open(siblings.settings()) as platform:
        task = asyncio.ensure_future(impacted(platform))
        await siblings.wait_for(lambda: siblings.count("impacted") == 1, timeout=5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await impacted(platform) == ()


async def test_many_at_once_wait_for_a_connection(siblings: RecordingSiblings) -> None:
    siblings.latency = 0.01
    async with await Platform.open(siblings.settings()) as platform:
        answers = await asyncio.gather(*(impacted(platform) for _ in range(200)))
    assert answers == [()] * 200
    assert len(siblings.log) == 200


async def test_close_twice_and_use_after(siblings: RecordingSiblings) -> None:
    platform = await Platform.open(siblings.settings())
    await platform.close()
    await platform.close()
    with pytest.raises(RuntimeError, match="closed"):
        await impacted(platform)


def test_errors_survive_pickling() -> None:
    error: SiblingError = SiblingRefused("domain", "commit", "answered 409")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.service, again.call, again.cause) == (SiblingRefused, "domain", "commit", "answered 409")
    assert str(again) == "domain.commit: answered 409"


def test_a_base_without_host_is_an_error() -> None:
    with pytest.raises(ValueError, match="no URL with a host"):
        address("localhost")


@pytest.mark.parametrize(
    ("segment", "path"),
    [
        ("a-1_b~c.d", "a-1_b~c.d"),
        ("..", "%2E%2E"),
        (".", "%2E"),
        ("a/b", "a%2Fb"),
        ("a b?c#", "a%20b%3Fc%23"),
        ("", ""),
        ("é", "%C3%A9"),
    ],
)
def test_what_is_put_into_a_path_stays_one_segment(segment: str, path: str) -> None:
    target = address("http://h:1/base/").below(segment, "end")
    assert target.path == f"/base/{path}/end"
    assert str(target.url) == f"http://h:1/base/{path}/end"


def test_what_is_put_into_a_query_stays_one_value() -> None:
    target = address("http://[::1]:1", "/x").asking(a="1&b=2", b="p+q r")
    assert target.url.query == {"a": "1&b=2", "b": "p+q r"}
    assert target.place.authority == "[::1]:1"

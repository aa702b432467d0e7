"""Messages are asked for in one go, and whatever the broker answers to each question, none of them is lost sight of."""

import asyncio
import inspect
from collections.abc import Callable
from contextlib import suppress

import pika
import pytest
from pika.channel import Channel as PikaChannel
from pika.spec import Basic

from maestro.broker.rabbitmq_properties import Properties
from maestro.broker.rabbitmq_reader import Reader
from maestro.broker.rabbitmq_session import Channel


def _properties(message_id: str) -> Properties:
    return Properties(b"".join(pika.BasicProperties(message_id=message_id).encode()))


class RawChannel:
    """A channel as pika's: whoever waits for a message is forgotten with each answer."""

    is_closed = is_closing = False

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.requeued: list[int] = []
        self.unawaited = 0
        self._on_getok_callback: Callable[..., None] | None = None
        self._tag = 0

    @property
    def is_open(self) -> bool:
        return not self.is_closed

    def add_on_close_callback(self, _callback: Callable[..., None]) -> None: ...

    def add_callback(self, callback: Callable[[object], None], _replies: object, *, one_shot: bool) -> None:
        assert not one_shot
        self._on_empty = callback

    def _send_method(self, method: Basic.Get) -> None:
        self.asked.append(method.queue)

    def basic_nack(self, tag: int, *, requeue: bool) -> None:
        assert requeue
        self.requeued.append(tag)

    def close(self) -> None:
        self.is_closed = True

    def message(self) -> None:
        """Answer a question with a message."""
        self._tag += 1
        awaited, self._on_getok_callback = self._on_getok_callback, None
        if awaited is None:
            self.unawaited += 1
        else:
            awaited(self, Basic.GetOk(self._tag), _properties(f"m{self._tag}"), b"body")

    def empty(self) -> None:
        """Answer a question with none."""
        self._on_getok_callback = None
        self._on_empty(None)


class Opened:
    """Channels as the reader opens them."""

    def __init__(self) -> None:
        self.raw: list[RawChannel] = []

    async def __call__(self) -> Channel:
        self.raw.append(RawChannel())
        return Channel(self.raw[-1], 5.0)


async def _asked(opened: Opened, count: int) -> None:
    while not opened.raw or len(opened.raw[-1].asked) < count:  # noqa: ASYNC110 - a few turns of the loop
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("answers", "found"),
    [("mmm", ["m1", "m2", "m3"]), ("mee", ["m1"]), ("eee", []), ("eme", ["m1"]), ("mem", ["m1", "m2"])],
)
async def test_all_are_asked_for_at_once_and_each_answer_is_taken(answers: str, found: list[str]) -> None:
    opened, reader = Opened(), Reader()
    taking = asyncio.ensure_future(reader.take("q", 3, opened))
    await _asked(opened, 3)
    (raw,) = opened.raw
    assert raw.asked == ["q"] * 3
    for answer in answers:
        assert not taking.done()
        raw.message() if answer == "m" else raw.empty()
    assert [each.message_id for each in await taking] == found
    assert raw.unawaited == 0


async def test_a_caller_that_is_gone_leaves_no_answer_to_the_next_one() -> None:
    opened, reader = Opened(), Reader()
    gone = asyncio.ensure_future(reader.take("q", 2, opened))
    await _asked(opened, 2)
    opened.raw[0].message()
    gone.cancel()
    with suppress(asyncio.CancelledError):
        await gone
    assert opened.raw[0].is_closed  # what it delivered goes back to the queue
    taking = asyncio.ensure_future(reader.take("q", 1, opened))
    while len(opened.raw) < 2:  # noqa: ASYNC110 - a few turns of the loop
        await asyncio.sleep(0)
    await _asked(opened, 1)
    opened.raw[0].message()  # too late
    opened.raw[1].message()
    assert [each.message_id for each in await taking] == ["m1"]


def test_pika_has_what_this_rests_on() -> None:
    source = inspect.getsource(PikaChannel._on_getok)
    assert "self._on_getok_callback" in source
    assert "method" in inspect.signature(PikaChannel._send_method).parameters

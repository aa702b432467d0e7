"""Frames are what pika makes of the same bytes, however these come; a body comes in parts, and without a copy."""

import random
from typing import Any

import pika
import pytest
from pika import frame, spec
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.channel import ContentFrameAssembler

from maestro.broker.rabbitmq_frames import FrameReader

BODY = bytes(range(256)) * 40


def message(body: bytes, size: int) -> bytes:
    """Return a delivery as a broker sends it, its body in frames of `size` bytes."""
    begun = frame.Method(1, spec.Basic.Deliver("c", 1, False, "e", "r")).marshal()  # noqa: FBT003 - pika's order
    head = frame.Header(1, len(body), spec.BasicProperties(message_id="m")).marshal()
    return begun + head + b"".join(frame.Body(1, body[at : at + size]).marshal() for at in range(0, len(body), size))


def read(whole: bytes, pieces: list[int]) -> list[Any]:
    """Return the frames of `whole`, read in pieces that end at these places."""
    reader, found, begin = FrameReader(), [], 0
    for end in [*sorted(pieces), len(whole)]:
        found += reader.read(whole[begin:end])
        begin = end
    return found


def bodies(frames: list[Any]) -> list[bytes]:
    assembler = ContentFrameAssembler()
    return [done[2] for one in frames if isinstance(one, (frame.Method, frame.Header, frame.Body))
            and one.channel_number and (done := assembler.process(one)) is not None]  # fmt: skip


def test_frames_are_whole_wherever_what_is_read_ends() -> None:
    whole = frame.ProtocolHeader(0, 9, 1).marshal() + frame.Heartbeat().marshal()
    whole += message(BODY, 4096) + message(b"", 4096) + message(b"short", 4096) + frame.Body(1, b"").marshal()
    dice = random.Random(20261129)
    for _ in range(300):
        found = read(whole, [dice.randrange(len(whole)) for _ in range(dice.randrange(40))])
        assert bodies(found) == [BODY, b"", b"short"]
        assert [type(one).__name__ for one in found if not isinstance(one, frame.Body)] == [
            "ProtocolHeader", "Heartbeat", *3 * ["Method", "Header"]]  # fmt: skip
    assert bodies(read(whole, list(range(len(whole))))) == [BODY, b"", b"short"]


def test_a_body_is_a_view_of_what_was_read() -> None:
    whole = message(BODY, len(BODY))
    (part,) = [one.fragment for one in FrameReader().read(whole) if isinstance(one, frame.Body)]
    assert part.obj is whole


@pytest.mark.parametrize("bad", [message(BODY, 4096)[:-1] + b"\0", frame.Heartbeat().marshal()[:-1] + b"\0",
                                 b"\x09\0\1\0\0\0\0\xce"])  # fmt: skip
def test_what_is_no_frame_ends_the_connection(bad: bytes) -> None:
    with pytest.raises(pika.exceptions.InvalidFrameError):
        list(FrameReader().read(bad))


def test_pika_reads_and_processes_frames_where_they_are_taken_from_it() -> None:
    assert AsyncioConnection._on_data_available
    assert AsyncioConnection._process_frame

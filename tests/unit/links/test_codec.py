"""Items on their way: what is put into a frame comes out of it, and nothing else does."""

import msgspec
import pytest

from maestro.events import ReplayRef
from maestro.links.codec import HEAD, LARGE, LIMIT, decode, encode, pieces
from maestro.links.items import INGRESS, MAIN, OF_LISTENER, OF_SYSTEM, Answered, Asked, Hello, Refused
from maestro.links.sizes import fits, size_of
from maestro.messages.answers import Answer, Code
from maestro.messages.decisions import Approve, Budget, Covers, LeaveOut
from maestro.messages.error_queue import ErrorMessage, ErrorsPeeked
from maestro.messages.ingress import Ack, Arrived, DeadLetter, Ended, Park, QueuesMeasured, Source, WaitQueueDrained
from maestro.messages.questions import CheckLock

CUT = "a cut emoji \ud83d"
OF_INGRESS: list[object] = [
    Arrived(1, Source.WAIT, b"\xff\x00{}", redelivered=True, at=1.5, mark="~body/x/1"),
    Ended(2, "i1", "done", "1", "master", ReplayRef("r", "i0", "s")),
    Ended(2, CUT, "done", "1", "master", ReplayRef("r", CUT, "s"), cause=CUT),
    Arrived(3, Source.PERSIST, b"", redelivered=False, mark=CUT),
    ErrorsPeeked(1, (ErrorMessage("id", (("k", CUT),), 3, b"\xff"),), 1),
    QueuesMeasured((("persist", -1), ("wait", 3))),
    WaitQueueDrained(),
]
OF_MAIN: list[object] = [
    Asked(2**62, CheckLock()),
    Asked(1, Approve("d", CUT, budget=Budget(3, 1.5), covers=Covers(expires=2.0, limit=7))),
    Asked(2, LeaveOut("d", "ana", (("i1", "master"), (CUT, "b")))),
]


@pytest.mark.parametrize(
    ("decoder", "items"), [(OF_LISTENER[INGRESS], OF_INGRESS), (OF_LISTENER[MAIN], OF_MAIN)], ids=["ingress", "main"]
)
def test_items_come_out_as_they_went_in(decoder: "msgspec.msgpack.Decoder[list[object]]", items: list[object]) -> None:
    frame = encode(items)
    assert int.from_bytes(frame[:HEAD], "big") == len(frame) - HEAD
    found = decode(decoder, frame[HEAD:])
    assert found == items
    assert [type(item) for item in found] == [type(item) for item in items]


def test_a_large_body_is_a_piece_of_its_own_and_the_frame_is_the_same() -> None:
    large, larger = bytes(LARGE + 1), b"x" * (3 * LARGE)
    items: list[object] = [
        Arrived(1, Source.PERSIST, large, redelivered=False, mark="m"), Ack((1, 2)),
        Arrived(2, Source.WAIT, larger, redelivered=True), Arrived(3, Source.PERSIST, b"s", redelivered=False),
    ]  # fmt: skip
    found = pieces(items)
    assert b"".join(found) == encode(items)
    assert [one for one in found if len(one) > LARGE] == [large, larger]
    assert any(one is large for one in found)
    assert pieces(items[1:2]) == [encode(items[1:2])]


def test_a_large_body_beside_text_that_utf8_cannot_hold_is_carried() -> None:
    items: list[object] = [Arrived(1, Source.PERSIST, bytes(LARGE + 1), redelivered=False, mark=CUT)]
    assert decode(OF_LISTENER[INGRESS], b"".join(pieces(items))[HEAD:]) == items


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x91",
        b"\xff" * 20,
        msgspec.msgpack.encode({"Ack": 1}),
        msgspec.msgpack.encode([["Ack", "no number"]]),
        msgspec.msgpack.encode([["Arrived", 1, "persist", b"", False]]),
        msgspec.msgpack.encode([["Escaped", b"\xff"]]),
        msgspec.msgpack.encode([["Escaped", msgspec.msgpack.encode([["Escaped", b""]])]]),
        msgspec.msgpack.encode([["os.system", "true"]]),
        b"\x91" * 100_000,
    ],
)
def test_what_is_no_frame_of_that_end_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="does not decode"):
        decode(OF_SYSTEM[INGRESS], body)


def test_what_no_frame_can_carry_is_refused_by_its_sender() -> None:
    too_large = Park("k", bytes(LIMIT), (1,))
    assert not fits(too_large)
    with pytest.raises(ValueError, match="more than"):
        encode([too_large])
    with pytest.raises(ValueError, match="serialize ints"):
        encode([Ack(2**70)])


def test_a_size_is_about_what_is_sent() -> None:
    items: list[object] = [
        Park("k", bytes(10_000), (1,)),
        DeadLetter("k", bytes(10_000), "why", no_event=False, refs=(1,)),
        Answered(1, Answer(Code.OK, bytes(10_000))),
        Arrived(1, Source.PERSIST, bytes(10_000), redelivered=False),
        Ack(1),
        Hello("system", 2**62, system_id="s"),
        Refused("why"),
    ]
    for item in items:
        assert len(encode([item])) <= size_of(item) <= len(encode([item])) + 250

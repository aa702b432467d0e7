import asyncio
from collections import deque

import pytest

from maestro import logs
from maestro.broker.base import BrokerUnavailable, Delivery, Depth, Message
from maestro.broker.topology import ERROR_HEADER, PERSIST, REDRIVE_HEADER, SystemQueues
from maestro.ingress import error_queue
from maestro.ingress.error_queue import SHOWN_BYTES, ErrorQueue
from maestro.messages import Answer, Code, ErrorsPeeked, ErrorsRedriven, ListErrors, PeekErrors, Redrive, RedriveErrors
from maestro.settings.model import HttpSettings
from maestro.system.changes import Changes
from maestro.system.error_queue_client import ErrorQueueClient

QUEUES = SystemQueues("sysA")


class OneQueue:
    """The error queue of a broker, which fails to publish from the `breaks`th message on."""

    def __init__(self, *bodies: bytes, breaks: int = 99) -> None:
        self.ready = deque(self._delivery(body, number) for number, body in enumerate(bodies))
        self.unacked: list[Delivery] = []
        self.published: list[tuple[str, str, Message]] = []
        self.breaks = breaks

    @staticmethod
    def _delivery(body: bytes, number: int) -> Delivery:
        return Delivery(QUEUES.persist_error, body, f"m{number}", {ERROR_HEADER: "why"}, redelivered=False, tag=number)

    async def depth(self, queue: str) -> Depth | None:
        return Depth(len(self.ready), 0) if queue == QUEUES.persist_error else None

    async def get(self, queue: str) -> Delivery | None:
        assert queue == QUEUES.persist_error
        if not self.ready:
            return None
        self.unacked.append(self.ready.popleft())
        return self.unacked[-1]

    async def publish(self, exchange: str, key: str, message: Message) -> None:
        if len(self.published) >= self.breaks:
            raise BrokerUnavailable("broker: gone")
        self.published.append((exchange, key, message))

    def ack(self, delivery: Delivery) -> None:
        assert any(message.body == delivery.body for _, _, message in self.published), "confirmed first"
        self.unacked.remove(delivery)

    def requeue(self, delivery: Delivery) -> None:
        self.unacked.remove(delivery)
        self.ready = deque(sorted((*self.ready, delivery), key=lambda one: one.tag))

    def ids(self) -> list[str]:
        assert not self.unacked
        return [delivery.message_id for delivery in self.ready]


def over(broker: OneQueue) -> ErrorQueue:
    return ErrorQueue(broker, QUEUES, logs.get())  # type: ignore[arg-type]


async def test_a_look_gives_everything_back() -> None:
    broker = OneQueue(b"a", b"b" * (SHOWN_BYTES + 1), b"c")
    shown = await over(broker).peek(PeekErrors(7, 2))
    assert (shown.request, shown.total, [one.id for one in shown.messages]) == (7, 3, ["m0", "m1"])
    assert (shown.messages[1].size, len(shown.messages[1].body)) == (SHOWN_BYTES + 1, SHOWN_BYTES)
    assert broker.ids() == ["m0", "m1", "m2"]


async def test_chosen_ones_are_redriven_the_rest_keeps_its_place() -> None:
    broker = OneQueue(b"a", b"b", b"c")
    done = await over(broker).redrive(RedriveErrors(1, ("m2", "m0", "gone"), "ana"))
    assert done == ErrorsRedriven(1, 2, ("gone",))
    assert broker.ids() == ["m1"]
    assert [(exchange, key, message.body) for exchange, key, message in broker.published] == [
        (PERSIST, "sysA", b"a"), (PERSIST, "sysA", b"c"),
    ]  # fmt: skip
    assert broker.published[0][2].headers == {ERROR_HEADER: "why", REDRIVE_HEADER: "ana"}


async def test_no_more_is_taken_than_it_takes_to_find_the_chosen_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = OneQueue(b"a", b"b", b"c")
    taken = []
    get = broker.get

    async def counted(queue: str) -> Delivery | None:
        taken.append(queue)
        return await get(queue)

    monkeypatch.setattr(broker, "get", counted)
    assert (await over(broker).redrive(RedriveErrors(7, ("m0",), "ana"))).count == 1
    assert (len(taken), broker.ids()) == (1, ["m1", "m2"])


async def test_a_broker_that_breaks_loses_nothing() -> None:
    broker = OneQueue(b"a", b"b", b"c", breaks=1)
    done = await over(broker).redrive(RedriveErrors(1, (), "ana"))
    assert (done.count, done.problem) == (1, "broker: gone")
    assert broker.ids() == ["m1", "m2"]


async def test_an_interruption_gives_back_what_is_in_hand() -> None:
    broker = OneQueue(b"a", b"b")
    stuck = asyncio.Event()

    async def hang(*_: object) -> None:
        stuck.set()
        await asyncio.Event().wait()

    broker.publish = hang  # type: ignore[method-assign]
    task = asyncio.create_task(over(broker).redrive(RedriveErrors(1, ("m1",), "ana")))
    await stuck.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [delivery.message_id for delivery in broker.ready] == ["m0"]
    assert [delivery.message_id for delivery in broker.unacked] == ["m1"], "the broker has it still"


async def test_what_is_looked_through_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_queue, "LOOK", 2)
    broker = OneQueue(b"a", b"b", b"c")
    done = await over(broker).redrive(RedriveErrors(1, ("m2",), "ana"))
    assert (done.count, done.missing, broker.ids()) == (0, ("m2",), ["m0", "m1", "m2"])


async def _grows(items: list, count: int) -> None:
    async with asyncio.timeout(5):
        while len(items) < count:  # noqa: ASYNC110 - what is waited for is a timer's callback
            await asyncio.sleep(0.005)


async def test_the_desk_answers_when_time_is_up_or_ingress_is_away() -> None:
    answers: list[Answer] = []
    client = ErrorQueueClient(lambda _: False, HttpSettings())
    client.peek(ListErrors(), answers.append)
    assert answers[0].code is Code.UNAVAILABLE
    client = ErrorQueueClient(lambda _: True, HttpSettings(ask_timeout=0.01, sync_timeout=0.01))
    client.redrive(Redrive((), "ana"), answers.append)
    await _grows(answers, 2)
    assert (answers[1].code, "not done in time" in answers[1].message) == (Code.UNAVAILABLE, True)
    client.answered(ErrorsRedriven(1, 3, ()))
    assert len(answers) == 2


async def test_the_desk_tells_of_a_broken_broker() -> None:
    answers: list[Answer] = []
    client = ErrorQueueClient(lambda _: True, HttpSettings())
    client.peek(ListErrors(), answers.append)
    client.answered(ErrorsPeeked(1, (), 0, "no connection"))
    client.redrive(Redrive((), "ana"), answers.append)
    client.answered(ErrorsRedriven(2, 3, (), "no connection"))
    assert [answer.message for answer in answers] == [
        "broker: no connection",
        "broker: no connection; 3 were redriven before",
    ]
    assert {answer.code for answer in answers} == {Code.FAILED}


async def test_a_wait_ends_with_a_change_or_with_time() -> None:
    changes = Changes(5)
    told: list[bool] = []
    changes.wait("", 10, told.append)
    changes.wait(changes.version, 10, told.append)
    assert told == [True]
    changes.moved(["d1"])
    assert (told, changes.document_id, changes.version) == ([True, True], "d1", "5.1")
    changes.wait(changes.version, 0.01, told.append)
    await _grows(told, 3)
    assert told[2] is False
    changes.close()


async def test_a_redrive_moves_one_message_for_each_id_and_all_that_came_with_it() -> None:
    broker = OneQueue(b"a", b"b", b"c")
    for delivery, id_ in zip(broker.ready, ("one", "same", "same"), strict=True):
        delivery.headers["x-maestro-id"] = id_  # type: ignore[index]
    chosen = broker.ready[1]
    done = await over(broker).redrive(RedriveErrors(1, ("same",), "ana"))
    assert done == ErrorsRedriven(1, 1, ())
    assert [message.original for _, _, message in broker.published] == [chosen]
    assert broker.published[0][2].message_id == "m1"
    assert broker.ids() == ["m0", "m2"]
    assert [one.id for one in (await over(broker).peek(PeekErrors(2, 9))).messages] == ["one", "same"]

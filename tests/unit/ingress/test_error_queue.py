import asyncio
from collections import deque

import pytest

from maestro import logs
from maestro.broker.base import BrokerUnavailable, Delivery, Depth, Message
from maestro.broker.topology import (
    DOUBT_HEADER,
    ERROR_HEADER,
    FAILED_AT_HEADER,
    PERSIST,
    REDRIVE_HEADER,
    SystemQueues,
)
from maestro.ingress import error_queue
from maestro.ingress.error_queue import SHOWN_BYTES, ErrorQueue
from maestro.messages.answers import Answer, Code
from maestro.messages.error_queue import (
    ErrorGroup,
    ErrorsGrouped,
    ErrorsPeeked,
    ErrorsRedriven,
    GroupErrors,
    PeekErrors,
    RedriveErrors,
    ShownGroup,
)
from maestro.messages.questions import ListErrorGroups, ListErrors, Redrive
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

    async def get_some(self, queue: str, count: int) -> list[Delivery]:
        taken = [await self.get(queue) for _ in range(min(count, len(self.ready)))]
        return [delivery for delivery in taken if delivery is not None]

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


async def test_what_a_look_has_in_hand_counts_as_there() -> None:
    broker = OneQueue(b"a", b"b")
    looked = over(broker)
    seen: list[int | None] = []

    async def take_all(queue: str, count: int) -> list[Delivery]:
        some = await OneQueue.get_some(broker, queue, count)
        seen.append(await looked.depth())
        return some

    broker.get_some = take_all  # type: ignore[method-assign]
    await looked.peek(PeekErrors(7, 2))
    assert seen == [2]


async def test_what_a_look_gave_back_counts_as_there_before_the_broker_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = OneQueue(b"a", b"b")
    looked = over(broker)
    await looked.peek(PeekErrors(7, 2))
    broker.ready.clear()  # the broker has not taken them back yet
    assert await looked.depth() == 2
    monkeypatch.setattr(error_queue, "BACK_WITHIN", 0.0)
    assert await looked.depth() == 0


async def test_what_is_redriven_does_not_count() -> None:
    looked = over(OneQueue(b"a", b"b"))
    await looked.peek(PeekErrors(7, 2))
    await looked.redrive(RedriveErrors(8, (), "ana"))
    assert await looked.depth() == 0


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


@pytest.mark.parametrize("named", [True, False])
async def test_an_interruption_gives_back_what_is_in_hand(*, named: bool) -> None:
    """As when the system goes to another node, which is to see all of it."""
    broker = OneQueue(b"a", b"b")
    errors, stuck = over(broker), asyncio.Event()
    (group,) = (await errors.group(GroupErrors(1, 10, after=0, limit=10))).groups
    shown = ShownGroup(group.key, group.count, group.digest)

    async def hang(*_: object) -> None:
        stuck.set()
        await asyncio.Event().wait()

    broker.publish = hang  # type: ignore[method-assign]
    order = RedriveErrors(2, ("m1",) if named else (), "ana", () if named else (shown,))
    task = asyncio.create_task(errors.redrive(order))
    await stuck.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert broker.ids() == ["m0", "m1"], "one that may be published is at worst on both queues"


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


def failing(*reasons: str, at: str = "2026-11-29T10:00:0{n}.000000Z") -> OneQueue:
    """An error queue on which the event of instance `e<n>` failed for the `n`th of these reasons."""
    broker = OneQueue(*(
        f'{{"args": [{{"instanceId": "e{n}", "name": "sysA.quote.request"}}]}}'.encode() for n in range(len(reasons))
    ))  # fmt: skip
    for n, (delivery, reason) in enumerate(zip(broker.ready, reasons, strict=True)):
        delivery.headers[ERROR_HEADER] = reason  # type: ignore[index]
        delivery.headers[FAILED_AT_HEADER] = at.format(n=n)  # type: ignore[index]
    return broker


async def groups_of(broker: OneQueue, look: int = 5_000) -> ErrorsGrouped:
    return await over(broker).group(GroupErrors(1, look, 0, 100))


async def redriven(broker: OneQueue, *shown: ErrorGroup) -> ErrorsRedriven:
    groups = tuple(ShownGroup(one.key, one.count, one.digest) for one in shown)
    return await over(broker).redrive(RedriveErrors(1, (), "ana", groups))


async def test_messages_that_failed_alike_are_one_group_with_first_and_last_time() -> None:
    broker = failing("domain refused e0: column 17", "no such map", "domain refused e2: column 4", "no such map")
    found = await groups_of(broker)
    assert (found.count, found.total, found.looked_at) == (2, 4, 4)
    refused, unknown = found.groups
    assert (refused.reason, refused.count, refused.instance_id) == ("domain refused e0: column 17", 2, "e0")
    assert (refused.first[-10:], refused.last[-10:]) == ("00.000000Z", "02.000000Z")
    assert (unknown.count, unknown.first[-10:], unknown.last[-10:]) == (2, "01.000000Z", "03.000000Z")
    assert (refused.events, refused.doubt) == (("sysA.quote.request",), False)
    assert broker.ids() == ["m0", "m1", "m2", "m3"]
    page = await over(broker).group(GroupErrors(1, 5_000, 1, 100))
    assert (page.groups, page.count) == ((unknown,), 2)


async def test_of_a_long_queue_the_groups_say_how_much_was_looked_at() -> None:
    found = await groups_of(failing("a", "b", "a"), look=2)
    assert ([one.count for one in found.groups], found.looked_at, found.total) == ([1, 1], 2, 3)


async def test_a_group_with_a_message_from_before_the_time_was_noted_tells_no_time() -> None:
    broker = failing("a", "a")
    del broker.ready[0].headers[FAILED_AT_HEADER]  # type: ignore[attr-defined]
    (group,) = (await groups_of(broker)).groups
    assert (group.first, group.last) == ("", "")


async def test_the_messages_of_a_group_are_shown_by_the_page() -> None:
    broker = failing("a", "b", "a", "a")
    key = (await groups_of(broker)).groups[0].key
    shown = await over(broker).peek(PeekErrors(7, 2, key, 1))
    assert ([one.id for one in shown.messages], shown.total) == (["m2", "m3"], 3)
    shown = await over(broker).peek(PeekErrors(7, 2, "", 1))
    assert ([one.id for one in shown.messages], shown.total) == (["m1", "m2"], 4)


async def test_a_redrive_of_a_group_moves_exactly_what_was_shown() -> None:
    broker = failing("a", "b", "a")
    (group, _) = (await groups_of(broker)).groups
    later = failing("", "", "", "a", "b").ready
    broker.ready += [later[3], later[4]]  # these failed after the group was shown
    assert await redriven(broker, group) == ErrorsRedriven(1, 2, ())
    assert [message.message_id for _, _, message in broker.published] == ["m0", "m2"]
    assert broker.ids() == ["m1", "m3", "m4"]


async def test_a_group_that_is_not_what_was_shown_moves_nothing() -> None:
    broker = failing("a", "b", "a", "c")
    a, b, c = (await groups_of(broker)).groups
    gone = broker.ready.popleft()  # somebody else redrove it
    done = await redriven(broker, b, a, c)
    assert (done.count, done.changed) == (0, f"group {a.key} is not what was shown any more: look at it again")
    assert (broker.ids(), broker.published) == (["m1", "m2", "m3"], [])
    # It came back, having failed again: it is not what was shown either.
    gone.headers[FAILED_AT_HEADER] = "2026-11-29T11:00:00.000000Z"  # type: ignore[index]
    broker.ready.append(gone)
    assert (await redriven(broker, a)).changed
    assert (await redriven(broker, b, c)).count == 2


async def test_commits_in_doubt_are_a_group_of_their_own_that_nobody_redrives() -> None:
    broker = failing("a", "a", "a")
    broker.ready[1].headers[DOUBT_HEADER] = "event:1"  # type: ignore[index]
    plain, doubt = (await groups_of(broker)).groups
    assert ([plain.count, doubt.count], [plain.doubt, doubt.doubt]) == ([2, 1], [False, True])
    done = await redriven(broker, plain, doubt)
    assert (done.count, "resolved or redriven by itself" in done.changed) == (0, True)
    assert (await redriven(broker, plain)).count == 2
    assert broker.ids() == ["m1"]


async def test_a_group_that_breaks_off_halfway_says_how_many_and_loses_nothing() -> None:
    broker = failing("a", "a", "b", "a")
    broker.breaks = 2
    done = await redriven(broker, (await groups_of(broker)).groups[0])
    assert (done.count, done.problem) == (2, "broker: gone")
    assert broker.ids() == ["m2", "m3"]


async def test_a_changed_group_is_a_conflict() -> None:
    answers: list[Answer] = []
    client = ErrorQueueClient(lambda _: True, HttpSettings())
    client.redrive(Redrive((), "ana", (ShownGroup("k", 1, "d"),)), answers.append)
    client.answered(ErrorsRedriven(1, 0, (), changed="it changed"))
    client.group(ListErrorGroups(5), answers.append)
    client.answered(ErrorsGrouped(2, (), 0, 0, 0))
    assert answers == [
        Answer(Code.CONFLICT, message="it changed"),
        Answer(Code.OK, b'{"total":0,"lookedAt":0,"count":0,"groups":[]}'),
    ]

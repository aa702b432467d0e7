"""The keeper carries out what the membership says: on tables in memory, with actors that only remember."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from msgspec.structs import replace as replace_struct
from pydantic import SecretStr
from structlog.testing import capture_logs

from maestro.actors.errors import Unavailable, UnknownSystem
from maestro.board.lease import Standing, make_lease
from maestro.board.node_lease import NodeLeaseHolder, NodeView
from maestro.cluster import facts
from maestro.cluster.commands import Join, Look, Release
from maestro.cluster.node import Lease
from maestro.cluster.waits import Why
from maestro.keeper import Keeper, NodeOut, keeping
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import Question
from maestro.node import node_of
from maestro.settings.model import ReprocessingSettings, Settings
from maestro.settings.servers import BrokerSettings, ClusterSettings, StoreSettings
from maestro.store.base import StoreAway
from maestro.store.held_lease import read_lease
from maestro.store.installation import Installation, node_name, write_installation
from maestro.store.nodes import NOTHING, MemoryNodes, OwnedSystem, Seen
from maestro.store.rest_mark import RestMark, RestMarks, encoded
from maestro.system.rest_basis import rest_basis
from maestro.telemetry.definitions import CLAIMS, HAND_OVERS, LEASES_BROKEN, LEASES_LOST, NODE_SYSTEMS
from maestro.telemetry.metrics import MetricsRegistry
from tests.support.brokers import eventually


class FakeActors:
    """Systems that are served, and what each says of itself."""

    def __init__(self) -> None:
        self.served: set[str] = set()
        self.described: dict[str, dict[str, object]] = {}
        self.released: list[str] = []
        self.silent: set[str] = set()
        self.killed = False

    async def ask(self, system_id: str, _question: Question, *, timeout: float) -> Answer:  # noqa: ASYNC109
        assert timeout > 0
        if system_id not in self.served:
            raise UnknownSystem(system_id)
        if self.released == ["late"]:
            raise Unavailable("its process has ended since")
        if system_id in self.silent:
            raise TimeoutError
        return Answer(Code.OK, orjson.dumps(self.described.get(system_id, {"running": None, "lock": None})))

    async def install(self, system_id: str) -> None:
        self.served.add(system_id)

    async def release(self, system_id: str) -> None:
        if not self.released:
            self.released.append("late")
            raise Unavailable("it has not ended in time")
        self.served.discard(system_id)
        self.released.append(system_id)

    def kill(self) -> None:
        self.killed = True
        self.served.clear()


class Tables(MemoryNodes):
    """The tables, which may be away."""

    away = False
    #: How often marks are asked for in vain.
    marks_away = 0
    bug = False

    async def rest_marks(self, lease: Lease, system_ids: Iterable[str]) -> dict[str, bytes]:
        if self.bug:
            raise LookupError("a bug")
        if self.marks_away:
            self.marks_away -= 1
            raise StoreAway("PostgreSQL: no answer in time")
        return await super().rest_marks(lease, system_ids)

    async def beat(
        self, lease: Lease, number: int, *, holds_events: bool = False, waits_for: Mapping[str, Why] = NOTHING
    ) -> bool:
        if self.away:
            raise StoreAway("PostgreSQL: no answer in time")
        return await super().beat(lease, number, holds_events=holds_events, waits_for=waits_for)


class World:
    """One node, and the tables that it shares with others."""

    def __init__(self, folder: Path, former: Lease | None = None) -> None:
        self.settings = settings(folder)
        make_lease(folder, Standing.AWAY)
        self.tables, self.actors, self.registry = Tables(), FakeActors(), MetricsRegistry()
        self.lease = NodeLeaseHolder(folder)
        self.view = NodeView(self.settings)
        me = node_of(self.settings, 3)
        self.keeper = Keeper(
            self.settings, me, self.tables, self.actors, self.actors, self.lease, self.registry, former
        )  # fmt: skip
        self.stack = AsyncExitStack()

    async def begin(self) -> None:
        self.task = await self.stack.enter_async_context(keeping(self.keeper))

    def figure(self, name: str) -> float:
        return sum(sample.value for sample in self.registry.snapshot().samples if sample.metric == name)


def settings(folder: Path, **more: object) -> Settings:
    return Settings(
        data_dir=folder, cluster=ClusterSettings(name="grid", node="me", lease=1.0),
        store=StoreSettings(url=SecretStr("postgresql:///d")),
        broker=BrokerSettings(url=SecretStr("amqp://u:p@127.0.0.1/v")), **more,
    )  # type: ignore[arg-type]  # fmt: skip


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    await world.begin()
    yield world
    await world.stack.aclose()


async def test_it_joins_believes_claims_and_leaves(world: World) -> None:
    world.keeper.found(["a", "b"])
    await eventually(lambda: world.actors.served == {"a", "b"}, "served")
    assert world.view.owned() == {"a", "b"}
    assert world.view.believed
    assert read_lease(world.settings.data_dir) == Lease("me", 1)
    assert (world.figure(CLAIMS.name), world.figure(NODE_SYSTEMS.name)) == (2, 2)
    await world.stack.aclose()
    assert not world.view.believed
    assert not world.tables.nodes["me"].holds_lease
    assert not any(system.node for system in world.tables.systems.values())


async def test_a_broken_lease_ends_everything_at_once(world: World) -> None:
    world.keeper.found(["a"])
    await eventually(lambda: world.actors.served == {"a"}, "served")
    node = world.tables.nodes["me"]
    world.tables._end(node)
    with pytest.raises(NodeOut):
        await world.task
    assert world.actors.killed
    assert not world.view.believed
    assert world.figure(LEASES_LOST.name) == 1


async def test_without_an_answer_it_is_not_believed_and_goes_on_by_itself(world: World) -> None:
    await eventually(lambda: world.view.believed, "believed")
    world.tables.away = True
    await eventually(lambda: not world.view.believed, "over")
    world.tables.away = False
    await eventually(lambda: world.view.believed, "believed again")
    assert not world.actors.killed


async def test_it_hands_over_what_is_in_no_run(world: World, tmp_path: Path) -> None:
    world.keeper.found(["a", "b"])
    await eventually(lambda: world.actors.served == {"a", "b"}, "served")
    world.actors.described["b"] = {"running": {"id": "r"}, "lock": None}
    marks = RestMarks(tmp_path)
    marks.leave("a", RestMark("", "", 0.0))
    other = replace(world.tables.nodes["me"], name="other")
    incarnation = await world.tables.join(other)
    assert incarnation is not None
    await world.tables.drain("me", draining=True)
    beats = asyncio.create_task(_beat(world.tables, Lease("other", incarnation)))
    await eventually(lambda: world.tables.systems["a"].node != "me", "handed over")
    beats.cancel()
    assert world.actors.served == {"b"}
    assert world.view.owned() == {"b"}
    assert not marks.has("a")  # another node says by now whether the lock is open
    assert world.actors.released == ["late", "a"]
    assert world.figure(HAND_OVERS.name) == 1
    assert world.keeper.draining


async def test_a_drain_says_what_it_waits_for_and_hands_over_what_does_not_answer(world: World) -> None:
    world.actors.released.append("no others")
    world.keeper.found(["mute", "runs"])
    await eventually(lambda: world.actors.served == {"mute", "runs"}, "served")
    world.actors.silent.add("mute")
    world.actors.described["runs"] = {"running": {"id": "r"}, "lock": None}
    world.keeper.membership._waits._silent_within = 4.0
    incarnation = await world.tables.join(replace(world.tables.nodes["me"], name="other"))
    await world.tables.drain("me", draining=True)
    beats = asyncio.create_task(_beat(world.tables, Lease("other", incarnation or 0)))
    waited = (("mute", "silent"), ("runs", "in_run"))
    with capture_logs() as lines:
        await eventually(lambda: world.tables.nodes["me"].waits_for == waited, "told")
        await eventually(lambda: world.tables.systems["mute"].node != "me", "handed over")
        await eventually(lambda: world.tables.nodes["me"].waits_for == waited[1:], "told")
    beats.cancel()
    said = [(line["event"], line["system"]) for line in lines if "system" in line]
    assert said == [
        ("a system is waited for before it is handed over", "mute"),
        ("a system is waited for before it is handed over", "runs"),
        ("a system that does not answer is handed over as it is", "mute"),
        ("system handed over", "mute"),
    ]
    assert world.view.owned() == {"runs"}


async def test_what_has_not_ended_in_time_is_no_word_of_the_tables(world: World) -> None:
    question = Release(1, "a", 1)
    assert world.actors.released == []
    await world.keeper._answer(question)
    assert world.keeper.problem == ""


async def _beat(tables: MemoryNodes, lease: Lease) -> None:
    number = 2
    while await tables.beat(lease, number, holds_events=True):
        number += 1
        await asyncio.sleep(0.05)


async def test_others_are_believed_to_hold_the_events_while_they_beat_and_broken_when_they_do_not(world: World) -> None:
    incarnation = await world.tables.join(replace(node_of(world.settings, 3), name="other"))
    assert incarnation is not None
    beats = asyncio.create_task(_beat(world.tables, Lease("other", incarnation)))
    await eventually(lambda: world.view.events_held, "held elsewhere")
    beats.cancel()
    await eventually(lambda: not world.tables.nodes["other"].holds_lease, "broken")
    assert world.figure(LEASES_BROKEN.name) == 1


async def test_a_row_that_stands_still_says_nothing_of_the_events(tmp_path: Path) -> None:
    world = World(tmp_path)
    other = Lease("other", await world.tables.join(replace(node_of(world.settings, 3), name="other")) or 0)
    await world.tables.beat(other, 2, holds_events=True)  # and then it ended, who knows when
    await world.begin()
    await eventually(lambda: "other" in {node.name for node in world.keeper.membership.nodes}, "seen")
    assert not world.view.events_held
    await eventually(lambda: not world.tables.nodes["other"].holds_lease, "broken")
    assert not world.view.events_held
    await world.stack.aclose()


# --- a former life of the node ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("former", "breaks"), [(Lease("me", 1), 0), (None, 1), (Lease("me", 0), 1)])
async def test_the_lease_of_a_former_life_is_given_up_only_if_that_is_known_to_have_ended(
    tmp_path: Path, former: Lease | None, breaks: int
) -> None:
    world = World(tmp_path, former)
    held = Lease("me", await world.tables.join(node_of(world.settings, 3)) or 0)
    await world.tables.claim(held, ["a"])
    await world.begin()
    await eventually(lambda: world.view.owned() == {"a"}, "served again")
    assert world.figure(LEASES_BROKEN.name) == breaks
    assert world.tables.systems["a"].incarnation == world.tables.nodes["me"].incarnation == 3
    await world.stack.aclose()


async def test_the_lease_of_a_former_life_that_is_renewed_is_another_machines(tmp_path: Path) -> None:
    world = World(tmp_path, Lease("me", 1))
    held = Lease("me", await world.tables.join(node_of(world.settings, 3)) or 0)
    await world.tables.claim(held, ["a"])
    beats = asyncio.create_task(_beat(world.tables, held))  # the machine that this one is a copy of
    with capture_logs() as lines:
        await world.begin()
        await eventually(lambda: any("is a copy" in line["event"] for line in lines), "seen")
    await asyncio.sleep(world.settings.cluster.lease)
    assert not beats.done()
    assert world.tables.systems["a"].incarnation == world.tables.nodes["me"].incarnation == held.incarnation
    beats.cancel()
    await eventually(lambda: world.view.owned() == {"a"}, "taken over as from any node")
    assert world.figure(LEASES_BROKEN.name) == 1
    await world.stack.aclose()


async def test_a_first_look_that_takes_long_proves_nothing_of_a_former_life(tmp_path: Path) -> None:
    class Slow(Tables):
        """The first look comes to the database late, and says what is so then."""

        wait = 1.0

        async def look(self) -> Seen:
            await asyncio.sleep(self.wait)
            self.wait = 0.0
            return await super().look()

    former = Lease("me", 1)
    world = World(tmp_path, former)
    tables = world.keeper._nodes = Slow()
    assert await tables.join(node_of(world.settings, 3)) == former.incarnation
    for _ in range(2):  # between two beats of the machine that lives
        await world.keeper._look(Look(0))
    await world.keeper._join(Join())
    assert tables.nodes["me"].holds_lease
    assert tables.nodes["me"].lease == former
    await world.keeper.close()


# --- many facts ------------------------------------------------------------------------------------------------------


async def test_everything_else_goes_on_between_the_facts_that_are_queued(world: World) -> None:
    await eventually(lambda: world.view.believed, "believed")
    turns, seen = 0, set[int]()
    handle = world.keeper._handle

    def handled(fact: facts.Fact) -> None:
        seen.add(turns)
        handle(fact)

    world.keeper._handle = handled  # type: ignore[method-assign]
    for number in range(200):
        world.keeper.found([f"s{number}"])
    for _ in range(250):
        turns += 1
        await asyncio.sleep(0)
    assert len(seen) >= 200


# --- systems at rest -------------------------------------------------------------------------------------------------


class SeenActors(FakeActors):
    """Notes whether a system had a mark when its actor was asked for: then it gets no process."""

    def __init__(self, marks: RestMarks) -> None:
        super().__init__()
        self.marks = marks
        self.started: set[str] = set()

    async def install(self, system_id: str) -> None:
        await super().install(system_id)
        if not self.marks.has(system_id):
            self.started.add(system_id)


async def test_a_system_at_rest_that_is_claimed_gets_no_process(tmp_path: Path) -> None:
    world = World(tmp_path)
    seen = world.keeper._actors = world.actors = SeenActors(RestMarks(tmp_path))
    mark = RestMark(rest_basis(world.settings), "life 1", 5.0, todo=b"{}", newest="7.id")
    many = {f"s{number:03d}" for number in range(250)}
    world.tables.marks = dict.fromkeys(many, encoded(mark))
    world.tables.marks["other_rules"] = encoded(replace_struct(mark, basis="of another version"))
    world.tables.marks["torn"] = b"torn"
    await world.begin()
    world.keeper.found([*many, "other_rules", "torn", "open"])
    await eventually(lambda: seen.served >= {*many, "other_rules", "torn", "open"}, "served")
    assert seen.started == {"other_rules", "torn", "open"}
    assert seen.marks.read("s007") == mark
    assert world.view.owned() == world.actors.served
    await world.stack.aclose()


async def test_what_is_to_be_adopted_is_started(tmp_path: Path) -> None:
    world = World(tmp_path)
    seen = world.keeper._actors = world.actors = SeenActors(RestMarks(tmp_path))
    write_installation(tmp_path, Installation("id", adopting=("a",)))
    mark = encoded(RestMark(rest_basis(world.settings), "life 1", 5.0))
    world.tables.marks = {"a": mark, "b": mark}
    await world.begin()
    world.keeper.found(["a", "b"])
    await eventually(lambda: world.actors.served == {"a", "b"}, "served")
    assert seen.started == {"a"}
    await world.stack.aclose()


async def test_marks_are_waited_for_while_the_tables_are_away(tmp_path: Path) -> None:
    world = World(tmp_path)
    seen = world.keeper._actors = world.actors = SeenActors(RestMarks(tmp_path))
    world.tables.marks = {"a": encoded(RestMark(rest_basis(world.settings), "life 1", 5.0))}
    world.tables.marks_away = 1
    await world.begin()
    world.keeper.found(["a"])
    await eventually(lambda: world.actors.served == {"a"}, "served")
    assert not seen.started
    assert world.tables.marks_away == 0
    await world.stack.aclose()


async def test_a_system_that_is_handed_over_in_the_moment_of_its_installation_gets_no_process(tmp_path: Path) -> None:
    world = World(tmp_path)
    keeper, released = world.keeper, list[facts.Fact]()
    world.actors.released.append("no others")

    class Moved(Tables):
        """Whoever asks for marks has the system handed over by the next task, before any of its own."""

        async def rest_marks(self, lease: Lease, system_ids: Iterable[str]) -> dict[str, bytes]:
            async def hand_over() -> None:
                released.append(await keeper._release(Release(0, "a", self.systems["a"].claim)))

            self.handing_over = asyncio.create_task(hand_over())
            return await super().rest_marks(lease, system_ids)

    tables = keeper._nodes = Moved()
    tables.systems["a"] = OwnedSystem(node="me", claim=1)
    keeper._served.add("a")
    await keeper._install(("a",))
    await tables.handing_over
    assert [type(one) for one in released] == [facts.Released]
    assert tables.systems["a"].node == ""
    assert world.actors.served == set()
    await keeper.close()


# --- a data folder that takes nothing --------------------------------------------------------------------------------


async def test_a_folder_that_takes_nothing_does_not_end_the_node(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await eventually(lambda: world.view.believed, "believed")
    full = True
    own = world.lease.own

    def refuse(system_ids: Iterable[str]) -> None:
        if full:
            raise OSError(28, "No space left on device")
        own(system_ids)

    monkeypatch.setattr(world.lease, "own", refuse)
    with capture_logs() as lines:
        world.keeper.found(["a"])
        await eventually(lambda: world.actors.served == {"a"}, "served")
        assert world.view.owned() == frozenset()
        full = False
        await eventually(lambda: world.view.owned() == {"a"}, "ingress is told")
    said = [line["event"] for line in lines if "data folder" in line["event"]]
    assert said == [
        "the data folder cannot be written: what is consumed stays as it was", "the data folder can be written again",
    ]  # fmt: skip
    assert world.view.believed


async def test_nothing_is_handed_over_that_ingress_still_takes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.keeper.found(["a"])
    await eventually(lambda: world.actors.served == {"a"}, "served")
    own = world.lease.own

    def refuse(_system_ids: Iterable[str]) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(world.lease, "own", refuse)
    question = Release(1, "a", world.tables.systems["a"].claim)
    for _ in range(2):
        assert await world.keeper._release(question) == facts.Unanswered(question)
        assert world.tables.systems["a"].node == "me"
    monkeypatch.setattr(world.lease, "own", own)
    world.actors.described["a"] = {"running": {"id": "r"}, "lock": None}
    assert await world.keeper._release(question) == facts.Kept(question), "a run has begun meanwhile"
    world.actors.described.clear()
    world.actors.released.append("another")
    assert await world.keeper._release(question) == facts.Released(question)
    assert world.view.owned() == frozenset()
    assert world.tables.systems["a"].node == ""


def test_nodes_that_would_judge_otherwise_differ(tmp_path: Path) -> None:
    same = node_of(settings(tmp_path), 3)
    assert same == node_of(settings(tmp_path), 3)
    other = settings(tmp_path, reprocessing=ReprocessingSettings(replay_attempts=9))
    assert node_of(other, 3).settings_digest != same.settings_digest
    unnamed = Settings(data_dir=tmp_path)
    assert node_name(unnamed).replace("-", "").replace(".", "").isalnum()


async def test_whatever_keeps_the_marks_away_all_systems_are_served(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.tables.bug = True
    await world.begin()
    world.keeper.found(many := [f"s{number:03d}" for number in range(250)])
    await eventually(lambda: world.actors.served == set(many), "served")
    await world.stack.aclose()

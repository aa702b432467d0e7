"""The supervisor's decisions, without an actor in sight."""

from collections.abc import Iterable
from itertools import count, pairwise

import pytest

from maestro.actors.child import State
from maestro.actors.messages import Factories, Ping, Role, StartService, StopService
from maestro.actors.processes import Process
from maestro.actors.supervision_commands import Command, Create, Kill, Tell
from maestro.actors.supervision_plan import SupervisionPlan
from maestro.settings.model import ActorSettings, Settings
from maestro.telemetry.metrics import Sample, Snapshot

INGRESS, CASCADE, SYS_A = (Role.INGRESS, ""), (Role.CASCADE, ""), (Role.SYSTEM, "sysA")


class World:
    """Runs the plan's commands the way the supervisor does, with processes that are numbers."""

    def __init__(self, replace_after: float = 20.0) -> None:
        self.now = 100.0
        self.alive: set[int] = set()
        self.beats: dict[str, float] = {}
        self.pids = count(1000)
        self.marks: set[str] = set()
        self.sent: list[tuple[object, object]] = []
        self.created: list[tuple[Role, str]] = []
        self.settings = ActorSettings(replace_after=replace_after)
        self.plan = SupervisionPlan(
            "run",
            Settings(actors=self.settings),
            Factories(),
            1,
            epochs=count(1).__next__,
            alive=lambda process: process.pid in self.alive,
            beat=lambda system_id, _epoch: self.beats.get(system_id, 0.0),
            rests=self.marks.__contains__,
        )

    def run(self, commands: Iterable[Command]) -> None:
        for command in commands:
            match command:
                case Create(key):
                    process = Process(next(self.pids), 1)
                    self.alive.add(process.pid)
                    self.created.append(key)
                    self.run(self.plan.created(key, f"at {process.pid}", process, self.now))
                case Kill(process):
                    self.alive.discard(process.pid)
                case Tell(address, message):
                    self.sent.append((address, message))

    def tick(self, seconds: float = 0.2) -> None:
        self.now += seconds
        self.run(self.plan.tick(self.now))

    def take(self, kind: type) -> list[object]:
        found = [message for _, message in self.sent if isinstance(message, kind)]
        self.sent = [(to, message) for to, message in self.sent if not isinstance(message, kind)]
        return found

    def entry(self, key: tuple[Role, str]):  # noqa: ANN201 - an Entry
        return next(each for each in self.plan.directory(-1).entries if (each.role, each.system_id) == key)

    def start_all(self) -> None:
        for order in self.take(StartService):
            assert isinstance(order, StartService)
            self.run(self.plan.started(order.epoch, f"real {order.epoch}", self.now))

    def kill(self, key: tuple[Role, str]) -> None:
        self.alive.discard(self.entry(key).pid)
        self.run(self.plan.ended(self.now))


@pytest.fixture
def world(request: pytest.FixtureRequest) -> World:
    world = World(getattr(request, "param", 20.0))
    world.run(world.plan.open(world.now))
    world.run(world.plan.install(["sysA"], world.now))
    world.start_all()
    return world


def test_each_slot_gets_one_actor_and_installing_again_none(world: World) -> None:
    world.run(world.plan.install(["sysA"], world.now))
    assert world.created == [INGRESS, CASCADE, SYS_A]
    assert world.entry(SYS_A).state == "running"
    assert world.entry(SYS_A).address == "real 3"


def test_what_keeps_a_service_from_its_work_is_known_from_its_start(world: World) -> None:
    world.run(world.plan.install(["sysA"], world.now))
    world.plan.directory(0)
    epoch = world.entry(INGRESS).epoch
    world.plan.heard_at(epoch, world.now, "broker: refused")
    assert world.entry(INGRESS).problem == "broker: refused"
    fresh = World()
    fresh.run(fresh.plan.open(fresh.now))
    order = fresh.take(StartService)[0]
    fresh.plan.started(order.epoch, "here", fresh.now, "broker: refused")
    assert "broker: refused" in [entry.problem for entry in fresh.plan.directory(0).entries]


def test_start_is_repeated_until_it_is_answered() -> None:
    world = World()
    world.run(world.plan.open(world.now))
    assert len(world.take(StartService)) == 2
    world.tick()
    assert world.take(StartService) == []
    for _ in range(5):
        world.tick()
    assert len(world.take(StartService)) == 2
    for _ in range(8):
        world.tick()
    assert world.take(StartService) == []  # the pause has doubled
    for _ in range(3):
        world.tick()
    assert len(world.take(StartService)) == 2


def test_a_late_or_doubled_start_changes_nothing(world: World) -> None:
    before = world.plan.directory(-1)
    world.run(world.plan.started(3, "elsewhere", world.now))
    world.run(world.plan.started(99, "nobody", world.now))
    assert world.plan.directory(-1) == before


def test_restarts_are_counted_and_what_an_actor_measured_is_told(world: World) -> None:
    figures = Snapshot((Sample("m", (), 1.0),))
    before = world.plan.directory(-1)
    world.plan.told(world.entry(INGRESS).epoch, figures)
    world.plan.told(99, figures)
    known = world.plan.directory(before.version)
    assert known.entries == (), "figures make no new version"
    assert known.snapshots == ((Role.INGRESS, figures),)
    assert world.entry(SYS_A).restarts == 0
    world.kill(SYS_A)
    for _ in range(10):
        world.tick()
    assert world.entry(SYS_A).restarts == 1


def test_a_dead_system_is_created_at_once_with_a_new_epoch(world: World) -> None:
    world.kill(SYS_A)
    assert world.created.count(SYS_A) == 2
    assert world.entry(SYS_A).epoch > 3
    assert world.entry(SYS_A).address is None


def test_restarts_back_off_and_a_proven_life_forgives(world: World) -> None:
    pauses = []
    for _ in range(9):
        world.kill(SYS_A)
        began = world.now
        while world.entry(SYS_A).state != State.STARTING:
            world.tick(0.05)
        pauses.append(round(world.now - began, 2))
    assert pauses == pytest.approx([0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5], abs=0.06)
    world.now += 61
    world.kill(SYS_A)
    assert world.entry(SYS_A).state == State.STARTING


def test_an_end_that_nobody_reported_is_noticed_within_a_second(world: World) -> None:
    world.tick()
    world.alive.discard(world.entry(SYS_A).pid)
    for _ in range(6):
        world.tick()
    assert world.created.count(SYS_A) == 2


def silence(world: World, seconds: float, answering: set[tuple[Role, str]]) -> None:
    end = world.now + seconds
    while world.now < end:
        world.tick()
        for key in answering:
            world.plan.heard_at(world.entry(key).epoch, world.now)


def test_a_silent_actor_is_pinged_then_killed_and_created_anew(world: World) -> None:
    silence(world, 10, {INGRESS, CASCADE})
    assert {ping.epoch for ping in world.take(Ping) if isinstance(ping, Ping)} == {3}
    assert world.created.count(SYS_A) == 1
    silence(world, 12, {INGRESS, CASCADE})
    assert world.created.count(SYS_A) == 2
    assert world.created.count(INGRESS) == 1


def beating(world: World, seconds: float, *, answering: bool) -> None:
    """Let time pass in which the heart of sysA beats, and it answers each question or none."""
    end = world.now + seconds
    while world.now < end:
        world.beats["sysA"] = world.now
        silence(world, 1.0, {INGRESS, CASCADE})
        for ping in world.take(Ping):
            if answering and isinstance(ping, Ping) and ping.epoch == world.entry(SYS_A).epoch:
                world.plan.heard_at(ping.epoch, world.now, "")


def test_a_system_whose_heart_beats_is_asked_once_a_minute(world: World) -> None:
    world.plan.heard_at(3, world.now, "")
    beating(world, 55, answering=False)
    assert world.created.count(SYS_A) == 1
    beating(world, 40, answering=False)  # its own thread hangs
    assert world.created.count(SYS_A) == 2


def test_a_system_that_has_just_said_that_it_started_is_not_asked_for_a_minute(world: World) -> None:
    asked: set[int] = set()
    for _ in range(55):
        world.beats["sysA"] = world.now
        silence(world, 1.0, {INGRESS, CASCADE})
        asked |= {ping.epoch for ping in world.take(Ping) if isinstance(ping, Ping)}
    assert asked.isdisjoint({3})
    beating(world, 40, answering=False)  # it hangs
    assert world.created.count(SYS_A) == 2


def test_a_system_that_started_with_a_problem_is_asked_soon(world: World) -> None:
    world.run(world.plan.install(["sysB"], world.now))
    (order,) = world.take(StartService)
    assert isinstance(order, StartService)
    world.run(world.plan.started(order.epoch, "b", world.now, "store: locked"))
    for _ in range(2):
        world.beats["sysB"] = world.now
        silence(world, 1.0, {INGRESS, CASCADE})
    assert order.epoch in {ping.epoch for ping in world.take(Ping) if isinstance(ping, Ping)}


def test_a_system_that_answers_once_a_minute_lives_on(world: World) -> None:
    world.plan.heard_at(3, world.now, "")
    beating(world, 300, answering=True)
    assert world.created.count(SYS_A) == 1
    assert world.entry(SYS_A).problem == ""


def test_a_system_whose_heart_stops_is_replaced_in_time(world: World) -> None:
    world.plan.heard_at(3, world.now, "")
    beating(world, 40, answering=True)
    silence(world, 12, {INGRESS, CASCADE})
    assert world.entry(SYS_A).problem == "it shows no sign of life"
    silence(world, 10, {INGRESS, CASCADE})
    assert world.created.count(SYS_A) == 2
    assert world.entry(SYS_A).problem == ""


def test_a_system_with_a_problem_is_asked_often_though_its_heart_beats(world: World) -> None:
    beating(world, 20, answering=False)
    world.plan.heard_at(3, world.now, "store: locked")
    world.take(Ping)
    for _ in range(6):
        world.beats["sysA"] = world.now
        silence(world, 1.0, {INGRESS, CASCADE})
    assert len(world.take(Ping)) == 1


def test_a_new_child_with_a_problem_is_asked_soon_and_then_ever_less_often(world: World) -> None:
    problem = "whose the events are is not known yet"
    world.run(world.plan.install(["new"], world.now))
    epoch, began, asked = world.entry((Role.SYSTEM, "new")).epoch, world.now, list[float]()
    world.run(world.plan.started(epoch, "there", world.now, problem))
    while world.now - began < 14.0:
        assert world.plan.pace == 0.2
        silence(world, 0.2, {INGRESS, CASCADE, SYS_A})
        if any(isinstance(ping, Ping) and ping.epoch == epoch for ping in world.take(Ping)):
            asked.append(world.now - began)
            world.plan.heard_at(epoch, world.now, problem)
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    assert asked[0] < 1.0
    assert pauses[-1] > 1.0 > pauses[0]
    assert len(asked) < 25


def test_it_ticks_often_only_while_something_is_on_its_way(world: World) -> None:
    assert world.plan.pace == 2.0
    world.tick()
    world.run(world.plan.install([f"s{number}" for number in range(50)], world.now))
    assert world.plan.pace == 0.2


@pytest.mark.parametrize("world", [2.0, 4.0, 5.0, 8.0, 20.0], indirect=True)
@pytest.mark.parametrize("late", [0.001, 0.004, 0.3])
def test_who_is_well_is_never_taken_for_silent(world: World, late: float) -> None:
    """Ticks and heartbeats come a little late, and answers take some milliseconds, all of it for ten minutes."""
    answers: list[tuple[float, int]] = []
    until = world.now + 600.0
    while world.now < until:
        due = world.now + world.plan.pace + late
        for at, epoch in [one for one in answers if one[0] <= due]:
            world.plan.heard_at(epoch, at, problem="")
        answers = [one for one in answers if one[0] > due]
        world.beats["sysA"] = due - due % (world.settings.beat_every + 0.003)
        world.tick(due - world.now)
        answers += [(world.now + 0.002, ping.epoch) for ping in world.take(Ping) if isinstance(ping, Ping)]
        assert [entry.problem for entry in world.plan.directory(-1).entries] == [""] * 3
    assert world.created == [INGRESS, CASCADE, SYS_A]


def test_time_in_which_the_supervisor_was_frozen_is_nobodys_silence(world: World) -> None:
    world.tick()
    world.tick(3600.0)
    assert len(world.created) == 3


def test_replace_kills_only_the_life_it_names(world: World) -> None:
    assert world.plan.replace("sysA", 2) == []
    assert world.plan.replace("nobody", 3) == []
    world.run(world.plan.replace("sysA", 3))
    world.run(world.plan.ended(world.now))
    assert world.created.count(SYS_A) == 2


def test_of_many_systems_a_few_start_side_by_side(world: World) -> None:
    world.run(world.plan.install([f"s{number}" for number in range(50)], world.now))
    assert len(world.created) == 3 + world.settings.start_at_once
    first, *others = world.take(StartService)
    world.tick(0.1)
    assert len(world.created) == 3 + world.settings.start_at_once
    world.run(world.plan.started(first.epoch, "up", world.now))
    assert len(world.created) == 3 + world.settings.start_at_once + 1
    for order in others:
        world.run(world.plan.started(order.epoch, "up", world.now))
    while orders := world.take(StartService):
        for order in orders:
            world.run(world.plan.started(order.epoch, "up", world.now))
    assert len(world.created) == 3 + 50


def test_systems_that_do_not_get_up_hold_up_the_others_only_for_a_moment(world: World) -> None:
    world.run(world.plan.install([f"s{number}" for number in range(50)], world.now))
    for _ in range(30):
        world.tick()
    assert len(world.created) == 3 + 50


def test_a_fork_that_failed_is_tried_again_later(world: World) -> None:
    world.tick()
    world.alive.discard(world.entry(SYS_A).pid)
    for command in world.plan.ended(world.now):
        if isinstance(command, Create):
            world.plan.not_created(command.key, world.now)
    world.tick()
    assert world.created.count(SYS_A) == 1
    world.now += 5
    world.tick()
    assert world.created.count(SYS_A) == 2


def test_the_stop_goes_ingress_systems_cascade(world: World) -> None:
    world.run(world.plan.install(["sysB"], world.now))
    world.start_all()
    world.run(world.plan.stop(world.now))
    order = []
    while not world.plan.done:
        stops = [stop.epoch for stop in world.take(StopService) if isinstance(stop, StopService)]
        order.append(sorted(stops))
        for epoch in stops:
            world.run(world.plan.stopped(epoch, world.now))
    assert order == [[1], [3, 4], [2]]
    assert world.plan.unclean == []


def test_a_service_that_does_not_stop_is_killed_and_named(world: World) -> None:
    world.run(world.plan.stop(world.now))
    world.run(world.plan.stopped(1, world.now))
    for _ in range(28):
        world.tick()
    assert world.plan.unclean == ["sysA"]
    world.run(world.plan.stopped(2, world.now))
    assert world.plan.done


def test_a_service_that_dies_while_stopping_is_not_created_anew(world: World) -> None:
    world.run(world.plan.stop(world.now))
    for key in (INGRESS, SYS_A, CASCADE):
        world.kill(key)
    assert world.plan.done
    assert len(world.created) == 3


def test_the_directory_tells_what_has_changed_since_it_was_asked_for_last(world: World) -> None:
    known = world.plan.directory(0)
    assert [(each.role, each.system_id) for each in known.entries] == [INGRESS, CASCADE, SYS_A]
    assert world.plan.directory(known.version).entries == ()
    world.kill(SYS_A)
    assert world.plan.directory(known.version).entries == (world.entry(SYS_A),)
    world.plan.heard_at(world.entry(INGRESS).epoch, world.now, "broker: refused")
    later = world.plan.directory(known.version)
    assert later.entries == (world.entry(INGRESS), world.entry(SYS_A))
    assert world.plan.directory(later.version).entries == ()


# --- passivation ----------------------------------------------------------------------------------------------------


def rest(world: World, system_id: str = "sysA") -> None:
    """The system's process leaves its mark and ends."""
    world.marks.add(system_id)
    world.kill((Role.SYSTEM, system_id))


def test_a_system_that_ended_at_rest_is_left_in_peace_until_it_is_woken(world: World) -> None:
    rest(world)
    entry = world.entry(SYS_A)
    assert (entry.state, entry.address, entry.pid) == ("passivated", None, 0)
    for _ in range(50):
        world.tick(2.0)
    assert world.created.count(SYS_A) == 1
    world.run(world.plan.wake(["sysA", "nobody"], world.now))
    assert world.created.count(SYS_A) == 2
    assert world.entry(SYS_A).state == "waking"
    world.marks.clear()
    world.start_all()
    entry = world.entry(SYS_A)
    assert (entry.state, entry.restarts) == ("running", 0), "to be woken is no restart"


def test_a_passivated_system_lets_the_supervisor_rest(world: World) -> None:
    rest(world)
    assert world.plan.pace == 2.0


def test_a_wake_up_does_nothing_to_a_system_that_has_a_process(world: World) -> None:
    before = world.plan.directory(-1)
    world.run(world.plan.wake(["sysA"], world.now))
    assert world.plan.directory(-1) == before
    world.marks.add("sysA")  # its last act: the process has not ended yet
    world.run(world.plan.wake(["sysA"], world.now))
    assert world.plan.directory(-1) == before


def test_a_system_that_is_wanted_while_its_process_ends_is_started_as_soon_as_it_has(world: World) -> None:
    world.marks.add("sysA")  # its last act: the process has not ended yet
    world.run(world.plan.wake(["sysA"], world.now))
    world.kill(SYS_A)
    assert world.created.count(SYS_A) == 2
    assert world.entry(SYS_A).state == "waking"
    world.marks.clear()
    world.start_all()
    rest(world)
    assert world.created.count(SYS_A) == 2, "it was wanted once"


def test_an_end_at_rest_that_nobody_has_noticed_is_noticed_by_the_wake_up(world: World) -> None:
    world.marks.add("sysA")
    world.alive.discard(world.entry(SYS_A).pid)
    world.run(world.plan.wake(["sysA"], world.now))
    assert world.created.count(SYS_A) == 2


def test_a_wake_up_that_dies_before_it_is_up_is_tried_again(world: World) -> None:
    rest(world)
    world.run(world.plan.wake(["sysA"], world.now))
    world.kill(SYS_A)  # its mark is still there: it had not opened its store
    assert world.entry(SYS_A).state == "starting"
    for _ in range(10):
        world.tick()
    assert world.created.count(SYS_A) == 3
    world.kill(SYS_A)
    assert world.entry(SYS_A).state == "absent", "with a pause that grows"


def test_a_system_that_ends_without_a_mark_is_created_again(world: World) -> None:
    world.kill(SYS_A)
    world.tick()
    assert world.created.count(SYS_A) == 2


def test_what_is_at_rest_when_it_is_installed_is_not_started(world: World) -> None:
    world.marks.add("sysB")
    world.run(world.plan.install(["sysB", "sysC"], world.now))
    assert (Role.SYSTEM, "sysB") not in world.created
    assert (Role.SYSTEM, "sysC") in world.created
    assert world.entry((Role.SYSTEM, "sysB")).state == "passivated"
    world.run(world.plan.wake(["sysB"], world.now))
    world.start_all()
    assert world.entry((Role.SYSTEM, "sysB")).restarts == 0


def test_many_that_are_woken_at_once_start_a_few_at_a_time(world: World) -> None:
    many = [f"s{number}" for number in range(300)]
    world.marks.update(many)
    world.run(world.plan.install(many, world.now))
    world.run(world.plan.wake(many, world.now))
    most = 0
    while pending := world.take(StartService):
        most = max(most, len(pending))
        for order in pending:
            assert isinstance(order, StartService)
            world.run(world.plan.started(order.epoch, f"real {order.epoch}", world.now))
    assert most == world.settings.start_at_once
    assert {system_id for role, system_id in world.created if role is Role.SYSTEM} >= set(many)


def test_a_stop_leaves_passivated_systems_alone(world: World) -> None:
    rest(world)
    world.run(world.plan.stop(world.now))
    for order in world.take(StopService):
        assert isinstance(order, StopService)
        world.run(world.plan.stopped(order.epoch, world.now))
    for order in world.take(StopService):
        assert isinstance(order, StopService)
        world.run(world.plan.stopped(order.epoch, world.now))
    assert world.plan.done
    assert world.plan.wake(["sysA"], world.now) == []


class TestRelease:
    def test_it_is_stopped_in_good_order_and_gone_once_its_process_is(self, world: World) -> None:
        epoch = world.entry(SYS_A).epoch
        world.run(world.plan.release(["sysA", "unknown"], world.now))
        world.run(world.plan.release(["sysA"], world.now))
        assert world.take(StopService) == [StopService(epoch)]
        assert world.entry(SYS_A).state == "stopping"
        assert world.plan.directory(-1, ["sysA", "unknown"]).released == ("unknown",)
        pid = world.entry(SYS_A).pid
        world.run(world.plan.stopped(epoch, world.now))
        assert pid not in world.alive
        world.run(world.plan.ended(world.now))
        assert world.entry(SYS_A).state == "released"
        assert world.plan.directory(-1, ["sysA", "unknown"]).released == ("sysA", "unknown")
        world.tick(60)
        assert world.created == [INGRESS, CASCADE, SYS_A]

    def test_what_does_not_stop_is_killed(self, world: World) -> None:
        pid = world.entry(SYS_A).pid
        world.run(world.plan.release(["sysA"], world.now))
        for _ in range(4):
            world.tick(1)
        assert len(world.take(StopService)) > 1
        assert pid in world.alive
        for _ in range(4):
            world.tick(1)
        assert pid not in world.alive
        assert world.entry(SYS_A).state == "released"

    def test_one_without_a_process_is_gone_at_once(self, world: World) -> None:
        world.marks.add("sysB")
        world.run(world.plan.install(["sysB"], world.now))
        before = world.plan.directory(-1).version
        world.run(world.plan.release(["sysB"], world.now))
        assert [(one.system_id, one.state) for one in world.plan.directory(before).entries] == [("sysB", "released")]

    def test_installed_again_it_is_new(self, world: World) -> None:
        world.run(world.plan.release(["sysA"], world.now))
        world.run(world.plan.install(["sysA"], world.now))  # too early: it ends first
        world.kill(SYS_A)
        assert world.entry(SYS_A).state == "released"
        world.run(world.plan.install(["sysA"], world.now))
        world.start_all()
        assert world.entry(SYS_A).state == "running"
        assert world.entry(SYS_A).restarts == 0

    def test_the_stop_of_all_goes_on_without_it(self, world: World) -> None:
        world.run(world.plan.release(["sysA"], world.now))
        world.kill(SYS_A)
        world.run(world.plan.stop(world.now))
        world.run(world.plan.stopped(world.entry(INGRESS).epoch, world.now))
        world.run(world.plan.stopped(world.entry(CASCADE).epoch, world.now))
        assert world.plan.done
        assert world.plan.unclean == []

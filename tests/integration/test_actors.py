"""The actor system for real: processes that answer, die, freeze, and are replaced; none is ever left behind."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from maestro.actors import bootstrap, processes
from maestro.actors.bootstrap import ActorRuntime
from maestro.actors.errors import ActorsFailed, AlreadyRunning, Unavailable, UnknownSystem
from maestro.actors.processes import Process
from maestro.actors.run_record import RunFolder
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import CheckLock, DescribeSystem, GetDocument, PersistSync
from tests.support.echo_main import FACTORIES, settings_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

SYSTEMS = ("sysA", "sysB", "sysC")


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[ActorRuntime]:
    runtime = ActorRuntime(settings_for(tmp_path), FACTORIES)
    await runtime.start()
    try:
        for system in SYSTEMS:
            await runtime.actor_client.install(system)
        await runtime.actor_client.wait_for_services(20)
        await until(lambda: {f"system {system}" for system in SYSTEMS} <= recorded(tmp_path).keys(), 5)
        yield runtime
    finally:
        known = recorded(tmp_path)
        await runtime.stop()
        assert [each for each in known.values() if each.alive] == []


def recorded(folder: Path) -> dict[str, Process]:
    record = RunFolder(folder).read()
    return {} if record is None else record.actors


def pid_of(runtime: ActorRuntime, system: str) -> int:
    return next(entry.pid for entry in runtime.actor_client.entries if entry.system_id == system)


def pid_of_role(runtime: ActorRuntime, role: str) -> int:
    return next(entry.pid for entry in runtime.actor_client.entries if entry.role == role)


async def describe(runtime: ActorRuntime, system: str) -> tuple[int, int, int, int]:
    """Return pid, epoch, lock checks and sync persists of a system's actor."""
    answer = await runtime.actor_client.ask(system, DescribeSystem(), timeout=5)
    assert answer.code is Code.OK, answer
    _, *numbers = answer.body.decode().split()
    pid, epoch, checks, persists = map(int, numbers)
    return pid, epoch, checks, persists


async def answers(runtime: ActorRuntime, system: str, deadline: float) -> tuple[int, int, int, int]:
    """Ask until the system answers; return what it says of itself."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        try:
            return await describe(runtime, system)
        except (AssertionError, TimeoutError, Unavailable):
            await asyncio.sleep(0.05)
    raise AssertionError(f"{system} did not answer within {deadline} s")


def wait_until(condition: Callable[[], bool], deadline: float) -> None:
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.02)


# --- asking ---------------------------------------------------------------------------------------------------


async def test_each_system_answers_for_itself(runtime: ActorRuntime) -> None:
    for system in SYSTEMS:
        assert (await describe(runtime, system))[0] == pid_of(runtime, system)
    assert await runtime.actor_client.ask("sysA", CheckLock(), timeout=5) == Answer(Code.OK)
    assert runtime.actor_client.systems() == SYSTEMS
    assert await runtime.actor_client.readiness() == {}


async def test_an_unknown_system_is_an_error(runtime: ActorRuntime) -> None:
    with pytest.raises(UnknownSystem):
        await runtime.actor_client.ask("nobody", CheckLock(), timeout=5)


async def test_installing_twice_changes_nothing(runtime: ActorRuntime) -> None:
    before = await describe(runtime, "sysA")
    await runtime.actor_client.install("sysA")
    assert (await describe(runtime, "sysA"))[:2] == before[:2]


async def test_lock_checks_that_come_together_share_one_message(runtime: ActorRuntime) -> None:
    before = (await describe(runtime, "sysA"))[2]
    replies = await asyncio.gather(*(runtime.actor_client.ask("sysA", CheckLock(), timeout=5) for _ in range(500)))
    assert {reply.code for reply in replies} == {Code.OK}
    assert (await describe(runtime, "sysA"))[2] - before < 20


async def test_a_slow_question_delays_no_other_and_is_put_once(runtime: ActorRuntime) -> None:
    slow = asyncio.create_task(runtime.actor_client.ask("sysA", PersistSync(b"3"), timeout=30))
    for _ in range(20):
        assert (await runtime.actor_client.ask("sysA", CheckLock(), timeout=5)).code is Code.OK
        await describe(runtime, "sysA")
    assert not slow.done()
    assert await slow == Answer(Code.OK, b"late")
    # It was open for longer than `silent_after`: the system was asked for a sign of life meanwhile.
    assert (await describe(runtime, "sysA"))[3] == 1


async def test_a_question_without_an_answer_ends_in_time_and_the_actor_goes_on(runtime: ActorRuntime) -> None:
    with pytest.raises(TimeoutError):
        await runtime.actor_client.ask("sysA", GetDocument("x"), timeout=1)
    await describe(runtime, "sysA")


async def test_each_line_of_a_services_log_names_its_actor_and_system(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    runtime = ActorRuntime(settings_for(tmp_path), FACTORIES)
    await runtime.start()
    try:
        await runtime.actor_client.install("sysA")
        await runtime.actor_client.wait_for_services(20)
    finally:
        await runtime.stop()
    line = next(line for line in capfd.readouterr().err.splitlines() if "echo is up" in line)
    record = json.loads(line)
    assert (record["actor"], record["system"]) == ("system", "sysA")


@pytest.fixture
def listened_before() -> set[str]:
    """The sockets of other tests that this process, the main process of the runtime here, listens on."""
    return listening(os.getpid())


async def test_no_actor_listens_on_the_network(
    listened_before: set[str], runtime: ActorRuntime, tmp_path: Path
) -> None:
    pids = [each.pid for each in recorded(tmp_path).values()]
    assert len(pids) >= 3 + len(SYSTEMS)
    assert {socket for pid in [*pids, os.getpid()] for socket in listening(pid)} == listened_before
    assert len([*(tmp_path / "lives").iterdir()]) >= len(pids), "its sockets are files"
    assert stat.S_IMODE((tmp_path / "lives").stat().st_mode) == 0o700


def listening(pid: int) -> set[str]:
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes.add(str(descriptor.readlink()))
        except FileNotFoundError:
            continue
    rows = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        path = Path(f"/proc/{pid}/net/{table}")
        rows += [line.split() for line in path.read_text().splitlines()[1:]] if path.exists() else []
    return {f"{row[1]} {row[9]}" for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes}


# --- dying and freezing ---------------------------------------------------------------------------------------


async def test_a_killed_system_is_replaced(runtime: ActorRuntime, tmp_path: Path) -> None:
    pid, epoch, *_ = await describe(runtime, "sysA")
    os.kill(pid, signal.SIGKILL)
    new_pid, new_epoch, *_ = await answers(runtime, "sysA", 10)
    assert new_pid != pid
    assert new_epoch > epoch
    trace = tmp_path / "trace"
    for hub in ("ingress", "cascade"):
        wait_until(lambda hub=hub: f"{hub} attach sysA {new_epoch}" in trace.read_text(), 10)  # type: ignore[misc]
        assert f"{hub} detach sysA" in trace.read_text()


async def test_two_systems_killed_at_once_are_both_replaced(runtime: ActorRuntime) -> None:
    pids = [pid_of(runtime, system) for system in SYSTEMS]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for system, pid in zip(SYSTEMS, pids, strict=True):
        assert (await answers(runtime, system, 15))[0] != pid


async def test_a_frozen_system_holds_up_nobody_and_is_replaced(runtime: ActorRuntime) -> None:
    frozen = pid_of(runtime, "sysA")
    os.kill(frozen, signal.SIGSTOP)
    began = time.monotonic()
    stuck = [asyncio.create_task(runtime.actor_client.ask("sysA", CheckLock(), timeout=20)) for _ in range(10)]
    while not all(task.done() for task in stuck):
        for system in ("sysB", "sysC"):
            assert (await runtime.actor_client.ask(system, CheckLock(), timeout=2)).code is Code.OK
        assert time.monotonic() - began < 10
        await asyncio.sleep(0.01)
    assert {(await task).code for task in stuck} <= {Code.UNAVAILABLE, Code.OK}
    assert (await answers(runtime, "sysA", 30))[0] != frozen


async def test_a_frozen_system_that_nobody_asks_is_replaced(runtime: ActorRuntime) -> None:
    frozen = processes.process(pid_of(runtime, "sysB"))
    os.kill(frozen.pid, signal.SIGSTOP)
    await until(lambda: not frozen.alive, 30)
    await answers(runtime, "sysB", 10)


@pytest.mark.parametrize("role", ["ingress", "cascade"])
async def test_a_killed_hub_comes_back_and_hears_of_all_systems(
    runtime: ActorRuntime, tmp_path: Path, role: str
) -> None:
    (tmp_path / "trace").write_text("")
    os.kill(pid_of_role(runtime, role), signal.SIGKILL)
    epochs = {system: (await describe(runtime, system))[1] for system in SYSTEMS}
    await until(lambda: f"start {role}" in (tmp_path / "trace").read_text(), 15)
    for system, epoch in epochs.items():
        await until(lambda s=system, e=epoch: f"{role} attach {s} {e}" in (tmp_path / "trace").read_text(), 10)  # type: ignore[misc]


@pytest.mark.parametrize("root", ["supervisor", "admin"])
async def test_a_killed_root_brings_everything_anew_and_nothing_twice(
    runtime: ActorRuntime, tmp_path: Path, root: str
) -> None:
    before = recorded(tmp_path)
    os.kill(before[root].pid, signal.SIGKILL)
    await until(lambda: not any(each.alive for each in before.values()), 15)
    for system in SYSTEMS:
        pid, *_ = await answers(runtime, system, 30)
        assert pid != before[f"system {system}"].pid


async def test_thespians_logger_ends_once_the_admin_knows_it(runtime: ActorRuntime, tmp_path: Path) -> None:
    started = recorded(tmp_path)
    await until(lambda: processes.children(started["admin"].pid) == [started["supervisor"].pid], 10)
    assert (await describe(runtime, "sysA"))[0] == started["system sysA"].pid


async def test_a_frozen_supervisor_is_replaced(runtime: ActorRuntime, tmp_path: Path) -> None:
    before = recorded(tmp_path)
    os.kill(before["supervisor"].pid, signal.SIGSTOP)
    await until(lambda: not before["supervisor"].alive, 30)
    await answers(runtime, "sysA", 30)
    assert [each for each in before.values() if each.alive] == []


async def test_sigterm_ends_a_service_in_order_and_it_comes_back(runtime: ActorRuntime, tmp_path: Path) -> None:
    pid, *_ = await describe(runtime, "sysA")
    old = processes.process(pid)
    os.kill(pid, signal.SIGTERM)
    await until(lambda: not old.alive, 15)
    assert (await answers(runtime, "sysA", 15))[0] != pid
    assert "stop sysA" in (tmp_path / "trace").read_text()


async def until(condition: Callable[[], bool], deadline: float) -> None:
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, "not in time"
        await asyncio.sleep(0.05)


# --- starting and stopping ------------------------------------------------------------------------------------


async def test_services_stop_in_order(tmp_path: Path) -> None:
    runtime = ActorRuntime(settings_for(tmp_path), FACTORIES)
    await runtime.start()
    await runtime.actor_client.install("sysA")
    await runtime.actor_client.wait_for_services(20)
    await until(lambda: "system sysA" in recorded(tmp_path), 5)
    known = recorded(tmp_path)
    await runtime.stop()
    lines = (tmp_path / "trace").read_text().splitlines()
    assert [line for line in lines if line.startswith("stop")] == ["stop ingress", "stop sysA", "stop cascade"]
    assert [each for each in known.values() if each.alive] == []
    assert RunFolder(tmp_path).read() is None


@pytest.mark.parametrize("ingress", ["tests.support.nowhere:EchoIngress", "tests.support.echo_services:NoSuchService"])
async def test_a_start_that_fails_says_so_and_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ingress: str
) -> None:
    monkeypatch.setattr(bootstrap, "_START_TIMEOUT", 4.0)
    before = set(everything())
    with pytest.raises(ActorsFailed):
        await ActorRuntime(settings_for(tmp_path), msgspec.structs.replace(FACTORIES, ingress=ingress)).start()
    await until(lambda: set(everything()) <= before, 10)


def everything() -> list[int]:
    """Return the pids of all actors of these tests on this machine, whoever their parent is."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"MAESTRO_TEST={os.getpid()}".encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return [pid for pid in found if processes.started_at(pid) and pid != os.getpid()]


@pytest.fixture(autouse=True)
def marked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mark whatever a test starts, so that `everything` finds it."""
    monkeypatch.setenv("MAESTRO_TEST", str(os.getpid()))


@pytest.fixture
def main_process(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-m", "tests.support.echo_main", str(tmp_path), "sysA", "sysB"])
    try:
        wait_until((tmp_path / "ready").exists, 30)
        wait_until(lambda: {"ingress", "system sysA", "system sysB"} <= recorded(tmp_path).keys(), 10)
        yield process
    finally:
        process.kill()
        process.wait(10)
        assert processes.gone(recorded(tmp_path).values(), 10) == []


def test_a_killed_main_leaves_no_process(main_process: subprocess.Popen[bytes], tmp_path: Path) -> None:
    known = recorded(tmp_path)
    main_process.kill()
    main_process.wait(5)
    assert processes.gone(known.values(), 5) == []


def test_a_killed_main_leaves_no_process_even_with_a_frozen_admin(
    main_process: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    known = recorded(tmp_path)
    os.kill(known["admin"].pid, signal.SIGSTOP)
    main_process.kill()
    main_process.wait(5)
    assert processes.gone(known.values(), 5) == []


def test_sigterm_ends_main_and_all_actors(main_process: subprocess.Popen[bytes], tmp_path: Path) -> None:
    known = recorded(tmp_path)
    main_process.terminate()
    assert main_process.wait(15) == 0
    assert [each for each in known.values() if each.alive] == []


async def test_a_second_start_is_refused_and_the_first_unharmed(
    main_process: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    known = recorded(tmp_path)
    second = ActorRuntime(settings_for(tmp_path), FACTORIES)
    with pytest.raises(AlreadyRunning, match=str(main_process.pid)):
        await second.start()
    await second.stop()
    assert recorded(tmp_path) == known
    assert all(each.alive for each in known.values())


async def test_a_start_after_everything_was_killed_or_frozen(
    main_process: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    known = recorded(tmp_path)
    # Frozen processes see neither the end of main nor a signal to end; only the record finds them.
    os.kill(known["supervisor"].pid, signal.SIGSTOP)
    os.kill(known["admin"].pid, signal.SIGSTOP)
    main_process.kill()
    main_process.wait(5)
    runtime = ActorRuntime(settings_for(tmp_path), FACTORIES)
    await runtime.start()
    try:
        assert [each for each in known.values() if each.alive] == []
        await runtime.actor_client.install("sysA")
        await answers(runtime, "sysA", 15)
    finally:
        await runtime.stop()

"""The small parts: outbox, wire, processes, run record."""

import os
import pickle
import select
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from thespian.system.transport import ReceiveEnvelope, TransmitIntent

from maestro.actors import processes, wire
from maestro.actors.backoff import RestartBackoff
from maestro.actors.bootstrap import ActorRuntime
from maestro.actors.endpoint import address_of
from maestro.actors.errors import AlreadyRunning
from maestro.actors.outbox import Outbox
from maestro.actors.processes import Process
from maestro.actors.run_record import RecordUnreadable, RunFolder, RunRecord
from maestro.actors.unix_sockets import make_ports
from maestro.actors.wire import SignedPickle
from maestro.settings.model import Settings


def readable(outbox: Outbox) -> bool:
    return bool(select.select([outbox.fileno()], [], [], 0)[0])


@pytest.fixture
def outbox():  # noqa: ANN201 - an Outbox
    outbox = Outbox(capacity=3)
    yield outbox
    outbox.close()


def test_the_outbox_is_readable_while_it_holds_something(outbox: Outbox) -> None:
    assert not readable(outbox)
    outbox.put("a", 1)
    outbox.put("b", 2)
    assert readable(outbox)
    assert outbox.take() == [("a", 1), ("b", 2)]
    assert not readable(outbox)
    outbox.put("a", 3)
    assert readable(outbox)


def test_a_full_or_closed_outbox_drops_and_counts() -> None:
    outbox = Outbox(capacity=3)
    for number in range(5):
        outbox.put("a", number)
    assert len(outbox.take()) == 3
    outbox.close()
    outbox.put("a", 9)
    outbox.wake()
    assert outbox.dropped == 3


def test_nothing_is_lost_between_two_threads() -> None:
    outbox = Outbox(capacity=100_000)
    writer = threading.Thread(target=lambda: [outbox.put("a", number) for number in range(5000)])
    writer.start()
    got: list[object] = []
    while len(got) < 5000 and select.select([outbox.fileno()], [], [], 5)[0]:
        got += [message for _, message in outbox.take()]
    writer.join()
    outbox.close()
    assert got == list(range(5000))


def test_only_messages_of_this_run_are_read() -> None:
    ours, theirs = SignedPickle(b"k" * 32), SignedPickle(b"o" * 32)
    assert ours.loads(ours.dumps({"a": 1})) == {"a": 1}
    assert ours.loads(pickle.dumps("ACK")) == "ACK"
    for data in (theirs.dumps("x"), pickle.dumps("x"), b"", ours.dumps("x")[:-1]):
        with pytest.raises(ValueError, match="not from this run"):
            ours.loads(data)


@pytest.fixture
def sleeper():  # noqa: ANN201 - a process
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def test_a_process_is_its_pid_and_start_time(sleeper: subprocess.Popen[bytes]) -> None:
    me = processes.process(sleeper.pid)
    assert me.alive
    assert processes.parent(sleeper.pid) == os.getpid()
    assert sleeper.pid in processes.children(os.getpid())
    other_life = Process(sleeper.pid, me.started - 1)
    assert not other_life.alive
    other_life.kill()
    assert me.alive
    assert processes.end([me], 5) == []
    assert not me.alive  # a zombie by now, as nobody has waited for it


def test_a_pid_that_is_gone_is_not_alive(sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.kill()
    sleeper.wait()
    gone = processes.process(sleeper.pid)
    assert not gone.alive
    assert processes.parent(sleeper.pid) == 0


def test_an_end_is_seen_with_all_that_are_watched(sleeper: subprocess.Popen[bytes]) -> None:
    me = processes.process(os.getpid())
    watch = processes.Watch({"sleeper": processes.process(sleeper.pid), "me": me})
    assert watch.ended() == []
    sleeper.kill()
    assert processes.gone([processes.process(sleeper.pid)], 5) == []
    assert watch.ended() == ["sleeper"]
    sleeper.wait()
    assert watch.ended() == ["sleeper"]
    watch.close()
    assert watch.ended() == []


@pytest.mark.parametrize("who", [processes.NOBODY, Process(os.getpid(), 1)])
def test_who_is_gone_already_is_seen_to_have_ended(who: Process) -> None:
    watch = processes.Watch({"gone": who})
    assert watch.ended() == ["gone"]
    watch.close()


def test_a_process_lets_the_kernel_merge_its_memory_and_that_of_those_it_forks() -> None:
    script = (
        "import os; from maestro.actors import processes; processes.merge_memory(); "
        "os._exit(os.waitpid(pid, 0)[1] >> 8) if (pid := os.fork()) else None; "
        "os._exit('ksm_merge_any: yes' not in open('/proc/self/ksm_stat').read())"
    )
    try:
        merged = "ksm_merge_any" in Path("/proc/self/ksm_stat").read_text()
    except FileNotFoundError:
        merged = False
    if not merged:
        pytest.skip("this kernel merges no pages, or does not tell")
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_kernel_that_cannot_merge_memory_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_LIBC", SimpleNamespace(prctl=lambda *_: -1))
    with pytest.raises(OSError, match="PR_SET_MEMORY_MERGE"):
        processes.merge_memory()


def test_the_run_folder_is_one_runs_own(tmp_path: Path) -> None:
    first, second = RunFolder(tmp_path / "data"), RunFolder(tmp_path / "data")
    first.acquire()
    with pytest.raises(AlreadyRunning, match=str(os.getpid())):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


def test_what_an_earlier_run_left_is_killed(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    folder = RunFolder(tmp_path)
    bystander = Process(os.getpid(), 1)  # our pid, in another life
    folder.write(RunRecord("old", Process(1, 1), {"admin": processes.process(sleeper.pid), "x": bystander}))
    folder.acquire()
    assert sleeper.wait(5) == -9
    folder.release()
    assert folder.read() is None


@pytest.mark.parametrize("content", [b"", b"{", b'{"run_id": 3}'])
def test_a_broken_record_names_nobody_and_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    folder = RunFolder(tmp_path)
    with pytest.raises(RecordUnreadable, match=r"run\.json: is damaged"):
        folder.read()
    folder.acquire()
    assert folder.left == []
    assert "run.json" in folder.unknown
    folder.release()


async def test_with_a_broken_record_a_start_does_not_say_that_nothing_of_the_former_run_goes_on(tmp_path: Path) -> None:
    ends_at_once = RuntimeError("looked")
    known: list[bool] = []

    def look() -> None:
        known.append(runtime.former_ended)
        raise ends_at_once

    for content, ended in ((None, True), (b"{", False)):
        if content is not None:
            (tmp_path / "run.json").write_bytes(content)
        runtime = ActorRuntime(Settings(data_dir=tmp_path))
        with pytest.raises(RuntimeError, match="looked"):
            await runtime.launch(look)
        assert known.pop() is ended


def test_the_first_restart_is_at_once_and_a_proven_life_forgives() -> None:
    backoff = RestartBackoff(first=1.0, longest=5.0)
    assert [backoff.after(3.0) for _ in range(5)] == [0.0, 1.0, 2.0, 4.0, 5.0]
    assert [backoff.after(61.0), backoff.after(0.0)] == [0.0, 1.0]


def test_a_message_on_its_way_is_put_into_words_only_for_a_line_that_is_written(tmp_path: Path) -> None:
    class Message:
        asked = 0

        def __str__(self) -> str:
            Message.asked += 1
            return "the message"

    make_ports(tmp_path)
    wire.install(b"k" * wire.KEY_BYTES, tmp_path, tmp_path / "thespian.log")
    here = address_of(4711)
    for carrier in (TransmitIntent(here, Message()), ReceiveEnvelope(here, Message())):
        described = carrier.identify()
        assert Message.asked == 0
        assert "the message" in f"{described!s}"
        Message.asked = 0


def test_addresses_differ_by_their_ports(tmp_path: Path) -> None:
    make_ports(tmp_path)
    wire.install(b"k" * wire.KEY_BYTES, tmp_path, tmp_path / "thespian.log")
    assert address_of(4711) == address_of(4711)
    assert address_of(4711) != address_of(4712)

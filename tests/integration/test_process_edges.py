"""`maestro serve` in odd surroundings: hung up, without streams, as PID 1, without IPv4, on a taken port."""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import msgspec
import pytest

from maestro.ports import free_port
from tests.support.cli import arguments, environ, maestro

PATIENCE = 30.0
_PR_SET_CHILD_SUBREAPER = 36


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.05)
    return found


@contextmanager
def served(
    folder: Path,
    host: str = "127.0.0.1",
    variables: dict[str, str] | None = None,
    before: Sequence[str] = (),
    **more: Any,
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run `maestro serve` in a process group of its own; yield it and its address once it is ready.

    `before`: the command that is to start it, whose process is yielded then.
    """
    port = free_port()
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    own = environ(PORT=str(port), MAESTRO_HTTP__HOST=host, MAESTRO_DATA_DIR=str(folder / "data"))
    own |= variables or {}
    with (folder / "log").open("wb") as log:
        options: dict[str, Any] = {"stdout": log, "stderr": log, "stdin": subprocess.DEVNULL} | more
        process = subprocess.Popen(
            [*before, *arguments("serve")], env=own, cwd=folder, start_new_session=True, **options
        )
    try:
        until(lambda: ready(address) or process.poll() is not None, "ready")
        assert process.poll() is None, (folder / "log").read_text()
        yield process, address
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE)


def ready(address: str) -> bool:
    with suppress(OSError), urlopen(f"{address}/readyz", timeout=2) as answer:
        return bool(answer.status == 200)
    return False


def recorded(folder: Path) -> dict[str, int]:
    """Return the pids of the actors by name."""
    record = msgspec.json.decode((folder / "data" / "run.json").read_bytes())
    return {name: each["pid"] for name, each in record["actors"].items()}


def test_a_hang_up_of_the_whole_group_ends_it_in_order(tmp_path: Path) -> None:
    with served(tmp_path) as (process, _):
        actors = recorded(tmp_path)
        os.killpg(process.pid, signal.SIGHUP)
        assert process.wait(PATIENCE) == 0
    log = (tmp_path / "log").read_text()
    assert "maestro is stopping" in log
    assert "maestro has stopped" in log
    assert "ended" not in log
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in actors.values()), "all gone")


def test_one_that_was_told_to_ignore_hang_ups_does(tmp_path: Path) -> None:
    with served(tmp_path, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as (process, address):
        os.killpg(process.pid, signal.SIGHUP)
        time.sleep(1.0)
        assert ready(address)
        process.terminate()
        assert process.wait(PATIENCE) == 0


def _close_streams() -> None:
    for number in (0, 1, 2):
        os.close(number)


def test_it_starts_without_streams(tmp_path: Path) -> None:
    with served(tmp_path, preexec_fn=_close_streams) as (process, _):
        for number in (0, 1, 2):
            assert str(Path(f"/proc/{process.pid}/fd/{number}").readlink()) == os.devnull
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_orphans_are_collected_where_it_adopts_them(tmp_path: Path) -> None:
    """As PID 1 of a container does; a process can be made to adopt orphans without being that."""

    def adopt() -> None:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    with served(tmp_path, preexec_fn=adopt) as (process, address):
        before = recorded(tmp_path)
        for name in ("admin", "ingress"):
            os.kill(before[name], signal.SIGKILL)
        until(lambda: recorded(tmp_path)["admin"] != before["admin"] and ready(address), "restarted")
        until(lambda: zombies(process.pid) == [], "no zombie")
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_orphans_are_collected_by_the_first_process_of_a_container(tmp_path: Path) -> None:
    """Process 1 of a process namespace of its own: orphans of anybody are its children, and signals need a handler."""
    apart = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if os.geteuid() != 0:
        apart[1:1] = ["--user", "--map-root-user"]
    if shutil.which("unshare") is None or subprocess.run([*apart, "true"], check=False, capture_output=True).returncode:
        pytest.skip("process namespaces cannot be had here")
    with served(tmp_path, before=apart) as (process, address):
        (first,) = children(process.pid)
        assert inside(first) == 1
        before = recorded(tmp_path)
        wanted = {before["admin"], before["ingress"]}
        actors = [one for one in descendants(first) if inside(one) in wanted]
        assert len(actors) == len(wanted)
        for actor in actors:
            with suppress(ProcessLookupError):  # the end of one may have ended the other
                os.kill(actor, signal.SIGKILL)
        until(lambda: recorded(tmp_path)["admin"] != before["admin"] and ready(address), "restarted")
        into = ["nsenter", "--target", str(first), "--pid", "--user", "--preserve-credentials"]
        into = into if os.geteuid() != 0 else into[:4]
        subprocess.run([*into, "sh", "-c", "sleep 0.3 & sleep 0.3 &"], check=True, timeout=PATIENCE)
        until(lambda: "sleep" in map(command, children(first)), "Maestro has adopted what somebody left")
        until(lambda: "sleep" not in map(command, children(first)) and zombies(first) == [], "no zombie")
        os.kill(first, signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def children(parent: int) -> list[int]:
    """Return the children of a process, zombies included."""
    tasks = Path(f"/proc/{parent}/task").iterdir()
    return [int(one) for task in tasks for one in (task / "children").read_text().split()]


def descendants(parent: int) -> list[int]:
    """Return the children of a process, theirs, and so on."""
    found = children(parent)
    for one in found:
        with suppress(OSError):
            found += children(one)
    return found


def inside(pid: int) -> int:
    """Return the id that a process has in its own namespace."""
    (line,) = [one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("NSpid:")]
    return int(line.split()[-1])


def command(pid: int) -> str:
    """Return the name of a process's program; empty when it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def zombies(parent: int) -> list[int]:
    """Return the children of a process that have ended and were not collected."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, ppid = stat.read_text().rpartition(")")[2].split()[:2]
            if state == "Z" and int(ppid) == parent:
                found.append(int(stat.parent.name))
    return found


def test_it_serves_where_there_is_ipv6_only(tmp_path: Path) -> None:
    with served(tmp_path, host="::1") as (process, address):
        own = environ(MAESTRO_URL=address)
        shown = subprocess.run(
            arguments("systems"), env=own, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert (shown.returncode, shown.stderr) == (0, "")
        process.terminate()
        assert process.wait(PATIENCE) == 0
    assert f"Maestro serves {address}" in (tmp_path / "log").read_text()


def test_a_taken_port_is_found_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        own = environ(PORT=port, MAESTRO_DATA_DIR=str(tmp_path / "data"))
        started = subprocess.run(
            arguments("serve"), env=own, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    assert started.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: " in started.stderr
    assert "actor system started" not in started.stderr
    assert not (tmp_path / "data" / "run.json").exists()


def test_variables_that_say_where_maestro_is_are_one_line_of_the_log(tmp_path: Path) -> None:
    kubernetes = {"MAESTRO_PORT": "tcp://10.0.0.7:6971", "MAESTRO_SERVICE_HOST": "10.0.0.7", "APICORE_PROT": "1"}
    with served(tmp_path, variables=kubernetes | {"MAESTRO_LOG__FORMAT": "json"}) as (process, _):
        process.terminate()
        assert process.wait(PATIENCE) == 0
    notes = [line for line in (tmp_path / "log").read_text().splitlines() if '"settings.note"' in line]
    assert len(notes) == 2
    assert "MAESTRO_PORT, MAESTRO_SERVICE_HOST" in notes[0]
    assert "did you mean APICORE_PORT?" in notes[1]


class TestStreams:
    """Commands whose output or arguments are odd: one line and an exit code, never a traceback."""

    @pytest.mark.parametrize("words", [("config", "template"), ("--help",), ("--version",), ("systems",)])
    def test_a_full_disk_behind_the_output(self, words: tuple[str, ...]) -> None:
        with Path("/dev/full").open("w") as full:
            ran = subprocess.run(
                arguments(*words), env=environ(MAESTRO_URL="http://127.0.0.1:1"), stdout=full, stderr=subprocess.PIPE,
                text=True, timeout=PATIENCE, check=False,
            )  # fmt: skip
        assert "Traceback" not in ran.stderr
        if words != ("systems",):
            assert (ran.returncode, ran.stderr) == (
                1,
                "maestro: the output cannot be written: No space left on device\n",
            )

    def test_a_reader_that_has_enough(self) -> None:
        read, write = os.pipe()
        os.close(read)
        ran = subprocess.run(
            arguments("config", "template"), env=environ(), stdout=write, stderr=subprocess.PIPE, text=True,
            timeout=PATIENCE, check=False,
        )  # fmt: skip
        os.close(write)
        assert (ran.returncode, ran.stderr) == (1, "")

    @pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
    def test_streams_that_are_closed(self, closed: tuple[int, ...]) -> None:
        for words, code in ((("config", "check"), 0), (("config", "check", "-c", "no such file"), 2)):
            ran = subprocess.run(
                arguments(*words), env=environ(), preexec_fn=lambda: [os.close(one) for one in closed] and None,
                stderr=subprocess.PIPE if 2 not in closed else None, text=True, timeout=PATIENCE, check=False,
            )  # fmt: skip
            assert ran.returncode == code
            assert "Traceback" not in (ran.stderr or "")

    @pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "koi8-r"])
    def test_a_terminal_that_cannot_show_everything(self, encoding: str, tmp_path: Path) -> None:
        (tmp_path / "m.toml").write_text('[http]\nhost = "→"\n', "utf-8")
        ran = subprocess.run(
            arguments("config", "check", "-c", "m.toml"), env=environ(PYTHONIOENCODING=encoding), cwd=tmp_path,
            capture_output=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert ran.returncode == 0
        assert b"Traceback" not in ran.stderr
        assert b'http.host = "\\u2192"' in ran.stdout

    @pytest.mark.parametrize(
        "words", [("show", "\udce9"), ("approve", "abc", "--yes", "--reason", "\udce9"), ("systems", "--url", "\udce9"),
                  ("config", "check", "-c", "\udce9"), ("\udce9",), ("token", "add", "\udce9", "--role", "viewer"),
                  ("import", "--from", "\udce9")]
    )  # fmt: skip
    async def test_arguments_that_are_no_utf8(self, words: tuple[str, ...], tmp_path: Path) -> None:
        ran = await maestro(None, *words, cwd=tmp_path, MAESTRO_URL="http://127.0.0.1:1")
        assert ran.code != 0
        assert "Traceback" not in ran.err
        assert ran.err

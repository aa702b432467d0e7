"""Who may listen and connect: the folder's owner, under a path of any length, and nobody else."""

import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maestro.links import folder
from maestro.links.folder import FolderUnsafe, Foreign, check_peer, connect, listen, make_folder

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data folder that another user may enter, so that only the folder of the sockets keeps them out."""
    path = Path(tempfile.mkdtemp(prefix="links-"))
    path.chmod(0o755)
    make_folder(path)
    yield path
    shutil.rmtree(path)


def as_nobody(work: Callable[[], object]) -> str:
    """Do something as another user, in a process of its own; return the name of the error that it ended with."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            work()
            os.write(writing, b"done")
        except BaseException as problem:  # noqa: BLE001 - it is what the test asks about
            os.write(writing, type(problem).__name__.encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        result = said.read().decode()
    os.waitpid(pid, 0)
    return result


def test_who_listens_is_reached_by_its_name(data_dir: Path) -> None:
    with listen(data_dir, "main") as listening, connect(data_dir, "main") as here:
        there, _ = listening.accept()
        with there:
            check_peer(there)
            here.send(b"x")
            assert there.recv(1) == b"x"
    with pytest.raises(FileNotFoundError):
        connect(data_dir, "ingress")
    with pytest.raises(ConnectionRefusedError):
        connect(data_dir, "main")


def test_a_path_may_be_longer_than_a_sockets_name(data_dir: Path) -> None:
    deep = data_dir / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    make_folder(deep)
    with listen(deep, "cascade"), connect(deep, "cascade"):
        assert (deep / "links" / "cascade").is_socket()


def test_the_folder_is_its_owners_own_whatever_it_was_before(data_dir: Path) -> None:
    links = data_dir / "links"
    links.chmod(0o777)
    listen(data_dir, "main").close()
    make_folder(data_dir)
    assert stat.S_IMODE(links.stat().st_mode) == 0o700
    assert list(links.iterdir()) == []


@pytest.mark.parametrize("how", ["file", "link"])
def test_what_is_in_the_folders_place_is_named(data_dir: Path, how: str) -> None:
    links = data_dir / "links"
    links.rmdir()
    if how == "file":
        links.touch()
    else:
        (data_dir / "elsewhere").mkdir()
        links.symlink_to("elsewhere")
    for attempt in (lambda: make_folder(data_dir), lambda: listen(data_dir, "main"), lambda: connect(data_dir, "main")):
        with pytest.raises(FolderUnsafe):
            attempt()


def test_a_name_that_something_else_has_is_left_alone(data_dir: Path) -> None:
    squatter = data_dir / "links" / "main"
    squatter.mkdir()
    make_folder(data_dir)
    with pytest.raises(OSError, match="in use"):
        listen(data_dir, "main")
    assert squatter.is_dir()


@needs_root
def test_a_folder_of_another_user_is_not_taken(data_dir: Path) -> None:
    os.chown(data_dir / "links", NOBODY, NOBODY)
    for attempt in (lambda: make_folder(data_dir), lambda: listen(data_dir, "main"), lambda: connect(data_dir, "main")):
        with pytest.raises(FolderUnsafe, match="another user"):
            attempt()


@needs_root
def test_another_user_cannot_connect(data_dir: Path) -> None:
    with listen(data_dir, "main"):
        assert as_nobody(lambda: connect(data_dir, "main")) == "PermissionError"
        path = str(data_dir / "links" / "main")
        assert as_nobody(lambda: socket.socket(socket.AF_UNIX).connect(path)) == "PermissionError"
        assert as_nobody((data_dir / "links" / "main").unlink) == "PermissionError"


@needs_root
def test_another_user_is_told_by_the_kernel_where_the_folder_is_open_to_all(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listen(data_dir, "main") as listening:
        (data_dir / "links").chmod(0o755)
        path = data_dir / "links" / "main"
        path.chmod(0o777)
        assert as_nobody(lambda: socket.socket(socket.AF_UNIX).connect(str(path))) == "done"
        theirs, _ = listening.accept()
        with theirs, pytest.raises(Foreign, match=f"user {NOBODY}"):
            check_peer(theirs)
        monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
        monkeypatch.setattr(folder.os, "fstat", lambda _: os.stat_result((0,) * 4 + (NOBODY,) + (0,) * 5))
        with pytest.raises(Foreign, match="user 0"):
            connect(data_dir, "main")

"""What `maestro doctor` says of things that a test cannot break for real."""

import os
import shutil
import time
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from maestro.actors import processes
from maestro.actors.processes import process
from maestro.actors.run_record import RunRecord
from maestro.broker.base import Depth
from maestro.client.api import Maestro
from maestro.client.errors import Rejected
from maestro.client.shapes.documents import Document, Entry, Unit
from maestro.client.shapes.systems import System
from maestro.client.target import Target
from maestro.doctor import broker, stores
from maestro.doctor.clock import check_clock
from maestro.doctor.examination import _checked, examine
from maestro.doctor.finding import Finding, Level
from maestro.doctor.gateway import check_gateway
from maestro.doctor.processes import check_processes
from maestro.doctor.reprocessings import check_reprocessings, last_progress
from maestro.doctor.site import Site, _is_elsewhere
from maestro.settings.model import ActorSettings, HttpSettings, Settings
from maestro.store.sqlite import open_store

GIGABYTE = 1024**3


def site(folder: Path, **facts: object) -> Site:
    settings = Settings(data_dir=folder)
    return Site(settings, Maestro(Target()), None, **facts)  # type: ignore[arg-type]  # facts are the site's own


@pytest.mark.parametrize(
    ("free", "total", "level"),
    [
        (500, 1000, Level.OK),
        (80, 1000, Level.WARNING),
        (0.5, 2, Level.WARNING),
        (10, 1000, Level.PROBLEM),
        (0.05, 0.1, Level.PROBLEM),
    ],
)
async def test_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: float, total: float, level: Level) -> None:
    usage = SimpleNamespace(free=int(free * GIGABYTE), total=int(total * GIGABYTE))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    (one,) = await stores.check_disk(site(tmp_path))
    assert one.level is level
    assert (level is Level.OK) == (not one.mend)


async def test_a_record_that_cannot_be_read_is_not_the_end_of_all_processes(tmp_path: Path) -> None:
    (one,) = await check_processes(site(tmp_path, record_problem="run.json: is damaged: it is truncated"))
    assert one.level is Level.WARNING
    assert "truncated" in one.message


@pytest.mark.parametrize(("content", "said"), [("1\n", 0), ("0\n", 1), (None, 1)])
async def test_memory_that_is_to_be_merged_and_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, said: int
) -> None:
    run = tmp_path / "ksm"
    if content is not None:
        run.write_text(content)
    monkeypatch.setattr(processes, "_KSM_RUN", run)
    quiet, asking = Settings(data_dir=tmp_path), Settings(data_dir=tmp_path, actors=ActorSettings(merge_memory=True))
    assert not any(one.subject == "memory" for one in await check_processes(Site(quiet, Maestro(Target()), None)))
    found = await check_processes(Site(asking, Maestro(Target()), None))
    assert sum(one.subject == "memory" and "ksm/run" in one.mend for one in found) == said


async def test_a_file_of_somebody_else(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root may give a file away")
    path = tmp_path / "systems" / "a.db"
    path.parent.mkdir()
    path.touch()
    os.chown(path, 12345, 12345)
    found = await stores.check_disk(site(tmp_path))
    assert found[0].level is Level.PROBLEM
    assert found[0].mend == f"chown -R 0 {tmp_path}"
    (unread,) = await stores.check_stores(site(tmp_path))
    assert unread.mend == "sudo -u '#12345' maestro doctor"


async def test_clocks(tmp_path: Path) -> None:
    now = float(int(time.time()))  # as the header has it
    (same,) = await check_clock(site(tmp_path, date=formatdate(now, usegmt=True), asked_at=now))
    assert same.level is Level.OK
    (ahead,) = await check_clock(site(tmp_path, date=formatdate(now - 60, usegmt=True), asked_at=now))
    assert (ahead.level, ahead.message) == (Level.WARNING, "is 60 s ahead of Maestro's")
    (unknown,) = await check_clock(site(tmp_path))
    assert unknown.level is Level.OK


@pytest.mark.parametrize(
    ("why", "mend"),
    [
        ("broker: connection refused", "ls -ld"),
        ("store: no space left on device", "df -h"),
        ("store: the checksum does not match", "maestro restore <backup folder> --system sysA"),
        ("store: x.lock: owned by process 17", "ps -fp 17"),
        ("is starting", "kill -TERM"),
    ],
)
async def test_each_part_that_is_not_ready_is_mended_by_its_own_command(tmp_path: Path, why: str, mend: str) -> None:
    (one,) = await check_gateway(site(tmp_path, not_ready={"system sysA": why}))
    assert one.level is Level.PROBLEM
    assert mend in one.mend


async def test_a_gateway_that_asks_for_a_token(tmp_path: Path) -> None:
    refused = Rejected(401, "a bearer token is needed", b"", {})
    (one,) = await check_gateway(site(tmp_path, refused=refused))
    assert "MAESTRO_TOKEN" in one.mend


async def test_the_gateway_of_another_installation(tmp_path: Path) -> None:
    found = await check_gateway(site(tmp_path, elsewhere=True))
    assert [one.level for one in found] == [Level.OK, Level.WARNING]
    assert f"is not the Maestro of {tmp_path}" in found[1].message


@pytest.mark.parametrize(
    ("runs", "port", "url", "elsewhere"),
    [
        (False, 6971, "http://127.0.0.1:6971", True),
        (True, 6971, "http://127.0.0.1:6971", False),
        (True, 6971, "http://127.0.0.1:7000", True),
        (True, 0, "http://127.0.0.1:7000", False),
        (True, 6971, "https://maestro.example", False),
    ],
)
def test_whose_gateway_it_is(tmp_path: Path, port: int, url: str, *, runs: bool, elsewhere: bool) -> None:
    record = RunRecord("run", process(os.getpid())) if runs else None
    settings = Settings(data_dir=tmp_path, http=HttpSettings(port=port))
    assert _is_elsewhere(settings, record, url) is elsewhere


async def test_a_system_that_does_not_answer(tmp_path: Path) -> None:
    served = (System("sysA", state="unavailable", message="store: damaged"),)
    found = await check_gateway(site(tmp_path, served=served))
    assert [one.level for one in found] == [Level.OK, Level.PROBLEM]


async def test_a_check_that_fails_itself_is_a_finding() -> None:
    async def broken() -> list[Finding]:
        raise KeyError("x")

    (one,) = await _checked("broker", broken(), 5)
    assert (one.level, one.check) == (Level.PROBLEM, "broker")
    assert "KeyError" in one.message


def test_progress_is_the_last_replay_or_change_of_status() -> None:
    units = (Unit("p1", done_at="1970-01-01T00:00:20.000000"), Unit("p2"))
    history = (Entry("approved", "1970-01-01T00:00:05.0"), Entry("running", "1970-01-01T00:00:10.0"))
    assert last_progress(Document("d", "s", "running", history=history, units=units)) == 20
    assert last_progress(Document("d", "s", "running", history=history)) == 10


@pytest.mark.parametrize(
    ("depth", "served", "told"),
    [
        (Depth(0, 1), True, []),
        (Depth(0, 0), True, ["nobody consumes it although Maestro serves its system"]),
        (Depth(0, 2), True, ["2 consume it: events are taken past Maestro"]),
        (Depth(0, 0), False, []),
    ],
)
def test_who_takes_the_events(depth: Depth, *, served: bool, told: list[str]) -> None:
    found = broker._ingress("persist.sysA.queue", depth, served=served, mend="maestro serve")
    assert [finding.message for finding in found] == told


async def test_commits_in_doubt_need_a_person(tmp_path: Path) -> None:
    found = await check_gateway(site(tmp_path, served=(System("a", doubts=2), System("b"))))
    (one,) = [finding for finding in found if finding.level is Level.PROBLEM]
    assert (one.subject, one.message.startswith("2 commit(s) in doubt")) == ("a", True)
    assert one.mend.startswith("maestro doubts list a")


ELSEWHERE = "in use by a Maestro that cannot be asked"


@pytest.mark.parametrize(
    ("token", "facts", "says", "mend"),
    [
        ("t", {}, "this token, which may not look at it", "MAESTRO_TOKEN="),
        ("", {"refused": Rejected(401, "a bearer token is needed", b"", {})}, "may not look at it", "MAESTRO_TOKEN="),
        ("", {}, "does not serve its system", "once Maestro is stopped"),
        ("t", {"unreachable": "no answer"}, ELSEWHERE, "once it answers"),
    ],
)
async def test_a_store_that_maestro_does_not_tell_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str, facts: dict[str, Any], says: str, mend: str
) -> None:
    open_store(tmp_path / "systems" / "other.db").close()
    monkeypatch.setattr(Site, "runs", True)
    (found,) = await stores.check_stores(Site(Settings(data_dir=tmp_path), Maestro(Target(token=token)), None, **facts))
    assert found.level is Level.WARNING
    assert says in found.message
    assert mend in found.mend


async def test_reprocessings_that_a_token_may_not_look_at(tmp_path: Path) -> None:
    refused = Rejected(403, "this role may not", b"", {})
    (found,) = await check_reprocessings(site(tmp_path, refused=refused), 24)
    assert (found.level, found.message) == (Level.WARNING, "not known: this token may not look")


async def test_siblings_of_another_installation_are_not_asked(tmp_path: Path) -> None:
    found = await examine(site(tmp_path, elsewhere=True, served=(System("sysB"),)), 24.0)
    assert "siblings" not in {one.check for one in found}
    assert "sysB" not in {one.subject for one in found if one.check == "queues"}
    (said,) = (one for one in found if "is not the Maestro of" in one.message)
    assert "left out" in said.message


@pytest.mark.parametrize(("given_up", "said"), [(0, []), (2, ["2 failed reprocessing(s) wait for a retry"])])
async def test_runs_that_were_retried_are_not_warned_of_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given_up: int, said: list[str]
) -> None:
    """Each failure left a message on the queue, and a retry takes none off it."""
    monkeypatch.setattr(broker, "documents", lambda *_: iter([b"{}"] * given_up))
    it = site(tmp_path, served=(System("sysA"),))
    assert [one.message for one in await broker._failed_runs(it, "sysA", Depth(3, 0))] == said
    assert await broker._failed_runs(site(tmp_path), "sysA", Depth(3, 0)) == []

"""The audit log: every line on disk before the answer, chained, rotated, readable while it grows."""

import asyncio
import os
import stat
from pathlib import Path
from typing import Any

import orjson
import pytest

from maestro.access import audit as audit_module
from maestro.access import audit_reader
from maestro.access.audit import AuditError, AuditLog, Entry, audit_files


def entry(who: str = "ana", **fields: Any) -> Entry:
    return Entry(**{"who": who, "via": "token", "what": "approve", "origin": "127.0.0.1", "outcome": "done",
                    "status": 200, **fields})  # fmt: skip


async def filled(folder: Path, count: int, file_bytes: int = 1024) -> AuditLog:
    log = AuditLog(folder, file_bytes)
    for number in range(count):
        await log.record(entry(f"user{number}"))
    return log


async def test_lines_are_chained_and_continued(tmp_path: Path) -> None:
    await filled(tmp_path, 3, 10**6)
    await filled(tmp_path, 2, 10**6)
    assert [line["number"] for line in audit_reader.lines(tmp_path)] == [1, 2, 3, 4, 5]
    assert audit_reader.verify(tmp_path)[0] == 5
    (path,) = audit_files(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_lines_that_arrive_together_share_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs = []
    monkeypatch.setattr(audit_module.os, "fsync", syncs.append)
    log = AuditLog(tmp_path, 10**6)
    await asyncio.gather(*(log.record(entry(str(number))) for number in range(50)))
    assert audit_reader.verify(tmp_path)[0] == 50
    assert 1 <= len(syncs) < 10


async def test_files_are_rotated_by_size_and_paged(tmp_path: Path) -> None:
    await filled(tmp_path, 20)
    assert len(audit_files(tmp_path)) > 3
    assert audit_reader.verify(tmp_path)[0] == 20
    seen, after = [], 0
    while after is not None:
        page, after = audit_reader.page(tmp_path, after, 3)
        seen += [line["number"] for line in page]
    assert seen == list(range(1, 21))
    mine, _ = audit_reader.page(tmp_path, 0, 5, lambda system: system == "sysA")
    assert mine == []


@pytest.mark.parametrize("where", [0, 9, 18])
async def test_any_change_shows(tmp_path: Path, where: int) -> None:
    await filled(tmp_path, 20)
    whole = b"".join(path.read_bytes() for path in audit_files(tmp_path)).splitlines(keepends=True)
    changed = orjson.loads(whole[where]) | {"who": "somebody else"}
    forged = changed | {"hash": audit_module.line_hash(changed)}
    for damage in (
        [*whole[:where], orjson.dumps(changed) + b"\n", *whole[where + 1 :]],
        [*whole[:where], orjson.dumps(forged) + b"\n", *whole[where + 1 :]],
        [*whole[:where], *whole[where + 1 :]],
        [*whole[: where + 1], whole[where], *whole[where + 1 :]],
        [*whole[:where], b"{}\n", *whole[where + 1 :]],
    ):
        for path in audit_files(tmp_path):
            path.unlink()
        (tmp_path / "audit-000000000000001.jsonl").write_bytes(b"".join(damage))
        with pytest.raises(AuditError):
            audit_reader.verify(tmp_path)


async def test_a_torn_line_is_cut_off_and_the_chain_goes_on(tmp_path: Path) -> None:
    await filled(tmp_path, 2, 10**6)
    (path,) = audit_files(tmp_path)
    with path.open("ab") as file:
        file.write(b'{"number":3,"wh')
    assert [line["number"] for line in audit_reader.lines(tmp_path)] == [1, 2]
    await filled(tmp_path, 1, 10**6)
    assert audit_reader.verify(tmp_path)[0] == 3


async def test_a_log_that_cannot_be_written_says_so_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = await filled(tmp_path, 1, 10**6)
    real = os.fsync

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(audit_module.os, "fsync", full)
    with pytest.raises(AuditError, match="No space left"):
        await log.record(entry())
    with pytest.raises(AuditError, match="No space left"):
        await log.check()
    await log.record_denied(entry())  # logged, not raised
    monkeypatch.setattr(audit_module.os, "fsync", real)
    await log.check()
    await log.record(entry("after"))
    assert audit_reader.verify(tmp_path)[0] == 3
    assert [line["who"] for line in audit_reader.lines(tmp_path)] == ["user0", "maestro", "after"]


async def test_refused_attempts_cannot_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_module, "DENIED_BURST", 5)
    monkeypatch.setattr(audit_module, "DENIED_RATE", 1e-9)
    log = AuditLog(tmp_path, 10**6)
    for _ in range(20):
        await log.record_denied(entry(outcome="refused", status=401))
    assert audit_reader.verify(tmp_path)[0] == 5
    log._denied.give_back("", 1)
    await log.record_denied(entry(outcome="refused", status=401))
    assert list(audit_reader.lines(tmp_path))[-1]["suppressed"] == 15


async def test_a_log_that_cannot_be_continued_is_named(tmp_path: Path) -> None:
    await filled(tmp_path, 1)
    (path,) = audit_files(tmp_path)
    path.write_bytes(b"nonsense\n")
    with pytest.raises(AuditError, match="cannot be continued"):
        AuditLog(tmp_path, 1024)


async def test_a_bounded_log_keeps_a_chain_that_can_be_checked(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, 1024, keep=3)
    for number in range(40):
        await log.record(entry(f"user{number}"))
        assert len(audit_files(tmp_path)) <= 3
        audit_reader.verify(tmp_path)
    kept = list(audit_reader.lines(tmp_path))
    assert kept[0]["number"] > 20
    said = [line["facts"] for line in kept if line["what"] == audit_module.ROTATED]
    assert said[-1]["through"] == str(kept[0]["number"] - 1)
    assert said[-1]["hash"] == kept[0]["before"]
    reopened = AuditLog(tmp_path, 1024, keep=2)  # bounded more narrowly
    for number in range(10):
        await reopened.record(entry(f"more{number}"))
    assert len(audit_files(tmp_path)) == 2
    audit_reader.verify(tmp_path)


async def test_removing_files_by_hand_shows(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, 1024, keep=4)
    for number in range(40):
        await log.record(entry(f"user{number}"))
    audit_files(tmp_path)[0].unlink()
    with pytest.raises(AuditError, match="are missing"):
        audit_reader.verify(tmp_path)
    for path in audit_files(tmp_path)[:-1]:
        path.unlink()
    with pytest.raises(AuditError, match="are missing"):
        audit_reader.verify(tmp_path)


async def test_a_file_that_could_not_be_removed_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)  # as after a crash between the line and the removal
    log = AuditLog(tmp_path, 1024, keep=2)
    for number in range(20):
        await log.record(entry(f"user{number}"))
    audit_reader.verify(tmp_path)
    monkeypatch.undo()
    for number in range(10):
        await log.record(entry(f"more{number}"))
    assert len(audit_files(tmp_path)) == 2
    audit_reader.verify(tmp_path)


@pytest.mark.parametrize("keep", [1, 2, 3])
async def test_an_empty_new_file_that_a_failed_write_left_is_used(tmp_path: Path, keep: int) -> None:
    log = AuditLog(tmp_path, 1024, keep=keep)
    number = 0
    while log._size < 1024:
        number += 1
        await log.record(entry(f"user{number}"))
    log._file(log._number + 1).touch()
    await asyncio.wait_for(log.record(entry("after it")), 5.0)
    assert len(audit_files(tmp_path)) == min(keep, 2)
    assert [line["who"] for line in audit_reader.lines(tmp_path)][-1] == "after it"
    audit_reader.verify(tmp_path)


async def test_whatever_keeps_a_line_out_who_decides_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AuditLog(tmp_path, 1024)

    def raise_it(_entries: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(log, "_append", raise_it)
    with pytest.raises(AuditError, match="a bug"):
        await asyncio.wait_for(log.record(entry("ana")), 5.0)
    assert log.problem == "a bug"

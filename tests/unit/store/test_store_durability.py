"""What survives which death, and how a loss is noticed."""

import random
import struct
import subprocess
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from maestro.store.base import Put, StoreDamaged
from maestro.store.sqlite import SystemStore, open_store
from maestro.store.tail import COMMIT_LIMIT

ROUNDS = 15


def test_kill_9_loses_no_acknowledged_commit(path: Path, start: Callable[[str], "subprocess.Popen[bytes]"]) -> None:
    pick = random.Random(20180720)
    acknowledged = -1
    for _ in range(ROUNDS):
        writer = start(f"""
            store = open_store(path)
            number = {acknowledged + 1}
            while True:
                store.commit([Put("verdicts", f"{{number:09d}}", {{"n": number, "text": "x" * (number % 3000)}}),
                              Put("header", "h", {{"n": number}})], durable=number % 50 == 0)
                os.write(1, b"%d\\n" % number)
                number += 1
        """)
        assert writer.stdout is not None
        for _ in range(pick.randrange(1, 800)):
            line = writer.stdout.readline()
            assert line, "the writer died by itself"
        time.sleep(pick.random() / 1000)  # any point of a commit, not always the one just after an acknowledgement
        writer.kill()
        acknowledged = int((line + writer.stdout.read()).split()[-1])
        writer.wait(timeout=10)

        store = open_store(path)
        assert store.check() == []
        numbers = [fields["n"] for _, fields in store.rows("verdicts")]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) - 1 in (acknowledged, acknowledged + 1)  # one may be committed and not yet acknowledged
        assert store.get("header", "h") == {"n": len(numbers) - 1}
        acknowledged = len(numbers) - 1
        store.close()


def _mode(store: SystemStore) -> int:
    return int(store._database.query("PRAGMA synchronous")[0][0])


def test_a_durable_commit_is_synced_even_without_writes(store: SystemStore, path: Path) -> None:
    store.commit([Put("t", "k", {"text": "x" * COMMIT_LIMIT})], durable=False)
    assert _mode(store) == 1  # NORMAL
    log = path.with_name("system.db-wal")
    before = log.stat().st_size
    store.commit([], durable=True)
    assert _mode(store) == 2  # FULL
    assert log.stat().st_size > before  # SQLite syncs a commit only if it has something to write
    store.commit([Put("t", "k", {"text": "x" * COMMIT_LIMIT})], durable=False)
    assert _mode(store) == 1


_ABANDONED = """
    store = open_store(path)
    for number in range(20):
        store.commit([Put("t", f"{number:03d}", {})], durable=number == 9)
    os._exit(0)
"""


def _lose(path: Path, commits: int) -> None:
    """Cut what the last `commits` of the twenty wrote off the files: ten are in the tail, those before in the log."""
    tail = path.with_name(path.name + "-tail")
    content = tail.read_bytes()
    each = len(content) // 10
    tail.write_bytes(content[: max(0, 10 - commits) * each])
    if commits > 10:
        path.with_name(path.name + "-wal").unlink()


def _reboot(path: Path) -> None:
    """Make the record one of an earlier boot."""
    record = path.with_name(path.name + ".last")
    _, last, durable, _ = struct.unpack("<36sQQI", record.read_bytes())
    body = struct.pack("<36sQQ", b"another boot", last, durable)
    record.write_bytes(body + struct.pack("<I", zlib.crc32(body)))


def test_a_lost_tail_is_noticed(path: Path, run: Callable[[str], str]) -> None:
    run(_ABANDONED)
    _lose(path, 1)
    for _ in range(2):  # opening it in vain changes nothing
        with pytest.raises(StoreDamaged, match="number 19, but 20 was acknowledged"):
            open_store(path)
    path.with_name("system.db.last").unlink()  # the way out that the message names
    store = open_store(path)
    assert store.count("t") == 19
    store.close()


def test_commits_that_were_not_durable_may_go_with_the_power(path: Path, run: Callable[[str], str]) -> None:
    run(_ABANDONED)
    _lose(path, 10)
    _reboot(path)
    store = open_store(path)
    assert store.count("t") == 10
    store.commit([Put("t", "after", {})], durable=True)
    store.close()
    open_store(path).close()


def test_durable_commits_may_not(path: Path, run: Callable[[str], str]) -> None:
    run(_ABANDONED)
    _lose(path, 11)
    _reboot(path)
    with pytest.raises(StoreDamaged, match="number 0, but 10 was acknowledged"):
        open_store(path)


def test_a_vanished_file_is_noticed(path: Path) -> None:
    store = open_store(path)
    store.commit([Put("t", "k", {})], durable=True)
    store.close()
    path.unlink()
    with pytest.raises(StoreDamaged, match="number 0, but 1 was acknowledged"):
        open_store(path)


def test_a_vanished_log_is_noticed(path: Path, run: Callable[[str], str]) -> None:
    run(_ABANDONED)
    path.with_name("system.db-wal").unlink()
    with pytest.raises(StoreDamaged):
        open_store(path)


def test_a_damaged_record_is_noticed(path: Path, run: Callable[[str], str]) -> None:
    run(_ABANDONED)
    record = path.with_name("system.db.last")
    content = bytearray(record.read_bytes())
    content[40] ^= 1
    record.write_bytes(content)
    with pytest.raises(StoreDamaged, match=r"system\.db\.last"):
        open_store(path)


def test_opening_anew_does_not_call_durable_what_is_not(path: Path, run: Callable[[str], str]) -> None:
    run(_ABANDONED)
    run("open_store(path); os._exit(0)")  # the same boot: the record is written anew
    _reboot(path)
    _, _, durable, _ = struct.unpack("<36sQQI", path.with_name("system.db.last").read_bytes())
    assert durable == 10

"""One owner per file: second openers, forks, dying owners."""

import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from maestro.store.base import Put, StoreError, StoreLocked
from maestro.store.sqlite import SystemStore, open_store

_OPEN_IN_VAIN = """
    import time
    began = time.monotonic()
    try:
        open_store(path)
    except StoreLocked as error:
        print(time.monotonic() - began, error)
"""


def test_a_second_owner_in_this_process_is_refused_at_once(store: SystemStore, path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(StoreLocked, match=f"owned by process {os.getpid()}"):
        open_store(path)
    assert time.monotonic() - began < 2

    store.commit([Put("t", "k", {})], durable=True)
    assert store.count("t") == 1


def test_a_second_owner_in_another_process_is_refused_at_once(store: SystemStore, run: Callable[[str], str]) -> None:
    output = run(_OPEN_IN_VAIN)
    seconds, message = output.split(" ", 1)
    assert float(seconds) < 2
    assert f"owned by process {os.getpid()}" in message


def test_sqlite_refuses_where_the_lock_file_was_removed(
    store: SystemStore, path: Path, run: Callable[[str], str]
) -> None:
    path.with_name("system.db.lock").unlink()
    output = run(_OPEN_IN_VAIN)
    assert float(output.split()[0]) < 2


def test_a_file_some_tool_holds_open_is_refused(path: Path) -> None:
    open_store(path).close()
    tool = sqlite3.connect(path, isolation_level=None)
    tool.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreLocked):
        open_store(path)
    tool.close()
    open_store(path).close()


def test_closing_hands_the_file_over(path: Path) -> None:
    for number in range(3):
        store = open_store(path)
        assert store.count("t") == number
        store.commit([Put("t", str(number), {})], durable=False)
        store.close()


def test_no_log_and_no_shared_memory_file_is_left_by_a_close(store: SystemStore, path: Path) -> None:
    store.commit([Put("t", "k", {})], durable=True)
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "system.db",
        "system.db-wal",
        "system.db.last",
        "system.db.lock",
    ]
    store.close()
    assert sorted(file.name for file in path.parent.iterdir()) == ["system.db", "system.db.last", "system.db.lock"]


def test_a_forked_child_is_refused_and_harms_nothing(path: Path, run: Callable[[str], str]) -> None:
    output = run("""
        import gc
        store = open_store(path)
        for number in range(200):
            store.commit([Put("t", f"{number:03d}", {"n": number})], durable=False)
        if os.fork() == 0:
            for use in (lambda: store.commit([], durable=True), lambda: store.get("t", "000"),
                        lambda: list(store.rows("t")), lambda: store.documents.table("t").insert({})):
                try:
                    use()
                except StoreError as error:
                    print("refused", "forked process" in str(error), flush=True)
            store.close()
            del store, use
            gc.collect()
            sys.exit()  # the whole interpreter is taken down, with every object it still knows
        os.wait()
        store.commit([Put("t", "after", {})], durable=False)
        sys.stdout.flush()
        os._exit(0)  # no close: all of it is in the log only
    """)
    assert output.splitlines() == ["refused True"] * 4
    store = open_store(path)
    assert store.count("t") == 201
    assert store.check() == []
    store.close()


def test_a_child_that_outlives_the_owner_does_not_hold_the_file(path: Path, start: Callable[[str], object]) -> None:
    owner = start("""
        store = open_store(path)
        store.commit([Put("t", "k", {})], durable=False)
        read, write = os.pipe()
        if os.fork() == 0:
            os.write(write, b".")
            sys.stdin.read()  # until the test ends
            os._exit(0)
        os.read(read, 1)  # the child drops its copy of the lock as it starts; until then the file is held
        os._exit(0)
    """)
    assert owner.wait(timeout=20) == 0  # type: ignore[attr-defined]
    store = open_store(path)
    assert store.count("t") == 1
    store.close()


def test_a_folder_is_made_and_one_that_cannot_be_is_named(tmp_path: Path) -> None:
    open_store(tmp_path / "a" / "b" / "system.db").close()
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"file/system\.db"):
        open_store(tmp_path / "file" / "system.db")
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(StoreError, match=r"folder\.db"):
        open_store(tmp_path / "folder.db")


def test_any_thread_of_the_owner_may_use_it(store: SystemStore) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(store.commit, [Put("t", "k", {})], durable=True).result(timeout=10)
    assert store.count("t") == 1

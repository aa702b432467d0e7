"""Copies of a live file."""

from pathlib import Path

import pytest

from maestro.store.base import Put, StoreError
from maestro.store.sqlite import SystemStore, open_store


def test_a_backup_replaces_a_lost_file(store: SystemStore, path: Path, tmp_path: Path) -> None:
    store.commit([Put("t", f"{number:04d}", {"text": "x" * 500}) for number in range(2000)], durable=False)
    copy = tmp_path / "backup"
    copy.write_text("an older backup")
    store.backup(str(copy))
    assert not list(tmp_path.glob("backup?*"))
    store.commit([Put("t", "after", {})], durable=True)
    store.close()

    for file in tmp_path.glob("system.db*"):
        file.unlink()
    copy.rename(path)
    restored = open_store(path)
    assert restored.count("t") == 2000
    assert restored.check() == []
    restored.close()


def test_an_older_backup_is_not_taken_for_the_store(store: SystemStore, path: Path, tmp_path: Path) -> None:
    store.backup(str(tmp_path / "backup"))
    store.commit([Put("t", "k", {})], durable=True)
    store.close()
    (tmp_path / "backup").rename(path)
    with pytest.raises(StoreError, match=r"after restoring a backup, remove .*system\.db\.last"):
        open_store(path)
    path.with_name("system.db.last").unlink()
    open_store(path).close()


def test_the_owner_stays_the_owner(store: SystemStore, path: Path, tmp_path: Path) -> None:
    store.backup(str(tmp_path / "backup"))
    with pytest.raises(StoreError):
        open_store(path)
    store.commit([Put("t", "k", {})], durable=True)


def test_never_onto_the_store_itself(store: SystemStore, path: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(path)
    for target in (path, tmp_path / "link"):
        with pytest.raises(StoreError, match="the store itself"):
            store.backup(str(target))
    with pytest.raises(StoreError, match="nowhere"):
        store.backup(str(tmp_path / "nowhere" / "backup"))
    assert store.check() == []

"""Versions of the file, and files that are none of ours."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from maestro.store.base import Put, StoreError
from maestro.store.schema import MIGRATIONS, migrate
from maestro.store.sqlite import SystemStore, open_store


def test_a_new_file_has_the_newest_version(store: SystemStore) -> None:
    assert store._database.query("PRAGMA user_version") == [(len(MIGRATIONS),)]


def test_a_newer_file_is_refused_and_left_alone(path: Path) -> None:
    store = open_store(path)
    store._database.query("PRAGMA user_version = 7")
    store.close()
    with pytest.raises(StoreError, match=f"schema version 7, this program knows up to {len(MIGRATIONS)}"):
        open_store(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (7,)


def test_a_foreign_file_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    with pytest.raises(StoreError, match="no Maestro store"):
        open_store(path)


def test_an_old_file_is_migrated_with_its_rows(path: Path) -> None:
    store = open_store(path)
    store.commit([Put("t", "k", {"n": 1})], durable=True)
    store.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, path, [*MIGRATIONS, ["ALTER TABLE rows ADD COLUMN note TEXT"]])
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)
        assert connection.execute("SELECT key, note FROM rows").fetchall() == [("k", None)]


def test_a_failed_migration_leaves_the_version_before(path: Path) -> None:
    open_store(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        with pytest.raises(sqlite3.OperationalError):
            migrate(connection, path, [*MIGRATIONS, ["CREATE TABLE new (x)", "no SQL"]])
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    open_store(path).close()

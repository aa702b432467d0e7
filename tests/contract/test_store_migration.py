"""Stores from files into PostgreSQL and back: row by row the same, repeatable, and nothing is overwritten unasked."""

import asyncio
from pathlib import Path

import pytest

from maestro.settings.model import Settings
from maestro.store import migration
from maestro.store.base import LEDGER_READS, LEDGER_WRITES, Delete, Put, StoreDamaged, StoreError, StoreLocked
from maestro.store.door import open_stores
from maestro.store.files import FileStores
from maestro.store.installation import begin_start, read_installation
from maestro.store.places import elsewhere_mark, store_files, store_path
from maestro.store.postgres import schema
from maestro.store.postgres.stores import PostgresStores
from maestro.store.row_store import RowStore, contents
from maestro.store.rows import Source
from maestro.store.sqlite import open_store
from tests.support.cli import maestro
from tests.support.postgres import PostgresNode
from tests.support.postgres_store import closed, postgres_stores

pytestmark = pytest.mark.postgres
SYSTEMS = ("sysA", "sysB")


@pytest.fixture
def stores(url: str, tmp_path: Path) -> PostgresStores:
    return postgres_stores(url, tmp_path)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A data folder with the stores of two systems, closed in order."""
    for number, system_id in enumerate(SYSTEMS):
        store = open_store(store_path(tmp_path, system_id))
        some = [Put("t", f"{key:05d}\0é", {"n": key, "text": "x" * (key % 50), "float": 0.1}) for key in range(1200)]
        store.commit(some, durable=True)
        store.commit([Delete("t", "00003\0é"), Put("u", "", {"big": "y" * 1_000_000})], durable=True)
        for entry in range(1, 20):
            store.commit(
                [
                    Put(LEDGER_WRITES, f"{entry:015d}", {"writer": entry * 7, "rows": [entry, -5, 2**62 + entry]}),
                    Put(LEDGER_READS, f"{entry:015d}", {"reads": [[entry, number, entry % 2 == 0], [9, 1, False]]}),
                ],
                durable=False,
            )
        store.close()
    return tmp_path


async def moved(
    stores: PostgresStores, folder: Path, *, back: bool = False, dry: bool = False, replace: bool = False
) -> list[migration.Moved]:
    installation = begin_start(folder)
    if back:
        return [one async for one in migration.to_files(folder, stores, installation, dry=dry, replace=replace)]
    return [one async for one in migration.to_postgres(folder, stores, installation, dry=dry, replace=replace)]


async def a_node_lives(stores: PostgresStores) -> None:
    async with stores.connection() as connection:
        await connection.execute(
            "INSERT INTO maestro.nodes (node, incarnation, beat, url, capacity, draining, holds_events, version,"
            " schema, settings_digest, joined) VALUES ('b', 1, 9, '', 1, false, false, '', 1, '', 1)"
        )


def rows_of(store: RowStore) -> list[object]:
    return list(contents(store.source))


def of_files(folder: Path) -> dict[str, list[object]]:
    found = {}
    for path in store_files(folder):
        store = open_store(path)
        found[path.stem] = rows_of(store)
        store.close()
    return found


async def test_there_and_back_again(files: Path, stores: PostgresStores) -> None:
    before = of_files(files)
    there = await moved(stores, files)
    assert [(one.system_id, one.same, one.problem) for one in there] == [(one, False, "") for one in SYSTEMS]
    assert all(one.rows > 1200 for one in there)
    assert store_files(files) == [], "no start uses them by mistake"
    assert sorted(path.name for path in (files / "systems").glob("*.migrated")) == [
        f"{one}.db.migrated" for one in SYSTEMS
    ]
    await stores.enter(begin_start(files))
    for system_id in SYSTEMS:
        store = await stores.open(system_id)
        assert rows_of(store) == before[system_id]
        await store.commit([Put("t", "new", {"by": system_id})], durable=True)
        await closed(store)
    with pytest.raises(StoreError, match=r"store\.url names none"):
        await FileStores(files).enter(begin_start(files))

    back = await moved(stores, files, back=True)
    assert [one.problem for one in back] == ["", ""]
    await FileStores(files).enter(begin_start(files))
    after = of_files(files)
    for system_id in SYSTEMS:
        expected = dict.fromkeys(before[system_id]) | {("t", "new", b'{"by":"%s"}' % system_id.encode()): None}
        assert set(after[system_id]) == set(expected)
    with pytest.raises(StoreError, match="has the stores of 2 systems"):
        await stores.enter(begin_start(files))
    again = await moved(stores, files)
    assert [one.same for one in again] == [True, True]


async def test_a_dry_run_changes_nothing(files: Path, stores: PostgresStores) -> None:
    seen = await moved(stores, files, dry=True)
    assert [(one.system_id, one.same) for one in seen] == [("sysA", False), ("sysB", False)]
    assert await stores.version() == 0
    assert len(store_files(files)) == 2
    assert not elsewhere_mark(files).exists()
    await moved(stores, files)
    assert [one.problem for one in await moved(stores, files, back=True, dry=True)] == ["", ""]
    assert store_files(files) == []


async def test_one_that_broke_off_is_begun_again(
    files: Path, stores: PostgresStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = of_files(files)
    settled = stores.settled

    async def broken(system_ids: list[str], life: str) -> None:
        if "sysB" in system_ids:
            raise StoreError("away")
        await settled(system_ids, life)

    monkeypatch.setattr(stores, "settled", broken)
    with pytest.raises(StoreError, match="away"):
        await moved(stores, files)
    monkeypatch.undo()
    assert len(store_files(files)) == 2, "the source is untouched"
    assert [one.same for one in await moved(stores, files)] == [True, False]
    assert {one: rows_of(RowsOf(await stores.read(one))) for one in SYSTEMS} == before


async def test_one_that_breaks_off_among_its_last_steps_leaves_nothing_to_start_on(
    files: Path, stores: PostgresStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = of_files(files)
    kept = files / "systems" / "sysA.db.migrated"
    kept.write_bytes(b"of an earlier one")
    replace = Path.replace

    def broken(self: Path, target: Path) -> Path:
        if self.name == "sysB.db":
            raise OSError(5, "Input/output error")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(OSError, match="Input/output"):
        await moved(stores, files)
    monkeypatch.undo()
    with pytest.raises(StoreError, match="are in PostgreSQL"):
        await FileStores(files).enter(begin_start(files))
    assert [one.same for one in await moved(stores, files)] == [True]
    assert store_files(files) == []
    assert kept.read_bytes() == b"of an earlier one"
    assert {one: rows_of(RowsOf(await stores.read(one))) for one in SYSTEMS} == before


async def test_nothing_is_moved_while_a_node_holds_a_lease_and_owners_are_fenced_before_they_are_read(
    files: Path, stores: PostgresStores
) -> None:
    await moved(stores, files)
    await a_node_lives(stores)
    with pytest.raises(StoreError, match="hold a lease: b: stop them"):
        await moved(stores, files, back=True)
    async with stores.connection() as connection:
        await connection.execute("UPDATE maestro.nodes SET beat = 0")
    await stores.enter(begin_start(files))
    owner = await stores.open("sysA")
    read = stores.read

    async def written_to_meanwhile(system_id: str) -> Source:
        if system_id == "sysA":
            with pytest.raises(StoreError):
                await owner.commit([Put("t", "late", {})], durable=True)
        return await read(system_id)

    stores.read = written_to_meanwhile  # type: ignore[method-assign]
    assert [one.problem for one in await moved(stores, files, back=True)] == ["", ""]
    owner.close()
    assert ("t", "late", b"{}") not in of_files(files)["sysA"]


async def test_another_installation_does_not_bring_them_back_unless_it_claims_them(
    url: str, files: Path, stores: PostgresStores
) -> None:
    await moved(stores, files)
    await stores.enter(begin_start(files))
    owner = await stores.open("sysA")
    folder = files / "other"
    folder.mkdir()
    other = postgres_stores(url, folder)
    for dry in (True, False):
        with pytest.raises(StoreLocked, match=r"belong to another installation: .*maestro store claim"):
            await moved(other, folder, back=True, dry=dry)
    await owner.commit([Put("t", "goes on", {})], durable=True)
    await closed(owner)
    assert store_files(folder) == []
    await other.take(begin_start(folder), taking=True)
    assert [one.problem for one in await moved(other, folder, back=True)] == ["", ""]
    assert ("t", "goes on", b"{}") in of_files(folder)["sysA"]


async def test_a_cluster_that_lives_keeps_its_stores(url: str, files: Path, stores: PostgresStores) -> None:
    await moved(stores, files)
    clustered = PostgresStores(url, 10.0, files, "plant")
    await clustered.take(begin_start(files), taking=True)
    await a_node_lives(stores)
    with pytest.raises(StoreError, match="hold a lease: b: stop them"):
        await moved(clustered, files, back=True)
    async with stores.connection() as connection:
        whose = await stores.whose(connection)
    assert whose is not None
    assert whose.id == "cluster plant"
    assert store_files(files) == []


async def test_a_node_brings_the_stores_of_its_stopped_cluster_back(
    url: str, files: Path, stores: PostgresStores
) -> None:
    await moved(stores, files)
    clustered = PostgresStores(url, 10.0, files, "plant")
    await clustered.take(begin_start(files), taking=True)
    with pytest.raises(StoreLocked, match="belong to another installation: cluster plant"):
        await moved(stores, files, back=True)
    assert [one.problem for one in await moved(clustered, files, back=True, dry=True)] == ["", ""]
    assert [one.problem for one in await moved(clustered, files, back=True)] == ["", ""]
    folder = files / "of a node"
    folder.mkdir()
    with pytest.raises(StoreLocked, match="brought back to files"):
        await PostgresStores(url, 10.0, folder, "plant").enter(begin_start(folder))


async def test_nothing_is_brought_back_from_a_database_that_nobody_has_started_on(
    files: Path, stores: PostgresStores
) -> None:
    elsewhere_mark(files).touch()
    async with stores.connection() as connection:
        await schema.migrate(connection, 10.0)
    for dry in (True, False):
        with pytest.raises(StoreError, match="no Maestro has stores there"):
            await moved(stores, files, back=True, dry=dry)
    assert elsewhere_mark(files).exists()


async def test_one_that_broke_off_at_its_end_is_brought_back_again(files: Path, stores: PostgresStores) -> None:
    await moved(stores, files)
    await moved(stores, files, back=True)
    elsewhere_mark(files).touch()
    assert [one.same for one in await moved(stores, files, back=True)] == [True, True]
    assert not elsewhere_mark(files).exists()


async def test_no_start_uses_stores_that_were_brought_back_to_files_unless_it_claims_them(
    url: str, files: Path, stores: PostgresStores
) -> None:
    before = of_files(files)
    await moved(stores, files)
    await moved(stores, files, back=True)
    theirs = read_installation(files)
    assert theirs is not None
    folder = files / "other"
    folder.mkdir()
    other = postgres_stores(url, folder)
    where = rf"brought back to files of installation {theirs.id} at \S+:{files} since .*without store\.url.*store claim"
    with pytest.raises(StoreLocked, match=where):
        await other.enter(begin_start(folder))
    with pytest.raises(StoreLocked, match=where):
        await moved(other, folder)
    for path in store_files(files):
        path.rename(path.with_suffix(".away"))
    with pytest.raises(StoreLocked, match=where):
        await stores.enter(begin_start(files))
    await other.take(begin_start(folder), taking=True)
    await other.enter(begin_start(folder))
    store = await other.open("sysA")
    assert rows_of(store) == before["sysA"]
    await closed(store)


async def test_half_a_copy_is_not_brought_back(
    files: Path, stores: PostgresStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise StoreError("away")

    monkeypatch.setattr(migration, "_refill", broken)
    with pytest.raises(StoreError, match="away"):
        await moved(stores, files)
    monkeypatch.undo()
    (half,) = await moved(stores, files, back=True, replace=True)
    assert "broke off" in half.problem
    assert len(store_files(files)) == 2


class RowsOf:
    """What is read of a system."""

    def __init__(self, source: object) -> None:
        self.source = source


async def test_what_was_used_since_is_replaced_only_when_asked(files: Path, stores: PostgresStores) -> None:
    before = of_files(files)
    await moved(stores, files)
    store = await stores.open("sysA")
    await store.commit([Put("t", "later", {})], durable=True)
    store.close()
    for path in (files / "systems").glob("*.migrated"):
        path.replace(path.with_suffix(""))
    refused = await moved(stores, files)
    assert ["--replace" in one.problem for one in refused] == [True, False]
    assert len(store_files(files)) == 2, "no system is taken out of use as long as one is missing"
    assert [one.problem for one in await moved(stores, files, replace=True)] == ["", ""]
    assert rows_of(RowsOf(await stores.read("sysA"))) == before["sysA"]


async def test_what_later_commits_wrote_over_is_replaced_as_well(files: Path, stores: PostgresStores) -> None:
    before = of_files(files)
    await moved(stores, files)
    store = await stores.open("sysA")
    for entry in (20, 21):
        written = Put(LEDGER_WRITES, f"{entry:015d}", {"writer": entry, "rows": [7, 8]})
        await store.commit([written], durable=True)
    await closed(store)
    for path in (files / "systems").glob("*.migrated"):
        path.replace(path.with_suffix(""))
    assert [one.problem for one in await moved(stores, files, replace=True)] == ["", ""]
    assert rows_of(RowsOf(await stores.read("sysA"))) == before["sysA"]


async def test_files_that_were_used_since_are_put_aside_only_when_asked(files: Path, stores: PostgresStores) -> None:
    await moved(stores, files)
    with_other = open_store(store_path(files, "sysA"))
    with_other.commit([Put("t", "other", {})], durable=True)
    with_other.close()
    refused = await moved(stores, files, back=True)
    assert ["--replace" in one.problem for one in refused] == [True, False]
    assert elsewhere_mark(files).exists()
    assert [one.problem for one in await moved(stores, files, back=True, replace=True)] == ["", ""]
    assert store_path(files, "sysA").with_name("sysA.db.before-restore").exists()
    assert not elsewhere_mark(files).exists()


async def test_a_damaged_store_is_not_migrated(files: Path, stores: PostgresStores) -> None:
    store = open_store(store_path(files, "sysA"))
    store.source.execute("UPDATE rows SET json = '{}' WHERE key LIKE '00009%'")
    store.close()
    with pytest.raises(StoreDamaged, match="00009"):
        await moved(stores, files)
    assert await stores.systems() == []


async def test_the_command(files: Path, postgres_node: PostgresNode, database: str) -> None:
    environ = {"MAESTRO_DATA_DIR": str(files), "MAESTRO_STORE__URL": postgres_node.url(database)}
    dry = await maestro(None, "store", "migrate", "--to", "postgresql", "--dry-run", **environ)
    assert dry.code == 0, dry.err
    assert "would be copied" in dry.out
    assert "nothing was changed" in dry.out
    there = await maestro(None, "store", "migrate", "--to", postgres_node.url(database), MAESTRO_DATA_DIR=str(files))
    assert there.code == 0, there.err
    assert there.out.count("compared row by row") == 2
    refused = await maestro(None, "backup", str(files / "backup"), **environ)
    assert (refused.code, "back that up instead" in refused.err) == (1, True)
    back = await maestro(None, "store", "migrate", "--to", "files", **environ)
    assert back.code == 0, back.err
    assert len(store_files(files)) == 2
    for wrong in ("nowhere", "postgresql://host.example/db"):
        assert (await maestro(None, "store", "migrate", "--to", wrong, MAESTRO_DATA_DIR=str(files))).code == 2
    doctor = await maestro(None, "doctor", **environ)
    assert f"brought back to files of installation {read_installation(files).id}" in doctor.out  # type: ignore[union-attr]
    claimed = await maestro(None, "store", "claim", **environ)
    assert claimed.code == 0, claimed.err
    assert "belong to this installation" in claimed.out


async def test_settings_say_where_the_stores_are(files: Path) -> None:
    assert isinstance(open_stores(Settings(data_dir=files)), FileStores)
    with_url = Settings.model_validate({"data_dir": files, "store": {"url": "postgresql://a:b@localhost/c"}})
    assert isinstance(open_stores(with_url), PostgresStores)
    await asyncio.sleep(0)

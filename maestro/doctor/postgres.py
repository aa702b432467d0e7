"""Whether the stores in PostgreSQL can be used, are this installation's, survive the loss of power, and are sound."""

from collections.abc import AsyncIterator
from typing import Final

from maestro.doctor.finding import Finding, ok, problem, warning
from maestro.doctor.site import Site
from maestro.doctor.stores import in_use
from maestro.store import reading
from maestro.store.base import StoreError
from maestro.store.documents import DocumentDB
from maestro.store.installation import read_installation
from maestro.store.postgres.stores import PostgresStores
from maestro.store.postgres.whose import Whose

STORE: Final = "store"
_WHERE: Final = "PostgreSQL"
#: Values of synchronous_commit with which a commit is on the standby's disk once it is confirmed.
_ON_STANDBY: Final = ("on", "remote_apply")
_MEND: Final = "see PostgreSQL in docs/deploying.md, and store.url in maestro config show"


async def check_postgres(site: Site) -> list[Finding]:
    """Look at the database as a start of Maestro would, and read what no Maestro has open."""
    settings = site.settings
    url = settings.store.url.get_secret_value()
    stores = PostgresStores(url, settings.store.timeout, settings.data_dir, settings.cluster.name)
    try:
        return [finding async for finding in _findings(site, stores)]
    except StoreError as error:
        return [problem(STORE, _WHERE, str(error).removeprefix("PostgreSQL: "), _MEND)]


async def _findings(site: Site, stores: PostgresStores) -> AsyncIterator[Finding]:
    seen = await stores.look()
    yield ok(STORE, _WHERE, f"version {seen.server}, role {seen.role}, schema {seen.schema}")
    ours = read_installation(site.settings.data_dir)
    if seen.whose is not None and seen.whose.id != stores.owner_of(ours):
        yield _of_another(seen.whose)
    if seen.unsafe:
        message = f"acknowledged commits may be lost with the power: {', '.join(seen.unsafe)}"
        yield problem(STORE, _WHERE, message, "set these to on, at least for Maestro's role")
    if site.settings.cluster.name:
        yield fail_over(seen.standbys, seen.waits_for)
    served = {one.id: one.state for one in site.served}
    for system_id in await stores.systems():
        name = f"{_WHERE}, {system_id}"
        if system_id in served:
            if served[system_id] != "unavailable":
                yield ok(STORE, name, "in use")
        elif site.runs:
            yield in_use(site, name)
        else:
            yield await _read_whole(stores, system_id, name)


def _of_another(whose: Whose) -> Finding:
    if whose.moving_to:
        message = (
            f"a migration to files of installation {whose.moving_to} at {whose.host} began {whose.since} "
            f"and has not ended"
        )
        mend = "wait for it; when it broke off: run it again there, or maestro store claim"
    elif whose.files_of:
        message = (
            f"the stores were brought back to files of installation {whose.files_of} at {whose.host} "
            f"since {whose.since}"
        )
        mend = "start Maestro there, without store.url; when those files are lost for good: maestro store claim"
    elif whose.moved_somewhere:
        message = (
            f"an earlier version brought the stores back to files and did not say where; who used them last was on "
            f"{whose.host} since {whose.since}"
        )
        mend = "start Maestro where the files are, without store.url; when they are lost for good: maestro store claim"
    else:
        message = f"the stores belong to installation {whose.id} on {whose.host} since {whose.since}"
        mend = "when that one is stopped for good: maestro store claim"
    return problem(STORE, _WHERE, message, mend)


def fail_over(standbys: str, waits_for: str) -> Finding:
    """Say what a cluster loses when the database fails over to a standby. The arguments: see `Look`."""
    if not standbys:
        message = (
            "no standby confirms commits (synchronous_standby_names is empty): a fail-over to one loses the last of "
            "them, and two nodes may own a system for as long as a lease lasts"
        )
        return warning(STORE, _WHERE, message, "with a standby, set synchronous_standby_names")
    if waits_for not in _ON_STANDBY:
        message = (
            f"synchronous_commit = {waits_for} does not wait for the standby's disk: a fail-over loses the last "
            f"commits, and two nodes may own a system for as long as a lease lasts"
        )
        return problem(STORE, _WHERE, message, "set it to on, at least for Maestro's role")
    return ok(STORE, _WHERE, f"a standby confirms each commit ({standbys}): a fail-over to it loses none")


async def _read_whole(stores: PostgresStores, system_id: str, name: str) -> Finding:
    try:
        copy = await stores.read(system_id)
    except StoreError as error:
        return problem(STORE, name, str(error), "restore the database from a backup (docs/deploying.md)")
    try:
        counts = [f"{number} {table}" for table, number in reading.tables(DocumentDB(copy)).items()]
    finally:
        copy.close()
    return ok(STORE, name, f"sound: {', '.join(counts) or 'empty'}")

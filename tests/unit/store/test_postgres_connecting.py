"""Several hosts in the URL of PostgreSQL: what each is asked for."""

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from maestro.store.base import StoreAway
from maestro.store.postgres import connection

HOSTS = "postgresql://u:p@primary,standby:5433/d"


async def attempts(url: str, monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, object]]:
    """Return which hosts are tried, and what each must be."""
    tried = []

    async def attempt(conninfo: str) -> connection.Connection:
        tried.append(conninfo_to_dict(conninfo))
        raise psycopg.OperationalError("connection refused")

    monkeypatch.setattr(connection, "_attempt", attempt)
    with pytest.raises(StoreAway):
        await connection.connect(url, 5)
    return [(one["host"], one.get("target_session_attrs")) for one in tried]


async def test_of_several_hosts_a_standby_is_not_taken_for_being_quicker(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await attempts(HOSTS, monkeypatch) == [("primary", "read-write"), ("standby", "read-write")]


async def test_what_the_url_says_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await attempts(f"{HOSTS}?target_session_attrs=any", monkeypatch) == [("primary", "any"), ("standby", "any")]
    assert await attempts("postgresql://u:p@primary/d", monkeypatch) == [("primary", None)]

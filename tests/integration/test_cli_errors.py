"""`maestro errors`: the error queue shown, given back one by one, nothing lost when that is interrupted."""

import asyncio
import re
import signal
import sys
from typing import Any

import pytest

from tests.support.cli import environ, maestro
from tests.support.stage import Stage, eventually
from tests.support.tcp_proxy import TcpProxy
from tests.support.tenant import Tenant

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rabbitmq]

MANY = 8


async def failed(it: Stage, tenant: Tenant, *shorts: str) -> list[str]:
    """Let these events fail for good; return their ids, in the order of the queue."""
    await tenant.publish("before")
    await tenant.commits_are("before")
    for short in shorts:  # about others Discovery answers: the fault is each event's own
        tenant.fail("discovery", "impacted", 999, 503, short)
    ids = [await tenant.publish(short) for short in shorts]
    await tenant.depth_is(tenant.queues.persist_error, len(shorts))
    it.siblings.heal()
    return ids


def committed(tenant: Tenant) -> list[str]:
    return [short for short in tenant.commits if short != "before"]


async def errors(it: Stage, tenant: Tenant) -> list[dict[str, Any]]:
    return (await it.get(f"/v1.0.0/systems/{tenant.system}/errors"))["errors"]


async def test_list_show_and_redrive_chosen_ones(it: Stage, tenant: Tenant) -> None:
    ids = await failed(it, tenant, "i1", "i2", "i3")
    listed = await maestro(it, "errors", "list", tenant.system, "--limit", "2")
    assert listed.code == 0
    assert ids[0] in listed.out
    assert tenant.id("i1") in listed.out
    assert "discovery" in listed.out
    assert "the oldest 2 of 3" in listed.out

    systems = (await maestro(it, "systems")).out.splitlines()
    assert systems[0].split()[-2:] == ["ERRORS", "PROBLEM"]
    assert [line.split()[-2] for line in systems if line.startswith(f"{tenant.system} ")] == ["3"]

    shown = await maestro(it, "errors", "show", tenant.system, ids[1][:13])
    assert f'"instanceId": "{tenant.id("i2")}"' in shown.out
    assert "x-maestro-error" in shown.out
    assert (await maestro(it, "errors", "show", tenant.system, ids[1], "--json")).json["id"] == ids[1]
    assert (await maestro(it, "errors", "show", tenant.system, "nosuch")).code == 4
    assert (await maestro(it, "errors", "redrive", tenant.system)).code == 2
    assert (await maestro(it, "errors", "redrive", tenant.system, ids[0], "--all")).code == 2

    refused = await maestro(it, "errors", "redrive", tenant.system, ids[0])
    assert refused.code == 2
    assert "Redrive 1 message of" in refused.err
    done = await maestro(it, "errors", "redrive", tenant.system, ids[2], ids[0], "--yes", "--user", "ana")
    assert done.code == 0, done
    assert f"1/2 {ids[2]}: redriven" in done.out
    assert f"2/2 {ids[0]}: redriven" in done.out
    await tenant.commits_are("before", "i3", "i1")
    assert [one["id"] for one in await errors(it, tenant)] == [ids[1]]


async def test_redrive_all_in_order_and_name_what_fails_again(it: Stage, tenant: Tenant) -> None:
    ids = await failed(it, tenant, "i1", "i2", "i3")
    tenant.fail("discovery", "impacted", times=999, how=503, instance="i2")
    done = await maestro(it, "errors", "redrive", tenant.system, "--all", "--yes", "--json")
    assert done.code == 1
    assert done.json["redriven"] == 3
    assert [(one["id"], one["outcome"]) for one in done.json["items"]] == [
        (ids[0], "redriven"), (ids[1], "failed_again"), (ids[2], "redriven"),
    ]  # fmt: skip
    assert "discovery" in done.json["items"][1]["message"]
    await tenant.commits_are("before", "i1", "i3")
    it.siblings.heal()
    assert (await maestro(it, "errors", "redrive", tenant.system, "--all", "--yes")).code == 0
    await tenant.commits_are("before", "i1", "i3", "i2")
    empty = await maestro(it, "errors", "redrive", tenant.system, "--all")
    assert (empty.code, empty.out) == (0, "0 messages redriven\n")


async def test_groups_are_listed_and_redriven_as_shown(it: Stage, tenant: Tenant) -> None:
    ids = await failed(it, tenant, "i1", "i2", "i3")
    await it.publish(b"no JSON", system=tenant.system)
    await tenant.depth_is(tenant.queues.persist_error, 4)
    page = (await maestro(it, "errors", "groups", tenant.system, "--json")).json
    assert [(one["count"], one["doubt"]) for one in page["groups"]] == [(3, False), (1, False)]
    assert page["groups"][0]["first"] < page["groups"][0]["last"] < page["groups"][1]["first"]
    key = page["groups"][0]["key"]
    listed = await maestro(it, "errors", "groups", tenant.system)
    assert listed.out.splitlines()[1].split()[:3] == [tenant.system, key, "3"]
    assert "body: is no JSON" in listed.out
    of_group = await maestro(it, "errors", "list", tenant.system, "--group", key, "--after", "1", "--limit", "1")
    assert ids[1] in of_group.out
    assert "2 to 2 of 3" in of_group.out

    refused = await maestro(it, "errors", "redrive", tenant.system, "--group", key)
    assert (refused.code, "Redrive 3 messages of" in refused.err) == (2, True)
    assert f"group {key}: 3 events, failed " in refused.err
    assert (await maestro(it, "errors", "redrive", tenant.system, "--group", "nosuch", "--yes")).code == 4
    assert (await maestro(it, "errors", "redrive", tenant.system, "--group", key, "--all")).code == 2
    tenant.fail("discovery", "impacted", times=999, how=503, instance="i2")
    done = await maestro(it, "errors", "redrive", tenant.system, "--group", key, "--yes", "--json", "--user", "ana")
    assert done.code == 1, done
    assert done.json == {"redriven": 3, "thereNow": {key: 1}}
    await tenant.commits_are("before", "i1", "i3")
    entry = (await it.get("/v1.0.0/audit?limit=1000"))["entries"][-1]
    assert (entry["what"], entry["who"], entry["system"]) == ("redrive", "ana", tenant.system)
    assert entry["facts"]["groups"] == f"{key} (3)"


async def test_what_has_no_id_is_recognised_when_it_fails_again(it: Stage, tenant: Tenant) -> None:
    await it.publish(b"no JSON", system=tenant.system)
    await tenant.depth_is(tenant.queues.persist_error, 1)
    done = await maestro(it, "errors", "redrive", tenant.system, "--all", "--yes")
    assert done.code == 1
    assert "failed again: body: is no JSON" in done.out


async def test_an_interruption_leaves_the_rest_where_it_is(it: Stage, tenant: Tenant) -> None:
    ids = await failed(it, tenant, *(f"i{n}" for n in range(MANY)))
    async with TcpProxy(it.port) as slow:  # else all are redriven before the signal arrives
        slow.delay = 0.2
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "maestro.cli.main", "errors", "redrive", tenant.system, "--all", "--yes",
            env=environ(it, MAESTRO_URL=f"http://127.0.0.1:{slow.port}"),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        first = await asyncio.wait_for(process.stdout.readline(), 60)
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(process.communicate(), 60)
    assert first.decode() == f"1/{MANY} {ids[0]}: redriven\n"
    assert process.returncode == 130
    assert b"interrupted" in err
    told = re.findall(r"(\S+): redriven", (first + out).decode())

    async def settled() -> bool:
        left = {one["id"] for one in await errors(it, tenant)}
        commits = {f"i{n}" for n, id_ in enumerate(ids) if id_ not in left}
        return len(left) < len(ids) and set(committed(tenant)) == commits and len(committed(tenant)) == len(commits)

    await eventually(settled, "each is committed once, or still on the error queue")
    left = {one["id"] for one in await errors(it, tenant)}
    assert left
    assert not left & set(told)
    assert (await maestro(it, "errors", "redrive", tenant.system, "--all", "--yes")).code == 0
    await eventually(lambda: _count(tenant, MANY), "all are committed")
    assert sorted(committed(tenant)) == sorted(f"i{n}" for n in range(MANY))


async def _count(tenant: Tenant, count: int) -> bool:
    return len(committed(tenant)) == count

"""Each sibling fails in each way at each call site: retries are bounded, it fails closed, and the cause can be read."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest
import pytest_asyncio

from maestro.rules.visibility import TEXT_COMES_WITHIN
from tests.support.siblings import How
from tests.support.stage import PATIENCE, Stage, eventually, stage, unit
from tests.support.tenant import Tenant, new_tenant

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rabbitmq, pytest.mark.timeout(300)]
#: As the stage has it set: tries of a call.
TRIES = 3
#: Ways to fail; `hang` is a silence until the answer's time-out, `half` an answer that breaks off in its middle.
WAYS: tuple[How, ...] = (500, 404, "garbage", "half", "hang", "applied_then_fail")
#: A status text whose call had no answer may still come: `finished` counts only when it is seen 30 s later, too.
PATIENCE_WITH_TEXTS = PATIENCE + TEXT_COMES_WITHIN
#: Seconds that a run waits for a sibling before it fails.
OUTAGE_LIMIT = 15
Scenario = Callable[[Tenant], Awaitable[None]]


@dataclass(frozen=True)
class Site:
    """A call site: which call, about which instance, and what must come of its failing for good."""

    service: str
    call: str
    instance: str
    outcome: str

    @property
    def name(self) -> str:
        return f"{self.service}.{self.call}({self.instance or '*'})"


#: `i` impacts `p1`; the replay of `p1` is `re1`, which impacts `p2`.
SITES = (
    Site("discovery", "impacted", "i", "error"),
    Site("process_memory", "origin", "p1", "error"),
    Site("apicore", "is_fork", "i", "error"),
    Site("domain", "commit", "plain", "error"),
    Site("domain", "commit", "i", "aborted_persist_domain_failure"),
    Site("discovery", "impacted", "re1", "failure"),
    Site("process_memory", "origin", "p2", "failure"),
    Site("domain", "commit", "re1", "failure"),
)
#: Calls on whose failing nothing depends.
HARMLESS = (
    Site("apicore", "set_instance_status", "", "finished"),
    Site("process_memory", "save_document", "", "finished"),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def it(module_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """Impatient: a silence of a second is no answer, one of three no commit."""
    environ = {
        "MAESTRO_PLATFORM__ANSWER_TIMEOUT": "1", "MAESTRO_PLATFORM__COMMIT_TIMEOUT": "3",
        "MAESTRO_REPROCESSING__REPLAY_TIMEOUT": "60", "MAESTRO_REPROCESSING__OUTAGE_LIMIT": str(OUTAGE_LIMIT),
    }  # fmt: skip
    async with stage(tmp_path_factory.mktemp("stage"), module_url, **environ) as shared:
        yield shared


def attempts(tenant: Tenant, site: Site) -> int:
    """How often the site's call was made."""
    return sum(
        call.service == site.service and tenant.owns(call) and tenant.id(site.instance) == call.instance_id
        for call in tenant.siblings.calls(site.call)
    )


@pytest.mark.parametrize("how", WAYS, ids=str)
async def test_a_sibling_fails_for_good(it: Stage, how: How) -> None:
    """All call sites at once, each in a system of its own."""
    tenants = await asyncio.gather(*(new_tenant(it) for _ in SITES))
    outcomes = await asyncio.gather(
        *(fails(tenant, site, how) for tenant, site in zip(tenants, SITES, strict=True)), return_exceptions=True
    )
    problems = {site.name: what for site, what in zip(SITES, outcomes, strict=True) if what}
    assert problems == {}


async def fails(tenant: Tenant, site: Site, how: How) -> None:
    # Each sibling has answered something before, so that it can be told whose fault a failure is.
    tenant.impacts("i", unit("p1"))
    await tenant.publish("before")
    await tenant.commits_are("before")
    tenant.impacts("re1", unit("p2"))
    tenant.fail(site.service, site.call, 99, how, site.instance)
    first = "plain" if site.instance == "plain" else "i"
    await tenant.publish_all(first, "next")
    if site.outcome == "error":
        await ends_on_the_error_queue(tenant, site, how, first)
    else:
        await ends_with_its_document(tenant, site, how)
    assert 1 <= attempts(tenant, site) <= TRIES * 2  # what is told 404 may be asked of a moved domain once more
    assert (await tenant.proceed())["_status"] == 200


async def ends_on_the_error_queue(tenant: Tenant, site: Site, how: How, first: str) -> None:
    [(_, headers)] = await tenant.errors(1)
    assert site.service.replace("_", " ") in headers["x-maestro-error"].replace("_", " "), headers
    await tenant.siblings.wait_for(lambda: "next" in tenant.commits, 60)
    applied = how == "applied_then_fail" and site.call == "commit"
    assert (first in tenant.commits) is applied, "fails closed: what could not be judged is not committed"


async def ends_with_its_document(tenant: Tenant, site: Site, how: How) -> None:
    doc = await tenant.it.decide(await tenant.pending(), "approve")
    found = await tenant.it.reaches(doc, site.outcome)
    assert site.service.replace("_", " ") in found["history"][-1]["cause"].replace("_", " "), found["history"]
    await tenant.siblings.wait_for(lambda: "next" in tenant.commits, 60)
    before = list(dict.fromkeys(tenant.commits))
    assert ("re1" in before) is (site.call == "commit" and site.instance == "re1" and how == "applied_then_fail")
    tenant.siblings._failures[:] = [one for one in tenant.siblings._failures if not concerns(one.when, tenant)]
    await tenant.it.decide(doc, "retry")
    await tenant.it.reaches(doc, "finished")
    committed = set(tenant.commits)
    assert {"i", "next"} < committed
    if site.instance != "i":
        assert tenant.commits.count("i") == 1, "a held commit that is recorded is not repeated"


def concerns(when: object, tenant: Tenant) -> bool:
    """Whether a failure's condition was made for this tenant."""
    return any(cell.cell_contents is tenant for cell in getattr(when, "__closure__", None) or ())


@pytest.mark.parametrize("site", HARMLESS, ids=lambda site: site.name)
@pytest.mark.parametrize("how", WAYS, ids=str)
async def test_what_decides_nothing_stops_nothing(it: Stage, site: Site, how: How) -> None:
    tenant = await new_tenant(it)
    tenant.impacts("i", unit("p1"))
    tenant.fail(site.service, site.call, 3, how)
    doc = await tenant.approved("i")
    await tenant.publish("next")
    await tenant.it.reaches(doc, "finished", PATIENCE_WITH_TEXTS)
    await tenant.commits_are("i", "re1", "next")


@pytest.mark.parametrize("how", WAYS, ids=str)
async def test_the_event_manager_fails_for_good(it: Stage, how: How) -> None:
    """The notification may fail. A replay that cannot be sent stalls the run, then fails it; nothing of it is lost."""
    tenant = await new_tenant(it)
    it.mute.add(tenant.system)
    tenant.impacts("i", unit("p1"))
    tenant.fail("event_manager", "send", 99, how)
    doc = await tenant.approved("i")
    await eventually(lambda: tenant.stalled_by("event_manager"), "the system is stalled, and says by whom")
    found = await tenant.it.reaches(doc, "failure")
    assert "event" in found["history"][-1]["cause"]
    assert tenant.commits == ["i"]
    sends = [call for call in it.siblings.calls("send") if tenant.owns(call) and b'"scope":"reprocessing"' in call.body]
    assert len(sends) <= TRIES * 6, "tried again at growing intervals"


@pytest.mark.parametrize("how", [500, pytest.param("half", marks=pytest.mark.quick), "applied_then_fail"], ids=str)
async def test_a_short_trouble_is_waited_out(it: Stage, how: How) -> None:
    """One failure at every call site, one after the other: nothing fails."""
    tenant = await new_tenant(it)
    tenant.impacts("i", unit("p1"))
    tenant.impacts("re1", unit("p2"))
    for site in (*SITES, *HARMLESS):
        tenant.fail(site.service, site.call, 1, how, site.instance)
    tenant.fail("event_manager", "send", 1, how)
    doc = await tenant.approved("i")
    await tenant.publish("plain")
    await tenant.it.reaches(doc, "finished", PATIENCE_WITH_TEXTS)
    await tenant.siblings.wait_for(lambda: "plain" in tenant.commits, 60)
    committed = list(dict.fromkeys(tenant.commits))
    assert committed[0] == "i"
    assert committed[-1] == "plain"
    await tenant.depth_is(tenant.queues.persist_error, 0)

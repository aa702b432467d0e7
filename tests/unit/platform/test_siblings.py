"""The double itself, where the clients' tests do not show that it does what it says."""

from typing import Any

import aiohttp
import pytest

from maestro.platform import Platform, SiblingUnreachable
from maestro.rules.doubt import CommitEnd
from maestro.settings.loading import load_settings
from tests.support.siblings import HOST, RecordingSiblings


async def test_its_environment_leads_to_it(siblings: RecordingSiblings) -> None:
    async with await Platform.open(load_settings(None, siblings.environ()).platform) as platform:
        await platform.domain.commit("sysA", "i1")
    assert siblings.commits == ["i1"]


async def test_applied_then_fail(platform: Platform, siblings: RecordingSiblings) -> None:
    siblings.fail("domain", "commit", 1, "applied_then_fail")
    assert (await platform.domain.commit("sysA", "i1")).end is CommitEnd.REFUSED
    assert siblings.commits == ["i1"]


async def test_failures_for_some_calls_only(platform: Platform, siblings: RecordingSiblings) -> None:
    siblings.fail("domain", "commit", 3, 503, when=lambda call: call.instance_id == "i2")
    await platform.domain.commit("sysA", "i1")
    assert (await platform.domain.commit("sysA", "i2")).end is CommitEnd.LOST
    assert siblings.commits == ["i1"]
    siblings.fail("domain", "commit", 3, 503)
    siblings.heal()
    await platform.domain.commit("sysA", "i2")


def test_a_misspelt_failure_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"no such call: domain\.comit"):
        RecordingSiblings().fail("domain", "comit", 1, 500)


async def test_the_hook_hears_of_each_event(platform: Platform, siblings: RecordingSiblings) -> None:
    heard: list[dict[str, Any]] = []

    async def hook(event: dict[str, Any]) -> None:
        heard.append(event)

    siblings.on_sendevent = hook
    await platform.event_manager.send(b'{"name": "a"}')
    await siblings.wait_for(lambda: heard == [{"name": "a"}], timeout=5)
    assert siblings.events == heard


async def test_what_a_hook_raises_is_not_lost() -> None:
    async def hook(_: dict[str, Any]) -> None:
        raise LookupError("in the hook")

    siblings = RecordingSiblings()
    await siblings.start()
    siblings.on_sendevent = hook
    async with await Platform.open(siblings.settings()) as platform:
        await platform.event_manager.send(b"{}")
    with pytest.raises(LookupError, match="in the hook"):
        await siblings.close()


async def test_wait_for_says_what_came(platform: Platform, siblings: RecordingSiblings) -> None:
    await platform.apicore.instance("i7")
    with pytest.raises(TimeoutError, match=r"1 calls, the last: apicore\.is_fork\(i7\)"):
        await siblings.wait_for(lambda: False, timeout=0.05)


async def test_stopped_and_started_again_on_the_same_port(siblings: RecordingSiblings) -> None:
    port = siblings.port
    async with await Platform.open(siblings.settings(tries=1)) as platform:
        assert await platform.apicore.systems() == ("sysA", "sysB")
        await siblings.stop()
        with pytest.raises(SiblingUnreachable):
            await platform.apicore.systems()
        await siblings.start()
        assert await platform.apicore.systems() == ("sysA", "sysB")
    assert siblings.port == port


async def test_documents_are_found_by_field(platform: Platform, siblings: RecordingSiblings) -> None:
    await platform.process_memory.save_document("d1", b'{"id":"d1","status":"running"}')
    async with aiohttp.ClientSession() as session:
        for status, found in (("running", 1), ("finished", 0)):
            url = f"http://{HOST}:{siblings.port}/reprocessing?status={status}"
            async with session.get(url) as response:
                assert len(await response.json()) == found


async def test_many_calls_and_a_latency(platform: Platform, siblings: RecordingSiblings) -> None:
    siblings.latency = 0.001
    for number in range(50):
        await platform.domain.commit("sysA", f"i{number}")
    assert siblings.count("commit") == 50
    assert [call.at for call in siblings.log] == sorted(call.at for call in siblings.log)

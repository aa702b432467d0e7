"""Each client against the contract: what it sends, what it makes of the answers."""

from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from maestro.platform import NoSubscribers, Platform, SiblingError, SiblingLocked, SiblingRefused, SiblingUnreachable
from maestro.platform.apicore import DomainAddress, ProcessInstance
from maestro.reprocessing.impact import Impacted
from maestro.reprocessing.ledger import base_key
from maestro.settings import Sibling
from tests.support.raw_server import raw_server
from tests.support.siblings import HOST, How, RecordingSiblings

AWKWARD = "a b&c=d/../é+%2F?#"


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


class TestDiscovery:
    async def test_none_impacted(self, platform: Platform, siblings: RecordingSiblings) -> None:
        assert await platform.discovery.impacted("sysA", "i1") == ()
        (call,) = siblings.log
        assert (call.method, call.path) == ("GET", "/v1.0.0/discovery/entities")
        assert call.query == {"systemID": "sysA", "instanceID": "i1"}

    async def test_units_in_discoverys_order(self, platform: Platform, siblings: RecordingSiblings) -> None:
        siblings.impacts["i2"] = [
            {"instanceId": "p1", "branch": "master", "forking": False, "more": 1},
            {"instanceId": "p3", "branch": "b1", "forking": True},
            {"instanceId": "p4", "branch": ""},
        ]
        assert await platform.discovery.impacted("sysA", "i2") == (
            Impacted("p1", "master"), Impacted("p3", "b1", forking=True), Impacted("p4", "master"),
        )  # fmt: skip

    async def test_query_values_are_encoded(self, platform: Platform, siblings: RecordingSiblings) -> None:
        await platform.discovery.impacted(AWKWARD, AWKWARD)
        assert siblings.log[0].query == {"systemID": AWKWARD, "instanceID": AWKWARD}

    @pytest.mark.parametrize("body", [
        b"", b"null", b"{}", b'""', b"[null]", b"[{}]", b'[{"instanceId": 1}]', b'[{"instanceId": "", "branch": "b"}]',
        b'[{"instanceId": "p1", "forking": "yes"}]', b"[", b"[] []", b"<html>", b"\xff\xfe", b"[" * 100_000,
    ])  # fmt: skip
    async def test_no_list_of_units_is_never_none_impacted(self, body: bytes) -> None:
        async with raw_server(ok(body)) as settings, await Platform.open(settings) as platform:
            with pytest.raises(SiblingUnreachable, match=r"discovery\.impacted: not the agreed answer"):
                await platform.discovery.impacted("sysA", "i1")


class TestProcessMemory:
    async def test_origin_keeps_the_very_bytes(self) -> None:
        event = b'{"timestamp" : "2018-07-20T15:08:41.884268","big":12345678901234567890123, "u":"\\u00e9"}'
        async with raw_server(ok(b"[ " + event + b" ]")) as settings, await Platform.open(settings) as platform:
            origin = await platform.process_memory.origin("p1")
        assert origin is not None
        assert (origin.event, origin.timestamp) == (event, "2018-07-20T15:08:41.884268")

    async def test_unknown_instance(self, platform: Platform, siblings: RecordingSiblings) -> None:
        siblings.origins["p9"] = None
        assert await platform.process_memory.origin("p9") is None

    @pytest.mark.parametrize(
        ("event", "timestamp"), [(b"{}", ""), (b'{"timestamp":5}', ""), (b'{"timestamp":"x"}', "x")]
    )
    async def test_strange_timestamp(self, event: bytes, timestamp: str) -> None:
        async with raw_server(ok(b"[" + event + b"]")) as settings, await Platform.open(settings) as platform:
            origin = await platform.process_memory.origin("p1")
        assert origin is not None
        assert origin.timestamp == timestamp

    @pytest.mark.parametrize("body", [b"", b"null", b"[null]", b"[7]", b'{"name": "x"}'])
    async def test_no_list_of_events_is_never_unknown(self, body: bytes) -> None:
        async with raw_server(ok(body)) as settings, await Platform.open(settings) as platform:
            with pytest.raises(SiblingUnreachable):
                await platform.process_memory.origin("p1")

    async def test_path_is_encoded(self, platform: Platform, siblings: RecordingSiblings) -> None:
        for instance_id in ("a/b?c#d é%2F", "..", "."):
            async with raw_server(ok(b"[{}]")) as settings, await Platform.open(settings) as other:
                assert await other.process_memory.origin(instance_id) is not None
        await platform.process_memory.origin("a b%2Fé")
        assert siblings.log[0].instance_id == "a b%2Fé"

    async def test_save_document_replaces_and_inserts_only_what_is_not_there(
        self, platform: Platform, siblings: RecordingSiblings
    ) -> None:
        for status in ("running", "finished"):
            body = orjson.dumps({"id": "d&1", "status": status})
            await platform.process_memory.save_document("d&1", body)
        put, post, again = siblings.calls("save_document")
        assert (put.method, put.path, put.query) == ("PUT", "/reprocessing", {"id": "d&1"})
        assert (post.method, post.path, post.query) == ("POST", "/reprocessing", {})
        assert (again.method, again.query) == ("PUT", {"id": "d&1"})
        assert siblings.documents["d&1"]["status"] == "finished"

    @pytest.mark.parametrize("how", [500, "reset", "applied_then_fail"])
    async def test_save_document_never_inserts_twice(
        self, platform: Platform, siblings: RecordingSiblings, how: How
    ) -> None:
        siblings.fail("process_memory", "save_document", 1, how, when=lambda call: call.method == "POST")
        await platform.process_memory.save_document("d1", b'{"id":"d1"}')
        assert siblings.inserted["d1"] == 1

    async def test_a_save_that_counts_nothing_is_a_replacement(self) -> None:
        for body in (b"{}", b'{"message": "OK"}', b'{"result": null}', b'{"result": {"n": 1}}'):
            async with raw_server(ok(body)) as settings, await Platform.open(settings) as platform:
                await platform.process_memory.save_document("d1", b'{"id":"d1"}')


class TestApiCore:
    async def test_systems(self, platform: Platform, siblings: RecordingSiblings) -> None:
        assert await platform.apicore.systems() == ("sysA", "sysB")
        assert (siblings.log[0].path, siblings.log[0].query) == ("/core/system", {"filter": ""})
        siblings.systems.clear()
        assert await platform.apicore.systems() == ()

    async def test_domain_address(self, platform: Platform, siblings: RecordingSiblings) -> None:
        siblings.domains["sysB"] = ("domain-b", 8087)
        assert await platform.apicore.domain_address("sysB") == DomainAddress("domain-b", 8087)
        call = siblings.log[0]
        assert call.path == "/core/installedApp"
        assert call.query == {"filter": "bySystemIdAndType", "systemId": "sysB", "type": "domain"}

    @pytest.mark.parametrize("port", ["8087", 8087])
    async def test_port_as_text_or_number(self, port: Any) -> None:
        body = orjson.dumps([{"host": "d", "port": port}])
        async with raw_server(ok(body)) as settings, await Platform.open(settings) as platform:
            assert await platform.apicore.domain_address("sysA") == DomainAddress("d", 8087)

    @pytest.mark.parametrize("app", [{}, {"host": "", "port": 1}, {"host": "d", "port": 0}, {"host": "d", "port": "x"},
                                     {"host": "d", "port": 65536}, {"host": "d", "port": "٣"}])  # fmt: skip
    async def test_no_address(self, app: dict[str, Any]) -> None:
        async with raw_server(ok(orjson.dumps([app]))) as settings, await Platform.open(settings) as platform:
            with pytest.raises(SiblingUnreachable):
                await platform.apicore.domain_address("sysA")

    async def test_system_without_domain_is_final(self, platform: Platform, siblings: RecordingSiblings) -> None:
        with pytest.raises(SiblingRefused, match="no domain is installed"):
            await platform.apicore.domain_address("sysC")
        assert len(siblings.log) == 1

    async def test_instance(self, platform: Platform, siblings: RecordingSiblings) -> None:
        siblings.forks.add("i2")
        siblings.statuses["i1"] = "finished"
        assert await platform.apicore.instance("i2") == ProcessInstance(is_fork=True, status="running")
        assert await platform.apicore.instance("i1") == ProcessInstance(is_fork=False, status="finished")
        assert siblings.log[0].path == "/core/processInstance"
        assert siblings.log[0].query == {"filter": "byId", "id": "i2"}

    async def test_an_instance_that_api_core_does_not_know(self) -> None:
        async with raw_server(ok(b"[]")) as settings, await Platform.open(settings) as platform:
            assert await platform.apicore.instance("i1") is None

    @pytest.mark.parametrize("body", [b"", b'[{"isFork":"no"}]'])
    async def test_instance_needs_an_answer(self, body: bytes) -> None:
        async with raw_server(ok(body)) as settings, await Platform.open(settings) as platform:
            with pytest.raises(SiblingUnreachable):
                await platform.apicore.instance("i1")

    async def test_set_instance_status(self, platform: Platform, siblings: RecordingSiblings) -> None:
        await platform.apicore.set_instance_status("i2", "reprocessing_skipped")
        (call,) = siblings.log
        assert (call.method, call.path) == ("POST", "/core/persist")
        assert call.json() == [{"_metadata": {"type": "processInstance", "changeTrack": "update"}, "id": "i2",
                                "status": "reprocessing_skipped"}]  # fmt: skip


class TestDomain:
    async def test_one_call_a_commit_once_the_address_is_known(
        self, platform: Platform, siblings: RecordingSiblings
    ) -> None:
        for instance_id in ("i1", "i2", "i3"):
            await platform.domain.commit("sysA", instance_id)
        assert [call.name for call in siblings.log] == ["domain_address", "commit", "commit", "commit"]
        assert (siblings.log[1].method, siblings.log[1].path) == ("POST", "/instance/i1/persist")
        assert siblings.commits == ["i1", "i2", "i3"]

    async def test_address_is_per_system_and_dropped_when_a_call_fails(
        self, platform: Platform, siblings: RecordingSiblings
    ) -> None:
        await platform.domain.commit("sysA", "i1")
        await platform.domain.commit("sysB", "i2")
        siblings.fail("domain", "commit", 1, 500)
        await platform.domain.commit("sysA", "i3")
        await platform.domain.commit("sysB", "i4")
        asked = [call.query["systemId"] for call in siblings.calls("domain_address")]
        assert asked == ["sysA", "sysB", "sysA"]

    async def test_a_domain_that_moved_is_found_within_the_same_call(
        self, platform: Platform, siblings: RecordingSiblings
    ) -> None:
        async with RecordingSiblings() as old:
            siblings.domains["sysA"] = (HOST, old.port)
            await platform.domain.commit("sysA", "i1")
        del siblings.domains["sysA"]
        await platform.domain.commit("sysA", "i2")
        assert (old.commits, siblings.commits) == (["i1"], ["i2"])

    async def test_apicores_failure_is_a_failed_try(self, platform: Platform, siblings: RecordingSiblings) -> None:
        siblings.fail("apicore", "domain_address", 2, 503)
        await platform.domain.commit("sysA", "i1")
        siblings.fail("domain", "commit", 1, 500)
        siblings.fail("apicore", "domain_address", 2, 503)
        with pytest.raises(SiblingUnreachable) as caught:
            await platform.domain.commit("sysA", "i2")
        assert (caught.value.service, caught.value.call) == ("apicore", "domain_address")

    @pytest.mark.parametrize("host", ["a..b", "x" * 70, "h/x", "u@h", "a b", "[::1", "é", "::1", "h\r\nX: y", "\x00"])
    async def test_an_impossible_address_is_asked_for_again(
        self, platform: Platform, siblings: RecordingSiblings, host: str
    ) -> None:
        siblings.domains["sysA"] = (host, 1)
        with pytest.raises(SiblingError):
            await platform.domain.commit("sysA", "i1")
        del siblings.domains["sysA"]
        await platform.domain.commit("sysA", "i1")
        assert siblings.commits == ["i1"]

    async def test_url_template(self, siblings: RecordingSiblings) -> None:
        siblings.domains["sysA"] = ("127.0.0", siblings.port)
        settings = siblings.settings(domain_url="http://{host}.1:{port}/prefix/")
        async with await Platform.open(settings) as platform:
            with pytest.raises(SiblingRefused, match="POST /prefix/instance/i1/persist"):
                await platform.domain.commit("sysA", "i1")

    @pytest.mark.parametrize(("body", "error"), [
        (b'{"message": "ok"}', None), (b"ok", None), (b'"ok"', None),
        (b"", SiblingRefused), (b"{}", SiblingRefused), (b'{"error": "disk full"}', SiblingRefused),
        (b'{"message": "token cookie"}', SiblingRefused), (b"\n<html>all ok</html>", SiblingUnreachable),
    ])  # fmt: skip
    async def test_success_says_ok(
        self, siblings: RecordingSiblings, body: bytes, error: type[Exception] | None
    ) -> None:
        async with raw_server(ok(body)) as there:
            siblings.domains["sysA"] = (HOST, there.apicore.port)
            async with await Platform.open(siblings.settings()) as platform:
                if error is None:
                    await platform.domain.commit("sysA", "i1")
                    return
                with pytest.raises(error):
                    await platform.domain.commit("sysA", "i1")
        assert siblings.count("domain_address") == (1 if error is SiblingRefused else 3)

    async def test_a_footprint_is_read_as_it_comes(self, platform: Platform, siblings: RecordingSiblings) -> None:
        siblings.entities["i1"] = [
            {"id": str(n), "text": "x" * 1000, "_metadata": {"type": "t", "changeTrack": "update"}} for n in range(1000)
        ]
        footprint = await platform.domain.footprint("sysA", "i1")
        assert footprint.changed == (("", tuple(base_key("t", str(n), "") for n in range(1000))),)
        siblings.fail("domain", "entities", 2, "half")
        assert await platform.domain.footprint("sysA", "i1") == footprint

    async def test_a_footprint_that_is_none_is_no_answer(self, platform: Platform, siblings: RecordingSiblings) -> None:
        siblings.fail("domain", "entities", 3, "garbage")
        with pytest.raises(SiblingUnreachable, match="not the agreed answer"):
            await platform.domain.footprint("sysA", "i1")

    async def test_entities(self, platform: Platform, siblings: RecordingSiblings) -> None:
        siblings.entities["i1"] = [{"a": 1, "_metadata": {"type": "t", "changeTrack": "update"}}]
        assert await platform.domain.entities("sysA", "i1") == siblings.entities["i1"]
        assert siblings.log[-1].path == "/instance/i1/entities"


class TestEventManager:
    async def test_send(self, platform: Platform, siblings: RecordingSiblings) -> None:
        await platform.event_manager.send(b'{"name": "x", "payload": {}}')
        (call,) = siblings.log
        assert (call.method, call.path) == ("PUT", "/sendevent")
        assert call.body == b'{"name": "x", "payload": {}}'

    async def test_a_refusal_is_tried_again_and_says_why(self, platform: Platform, siblings: RecordingSiblings) -> None:
        siblings.fail("event_manager", "send", 9, 400)
        with pytest.raises(SiblingRefused, match="answered 400: made to fail with 400"):
            await platform.event_manager.send(b"{}")
        assert len(siblings.log) == 3

    @pytest.mark.parametrize(
        ("says", "error"),
        [("Event x has no subscribers", NoSubscribers), ("the platform is locked to s1", SiblingLocked)],
    )
    async def test_some_refusals_speak_of_the_event(self, says: str, error: type[SiblingRefused]) -> None:
        body = b'{"message":"%s"}' % says.encode()
        answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        async with raw_server(answer) as settings, await Platform.open(settings) as platform:
            with capture_logs() as lines, pytest.raises(error, match=says):
                await platform.event_manager.send(b"{}")
        assert [line["final"] for line in lines] == [True], "it is not tried again"

    async def test_tries_of_a_notification(self, platform: Platform, siblings: RecordingSiblings) -> None:
        siblings.fail("event_manager", "send", 9, 503)
        with pytest.raises(SiblingUnreachable):
            await platform.event_manager.send(b"{}", tries=2)
        assert len(siblings.log) == 2

    async def test_a_proxys_page_is_no_acceptance(self, platform: Platform, siblings: RecordingSiblings) -> None:
        siblings.fail("event_manager", "send", 1, "garbage")
        await platform.event_manager.send(b"{}")
        assert (len(siblings.log), len(siblings.events)) == (2, 1)


def test_ipv6_sibling() -> None:
    assert Sibling(host="::1", port=80).url == "http://[::1]:80"

"""Each client against the contract: what it sends, what it makes of the answers."""

import asyncio
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from maestro.platform import NoSubscribers, Platform, SiblingLocked, SiblingRefused, SiblingUnreachable
from maestro.platform.apicore import DomainAddress, ProcessInstance
from maestro.platform.domain import CommitAnswer
from maestro.rules.doubt import CommitEnd
from maestro.rules.impact import Impacted
from maestro.rules.ledger import base_key
from maestro.settings.model import Sibling
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

    async def test_a_commit_whose_address_was_asked_for_needs_leave_again(self, siblings: RecordingSiblings) -> None:
        given, asked = asyncio.Event(), asyncio.Event()

        async def leave() -> None:
            asked.set()
            await given.wait()

        async with await Platform.open(siblings.settings(), leave=leave) as platform:
            commit = asyncio.create_task(platform.domain.commit("sysA", "i1"))
            await asyncio.wait([commit, waiting := asyncio.create_task(asked.wait())], return_when="FIRST_COMPLETED")
            assert [call.name for call in siblings.log] == ["domain_address"]
            given.set()
            await waiting
            assert (await commit).end is CommitEnd.MADE
            given.clear()
            await platform.domain.commit("sysA", "i2")  # at once: nothing came between

    async def test_address_is_per_system_and_dropped_when_a_commit_fails(
        self, platform: Platform, siblings: RecordingSiblings
    ) -> None:
        await platform.domain.commit("sysA", "i1")
        await platform.domain.commit("sysB", "i2")
        siblings.fail("domain", "commit", 1, 500)
        assert (await platform.domain.commit("sysA", "i3")).end is CommitEnd.REFUSED
        await platform.domain.commit("sysA", "i3")
        await platform.domain.commit("sysB", "i4")
        asked = [call.query["systemId"] for call in siblings.calls("domain_address")]
        assert asked == ["sysA", "sysB", "sysA"]

    async def test_address_is_dropped_when_a_question_fails(
        self, platform: Platform, siblings: RecordingSiblings
    ) -> None:
        await platform.domain.entities("sysA", "i1")
        siblings.fail("domain", "entities", 1, 503)
        await platform.domain.entities("sysA", "i1")
        assert siblings.count("domain_address") == 2

    async def test_a_domain_that_moved_is_found_by_the_next_call(
        self, platform: Platform, siblings: RecordingSiblings
    ) -> None:
        async with RecordingSiblings() as old:
            siblings.domains["sysA"] = (HOST, old.port)
            await platform.domain.commit("sysA", "i1")
        del siblings.domains["sysA"]
        assert (await platform.domain.commit("sysA", "i2")).end is CommitEnd.NOT_BEGUN
        assert (await platform.domain.commit("sysA", "i2")).end is CommitEnd.MADE
        assert (old.commits, siblings.commits) == (["i1"], ["i2"])

    @pytest.mark.parametrize("status", [400, 500, 503])
    async def test_without_an_address_nothing_is_begun(
        self, platform: Platform, siblings: RecordingSiblings, status: int
    ) -> None:
        siblings.fail("apicore", "domain_address", 1, status)
        answer = await platform.domain.commit("sysA", "i1")
        assert answer.end is CommitEnd.NOT_BEGUN
        assert answer.cause.startswith(f"apicore.domain_address: answered {status}")
        assert siblings.count("commit") == 0

    async def test_a_system_without_a_domain(self, platform: Platform, siblings: RecordingSiblings) -> None:
        answer = await platform.domain.commit("sysC", "i1")
        assert answer == CommitAnswer(
            CommitEnd.NO_DOMAIN, "apicore.domain_address: no domain is installed for this system"
        )

    @pytest.mark.parametrize(
        ("how", "end"),
        [
            (400, CommitEnd.REFUSED),
            (401, CommitEnd.REFUSED),
            (409, CommitEnd.REFUSED),
            (500, CommitEnd.REFUSED),
            (501, CommitEnd.REFUSED),
            ("applied_then_fail", CommitEnd.REFUSED),
            (404, CommitEnd.NO_ROUTE),
            (405, CommitEnd.NO_ROUTE),
            (413, CommitEnd.NO_ROUTE),
            (302, CommitEnd.LOST),
            (408, CommitEnd.LOST),
            (429, CommitEnd.LOST),
            (499, CommitEnd.LOST),
            (502, CommitEnd.LOST),
            (503, CommitEnd.LOST),
            (504, CommitEnd.LOST),
            ("garbage", CommitEnd.LOST),
            ("reset", CommitEnd.LOST),
            ("half", CommitEnd.LOST),
            ("hang", CommitEnd.LOST),
        ],
    )
    async def test_a_commit_is_called_once_however_it_ends(
        self, siblings: RecordingSiblings, how: How, end: CommitEnd
    ) -> None:
        async with await Platform.open(siblings.settings(commit_timeout=0.3)) as platform:
            await platform.domain.commit("sysA", "i0")  # the connection is a kept one
            siblings.fail("domain", "commit", 9, how)
            answer = await platform.domain.commit("sysA", "i1")
        assert answer.end is end
        assert answer.cause.startswith("domain.commit: ")
        assert siblings.count("commit") == 2

    async def test_a_commit_may_take_longer_than_other_answers(self, siblings: RecordingSiblings) -> None:
        siblings.latency = 0.3
        async with await Platform.open(siblings.settings(answer_timeout=0.1, commit_timeout=5.0)) as platform:
            siblings.latency = 0.0
            await platform.domain.entities("sysA", "i1")  # the address is known
            siblings.latency = 0.3
            assert (await platform.domain.commit("sysA", "i1")).end is CommitEnd.MADE

    async def test_a_connection_that_the_server_closed_while_it_was_idle_is_not_used(
        self, siblings: RecordingSiblings
    ) -> None:
        async with await Platform.open(siblings.settings()) as platform:
            await platform.domain.commit("sysA", "i1")
            await siblings.stop()
            await siblings.start()
            assert (await platform.domain.commit("sysA", "i2")).end is CommitEnd.MADE
        assert siblings.commits == ["i1", "i2"]

    @pytest.mark.parametrize("host", ["a..b", "x" * 70, "h/x", "u@h", "a b", "[::1", "é", "::1", "h\r\nX: y", "\x00"])
    async def test_an_impossible_address_is_asked_for_again(
        self, platform: Platform, siblings: RecordingSiblings, host: str
    ) -> None:
        siblings.domains["sysA"] = (host, 1)
        assert (await platform.domain.commit("sysA", "i1")).end is CommitEnd.NOT_BEGUN
        del siblings.domains["sysA"]
        await platform.domain.commit("sysA", "i1")
        assert siblings.commits == ["i1"]

    async def test_url_template(self, siblings: RecordingSiblings) -> None:
        siblings.domains["sysA"] = ("127.0.0", siblings.port)
        settings = siblings.settings(domain_url="http://{host}.1:{port}/prefix/")
        async with await Platform.open(settings) as platform:
            answer = await platform.domain.commit("sysA", "i1")
        assert answer.end is CommitEnd.NO_ROUTE
        assert "POST /prefix/instance/i1/persist" in answer.cause

    @pytest.mark.parametrize(("body", "end"), [
        (b'{"message": "ok"}', CommitEnd.MADE), (b"ok", CommitEnd.MADE), (b'"ok"', CommitEnd.MADE),
        (b"", CommitEnd.REFUSED), (b"{}", CommitEnd.REFUSED), (b'{"error": "disk full"}', CommitEnd.REFUSED),
        (b'{"message": "token cookie"}', CommitEnd.REFUSED), (b"\n<html>all ok</html>", CommitEnd.LOST),
    ])  # fmt: skip
    async def test_success_says_ok(self, siblings: RecordingSiblings, body: bytes, end: CommitEnd) -> None:
        async with raw_server(ok(body)) as there:
            siblings.domains["sysA"] = (HOST, there.apicore.port)
            async with await Platform.open(siblings.settings()) as platform:
                assert (await platform.domain.commit("sysA", "i1")).end is end

    async def test_changes_by_type(self, platform: Platform, siblings: RecordingSiblings) -> None:
        rows = [("t", "update"), ("t", "create"), ("u", "destroy"), ("t", "update")]
        siblings.entities["i1"] = [{"a": 1, "_metadata": {"type": one, "changeTrack": track}} for one, track in rows]
        assert await platform.domain.changes("sysA", "i1") == {"t": {"update", "create"}, "u": {"destroy"}}

    async def test_rows_of_an_instance_through_the_map(self, platform: Platform, siblings: RecordingSiblings) -> None:
        siblings.entities["i1"] = [{"a": 1, "_metadata": {"type": "t", "changeTrack": "create", "branch": "b1"}}]
        with pytest.raises(SiblingRefused):
            await platform.domain.has_rows("sysA", "t", "i1")
        await platform.apicore.register_map("sysA", "t")
        (new,) = siblings.log[-1].json()
        assert (new["name"], new["systemId"], new["version"]) == ("maestro", "sysA", "1")
        assert 'byInstance: "meta_instance_id = :instance"' in new["content"]
        assert await platform.domain.has_rows("sysA", "t", "i1") is False
        await platform.domain.commit("sysA", "i1")
        assert await platform.domain.has_rows("sysA", "t", "i1") is True
        call = siblings.log[-1]
        assert (call.path, call.query) == ("/maestro/t", {"filter": "byInstance", "instance": "i1"})
        assert call.branches == "all"

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

    async def test_what_is_sent_again_needs_leave_again(self, siblings: RecordingSiblings) -> None:
        sent: list[int] = []

        async def leave() -> None:
            sent.append(siblings.count("send"))

        siblings.fail("event_manager", "send", 2, 503)
        async with await Platform.open(siblings.settings(), leave=leave) as platform:
            await platform.event_manager.send(b"{}")
        assert (sent, siblings.count("send")) == ([1, 2], 3)

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

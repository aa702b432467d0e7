"""The client against a server of the test's own: what it sends, and what becomes of every kind of answer."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl

import msgspec
import pytest

from maestro.client.api import Decision, Maestro
from maestro.client.errors import BadTarget, NotReachable, Rejected
from maestro.client.finding import Ambiguous, NotFound, TooShort, documents, find, least_of
from maestro.client.target import Target, read_token


class Request(NamedTuple):
    line: str
    headers: dict[str, str]
    body: bytes


Respond = Callable[[Request], bytes]


class Server:
    """Answers each connection with the raw bytes that `respond` returns, then closes it."""

    def __init__(self) -> None:
        self.seen: list[Request] = []
        self.respond: Respond = lambda _: b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def answers(self, status: int, body: bytes, headers: str = "") -> None:
        self.respond = lambda _: http(status, body, headers)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection, suppress(OSError):
                    connection.settimeout(5)
                    self.seen.append(_read(connection))
                    connection.sendall(self.respond(self.seen[-1]))


def _read(connection: socket.socket) -> Request:
    file = connection.makefile("rb")
    line = file.readline().decode().rstrip()
    headers = {}
    while (header := file.readline().decode().rstrip()) != "":
        name, _, value = header.partition(": ")
        headers[name.lower()] = value
    return Request(line, headers, file.read(int(headers.get("content-length", 0))))


def http(status: int, body: bytes, headers: str = "") -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


DOCUMENT = b'{"id":"d 1","systemId":"s","status":"running","unheard":[1]}'


def test_what_is_sent(server: Server) -> None:
    server.answers(200, DOCUMENT)
    maestro = Maestro(Target(server.url + "/behind/", token="t0ken"))
    maestro.document("a/b c")
    decision = Decision("ana", digest="ff", budget={"replays": 3})
    assert maestro.decide("approve", "d", decision).value.status == "running"
    got, posted = server.seen
    assert got.line == "GET /behind/v1.0.0/reprocessing/a%2Fb%20c HTTP/1.1"
    assert got.headers["authorization"] == "Bearer t0ken"
    assert posted.line == "POST /behind/v1.0.0/reprocessing/d/approve HTTP/1.1"
    assert posted.body == b'{"user":"ana","digest":"ff","budget":{"replays":3}}'
    assert posted.headers["content-type"] == "application/json"


def test_units_are_named_whole(server: Server) -> None:
    server.answers(200, DOCUMENT)
    Maestro(Target(server.url)).leave_out("d", [("p1", "master")], Decision("ana", "obsolete"))
    (posted,) = server.seen
    assert posted.line == "POST /v1.0.0/reprocessing/d/units/leave_out HTTP/1.1"
    said = b'{"units":[{"instanceId":"p1","branch":"master"}],"reason":"obsolete","user":"ana"}'
    assert posted.body == said


def test_the_nodes_of_a_cluster(server: Server) -> None:
    server.answers(
        200,
        b'{"cluster":"grid","says":"","node":"north","unowned":["sysB"],"nodes":[{"name":"south","url":"http://s",'
        b'"version":"1","capacity":2,"holdsLease":true,"draining":true,"systems":3,"claims":false,"whyNot":"drains",'
        b'"holdsEvents":true,"waitsFor":[{"system":"sysA","why":"in_run"}]}]}',
    )
    told = Maestro(Target(server.url)).nodes().value
    (node,) = told.nodes
    assert (told.cluster, told.node, told.unowned) == ("grid", "north", ("sysB",))
    assert (node.holds_lease, node.why_not, node.holds_events, node.systems) == (True, "drains", True, 3)
    assert [(each.system, each.why) for each in node.waits_for] == [("sysA", "in_run")]
    assert server.seen[0].line == "GET /v1.0.0/nodes HTTP/1.1"


def test_the_raw_answer_is_kept(server: Server) -> None:
    server.answers(200, DOCUMENT, "Date: Tue, 24 Nov 2026 05:00:00 GMT\r\n")
    reply = Maestro(Target(server.url)).document("d")
    assert reply.raw == DOCUMENT
    assert reply.date.startswith("Tue, 24 Nov")


def test_a_refusal_has_all_its_fields(server: Server) -> None:
    body = b'{"status":"409","message":"changed","added":[{"instanceId":"p"}]}'
    server.answers(409, body)
    with pytest.raises(Rejected, match="changed") as refused:
        Maestro(Target(server.url)).document("d")
    assert (refused.value.status, refused.value.raw) == (409, body)
    assert refused.value.fields["added"] == [{"instanceId": "p"}]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (http(200, b"<html>"), "not an answer of Maestro"),
        (http(200, b'{"id":1}'), "not an answer of Maestro"),
        (http(502, b"<html>Bad   Gateway</html>"), "answered 502, not as Maestro does: <html>Bad Gateway"),
        (http(302, b"", "Location: /\r\n"), "answered 302"),
        (
            http(400, b'{"status":"400","message":"404: Not Found"}'),
            "this is no Maestro, but another service, which says: 404: Not",
        ),
        (http(404, b'{"message":"no route"}'), "this is no Maestro, but another service, which says: no route"),
        (b"SSH-2.0-x\r\n", "no HTTP answer"),
        (b"", "no HTTP answer|reset"),
        (b"HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\n{", "the answer broke off"),
    ],
)
def test_what_is_no_answer(server: Server, answer: bytes, says: str) -> None:
    server.respond = lambda _: answer
    with pytest.raises(NotReachable, match=says):
        Maestro(Target(server.url)).document("d")


def test_silence_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(NotReachable, match=r"no answer within 0\.2 s"):
            Maestro(Target(url, timeout=0.2)).systems()


def test_a_stream(server: Server) -> None:
    system = b'{"id":"s","state":"open"}'
    first = b'event: system\ndata: {"system":' + system + b',"document":' + DOCUMENT + b"}\n\n"
    second = b'data: {"system":' + system + b',\ndata: "document":null}\n\n'
    server.respond = lambda _: b"HTTP/1.1 200 X\r\n\r\n: hello\n\n" + first + second
    with Maestro(Target(server.url)).watch("s") as events:
        one, none = next(events), next(events)
        assert (one.raw, one.value and one.value.id) == (DOCUMENT, "d 1")
        assert none.value is None
        with pytest.raises(NotReachable, match="the stream ended"):
            next(events)


def test_a_stream_that_is_refused(server: Server) -> None:
    server.answers(503, b'{"status":"503","message":"there are 64 streams already"}')
    with pytest.raises(Rejected, match="64 streams"), Maestro(Target(server.url)).watch("s"):
        pass


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host:1",
        "ftp://x",
        "http://",
        "http://h:x",
        "http://u@h",
        "http://h?q",
        "http://h:0",
        "http://h#f",
        "http://a..b",
        "http://" + "a" * 64 + ".example.org",
    ],
)
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(BadTarget, match="url"):
        Target(url)


@pytest.mark.parametrize("token", ["a b", "a\nb", "ä"])
def test_a_token_that_is_none(token: str) -> None:
    with pytest.raises(BadTarget, match="token"):
        Target(token=token)


def test_a_token_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    with pytest.raises(BadTarget, match="No such file"):
        read_token(file)
    file.touch(0o600)
    with pytest.raises(BadTarget, match="is empty"):
        read_token(file)
    file.write_text("  abc\n")
    assert read_token(file) == "abc"
    file.chmod(0o640)
    with pytest.raises(BadTarget, match="chmod 600"):
        read_token(file)
    file.chmod(0o600)
    file.write_bytes(b"\xff")
    with pytest.raises(BadTarget, match="is no text"):
        read_token(file)


class TestFinding:
    """Two systems: `a` has aa1 (pending) and ab1 (finished), `b` has aa2 (finished)."""

    @pytest.fixture(autouse=True)
    def documents(self, server: Server) -> None:
        kept = {"a": {"aa1": "pending_approval", "ab1": "finished"}, "b": {"aa2": "finished"}}

        def respond(request: Request) -> bytes:
            path, _, query = request.line.split()[1].removeprefix("/v1.0.0/").partition("?")
            match path.split("/"):
                case ["systems"]:
                    return http(200, b'[{"id":"a"},{"id":"b"}]')
                case ["history"]:
                    asked = dict(parse_qsl(query))
                    fit = [
                        b'{"cursor":"1.%s","id":"%s"}' % (id_.encode(), id_.encode())
                        for some in kept.values()
                        for id_, one in some.items()
                        if asked.get("status", "") in ("", one)
                    ]
                    return http(200, b'{"records":[' + b",".join(fit) + b'],"next":null,"unanswered":[]}')
                case [_, system, "find"]:
                    asked = dict(parse_qsl(query))
                    status = asked.get("status", "")
                    named = [id_ for id_, one in kept[system].items() if status in ("", one)]
                    at = named.index(asked["after"]) + 1 if "after" in asked else 0
                    shown = named[at : at + 1]  # whatever is asked for: one on a page
                    more = f"X-Next-After: {shown[0]}\r\n".encode() if named[at + 1 :] else b""
                    body = b"[" + b",".join(_document(id_, kept[system][id_]) for id_ in shown) + b"]"
                    return http(200, body).replace(b"\r\n\r\n", b"\r\n" + more + b"\r\n", 1)
                case [_, id_]:
                    for some in kept.values():
                        if id_ in some:
                            return http(200, _document(id_, some[id_]))
            return http(404, b'{"status":"404","message":"no"}')

        server.respond = respond

    def test_exact(self, server: Server) -> None:
        assert find(Maestro(Target(server.url)), "aa1").value.id == "aa1"
        assert len(server.seen) == 1

    def test_all_of_them_page_by_page(self, server: Server) -> None:
        found = [msgspec.json.decode(raw)["id"] for raw in documents(Maestro(Target(server.url)), ("a", "b"))]
        assert found == ["aa1", "ab1", "aa2"]
        assert len(server.seen) == 3

    def test_by_its_beginning(self, server: Server) -> None:
        assert find(Maestro(Target(server.url)), "ab").value.id == "ab1"

    def test_those_that_the_action_can_act_on_go_first(self, server: Server) -> None:
        maestro = Maestro(Target(server.url))
        assert find(maestro, "aa", ("pending_approval",)).value.id == "aa1"
        assert find(maestro, "ab", ("pending_approval",)).value.id == "ab1"

    def test_several(self, server: Server) -> None:
        with pytest.raises(Ambiguous, match="aa1, aa2"):
            find(Maestro(Target(server.url)), "aa")

    def test_none(self, server: Server) -> None:
        with pytest.raises(NotFound, match="zz"):
            find(Maestro(Target(server.url)), "zz")

    @pytest.mark.parametrize("text", ["", " "])
    def test_an_empty_id_names_nothing(self, server: Server, text: str) -> None:
        with pytest.raises(TooShort, match="ID is empty"):
            find(Maestro(Target(server.url)), text)
        assert not server.seen

    def test_what_decides_without_a_question_is_no_short_abbreviation(self, server: Server) -> None:
        maestro, least = Maestro(Target(server.url)), least_of(unasked=True)
        assert find(maestro, "aa1", least=least).value.id == "aa1"
        with pytest.raises(TooShort, match="ab: too short to decide by; give at least 4 characters of the id"):
            find(maestro, "ab", least=least)
        assert find(maestro, "ab", least=least_of(unasked=False)).value.id == "ab1"


def _document(id_: str, status: str) -> bytes:
    return f'{{"id":"{id_}","systemId":"s","status":"{status}"}}'.encode()


def test_a_stream_ends_at_its_moment_although_the_gateway_goes_on_saying_that_it_is_there() -> None:
    stop = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def beats() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            _read(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
            while not stop.wait(0.02):
                connection.sendall(b":\n\n")

    thread = threading.Thread(target=beats)
    thread.start()
    try:
        maestro = Maestro(Target(f"http://127.0.0.1:{listener.getsockname()[1]}"))
        until = time.monotonic() + 0.3
        with maestro.watch("s", until=until) as events, pytest.raises(NotReachable):
            next(events)
        assert time.monotonic() >= until
    finally:
        stop.set()
        thread.join(5)
        listener.close()

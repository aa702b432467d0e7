"""What a system that does not answer has is not known, which is not nothing: no list says so, and the code is 3."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from maestro.cli.main import app
from maestro.client.api import Maestro
from maestro.client.target import Target
from maestro.doctor import reprocessings
from maestro.doctor.finding import Level
from maestro.doctor.site import Site
from maestro.settings.model import Settings

AWAY = {"status": "503", "message": "the broker is out of reach"}
UNAVAILABLE = {"id": "sysB", "state": "unavailable", "message": "the broker is out of reach"}
OPEN = {"id": "sysA", "state": "open", "queues": {"persist.sysA.queue.error": 0}}
EMPTY = {
    "waiting": {"total": 0, "events": [], "next": None},
    "skipped": {"total": 0, "skipped": [], "next": None},
    "errors": {"total": 0, "errors": []},
    "groups": {"total": 0, "count": 0, "lookedAt": 0, "groups": []},
    "find": [],
    "policies": {"policies": []},
}
#: What `sysA` and `sysB` have, where a test has them have something.
HELD = {
    "find": [{"id": "f459", "systemId": "sys", "status": "pending_approval"}],
    "policies": {"policies": [{"name": "small", "digest": "d1"}]},
}


class Gateway(BaseHTTPRequestHandler):
    """Two systems, `sysA` and `sysB`. The server's `away` says which do not answer; `held`, what the others have."""

    def do_GET(self) -> None:
        away: tuple[str, ...] = self.server.away  # type: ignore[attr-defined]  # set below
        held: dict[str, Any] = self.server.held  # type: ignore[attr-defined]  # set below
        path = self.path.partition("?")[0].removeprefix("/v1.0.0/").split("/")
        named = next((one for one in ("sysA", "sysB") if one in path), "")
        if path == ["systems"]:
            listed = (("sysA", OPEN), ("sysB", OPEN))
            self._answer(200, [{**(UNAVAILABLE if one in away else said), "id": one} for one, said in listed])
        elif path == ["history"]:
            self._answer(200, {"records": [], "next": None, "unanswered": list(away)})
        elif path == ["todo"]:
            items = [{"kind": "unavailable", "system": one} for one in away]
            self._answer(200, {"total": len(items), "counts": {}, "items": items, "next": None})
        elif named in away:
            self._answer(503, AWAY)
        elif path == ["systems", named]:
            self._answer(200, {**OPEN, "id": named})
        elif path[-1] in EMPTY:
            self._answer(200, {**EMPTY, **held}[path[-1]])
        else:
            self._answer(404, {"status": "404", "message": "no"})

    def _answer(self, status: int, body: object) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        server.away, server.held = (), {}  # type: ignore[attr-defined]  # read above
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def url(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def run(server: ThreadingHTTPServer, *words: str, away: tuple[str, ...]) -> Result:
    server.away = away  # type: ignore[attr-defined]  # read above
    return CliRunner().invoke(app, words, env={"MAESTRO_URL": url(server)})


@pytest.mark.parametrize(
    ("words", "nothing"),
    [
        (("waiting",), "nothing waits"),
        (("skipped",), "nothing was skipped"),
        (("errors", "list"), "the error queue is empty"),
        (("errors", "groups"), "the error queue is empty"),
        (("history",), "there are no reprocessings"),
        (("pending",), "nothing waits for a decision"),
        (("policy", "list"), "no policy is configured"),
        (("decide", "skip", "--all", "--reason", "x", "--yes"), "nothing waits for a decision"),
    ],
)
def test_an_empty_list_is_told_only_when_all_answered(
    server: ThreadingHTTPServer, words: tuple[str, ...], nothing: str
) -> None:
    ran = run(server, *words, away=())
    assert (ran.exit_code, ran.output) == (0, f"{nothing}\n")
    for away in (("sysB",), ("sysA", "sysB")):
        ran = run(server, *words, away=away)
        assert ran.exit_code == 3
        assert nothing not in ran.output
        assert all(one in ran.stderr for one in away)


@pytest.mark.parametrize("away", ["sysA", "sysB"])
@pytest.mark.parametrize(
    ("words", "shown"), [(("pending",), "f459"), (("policy", "list"), "small"), (("history", "--json"), "f459")]
)
def test_what_the_others_have_is_listed(
    server: ThreadingHTTPServer, words: tuple[str, ...], shown: str, away: str
) -> None:
    """Both stopped at the first system that did not answer."""
    server.held = HELD  # type: ignore[attr-defined]  # read above
    for form in (words, (*words, "--json")):
        ran = run(server, *dict.fromkeys(form), away=(away,))
        assert ran.exit_code == 3
        assert shown in ran.stdout
        assert away in ran.stderr


@pytest.mark.parametrize("words", [("pending", "sysB"), ("policy", "list", "sysB")])
def test_a_system_that_is_named_and_does_not_answer_is_a_failure(
    server: ThreadingHTTPServer, words: tuple[str, ...]
) -> None:
    ran = run(server, *words, away=("sysB",))
    assert (ran.exit_code, ran.stdout, "the broker is out of reach" in ran.stderr) == (3, "", True)


@pytest.mark.parametrize("words", [("todo",), ("systems",), ("todo", "--json"), ("systems", "--json")])
def test_what_names_all_systems_says_on_stderr_which_do_not_answer(
    server: ThreadingHTTPServer, words: tuple[str, ...]
) -> None:
    ran = run(server, *words, away=())
    assert (ran.exit_code, ran.stderr) == (0, "")
    ran = run(server, *words, away=("sysB",))
    assert (ran.exit_code, "sysB" in ran.stderr, "sysA" in ran.stderr) == (3, True, False)
    assert "sysB" in ran.stdout


@pytest.mark.parametrize(
    "words", [("waiting",), ("skipped",), ("errors", "list"), ("errors", "groups"), ("policy", "list")]
)
def test_json_has_those_that_answered_and_the_code_says_that_others_did_not(
    server: ThreadingHTTPServer, words: tuple[str, ...]
) -> None:
    ran = run(server, *words, "--json", away=("sysB",))
    assert (ran.exit_code, list(json.loads(ran.stdout))) == (3, ["sysA"])


@pytest.mark.parametrize("words", [("show", "abcd"), ("decide", "skip", "abcd", "--reason", "x", "--yes")])
def test_an_id_may_be_that_of_a_system_that_does_not_answer(
    server: ThreadingHTTPServer, words: tuple[str, ...]
) -> None:
    assert run(server, *words, away=()).exit_code == 4
    ran = run(server, *words, away=("sysB",))
    assert ran.exit_code == 3
    assert "sysB" in ran.stderr


def test_what_a_system_has_is_not_known(server: ThreadingHTTPServer) -> None:
    shown = run(server, "systems", away=("sysB",)).stdout.splitlines()
    cells = [[cell for cell in line.split("  ") if cell.strip()] for line in shown]
    answered, silent = ([cell.strip() for cell in row] for row in cells[1:])
    assert answered == ["sysA", "open", "-", "0", "0", "-", "0", "0", "0", "-"]
    assert silent == ["sysB", "unavailable", *["not known"] * 7, "the broker is out of reach"]


@pytest.mark.parametrize(
    ("away", "level", "subject", "says"),
    [
        ((), Level.OK, "all", "none is stuck"),
        (("sysB",), Level.WARNING, "some", "not known of sysB: no answer"),
        (("sysA", "sysB"), Level.WARNING, "all", "not known of sysA, sysB: no answer"),
    ],
)
async def test_the_doctor_gives_no_all_clear(
    server: ThreadingHTTPServer, away: tuple[str, ...], level: Level, subject: str, says: str
) -> None:
    server.away = away  # type: ignore[attr-defined]  # read above
    maestro = Maestro(Target(url(server)))
    for served in (tuple(maestro.systems().value), tuple(_said_open(maestro))):
        (found,) = await reprocessings.check_reprocessings(Site(Settings(), maestro, None, served=served), 24)
        assert (found.level, found.subject) == (level, subject)
        assert found.message.startswith(says)


def _said_open(maestro: Maestro) -> Iterator[Any]:
    """The systems as they were: one may have fallen silent since it was asked."""
    yield from (msgspec.structs.replace(one, state="open") for one in maestro.systems().value)

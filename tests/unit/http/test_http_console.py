"""The console's files: what is served, how, and that nothing else is."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import maestro.http
from maestro.http.console_routes import STATUSES
from maestro.statuses import Status
from tests.unit.http.conftest import Client

FOLDER = Path(maestro.http.__file__).parent / "console"
FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file())
TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


async def test_the_page(client: Client) -> None:
    reply = await client.get("/")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert reply.body == (FOLDER / "index.html").read_bytes()


async def test_every_file_with_its_type_and_policy(client: Client) -> None:
    assert len(FILES) > 20
    for name in FILES:
        reply = await client.get(f"/console/{name}")
        assert (reply.status, reply.body) == (200, (FOLDER / name).read_bytes())
        assert reply.headers["content-type"].startswith(TYPES[name.rpartition(".")[2]])
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert reply.headers["x-content-type-options"] == "nosniff"


async def test_an_unchanged_file_is_not_sent_again(client: Client) -> None:
    first = await client.get("/console/js/main.js")
    assert first.headers["cache-control"] == "no-cache"
    # A 304 has no body, and says no length of one: like the answer to HEAD.
    again = await client.call("HEAD", "/console/js/main.js", If_None_Match=first.headers["etag"])
    assert again.status == 304
    assert (await client.call("GET", "/console/js/main.js", If_None_Match='"other"')).status == 200


@pytest.mark.parametrize(
    "target",
    ["/console", "/console/", "/console/js", "/console/js/", "/console/none.js", "/console/../console_routes.py",
     "/console/%2e%2e/console_routes.py", "/console/..%2fconsole_routes.py", "/console//etc/passwd", "/index.html"],
)  # fmt: skip
async def test_nothing_else(client: Client, target: str) -> None:
    assert (await client.get(target)).status == 404


async def test_what_the_page_must_know(client: Client) -> None:
    assert (await client.get("/console/config.json")).json == {"typeSystemAbove": 50, "cluster": False}


class Inline(HTMLParser):
    """Collects what a strict policy would refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        self.found += [name for name in names if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in names):
            self.found.append(tag)
        self.found += [url for url in (names.get("src"), names.get("href")) if url and not url.startswith("/console/")]


def test_nothing_is_inline_or_from_elsewhere() -> None:
    page = Inline()
    page.feed((FOLDER / "index.html").read_text("utf-8"))
    assert page.found == []
    for name in FILES:
        text = (FOLDER / name).read_text("utf-8")
        elsewhere = set(re.findall(r"https?://[^\s\"'`)]+", text)) - {"http://www.w3.org/2000/svg"}
        assert elsewhere == set(), name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            name
        )


def test_all_modules_are_asked_for_at_once() -> None:
    page = (FOLDER / "index.html").read_text("utf-8")
    asked = set(re.findall(r"/console/(js/[\w./-]+\.js)", page))
    assert asked == {STATUSES, *(name for name in FILES if name.endswith(".js"))}


def test_every_module_that_is_imported_is_there() -> None:
    for name in FILES:
        if not name.endswith(".js"):
            continue
        for target in re.findall(r"from \"(\.[^\"]+)\"", (FOLDER / name).read_text("utf-8")):
            file = ((FOLDER / name).parent / target).resolve()
            assert file == (FOLDER / STATUSES).resolve() or file.is_file(), f"{name} imports {target}"


async def test_the_statuses_are_a_module_of_their_own(client: Client) -> None:
    answer = await client.get("/console/js/statuses.js")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert b'export const Status = {"PENDING":"pending_approval",' in answer.body
    assert b'"failed":["failure","aborted_split_events_failure","aborted_persist_domain_failure"]' in answer.body


def test_no_module_spells_a_status() -> None:
    """States of a system, phases of a document and kinds of what waits share words with statuses; texts name all."""
    shared = {"approved", "running", "paused"}
    kinds = {"js/todo.js": {"cancelled"}}
    for name in FILES:
        if name.endswith(".js") and not name.startswith("js/text/"):
            spelled = set(re.findall(r"[\"'`]([a-z_]+)[\"'`]", (FOLDER / name).read_text("utf-8"))) & set(Status)
            assert spelled <= shared | kinds.get(name, set()), name

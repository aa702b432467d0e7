"""Under which names the gateway answers, and to whom a network gives a role."""

import socket
from pathlib import Path

import pytest
import trustme

from maestro.http.hosts import Hosts, own_names
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import CheckLock
from maestro.settings.access import AccessSettings
from maestro.settings.model import HttpSettings
from tests.unit.http.authentication_kit import house
from tests.unit.http.conftest import SETTINGS, Client
from tests.unit.http.fake_actor_client import FakeActorClient

PROCEED = "/v1.0.0/gateway/sysA/proceed"
OURS = (
    "x", "maestro:6971", "localhost", "LOCALHOST:80", "app.localhost", "127.0.0.1", "127.0.0.1:6971", "[::1]:6971",
    "[::1]", "10.0.0.7", "maestro.example.org", "maestro.example.org.", "MAESTRO.example.org:443", "a.b.wild.example",
    "console.example", "gateway.internal.example",
)  # fmt: skip
FOREIGN = (
    "evil.example", "evil.example:6971", "127.0.0.1.evil.example", "localhost.evil.example",
    "maestro.example.org.evil.example",
    "wild.example", "xwild.example", "", ":80", "a b", "evil.example/localhost", "localhost@evil.example",
    "[::1].evil.example",
    "[evil.example]", "x:y", "evil\u3002example", "sub.maestro.example.org",
)  # fmt: skip


def made() -> Hosts:
    http = HttpSettings(host="gateway.internal.example", allowed_hosts=("maestro.example.org", "*.wild.example"))
    return Hosts(http, AccessSettings(origins=("https://console.example",)))


@pytest.mark.parametrize("host", OURS)
def test_own_names(host: str) -> None:
    hosts = made()
    assert hosts.takes(host)
    assert hosts.takes(host)


@pytest.mark.parametrize("host", FOREIGN)
def test_foreign_names(host: str) -> None:
    assert not made().takes(host)


def test_any_name_and_none() -> None:
    assert Hosts(HttpSettings(allowed_hosts=("*",)), AccessSettings()).takes("evil.example")
    assert made().takes(None)


def test_what_is_remembered_is_bounded() -> None:
    hosts = made()
    for number in range(2000):
        assert hosts.takes(f"x:{number}")
    assert len(hosts._taken) <= 256


def test_the_names_of_the_certificate_are_own_names(tmp_path: Path) -> None:
    file = tmp_path / "cert.pem"
    trustme.CA().issue_cert("maestro.cert.example", "*.cert2.example").cert_chain_pems[0].write_to_path(str(file))
    http = HttpSettings(tls_cert=str(file), tls_key=str(file))
    assert own_names(http) == [socket.gethostname(), "maestro.cert.example", "*.cert2.example"]
    hosts = Hosts(http, AccessSettings(), own_names(http))
    assert hosts.takes("maestro.cert.example")
    assert hosts.takes("a.cert2.example")
    file.write_text("nonsense")
    assert own_names(http) == [socket.gethostname()]


@pytest.mark.parametrize(
    "path", [PROCEED, "/v1.0.0/systems", "/healthz", "/", "/nothing", "/v1.0.0/reprocessing/sysA/find"]
)
async def test_every_path_refuses_a_foreign_name(client: Client, actor_client: FakeActorClient, path: str) -> None:
    """As open as it comes, a foreign site's page that has its name lead here reads nothing."""
    actor_client.answers[CheckLock] = Answer(Code.OK)
    request = f"GET {path} HTTP/1.1\r\nHost: evil.example\r\n\r\n".encode()
    for _ in range(2):
        reply = await client.raw(request)
        assert reply.is_error(421, "'evil.example'", "http.allowed_hosts")
    assert actor_client.asked == []
    assert (await client.raw(f"GET {path} HTTP/1.0\r\n\r\n".encode())).status in (200, 404)


async def test_a_browser_never_gets_a_networks_role(tmp_path: Path) -> None:
    async with house(tmp_path, platform_networks=("127.0.0.0/8",)) as at:
        at.actor_client.answers[CheckLock] = Answer(Code.OK)
        assert (await at.call(None, "GET", PROCEED)).status == 200
        for header in (
            {"Origin": "http://x"}, {"Sec_Fetch_Site": "same-origin"}, {"Sec_Fetch_Dest": "empty"}, {"Cookie": "a=b"},
            {"Referer": "http://x/"}, {"User_Agent": "Mozilla/5.0 (X11)"},
        ):  # fmt: skip
            assert (await at.call(None, "GET", PROCEED, **header)).status == 401, header
        body = b'{"instanceId":"i1","systemId":"sysA"}'
        reply = await at.call(None, "POST", "/v1.0.0/persist/sync", body, Origin="http://x", Host_="x")
        assert reply.status == 401
        assert (await at.call("events", "GET", PROCEED, User_Agent="Mozilla/5.0")).status == 200
        # What Node's fetch sends by itself is no browser's.
        node = {"Sec_Fetch_Mode": "cors", "Accept_Language": "*", "User_Agent": "node"}
        assert (await at.call(None, "GET", PROCEED, **node)).status == 200


async def test_answers_say_how_they_may_be_used(client: Client) -> None:
    for path in ("/v1.0.0/systems", "/healthz", "/nothing", PROCEED):
        reply = await client.get(path)
        assert reply.headers["cache-control"] == "no-store", path
        assert "strict-transport-security" not in reply.headers
    for path in ("/v1.0.0/systems", "/nothing", "/", "/docs", "/openapi.json"):
        assert (await client.get(path)).headers["x-content-type-options"] == "nosniff", path
    assert (await client.get("/")).headers["cache-control"] == "no-cache"
    malformed = await client.raw(b"NO SUCH THING\r\n\r\n")
    assert malformed.status == 400
    assert malformed.headers["cache-control"] == "no-store"


def test_settings_take_names_only() -> None:
    for wrong in ("http://x", "x:80", "a..b", "", "*x", "a b", "x/y"):
        with pytest.raises(ValueError, match="must be a name"):
            HttpSettings(allowed_hosts=(wrong,))
    assert SETTINGS.allowed_hosts == ()

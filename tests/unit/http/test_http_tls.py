"""HTTPS by the certificate of the settings."""

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme

from maestro.http import server
from maestro.http.app import create_app
from maestro.http.server import BindError, serve_http
from maestro.settings.model import HttpSettings
from tests.unit.http.conftest import SETTINGS, Reply, read_reply
from tests.unit.http.fake_actor_client import FakeActorClient


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def https(authority: trustme.CA, tmp_path: Path) -> HttpSettings:
    certificate = authority.issue_cert("127.0.0.1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    key.write_bytes(certificate.private_key_pem.bytes())
    return SETTINGS.model_copy(update={"tls_cert": str(cert), "tls_key": str(key)})


async def get(port: int, context: ssl.SSLContext) -> Reply:
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        reply = await read_reply(reader)
        writer.close()
        return reply


async def test_it_speaks_https(actor_client: FakeActorClient, authority: trustme.CA, https: HttpSettings) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with serve_http(create_app(actor_client, https), https) as address:
        assert address.url == f"https://127.0.0.1:{address.port}"
        reply = await get(address.port, context)
        assert reply.json == {"status": "ok"}
        assert reply.headers["strict-transport-security"] == "max-age=31536000"
        with pytest.raises(ssl.SSLCertVerificationError):
            await get(address.port, ssl.create_default_context())
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(old)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        assert (await get(address.port, old)).status == 200


async def test_plain_http_and_silence_are_cut_off(
    actor_client: FakeActorClient, https: HttpSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HANDSHAKE", 0.2)
    async with serve_http(create_app(actor_client, https), https) as address:
        for sent in (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b""):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(sent)
            async with asyncio.timeout(5):
                assert b"ok" not in await reader.read()
            writer.close()


@pytest.mark.parametrize("broken", ["cert", "key", "other"])
async def test_what_cannot_be_used_is_named(
    actor_client: FakeActorClient, https: HttpSettings, authority: trustme.CA, tmp_path: Path, broken: str
) -> None:
    if broken == "other":
        (tmp_path / "key.pem").write_bytes(authority.issue_cert("other").private_key_pem.bytes())
    else:
        (tmp_path / f"{broken}.pem").write_text("nonsense")
    with pytest.raises(BindError, match=r"certificate or key cannot be used .*cert\.pem"):
        async with serve_http(create_app(actor_client, https), https):
            pytest.fail("must not start")


def test_both_or_none() -> None:
    with pytest.raises(ValueError, match="both or none"):
        HttpSettings(tls_cert="x")

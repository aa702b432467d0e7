"""People's identities, against a local issuer that publishes its keys as a real one does."""

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from maestro.access import oidc as oidc_module
from maestro.access.oidc import IssuerAway, Oidc
from maestro.access.roles import Principal, Role
from maestro.access.tokens import TokenFile
from maestro.access.verifier import Refused, Verifier
from maestro.ports import free_port
from maestro.settings.access import OidcSettings

NOW = 1_700_000_000.0
RSA = RSAKey.generate_key(2048, {"kid": "k1"})


@dataclass
class Issuer:
    """An issuer on loopback."""

    url: str
    keys: list[Any] = field(default_factory=lambda: [RSA])
    fetches: int = 0
    up: bool = True
    names: str = ""
    #: Where it says its keys are, and where it sends those who fetch them there.
    keys_at: str = ""
    moved_to: str = ""
    #: Fetches wait for it.
    gate: asyncio.Event | None = None

    async def describe(self, _: web.Request) -> web.Response:
        return web.json_response({"issuer": self.names or self.url, "jwks_uri": self.keys_at or f"{self.url}/keys"})

    async def publish(self, _: web.Request) -> web.Response:
        self.fetches += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.moved_to:
            return web.Response(status=307, headers={"Location": self.moved_to})
        if not self.up:
            return web.Response(status=500)
        published = [key if isinstance(key, dict) else key.as_dict(private=False) for key in self.keys]
        return web.json_response({"keys": published})

    def token(self, key: Any = RSA, alg: str = "RS256", header: dict[str, Any] | None = None, **claims: Any) -> str:
        told = {"iss": self.url, "aud": "maestro", "sub": "ana", "exp": NOW + 600, "roles": ["maestro-approver"]}
        told = {name: value for name, value in {**told, **claims}.items() if value is not None}
        return jwt.encode({"alg": alg, "kid": key.kid, **(header or {})}, told, key, algorithms=[alg])


@asynccontextmanager
async def issuing() -> AsyncIterator[Issuer]:
    port = free_port()
    issuer = Issuer(f"http://127.0.0.1:{port}")
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", issuer.describe)
    app.router.add_get("/keys", issuer.publish)
    app.router.add_get("/moved", issuer.publish)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield issuer
    finally:
        await runner.cleanup()


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing() as it:
        yield it


def made(issuer: Issuer, at: Any = lambda: NOW, **settings: Any) -> Oidc:
    return Oidc(OidcSettings(issuer=issuer.url, audience="maestro", **settings), at)


async def test_a_person_with_roles(issuer: Issuer) -> None:
    oidc = made(issuer)
    assert await oidc.verify(issuer.token()) == Principal("ana", frozenset({Role.APPROVER}), None, "oidc", NOW + 630)
    both = await oidc.verify(issuer.token(roles=["maestro-viewer", "maestro-admin", "other"], aud=["x", "maestro"]))
    assert both.roles == {Role.VIEWER, Role.ADMIN}
    assert (await oidc.verify(issuer.token(roles=None))).roles == frozenset()
    assert issuer.fetches == 1


async def test_claims_are_mapped_by_settings(issuer: Issuer) -> None:
    oidc = made(issuer, user_claim="email", roles_claim="realm_access.roles", systems_claim="systems", viewers=("v",))
    token = issuer.token(email="ana@example.org", realm_access={"roles": ["v"]}, systems=["sysA"])
    assert await oidc.verify(token) == Principal(
        "ana@example.org", frozenset({Role.VIEWER}), frozenset({"sysA"}), "oidc", NOW + 630
    )
    assert (await oidc.verify(issuer.token(email="b"))).systems == frozenset()
    with pytest.raises(Refused, match="'email'"):
        await oidc.verify(issuer.token())


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"aud": "other"}, "another audience"),
        ({"aud": None}, "another audience"),
        ({"exp": NOW - 30}, "expired"),
        ({"exp": float("nan")}, "'exp'"),
        ({"exp": float("inf")}, "'exp'"),
        ({"exp": 10**400}, "'exp'"),
        ({"nbf": float("nan")}, "'nbf'"),
        ({"exp": None}, "'exp'"),
        ({"nbf": NOW + 100}, "not valid yet"),
        ({"sub": ""}, "'sub'"),
        ({"sub": "a\nb"}, "'sub'"),
        ({"sub": "x" * 201}, "'sub'"),
        ({"sub": "Platform"}, "no person"),
        ({"sub": "platform:open_branch"}, "no person"),
    ],
)
async def test_what_is_wrong_with_the_claims(issuer: Issuer, claims: dict[str, Any], why: str) -> None:
    with pytest.raises(Refused, match=why):
        await made(issuer).verify(issuer.token(**claims))


def coded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def part(fields: dict[str, Any]) -> str:
    return coded(json.dumps(fields).encode())


async def test_forged_tokens(issuer: Issuer) -> None:
    oidc = made(issuer)
    foreign = RSAKey.generate_key(2048, {"kid": "k1"})
    head, body, signature = issuer.token().split(".")
    with_public_key = f"{part({'alg': 'HS256', 'kid': 'k1'})}.{body}"
    with_public_key += "." + coded(hmac.digest(RSA.as_pem(private=False), with_public_key.encode(), "sha256"))
    none = f"{part({'alg': 'none'})}.{body}."
    embedded = issuer.token(foreign, header={"jwk": foreign.as_dict(private=False), "jku": issuer.url})
    for forged in (issuer.token(foreign), with_public_key, none, f"{head}.{body}.", f"{head}.{body}x.{signature}",
                   embedded, "a.b.c", "", "..", "x" * 100):  # fmt: skip
        with pytest.raises(Refused) as refused:
            await oidc.verify(forged)
        assert signature not in str(refused.value)


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        (ECKey.generate_key("P-256", {"kid": "e"}), "ES256"),
        (OKPKey.generate_key("Ed25519", {"kid": "o"}), "Ed25519"),
    ],
)
async def test_other_kinds_of_keys(issuer: Issuer, key: Any, alg: str) -> None:
    issuer.keys.append(key)
    assert (await made(issuer).verify(issuer.token(key, alg))).name == "ana"


async def test_new_keys_are_fetched_and_not_too_often(issuer: Issuer) -> None:
    at = [NOW]
    oidc = made(issuer, lambda: at[0])
    await oidc.verify(issuer.token())
    new = RSAKey.generate_key(2048, {"kid": "k2"})
    issuer.keys = [new]
    for _ in range(5):
        with pytest.raises(Refused):
            await oidc.verify(issuer.token(new))
    assert issuer.fetches == 1
    at[0] += oidc_module.FETCH_EVERY
    assert (await oidc.verify(issuer.token(new))).name == "ana"
    at[0] += oidc_module.FETCH_EVERY
    with pytest.raises(Refused):
        await oidc.verify(issuer.token())  # the old key is withdrawn
    assert issuer.fetches == 3


async def test_an_issuer_that_is_away(issuer: Issuer) -> None:
    at = [NOW]
    oidc = made(issuer, lambda: at[0])
    issuer.up = False
    with pytest.raises(IssuerAway, match="out of reach"):
        await oidc.verify(issuer.token())
    issuer.up = True
    at[0] += oidc_module.FETCH_EVERY
    await oidc.verify(issuer.token())
    issuer.up = False
    at[0] += oidc_module.KEYS_FOR + 1
    assert (await oidc.verify(issuer.token(exp=at[0] + 9))).name == "ana"  # the keys at hand are as good as they were


async def test_keys_are_trusted_for_a_bounded_time_while_the_issuer_is_away(issuer: Issuer) -> None:
    at = [NOW]
    oidc = made(issuer, lambda: at[0], keys_max_age=7200)
    await oidc.verify(issuer.token())
    issuer.up = False
    at[0] += 7100
    assert (await oidc.verify(issuer.token(exp=at[0] + 9))).name == "ana"
    at[0] += 101
    with pytest.raises(IssuerAway):
        await oidc.verify(issuer.token(exp=at[0] + 9))
    issuer.up = True
    at[0] += oidc_module.FETCH_EVERY
    assert (await oidc.verify(issuer.token(exp=at[0] + 9))).name == "ana"


async def test_an_unknown_key_id_delays_nobody_with_a_known_one(issuer: Issuer) -> None:
    at = [NOW]
    oidc = made(issuer, lambda: at[0])
    await oidc.verify(issuer.token())
    at[0] += oidc_module.FETCH_EVERY
    issuer.gate = asyncio.Event()
    foreign = RSAKey.generate_key(2048, {"kid": "unknown"})
    strangers = [asyncio.create_task(oidc.verify(issuer.token(foreign))) for _ in range(3)]
    async with asyncio.timeout(5):
        while issuer.fetches < 2:  # noqa: ASYNC110 - the issuer offers no event
            await asyncio.sleep(0.005)
    async with asyncio.timeout(1):
        assert (await oidc.verify(issuer.token(sub="ben"))).name == "ben"
    assert not any(stranger.done() for stranger in strangers)
    issuer.gate.set()
    assert all(isinstance(refused, Refused) for refused in await asyncio.gather(*strangers, return_exceptions=True))
    assert issuer.fetches == 2


async def test_old_keys_are_renewed_beside_their_use(issuer: Issuer) -> None:
    at = [NOW]
    oidc = made(issuer, lambda: at[0])
    await oidc.verify(issuer.token())
    at[0] += oidc_module.KEYS_FOR + 1
    issuer.gate = asyncio.Event()
    async with asyncio.timeout(1):
        assert (await oidc.verify(issuer.token(exp=at[0] + 9))).name == "ana"
    issuer.gate.set()
    async with asyncio.timeout(5):
        while issuer.fetches < 2 or oidc._fetch is not None:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.005)
    assert oidc._age() == 0


@pytest.mark.parametrize(
    "foreign",
    [
        {"kty": "AKP", "kid": "pq", "alg": "ML-DSA-44", "pub": "AAAA"},
        {"kty": "RSA", "kid": "torn", "e": "AQAB"},
        {"kty": "EC", "kid": "curve", "crv": "P-999", "x": "AA", "y": "AA"},
        {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"},
        {"kid": "none"},
        {"kty": "RSA", "kid": "k1", "n": "AQAB", "e": "AQAB", "use": "enc"},
        {"kty": 7},
    ],
)
async def test_one_foreign_key_locks_nobody_out(issuer: Issuer, foreign: dict[str, Any]) -> None:
    issuer.keys.insert(0, foreign)
    assert (await made(issuer).verify(issuer.token())).name == "ana"


async def test_a_token_that_names_no_key(issuer: Issuer) -> None:
    issuer.keys.insert(0, RSAKey.generate_key(2048, {"kid": "other"}))
    assert (await made(issuer).verify(issuer.token(header={"kid": ""}))).name == "ana"


async def test_keys_are_fetched_on_the_same_host_only(issuer: Issuer) -> None:
    issuer.moved_to = f"{issuer.url}/moved?again"
    with pytest.raises(IssuerAway):  # it redirects for ever
        await made(issuer).verify(issuer.token())
    assert issuer.fetches == 1 + oidc_module.REDIRECTS
    async with issuing() as other:
        issuer.moved_to = f"{other.url}/keys"
        with pytest.raises(IssuerAway):
            await made(issuer).verify(issuer.token())
        assert other.fetches == 0


@pytest.mark.parametrize("url", ["http://keys.example/keys", "http://10.0.0.1/keys", "file:///etc/passwd", "ftp://x/y"])
async def test_keys_are_not_taken_over_plain_http(issuer: Issuer, url: str) -> None:
    issuer.keys_at = url
    oidc = made(issuer)
    with pytest.raises(IssuerAway):
        await oidc.verify(issuer.token())
    assert "is not https" in oidc._problem


async def test_its_clock_may_be_off_a_little(issuer: Issuer) -> None:
    assert (await made(issuer).verify(issuer.token(exp=NOW - 29, nbf=NOW + 29))).name == "ana"


async def test_an_issuer_that_names_itself_otherwise(issuer: Issuer) -> None:
    issuer.names = "https://evil.example"
    with pytest.raises(IssuerAway, match="out of reach"):
        await made(issuer).verify(issuer.token())


async def test_one_fetch_for_many_at_once(issuer: Issuer) -> None:
    oidc = made(issuer)
    await asyncio.gather(*(oidc.verify(issuer.token()) for _ in range(20)))
    assert issuer.fetches == 1


async def test_tokens_of_both_kinds_beside_each_other(issuer: Issuer, tmp_path: Any) -> None:
    file = TokenFile(tmp_path)
    token = file.add("ben", Role.VIEWER)
    made_ = Verifier(file, 60, made(issuer), lambda: NOW)
    assert (await made_.verify(token)).name == "ben"
    person = issuer.token(exp=NOW + 10)
    assert (await made_.verify(person)).via == "oidc"
    assert made_.known(person)
    with pytest.raises(Refused):
        await made_.verify("mst_" + "a" * 12 + "_" + "b" * 43)

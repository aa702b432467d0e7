"""People's identities: signed tokens (JWT) of one OpenID Connect issuer, verified against its published keys.

Theory of operation: keys are fetched when a token needs them, by one fetch at a time. A token whose key is known is
verified at once, whatever becomes of a fetch under way. Keys older than `KEYS_FOR` are renewed beside that; while the
issuer is out of reach they are trusted up to `access.oidc.keys_max_age`. A key of the set that cannot be used (another
kind, damaged, for encryption) is left out; the others count.
"""

import asyncio
import json
import math
import time
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import aiohttp
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey
from joserfc.jws import extract_compact

from maestro import logs
from maestro.access.roles import Principal, Role, for_a_person
from maestro.access.verifier import Refused, Undecided
from maestro.settings.access import OidcSettings

Key = RSAKey | ECKey | OKPKey

#: Signatures taken, and the kind of key each needs: a private key of the issuer's. Never a shared secret, never none.
ALGORITHMS: Final[dict[str, type[Key]]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), RSAKey),
    **dict.fromkeys(("ES256", "ES384", "ES512"), ECKey),
    "Ed25519": OKPKey,
}
#: Seconds after which the keys are renewed, and between two fetches.
KEYS_FOR, FETCH_EVERY = 3600.0, 10.0
#: Seconds to wait for the issuer, bytes of an answer of it, and seconds its clock may be off.
TIMEOUT, MAX_ANSWER, LEEWAY = 10.0, 1024 * 1024, 30
#: Redirects followed, all on the host that was asked; keys tried for a token that names none, or a name twice given.
REDIRECTS, CANDIDATES = 3, 8
MAX_NAME: Final = 200
#: Seconds since the epoch that a claim may name: no NaN, no infinity, no number of hundreds of digits.
MAX_MOMENT: Final = 1e11
_KINDS: Final = frozenset({"RSA", "EC", "OKP"})
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_UNUSABLE: Final = (JoseError, ValueError, TypeError, KeyError, AttributeError)


class IssuerAway(Undecided):
    """The issuer's keys cannot be fetched."""


class Oidc:
    """Verifies an issuer's tokens. Its keys are fetched when they are needed, not before."""

    def __init__(self, settings: OidcSettings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._keys: tuple[Key, ...] = ()
        self._fetched = self._tried = -math.inf
        self._fetch: asyncio.Task[None] | None = None
        #: Why the last fetch failed; empty when it did not.
        self._problem = ""

    async def verify(self, credential: str) -> Principal:
        """Return whom the token stands for.

        Raises:
            Refused: it is not valid.
            IssuerAway: the keys that would tell cannot be fetched now.
        """
        algorithm, kid = _header(credential)
        for key in await self._candidates(algorithm, kid):
            try:
                token = jwt.decode(credential, key, algorithms=[algorithm])
            except _UNUSABLE:
                continue
            return self._principal(token.claims)
        raise Refused("the token's signature is not valid")

    def _principal(self, claims: dict[str, Any]) -> Principal:
        settings, now = self._settings, self._clock()
        audience = claims.get("aud")
        expires = _seconds(claims.get("exp"), "exp") + LEEWAY
        if claims.get("iss") != settings.issuer:
            raise Refused("the token is of another issuer")
        if settings.audience not in (audience if isinstance(audience, list) else [audience]):
            raise Refused("the token is for another audience")
        if now >= expires:
            raise Refused("the token has expired")
        if "nbf" in claims and now + LEEWAY < _seconds(claims["nbf"], "nbf"):
            raise Refused("the token is not valid yet")
        name = claims.get(settings.user_claim)
        if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME or not name.isprintable():
            raise Refused(f"the token has no usable claim {settings.user_claim!r}")
        if not for_a_person(name):
            raise Refused(f"the token's {settings.user_claim!r} stands for what no person decided")
        return Principal(name, self._roles(claims), self._systems(claims), "oidc", expires)

    def _roles(self, claims: dict[str, Any]) -> frozenset[Role]:
        settings, held = self._settings, _texts(_claim(claims, self._settings.roles_claim))
        wanted = ((Role.VIEWER, settings.viewers), (Role.APPROVER, settings.approvers), (Role.ADMIN, settings.admins))
        return frozenset(role for role, values in wanted if held.intersection(values))

    def _systems(self, claims: dict[str, Any]) -> frozenset[str] | None:
        """With a systems claim configured, a token without it is allowed on none."""
        name = self._settings.systems_claim
        return _texts(_claim(claims, name)) if name else None

    async def _candidates(self, algorithm: str, kid: str) -> list[Key]:
        """Return the keys that may have signed a token; renewed first where none at hand fits. Raises `IssuerAway`."""
        fitting = self._fitting(algorithm, kid)
        if fitting:
            if self._age() > KEYS_FOR:
                self._renew()
            return fitting
        fetch = self._renew()
        if fetch is not None:
            await asyncio.shield(fetch)
            fitting = self._fitting(algorithm, kid)
        if not fitting and self._problem:
            raise IssuerAway("the issuer's keys are out of reach")
        return fitting

    def _fitting(self, algorithm: str, kid: str) -> list[Key]:
        if self._age() > self._settings.keys_max_age:
            return []
        kind = ALGORITHMS[algorithm]
        fitting = [key for key in self._keys if isinstance(key, kind) and (not kid or key.kid == kid)]
        return fitting[:CANDIDATES]

    def _age(self) -> float:
        """Seconds since the keys were fetched; a clock that was set back makes them old."""
        age = self._clock() - self._fetched
        return age if age >= 0 else math.inf

    def _renew(self) -> "asyncio.Task[None] | None":
        """Return the fetch under way, begun now if the last one is long enough ago; None when it is not."""
        now = self._clock()
        if self._fetch is None and not 0 <= now - self._tried < FETCH_EVERY:
            self._tried = now
            self._fetch = asyncio.create_task(self._fetch_keys(), name="keys of the issuer")
            self._fetch.add_done_callback(self._fetch_ended)
        return self._fetch

    def _fetch_ended(self, fetch: "asyncio.Task[None]") -> None:
        self._fetch = None
        if not fetch.cancelled() and fetch.exception() is not None:
            logs.get(part="access").error("access.keys_fetch_died", exc_info=fetch.exception())

    async def _fetch_keys(self) -> None:
        log, begun = logs.get(part="access"), self._clock()
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        try:
            async with asyncio.timeout(TIMEOUT), aiohttp.ClientSession(timeout=timeout) as session:
                url = self._settings.jwks_url or await self._discovered(session)
                keys, unusable = _imported((await self._json(session, url))["keys"])
            if not keys:
                raise ValueError("it publishes no key that can be used")
        except (aiohttp.ClientError, OSError, TimeoutError, *_UNUSABLE) as problem:
            self._problem = f"{type(problem).__name__}: {problem}"[:300]
            trusted = max(0.0, self._settings.keys_max_age - self._age()) if self._keys else 0.0
            log.error(  # noqa: TRY400 - the cause is all there is to say
                "access.issuer_away", issuer=self._settings.issuer, cause=self._problem, keys_trusted_for=round(trusted)
            )
            return
        if unusable:
            log.warning("access.keys_left_out", issuer=self._settings.issuer, count=unusable, used=len(keys))
        self._keys, self._fetched, self._problem = keys, begun, ""

    async def _discovered(self, session: aiohttp.ClientSession) -> str:
        url = self._settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
        described = await self._json(session, url)
        if described.get("issuer") != self._settings.issuer:
            raise ValueError("the issuer describes itself as another")
        url = described["jwks_uri"]
        if not isinstance(url, str):
            raise TypeError("jwks_uri is no text")
        return url

    async def _json(self, session: aiohttp.ClientSession, url: str) -> Any:
        """Return what is there, read over https; a redirect is followed on the same host only."""
        for _ in range(1 + REDIRECTS):
            self._check_url(url)
            async with session.get(url, allow_redirects=False) as answer:
                location = answer.headers.get("Location", "")
                if answer.status in (301, 302, 303, 307, 308) and location:
                    target = urljoin(url, location)
                    if urlsplit(target).netloc != urlsplit(url).netloc:
                        raise ValueError("it redirects to another host")
                    url = target
                    continue
                answer.raise_for_status()
                body = bytearray()
                async for part in answer.content.iter_any():
                    body += part
                    if len(body) > MAX_ANSWER:
                        raise ValueError("the answer is too large")
                return json.loads(body)
        raise ValueError("it redirects too often")

    def _check_url(self, url: str) -> None:
        """Refuse what others on the way could change; http only on loopback, for an issuer that is there itself."""
        parts = urlsplit(url)
        local = parts.hostname in _LOOPBACK and self._settings.issuer.startswith("http://")
        if parts.scheme != "https" and not (parts.scheme == "http" and local):
            raise ValueError(f"{parts.scheme}://{parts.netloc} is not https")


def _imported(published: Iterable[Any]) -> tuple[tuple[Key, ...], int]:
    """Return the published keys that can verify signatures, and how many cannot."""
    keys: list[Key] = []
    unusable = 0
    for one in published:
        try:
            key = JWKRegistry.import_key(one) if one.get("kty") in _KINDS else None
            uses = one.get("use") in (None, "sig") and "verify" in (one.get("key_ops") or ("verify",))
        except _UNUSABLE:
            uses = False
        if uses and isinstance(key, Key):
            keys.append(key)
        else:
            unusable += 1
    return tuple(keys), unusable


def _header(credential: str) -> tuple[str, str]:
    """Return a token's algorithm and key id (empty without one). Raises `Refused`."""
    try:
        header = extract_compact(credential.encode()).headers()
        algorithm, kid = header.get("alg"), header.get("kid", "")
    except _UNUSABLE as problem:
        raise Refused("the token is not known") from problem
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS or not isinstance(kid, str):
        raise Refused("the token is signed in a way that is not taken")
    return algorithm, kid


def _claim(claims: dict[str, Any], path: str) -> Any:
    """Return a claim; a dotted path leads into objects, as `realm_access.roles`."""
    value: Any = claims
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return claims.get(path) if value is None else value


def _texts(value: Any) -> frozenset[str]:
    if isinstance(value, str):
        return frozenset(value.split())
    return frozenset(one for one in value if isinstance(one, str)) if isinstance(value, list) else frozenset()


def _seconds(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < MAX_MOMENT:
        raise Refused(f"the token has no usable claim {name!r}")
    return float(value)

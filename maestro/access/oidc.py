"""People's identities: signed tokens (JWT) of one OpenID Connect issuer, verified against its published keys."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any, Final

import aiohttp
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import extract_compact

from maestro import logs
from maestro.access.roles import Principal, Role
from maestro.access.verifier import Refused
from maestro.settings import OidcSettings

#: Signatures taken: by a private key of the issuer's. Never by a shared secret, never none.
ALGORITHMS: Final = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519"]
#: Seconds the keys are kept, and between two fetches when a token names a key that is not among them.
KEYS_FOR, FETCH_EVERY = 3600.0, 10.0
#: Seconds to wait for the issuer, bytes of an answer of it, and seconds its clock may be off.
PATIENCE, MAX_ANSWER, LEEWAY = 10.0, 1024 * 1024, 30
MAX_NAME: Final = 200


class IssuerAway(Exception):  # noqa: N818 - it says where the issuer is
    """The issuer's keys cannot be fetched."""


class Oidc:
    """Verifies an issuer's tokens. Its keys are fetched when they are needed, not before."""

    def __init__(self, settings: OidcSettings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._keys: KeySet | None = None
        self._ids: frozenset[str] = frozenset()
        self._fetched = self._tried = 0.0
        self._fetching = asyncio.Lock()

    async def verify(self, credential: str) -> Principal:
        """Return whom the token stands for. Raises `Refused`."""
        kid = _key_id(credential)
        try:
            keys = await self._keys_with(kid)
            token = jwt.decode(credential, keys, algorithms=ALGORITHMS)
        except IssuerAway as problem:
            logs.get(part="access").error("access.issuer_away", cause=str(problem))
            raise Refused("the issuer's keys are out of reach") from problem
        except (JoseError, ValueError, TypeError, KeyError) as problem:
            raise Refused("the token's signature is not valid") from problem
        return self._principal(token.claims)

    def _principal(self, claims: dict[str, Any]) -> Principal:
        settings, now = self._settings, self._clock()
        audience = claims.get("aud")
        expires = _seconds(claims.get("exp"), "exp")
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
        return Principal(name, self._roles(claims), self._systems(claims), "oidc", expires)

    def _roles(self, claims: dict[str, Any]) -> frozenset[Role]:
        settings, held = self._settings, _texts(_claim(claims, self._settings.roles_claim))
        wanted = ((Role.VIEWER, settings.viewers), (Role.APPROVER, settings.approvers), (Role.ADMIN, settings.admins))
        return frozenset(role for role, values in wanted if held.intersection(values))

    def _systems(self, claims: dict[str, Any]) -> frozenset[str] | None:
        """With a systems claim configured, a token without it is allowed on none."""
        name = self._settings.systems_claim
        return _texts(_claim(claims, name)) if name else None

    async def _keys_with(self, kid: str) -> KeySet:
        """Return the issuer's keys, fetched anew when they are old or `kid` is not among them."""
        async with self._fetching:
            now = self._clock()
            stale = self._keys is None or now - self._fetched > KEYS_FOR or kid not in self._ids
            if stale and now - self._tried >= FETCH_EVERY:
                self._tried = now
                await self._fetch(now)
            if self._keys is None:
                raise IssuerAway("no keys yet")
            return self._keys

    async def _fetch(self, now: float) -> None:
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session:
                url = self._settings.jwks_url or await self._discovered(session)
                self._keys = KeySet.import_key_set(await _json(session, url))
        except (aiohttp.ClientError, TimeoutError, JoseError, ValueError, KeyError, TypeError) as problem:
            if self._keys is None:
                raise IssuerAway(f"{self._settings.issuer}: {type(problem).__name__}: {problem}") from problem
            # The keys at hand are as good as they were.
            logs.get(part="access").warning("access.keys_not_renewed", cause=str(problem))
            return
        self._ids = frozenset(key.kid for key in self._keys.keys if key.kid)
        self._fetched = now

    async def _discovered(self, session: aiohttp.ClientSession) -> str:
        described = await _json(session, self._settings.issuer.rstrip("/") + "/.well-known/openid-configuration")
        if described.get("issuer") != self._settings.issuer:
            raise ValueError("the issuer describes itself as another")
        url = described["jwks_uri"]
        if not isinstance(url, str):
            raise TypeError("jwks_uri is no text")
        return url


async def _json(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.get(url) as answer:
        answer.raise_for_status()
        body = await answer.content.read(MAX_ANSWER + 1)
    if len(body) > MAX_ANSWER:
        raise ValueError("the answer is too large")
    return json.loads(body)


def _key_id(credential: str) -> str:
    try:
        header = extract_compact(credential.encode()).headers()
    except (JoseError, ValueError, TypeError, KeyError) as problem:
        raise Refused("the token is not known") from problem
    if header.get("alg") not in ALGORITHMS:
        raise Refused("the token is signed in a way that is not taken")
    return str(header.get("kid", ""))


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
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"the token has no usable claim {name!r}")
    return float(value)

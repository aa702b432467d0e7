"""Authentication: tells who a request comes from, and lets it in or refuses it, before any handler sees it.

Refusals: 400 (credentials that cannot be read), 401 (none, or none that is valid), 403 (not allowed, or sent by a
foreign web page), 421 (under a name that is not the gateway's), 429 (too often), 503 (nobody can tell now).

Limits: what is let in counts for its caller. What is refused counts for its address, and a credential that fails counts
there as a guess. A credential that is valid is never refused because of what others did, from the same address or not.
"""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from ipaddress import ip_address, ip_network
from math import ceil
from typing import Final
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from maestro.access.roles import EVERYBODY, NETWORK, Principal, Role, of_networks
from maestro.access.throttle import Buckets, address_key
from maestro.access.verifier import Refused, Undecided, Verifier
from maestro.http.hosts import Hosts, from_browser
from maestro.http.replies import Denied, Problem
from maestro.settings.access import AccessSettings
from maestro.settings.model import HttpSettings

SAFE: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
#: Seconds after which to ask again when nobody can tell whether a credential is valid.
ASK_AGAIN: Final = 5
_SCHEME: Final = "bearer "
_CHALLENGE: Final = 'Bearer realm="maestro"'


class Authentication:
    """Lets requests in. Without a verifier no credentials are asked for. `names`: the gateway's, beside those set."""

    def __init__(
        self, access: AccessSettings, http: HttpSettings, verifier: Verifier | None, names: Iterable[str] = ()
    ) -> None:
        self._verifier = verifier
        self.hosts = Hosts(http, access, names)
        by_role = {
            Role.PLATFORM: access.platform_networks,
            Role.VIEWER: access.viewer_networks,
            Role.APPROVER: access.approver_networks,
        }
        self._networks = [(role, ip_network(network)) for role, networks in by_role.items() for network in networks]
        self._origins = frozenset(access.origins)
        self._failures = Buckets(access.failures / 60, access.failures)
        self._requests = Buckets(http.rate, http.burst)

    @property
    def open(self) -> bool:
        """Whether everybody is let in."""
        return self._verifier is None

    def known(self, request: web.BaseRequest) -> Principal | None:
        """Return the caller if it can be told at once: its credential was verified before."""
        assert self._verifier is not None, "asked for with access control only"
        sent = request.headers.getall(hdrs.AUTHORIZATION, ())
        if len(sent) == 1 and sent[0][:7].lower() == _SCHEME:
            return self._verifier.known(sent[0][7:])
        return self._from_network(request) if not sent else None

    def still_known(self, request: web.BaseRequest) -> bool:
        """Whether who was let in would be let in again: asked now and again by what is answered without an end.

        Also False once a credential is due to be verified again; its holder comes again.
        """
        return self._verifier is None or self.known(request) is not None

    async def enter(self, request: web.BaseRequest, role: Role | None, cost: float = 1.0) -> Principal:
        """Return the caller if it may do what `role` may (None: anybody may).

        Raises:
            Denied: it may not.
            Problem: 429, it comes too often; 503, nobody can tell whether its credential is valid.
        """
        try:
            self._check_host(request)
            self._check_origin(request)
            return await self._caller(request, role, cost)
        except Denied as denied:
            if denied.caller is None:
                self._count(address_key(request.remote), 1.0)
            raise

    async def _caller(self, request: web.BaseRequest, role: Role | None, cost: float) -> Principal:
        if role is None or self._verifier is None:
            self._count(address_key(request.remote), cost)
            return EVERYBODY if self._verifier is None else await self._glimpse(request)
        caller = self.known(request) or await self._first_sight(request, self._verifier)
        self._count(caller.name if caller.via != NETWORK else address_key(request.remote), cost)
        if not caller.has(role):
            message = f"{caller.name} is not allowed to do this: it takes the role {role}"
            raise Denied(403, message, caller=caller)
        return caller

    async def _glimpse(self, request: web.BaseRequest) -> Principal:
        """Return who asks for what anybody may see: somebody known, or else nobody."""
        return self.known(request) or Principal("", frozenset(), frozenset(), "nobody")

    async def _first_sight(self, request: web.BaseRequest, verifier: Verifier) -> Principal:
        credential = _credential(request.headers.getall(hdrs.AUTHORIZATION, ()))
        peer = address_key(request.remote)
        try:
            return await verifier.verify(credential, slowly=self._failures.wait(peer) > 0)
        except Undecided as undecided:
            self._count(peer, 1.0)
            raise Problem(503, str(undecided), {"Retry-After": str(ASK_AGAIN)}) from undecided
        except Refused as refused:
            if wait := self._failures.take(peer):
                message = "too many failed credentials from this address"
                raise Problem(429, message, {"Retry-After": str(ceil(wait))}) from refused
            challenge = f'{_CHALLENGE}, error="invalid_token"'
            raise Denied(401, str(refused), {hdrs.WWW_AUTHENTICATE: challenge}) from refused

    def _from_network(self, request: web.BaseRequest) -> Principal | None:
        """Return whom the peer's network stands for; None when for nobody, or when a page in a browser asks.

        A page's requests come from wherever its user sits, whatever site wrote it: its address proves nothing.
        """
        if not self._networks or from_browser(request):
            return None
        try:
            peer = ip_address(request.remote or "")
        except ValueError:
            return None
        # A socket for both versions of IP shows an address of version 4 mapped into version 6.
        peer = getattr(peer, "ipv4_mapped", None) or peer
        roles = {role for role, network in self._networks if peer in network}
        return of_networks(roles) if roles else None

    def _count(self, client: str, cost: float) -> None:
        if cost and (wait := self._requests.take(client, cost)):
            raise Problem(429, "too many requests", {"Retry-After": str(ceil(wait))})

    def _check_host(self, request: web.BaseRequest) -> None:
        """Refuse a request under a name that a foreign site may have."""
        host = request.headers.get(hdrs.HOST)
        if not self.hosts.takes(host):
            shown = (host or "")[:100]
            raise Denied(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"Host: {shown!r} is no name of this gateway; one that is belongs into http.allowed_hosts",
            )

    def _check_origin(self, request: web.BaseRequest) -> None:
        """Refuse what another site's page has a browser send: its user did not mean it."""
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None or request.method in SAFE or origin.lower() in self._origins:
            return
        try:
            parts = urlsplit(origin)
        except ValueError:
            raise Denied(403, "Origin: is none") from None
        ours = parts.netloc.lower() == request.headers.get(hdrs.HOST, "").lower() and parts.scheme == request.scheme
        # Without credentials the name in Host proves nothing: a foreign page's name may lead to this machine.
        if not ours or (self.open and parts.hostname not in _LOOPBACK):
            raise Denied(403, "sent by a web page of another origin")


def _credential(sent: Sequence[str]) -> str:
    if len(sent) > 1:
        raise Denied(HTTPStatus.BAD_REQUEST, "Authorization: must be sent once")
    if not sent or sent[0][:7].lower() != _SCHEME or not sent[0][7:].strip():
        raise Denied(401, "a bearer token is needed", {hdrs.WWW_AUTHENTICATE: _CHALLENGE})
    return sent[0][7:]

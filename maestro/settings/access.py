"""The settings of who may do what at the gateway (docs/security.md)."""

from ipaddress import ip_network
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator, model_validator

from maestro.settings.base import Count, Seconds, Section, SystemId, together


def _network(value: str) -> str:
    try:
        return str(ip_network(value))
    except ValueError:
        raise ValueError("must be a network such as 10.1.0.0/16, without bits of a host") from None


def _origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or value != f"{parts.scheme}://{parts.netloc}":
        raise ValueError("must be an origin such as https://console.example.org, without a path")
    return value.lower()


Network = Annotated[str, AfterValidator(_network)]
Origin = Annotated[str, AfterValidator(_origin)]


class OidcSettings(Section):
    """People's identities from an OpenID Connect issuer."""

    #: The issuer's URL, as in its tokens' `iss`; empty: off.
    issuer: str = ""
    #: What a token's `aud` must name.
    audience: str = ""
    #: Where the issuer's keys are; empty: asked of its discovery document.
    jwks_url: str = ""
    #: Claims with the person's name, groups (or roles), and systems (empty: all systems).
    user_claim: str = "sub"
    roles_claim: str = "roles"
    systems_claim: str = ""
    #: Values of `roles_claim` that make a viewer, an approver, an admin.
    viewers: tuple[str, ...] = ("maestro-viewer",)
    approvers: tuple[str, ...] = ("maestro-approver",)
    admins: tuple[str, ...] = ("maestro-admin",)

    #: Seconds for which the issuer's keys are trusted while it is out of reach.
    keys_max_age: Seconds = 86400.0

    @field_validator("issuer", "jwks_url")
    @classmethod
    def _is_a_url(cls, value: str) -> str:
        if value and not value.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
            raise ValueError("must be an https:// URL (http:// on loopback only)")
        return value

    @model_validator(mode="after")
    def _has_an_audience(self) -> Self:
        if self.issuer and not self.audience:
            raise together("an issuer needs an audience", "issuer", "audience")
        return self


class AccessSettings(Section):
    """Who may do what at the gateway."""

    #: Ask for credentials. Without, `maestro serve` listens on loopback only.
    enabled: bool = False
    #: Networks whose callers count as role `platform` without credentials.
    platform_networks: tuple[Network, ...] = ()
    #: Networks whose callers may look (role `viewer`), or decide (role `approver`), without credentials. Who decides
    #: is then whom the request names.
    viewer_networks: tuple[Network, ...] = ()
    approver_networks: tuple[Network, ...] = ()
    #: Origins of web pages, besides the gateway's own, that may send what changes something.
    origins: tuple[Origin, ...] = ()
    #: Failed credentials that an address may send per minute; more are 429. A valid one is never refused for it.
    failures: Count = 10
    #: Seconds a verified token of the issuer is trusted before it is verified again. A token of `maestro token add` is
    #: known for as long as it is in the file; a revoked one ends within 2 s.
    recheck: Seconds = 300.0
    #: Systems whose reprocessings need the approval of two different users.
    two_approvers: tuple[SystemId, ...] = ()
    #: Bytes of a file of the audit log after which the next one is begun.
    audit_file_bytes: Annotated[int, Field(ge=1024)] = 64 * 1024 * 1024
    #: Files of decisions that are kept, the oldest removed first; 0: all. Refused attempts have a log of their own.
    audit_files: Annotated[int, Field(ge=0)] = 0
    oidc: OidcSettings = OidcSettings()

    @model_validator(mode="after")
    def _two_are_two(self) -> Self:
        if self.two_approvers and self.approver_networks:
            message = "callers of approver_networks name themselves: they are no two different approvers"
            raise together(message, "two_approvers", "approver_networks")
        return self

"""The settings of notices: who is told what waits for a person, by which way, and when (docs/notices.md)."""

import re
from datetime import UTC, tzinfo
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from maestro.settings.base import Port, Seconds, Section, check_host, together, webhook_url

Kind = Literal[
    "pending", "late", "paused", "unreplayable", "doubt", "stalled", "failed", "cancelled", "errors", "unavailable"
]
Minutes = Annotated[float, Field(ge=0, le=525_600, allow_inf_nan=False)]


def _address(value: str) -> str:
    if not re.fullmatch(r"[^\s@<>,;:\"]+@[^\s@<>,;:\"]+", value) or not value.isascii():
        raise ValueError("must be an e-mail address such as on-call@example.org")
    return value


def _url(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    return SecretStr(webhook_url(text)) if text else value


Address = Annotated[str, AfterValidator(_address)]
Url = Annotated[SecretStr, AfterValidator(_url)]


class ChatSettings(Section):
    """A chat's incoming webhook."""

    #: Where notices go; empty: this way is not used. Who knows it may post there: a secret.
    url: Url = SecretStr("")
    #: Where escalations go; empty: to `url`.
    escalate_url: Url = SecretStr("")


class SignedSettings(ChatSettings):
    """A webhook of one's own: JSON, signed."""

    #: The secret that signs it, at least 16 characters.
    secret: SecretStr = SecretStr("")

    @model_validator(mode="after")
    def _is_signed(self) -> Self:
        if self.url.get_secret_value() and len(self.secret.get_secret_value()) < 16:  # noqa: PLR2004 - not guessed
            raise together("a url needs a secret of at least 16 characters", "url", "secret")
        return self


class EmailSettings(Section):
    """E-mail, by SMTP."""

    #: The mail server; empty: this way is not used.
    host: Annotated[str, Field(pattern=r"^[^\s/@]*$"), AfterValidator(check_host)] = ""
    port: Port = 587
    #: "starttls" (usually port 587), "tls" from the first byte (465), or "none": on a network that is trusted.
    security: Literal["starttls", "tls", "none"] = "starttls"
    #: Who logs in; empty: nobody does.
    user: str = ""
    password: SecretStr = SecretStr("")
    #: Who it is from.
    sender: Annotated[str, AfterValidator(lambda value: _address(value) if value else value)] = ""
    #: Whom it goes to.
    to: tuple[Address, ...] = ()
    #: Whom escalations go to; empty: `to`.
    escalate_to: tuple[Address, ...] = ()

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.host and not (self.sender and self.to):
            raise together("a host needs a sender, and whom it goes to", "host", "sender", "to")
        if self.user and self.security == "none":
            raise together("a password is not sent in clear text", "user", "security")
        if bool(self.user) != bool(self.password.get_secret_value()):
            raise together("user and password: both or none", "user", "password")
        return self


class NotifySettings(Section):
    """Who is told what waits for a person."""

    #: What is told.
    kinds: tuple[Kind, ...] = (
        "pending", "late", "paused", "unreplayable", "doubt", "stalled", "failed", "cancelled", "errors",
    )  # fmt: skip
    language: Literal["en", "pt-BR"] = "en"
    #: Seconds between two looks at what waits.
    every: Seconds = 15.0
    #: Minutes after the first notice until what still waits is told once more, and until it is escalated. 0: never.
    remind_after: Minutes = 60.0
    escalate_after: Minutes = 240.0
    #: Hours in which nothing is told, "22:00-07:00", by the clock of `quiet_zone`; empty: none. It is told afterwards.
    quiet: str = ""
    quiet_zone: str = "UTC"
    #: What is told even then.
    quiet_except: tuple[Kind, ...] = ()
    #: Tries of a notice, and the first pause between two, in seconds; it doubles each time up to `backoff_max`.
    tries: Annotated[int, Field(ge=1, le=100)] = 8
    backoff: Seconds = 2.0
    backoff_max: Seconds = 300.0
    #: Seconds that one try may take.
    timeout: Seconds = 10.0
    slack: ChatSettings = ChatSettings()
    teams: ChatSettings = ChatSettings()
    webhook: SignedSettings = SignedSettings()
    email: EmailSettings = EmailSettings()

    @field_validator("quiet")
    @classmethod
    def _are_hours(cls, value: str) -> str:
        hour = "([01][0-9]|2[0-3]):[0-5][0-9]"
        if value and (not re.fullmatch(f"{hour}-{hour}", value) or value[:5] == value[6:]):
            raise ValueError('must be two different times of day such as "22:00-07:00"')
        return value

    @field_validator("quiet_zone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        try:
            if value != "UTC":
                ZoneInfo(value)
        except (LookupError, ValueError, OSError):
            raise ValueError('must be the name of a time zone such as "America/Sao_Paulo"') from None
        return value

    @property
    def zone(self) -> tzinfo:
        """The clock of the quiet hours. UTC needs no files of the system."""
        return UTC if self.quiet_zone == "UTC" else ZoneInfo(self.quiet_zone)

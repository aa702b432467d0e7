"""The ways to tell people: HTTP webhooks of chats and of one's own, and e-mail. Each sends one message, once.

What a problem says holds neither a URL's path nor a password: who reads the log may not post there.
"""

import ssl
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol
from urllib.parse import urlsplit

import aiohttp

from maestro.notify import forms
from maestro.notify.plan import Step
from maestro.notify.texts import Message
from maestro.settings.notify import ChatSettings, EmailSettings, NotifySettings
from maestro.webhooks.signature import HEADER, sign

_AGENT: Final = {"Content-Type": "application/json", "User-Agent": "maestro"}
#: Characters of what a server said that are shown.
_SHOWN: Final = 200


class Way(Protocol):
    """One way to tell people. `name`: of its settings; `shown`: where it goes, as it may be shown."""

    name: str
    shown: str

    async def send(self, message: Message, step: Step | None) -> str:
        """Send once; `step` None: a test. Return why it did not arrive, or the empty string."""


def ways_of(settings: NotifySettings) -> list[Way]:
    """Return the ways that are configured."""
    found: list[Way] = []
    if settings.slack.url.get_secret_value():
        found.append(Post("slack", settings.slack, settings.timeout, lambda message, _: forms.slack(message)))
    if settings.teams.url.get_secret_value():
        found.append(Post("teams", settings.teams, settings.timeout, lambda message, _: forms.teams(message)))
    if settings.webhook.url.get_secret_value():
        secret = settings.webhook.secret.get_secret_value()
        found.append(Post("webhook", settings.webhook, settings.timeout, _own, secret))
    if settings.email.host:
        found.append(Email(settings.email, settings.timeout))
    return found


def _own(message: Message, step: Step | None) -> bytes:
    return forms.json(message, step, time.time())


class Post:
    """A webhook. With a `secret` what is sent is signed."""

    def __init__(
        self,
        name: str,
        settings: ChatSettings,
        timeout: float,
        form: Callable[[Message, Step | None], bytes],
        secret: str = "",
    ) -> None:
        self.name = name
        self._url = settings.url.get_secret_value()
        self._escalate_url = settings.escalate_url.get_secret_value() or self._url
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._form = form
        self._secret = secret
        self.shown = _shown(self._url)

    async def send(self, message: Message, step: Step | None) -> str:
        """Send once. Anything but a 2xx has not arrived; a redirect could lead anywhere."""
        body = self._form(message, step)
        headers = dict(_AGENT)
        if self._secret:
            headers[HEADER] = sign(self._secret, body, time.time())
        url = self._escalate_url if step is Step.ESCALATION else self._url
        try:
            async with (
                aiohttp.ClientSession(timeout=self._timeout) as session,
                session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                return "" if 200 <= answer.status < 300 else f"{_shown(url)}: status {answer.status}"  # noqa: PLR2004 - success
        except TimeoutError:
            return f"{_shown(url)}: no answer in {self._timeout.total:g} s"
        except (aiohttp.ClientError, UnicodeError) as problem:  # a host name that cannot even be looked up
            return f"{_shown(url)}: {type(problem).__name__}"  # its text may hold the URL


class Email:
    """E-mail. Its library is imported with the first one."""

    name = "email"

    def __init__(self, settings: EmailSettings, timeout: float) -> None:
        self._settings = settings
        self._timeout = timeout
        self.shown = f"{', '.join(settings.to)} by {settings.host}:{settings.port}"

    async def send(self, message: Message, step: Step | None) -> str:
        """Send once. Refused by the server for one of several recipients: it has not arrived."""
        settings = self._settings
        to = settings.escalate_to if step is Step.ESCALATION and settings.escalate_to else settings.to
        return await self._talk(to, forms.email(message, settings.sender, to, time.time()).as_bytes())

    async def check(self) -> str:
        """Connect, encrypt and log in, and send nothing. Return why that is not possible, or the empty string."""
        return await self._talk((), b"")

    async def _talk(self, to: Sequence[str], content: bytes) -> str:
        import aiosmtplib  # noqa: PLC0415 - see the class

        settings, where = self._settings, f"{self._settings.host}:{self._settings.port}"
        client = aiosmtplib.SMTP(
            hostname=settings.host, port=settings.port, timeout=self._timeout,
            use_tls=settings.security == "tls", start_tls=settings.security == "starttls",
            username=settings.user or None, password=settings.password.get_secret_value() or None,
        )  # fmt: skip
        try:
            async with client:
                if to:
                    refused, _ = await client.sendmail(settings.sender, to, content)
                    if refused:
                        return f"{where}: refused for {', '.join(sorted(refused))}"
        except aiosmtplib.SMTPAuthenticationError as problem:
            return f"{where}: refuses the login ({problem.code})"  # some servers say the name back
        except aiosmtplib.SMTPResponseException as problem:
            return f"{where}: {problem.code} {problem.message[:_SHOWN]}"
        except ssl.SSLError as problem:
            return f"{where}: TLS: {problem.reason or problem}"
        except (aiosmtplib.SMTPException, OSError, UnicodeError) as problem:
            return f"{where}: {type(problem).__name__}: {str(problem)[:_SHOWN]}"
        return ""


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/…"

"""A mail server that takes what it is sent: plain, with STARTTLS, or with TLS from the first byte."""

import asyncio
import email
import email.policy
import ssl
import warnings
from email.message import EmailMessage
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


class MailServer:
    """Listens on a port of loopback while the context is open. `user`: who must log in, with `password`."""

    def __init__(
        self, tls: ssl.SSLContext | None = None, *, security: str = "none", user: str = "", password: str = ""
    ) -> None:
        self._tls = tls
        self._security = security
        self._login = (user, password)
        self.got: list[EmailMessage] = []
        self.to: list[list[str]] = []
        #: What it answers to a message in place of taking it.
        self.refuses = ""
        self.port = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        secure = self._security == "tls"
        self._server = await loop.create_server(self._protocol, "127.0.0.1", 0, ssl=self._tls if secure else None)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def _protocol(self) -> SMTP:
        starttls = self._security == "starttls"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that the login is without TLS: it does not see ours
            return SMTP(
                self, enable_SMTPUTF8=False, tls_context=self._tls if starttls else None, require_starttls=starttls,
                authenticator=self._allowed, auth_required=bool(self._login[0]), auth_require_tls=starttls,
            )  # fmt: skip

    def _allowed(self, _server: SMTP, _session: Session, _envelope: Envelope, _how: str, login: Any) -> AuthResult:
        assert isinstance(login, LoginPassword)
        right = (login.login.decode(), login.password.decode()) == self._login
        return AuthResult(success=right, handled=False)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - the library's
        """Take a message."""
        if self.refuses:
            return self.refuses
        content = envelope.content
        assert isinstance(content, bytes)
        self.got.append(email.message_from_bytes(content, policy=email.policy.default))  # type: ignore[arg-type]
        self.to.append(list(envelope.rcpt_tos))
        return "250 taken"

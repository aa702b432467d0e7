"""Sends one signed webhook to one URL. Imported only where there is one: aiohttp takes memory in each process."""

import time
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import aiohttp

from maestro.settings.model import WebhookSettings
from maestro.webhooks.log import url_name
from maestro.webhooks.signature import HEADER, sign

_HEADERS: Final = {"Content-Type": "application/json", "User-Agent": "maestro"}


class Sender:
    """The client of one URL; use as an async context."""

    def __init__(self, url: str, settings: WebhookSettings) -> None:
        self._url = url
        self._secret = settings.secret
        self._timeout = aiohttp.ClientTimeout(total=settings.timeout)
        self._session: aiohttp.ClientSession | None = None
        parts = urlsplit(url)
        #: The URL as it may be shown.
        self.shown = f"{parts.scheme}://{parts.netloc}/… ({url_name(url)})"

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=self._timeout)
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, body: bytes) -> str:
        """Send once; return why it did not arrive, or the empty string. Anything but a 2xx has not arrived."""
        assert self._session is not None, "entered"
        headers = {**_HEADERS, HEADER: sign(self._secret.get_secret_value(), body, time.time())}
        try:
            # A redirect could lead anywhere: who moves the receiver changes the setting.
            async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as answer:
                return "" if 200 <= answer.status < 300 else f"status {answer.status}"  # noqa: PLR2004 - success
        except TimeoutError:
            return f"no answer in {self._timeout.total:g} s"
        except (aiohttp.ClientError, UnicodeError) as problem:  # a host name that cannot even be looked up
            return type(problem).__name__  # its text may hold the URL

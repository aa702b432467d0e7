"""Where a gateway is, as its settings say."""

from typing import Final

from maestro.settings.model import HttpSettings

_ANYWHERE: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound to


def gateway_url(http: HttpSettings) -> str:
    """Return where the gateway of these settings is, seen from its own machine."""
    host = _ANYWHERE.get(http.host, http.host)
    scheme = "https" if http.tls_cert else "http"
    return f"{scheme}://[{host}]:{http.port}" if ":" in host else f"{scheme}://{host}:{http.port}"

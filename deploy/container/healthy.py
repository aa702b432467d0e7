"""Exits with 0 when the gateway of this container answers; the health check of the image.

It finds port and TLS where `maestro serve` finds them. The certificate is not checked: it names the service's name, and
this asks over loopback.
"""

import os
import ssl
import sys
from urllib.request import urlopen

from maestro.settings.loading import load_settings

#: Seconds to wait for the answer; less than the health check's own limit.
TIMEOUT = 4


def main() -> None:
    """Ask `/healthz`; any failure is one line and exit code 1."""
    http = load_settings(None, os.environ).http
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    url = f"{'https' if http.tls_cert else 'http'}://127.0.0.1:{http.port}/healthz"
    try:
        with urlopen(url, timeout=TIMEOUT, context=context):  # noqa: S310 - the scheme is one of two
            pass
    except OSError as problem:
        sys.exit(f"{url}: {problem}")


if __name__ == "__main__":
    main()

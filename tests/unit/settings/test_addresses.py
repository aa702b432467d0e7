"""Where a gateway is."""

from maestro.settings.addresses import gateway_url
from maestro.settings.model import HttpSettings


def test_the_gateway_seen_from_its_own_machine() -> None:
    assert gateway_url(HttpSettings(host="0.0.0.0", port=1)) == "http://127.0.0.1:1"
    assert gateway_url(HttpSettings(host="::", port=1)) == "http://[::1]:1"
    assert gateway_url(HttpSettings(host="m", port=1)) == "http://m:1"
    assert gateway_url(HttpSettings(host="m", port=1, tls_cert="c", tls_key="k")) == "https://m:1"

"""What the environment says: the platform's own variables (contracts), and MAESTRO_*.

An empty variable counts as one that is not set.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from maestro import faultpoints
from maestro.settings import Settings
from maestro.settings_sources.layers import Key, Layer, leaves

PREFIX: Final = "MAESTRO_"
DELIMITER: Final = "__"
#: Names the configuration file; no setting.
CONFIG: Final = "MAESTRO_CONFIG"
#: What the commands that call a running Maestro read; no settings either.
CLIENT: Final = frozenset({"MAESTRO_URL", "MAESTRO_TOKEN", "MAESTRO_TOKEN_FILE"})
_NO_SETTINGS: Final = CLIENT | {CONFIG, faultpoints.VARIABLE}
VHOST: Final = "plataforma_v1.0"
AUTO_REPROCESSING: Final = "AUTO_REPROCESSING_"
AUTO_APPROVE: Final = ("reprocessing", "auto_approve")

_SIBLINGS: Final = ("apicore", "discovery", "process_memory", "event_manager")
_BROKER: Final = ("RABBITMQ_HOST", "RABBITMQ_PORT", "RABBITMQ_USERNAME", "RABBITMQ_PASSWORD")
_PARTS: Final = ("scheme", "host", "port")


def platform_layer(environ: Mapping[str, str]) -> Layer:
    """Return what the platform's variables say, apart from AUTO_REPROCESSING_*."""
    layer = Layer()
    names: dict[str, Key] = {"PORT": ("http", "port")}
    for sibling in _SIBLINGS:
        names |= {f"{sibling}_{part}".upper(): ("platform", sibling, part) for part in _PARTS}
    for name, key in names.items():
        if environ.get(name):
            layer.put(key, environ[name], name)
    if environ.get("RABBITMQ_HOST"):
        names_of_url = ", ".join(name for name in _BROKER if environ.get(name))
        layer.put(("broker", "url"), _broker_url(environ), names_of_url)
    return layer


def auto_approved(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the systems that AUTO_REPROCESSING_<systemId> names, each with its variable."""
    return {
        name.removeprefix(AUTO_REPROCESSING): name
        for name, value in environ.items()
        if value and name.startswith(AUTO_REPROCESSING)
    }


def maestro_layer(environ: Mapping[str, str]) -> tuple[Layer, list[str]]:
    """Return what MAESTRO_* says, and the names among them that are no setting."""
    ours = {
        name: value for name, value in environ.items() if name.startswith(PREFIX) and name not in _NO_SETTINGS and value
    }
    layer = Layer(_Variables(ours)())
    names = {variable(key): name for name in ours for key in [_key(name)]}
    unknown = [name for name in ours if _key(name)[0] not in Settings.model_fields]
    for key, _ in leaves(layer.values):
        # A whole table may be given as JSON, so the variable may name less than the key.
        found = (names.get(variable(key[:length])) for length in range(len(key), 0, -1))
        layer.origins[key] = next(name for name in found if name)
    return layer, unknown


def variable(key: Key) -> str:
    """Return the name of a setting's environment variable."""
    return PREFIX + DELIMITER.join(key).upper()


def _key(name: str) -> Key:
    return tuple(name.removeprefix(PREFIX).lower().split(DELIMITER))


def _broker_url(environ: Mapping[str, str]) -> str:
    user, password = (quote(environ.get(f"RABBITMQ_{part}") or "guest", safe="") for part in ("USERNAME", "PASSWORD"))
    port = environ.get("RABBITMQ_PORT") or "5672"
    return f"amqp://{user}:{password}@{environ['RABBITMQ_HOST']}:{port}/{VHOST}"


class _Model(Settings, BaseSettings):
    """The settings as pydantic-settings wants to see them; never made, only read for its fields."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)


class _Variables(EnvSettingsSource):
    """Reads the given variables, not the process's; lists may be JSON or separated by commas."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        super().__init__(_Model, case_sensitive=False, env_prefix=PREFIX, env_nested_delimiter=DELIMITER)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._environ.items()}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        text = str(value).strip()
        if text[:1] not in ("[", "{"):
            return [part.strip() for part in text.split(",") if part.strip()]
        try:
            return super().decode_complex_value(field_name, field, text)
        except ValueError:
            # Left as text, which the model then refuses by its key.
            return text

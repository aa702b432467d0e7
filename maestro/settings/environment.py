"""What the environment says: the platform's own variables (contracts), and MAESTRO_*.

An empty variable counts as one that is not set. The platform's containers and Kubernetes set variables that begin
with MAESTRO_, too: they tell others where Maestro is, and are no settings.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final
from urllib.parse import quote

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from maestro import faultpoints
from maestro.settings.layers import Key, Layer, leaves
from maestro.settings.model import Settings

PREFIX: Final = "MAESTRO_"
DELIMITER: Final = "__"
#: Names the configuration file; no setting.
CONFIG: Final = "MAESTRO_CONFIG"
#: What the commands that call a running Maestro read; no settings either.
CLIENT: Final = frozenset({"MAESTRO_URL", "MAESTRO_TOKEN", "MAESTRO_TOKEN_FILE", "MAESTRO_LANGUAGE"})
_NO_SETTINGS: Final = CLIENT | {CONFIG, faultpoints.VARIABLE, "MAESTRO_BOOT_ID"}
VHOST: Final = "plataforma_v1.0"
AUTO_REPROCESSING: Final = "AUTO_REPROCESSING_"
AUTO_APPROVE: Final = ("reprocessing", "auto_approve")

#: Where others find Maestro: the platform's names, and those that Kubernetes derives from a service of this name, or
#: of a name that begins with it.
_WHERE_WE_ARE: Final = re.compile(
    r"MAESTRO_(SCHEME|HOST|PORT)"
    r"|MAESTRO_([A-Z0-9]+_)*SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)"
    r"|MAESTRO_([A-Z0-9]+_)*PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?"
)
#: What Kubernetes derives from any service, but for `<X>_PORT`.
_KUBERNETES: Final = re.compile(r".+_SERVICE_(HOST|PORT)(_.+)?|.+_PORT_[0-9]+_(TCP|UDP|SCTP)(_.+)?")
#: Kubernetes' value of `<X>_PORT`: the address of a service.
_LINK: Final = re.compile(r"tcp://.+:([0-9]+)")
#: What people write who do not want a system's reprocessings to be approved.
_NO: Final = frozenset({"false", "0", "no", "off", "n", "f", "disabled"})
#: How alike a name must be to one of the platform's to be taken for it: `RABBITMQ_NODE_PORT` is RabbitMQ's own.
_ALIKE: Final = 0.85

_SIBLINGS: Final = ("apicore", "discovery", "process_memory", "event_manager")
_BROKER: Final = ("RABBITMQ_HOST", "RABBITMQ_PORT", "RABBITMQ_AMQP_PORT", "RABBITMQ_USERNAME", "RABBITMQ_PASSWORD")
_PARTS: Final = ("scheme", "host", "port")


def platform_layer(environ: Mapping[str, str]) -> Layer:
    """Return what the platform's variables say, apart from AUTO_REPROCESSING_*."""
    layer = Layer()
    for name, key in _sibling_variables().items():
        if environ.get(name):
            layer.put(key, _port(environ[name]) if name.endswith("_PORT") else environ[name], name)
    if environ.get("RABBITMQ_HOST"):
        names_of_url = ", ".join(name for name in _BROKER if environ.get(name))
        layer.put(("broker", "url"), _broker_url(environ), names_of_url)
    return layer


def environment_notes(environ: Mapping[str, str]) -> list[str]:
    """Return what in the environment is no error and still worth a line: what is not read, or says something else."""
    present = [name for name, value in environ.items() if value]
    notes = []
    if where := sorted(name for name in present if _is_where_we_are(name, environ[name])):
        names = ", ".join(where)
        notes.append(
            f"not read, they say where others find Maestro: {names}; its own port is PORT or MAESTRO_HTTP__PORT"
        )
    notes += [f"{name}: not read; did you mean {meant}?" for name in sorted(present) if (meant := _misspelt(name))]
    for system, name in auto_approved(environ).items():
        if environ[name].strip().lower() in _NO:
            means = f"any value approves the reprocessings of {system}; leave it empty or unset to be asked"
            notes.append(f"{name}={environ[name]}: {means}")
    return notes


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
        name: value
        for name, value in environ.items()
        if name.startswith(PREFIX) and name not in _NO_SETTINGS and value and not _is_where_we_are(name, value)
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


def _sibling_variables() -> dict[str, Key]:
    names: dict[str, Key] = {"PORT": ("http", "port")}
    for sibling in _SIBLINGS:
        names |= {f"{sibling}_{part}".upper(): ("platform", sibling, part) for part in _PARTS}
    return names


def _is_where_we_are(name: str, value: str) -> bool:
    is_link = name.startswith(PREFIX) and name.endswith("_PORT") and DELIMITER not in name and _LINK.fullmatch(value)
    return bool(_WHERE_WE_ARE.fullmatch(name) or is_link)


def _misspelt(name: str) -> str:
    """Return which of the platform's variables a name that is none of them was meant to be; empty: none."""
    known = {*_sibling_variables(), *_BROKER}
    if name in known or name.startswith((AUTO_REPROCESSING, PREFIX)) or _KUBERNETES.fullmatch(name):
        return ""
    begin = "_".join(name.split("_", 2)[:2]) + "_"
    if name.count("_") > 1 and get_close_matches(begin.upper(), [AUTO_REPROCESSING], 1, _ALIKE):
        return AUTO_REPROCESSING + name.removeprefix(begin)
    if name.upper() in known - {"PORT"}:
        return name.upper()
    # `PORT` is too short to be told from the names of others.
    return "".join(get_close_matches(name.upper(), sorted(known - {"PORT"}), 1, _ALIKE))


def _port(text: str) -> str:
    """Return a port as it stands, or that of the service's address that Kubernetes puts in its place."""
    link = _LINK.fullmatch(text)
    return link[1] if link else text


def _broker_url(environ: Mapping[str, str]) -> str:
    user, password = (quote(environ.get(f"RABBITMQ_{part}") or "guest", safe="") for part in ("USERNAME", "PASSWORD"))
    port, amqp_port = (environ.get(name) or "" for name in ("RABBITMQ_PORT", "RABBITMQ_AMQP_PORT"))
    if amqp_port and (not port or _LINK.fullmatch(port)):
        # The link leads to the service's first port, which may be that of RabbitMQ's management.
        port = amqp_port
    host = environ["RABBITMQ_HOST"]
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"amqp://{user}:{password}@{host}:{_port(port) or '5672'}/{VHOST}"


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

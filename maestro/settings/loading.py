"""Finds the configuration file, puts the layers on top of each other and makes `Settings` of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from maestro.settings.environment import (
    AUTO_APPROVE,
    CONFIG,
    auto_approved,
    environment_notes,
    maestro_layer,
    platform_layer,
)
from maestro.settings.labels import read_labels
from maestro.settings.layers import DEFAULT, Key, Layer, leaves, merged, plain
from maestro.settings.model import Settings
from maestro.settings.problems import SettingsError, all_keys, describe, describe_together, unknown_variable
from maestro.settings.toml_file import read_toml

#: Looked for in the working directory, in this order, when no file is named.
USUAL_FILES: Final = (Path("maestro.toml"), Path("config/maestro.toml"))

#: Looked for beside the configuration file.
LABELS: Final = "labels.toml"

_KIND: Final = ("broker", "kind")
_URL: Final = ("broker", "url")
_HEARTBEAT: Final = ("broker", "heartbeat")
#: Seconds between two heartbeats of RabbitMQ's connections in a cluster: what a node that is gone had in hand is
#: delivered again after about three of them.
CLUSTER_HEARTBEAT: Final = 2


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and where they came from."""

    settings: Settings
    #: The configuration file that was read, if any.
    file: Path | None
    #: Where each setting stands: "default", the file's path, or an environment variable.
    origins: Mapping[Key, str]
    #: What is no error and worth a line each: variables that are not read, or say something else than was meant.
    notes: tuple[str, ...] = ()
    #: Somebody named the file; else it was found in the working folder.
    named: bool = False


def load_settings(config_file: Path | None, environ: Mapping[str, str]) -> Settings:
    """Return the settings of this installation; see `load`."""
    return load(config_file, environ).settings


def load(config_file: Path | None, environ: Mapping[str, str]) -> Loaded:
    """Read the configuration file (see `find_file`) and the environment, later over earlier.

    Defaults, file, the platform's variables, MAESTRO_*; AUTO_REPROCESSING_<systemId> adds to what
    `reprocessing.auto_approve` is by then. A source that sets `broker.url` without `broker.kind` means a
    RabbitMQ broker. In a cluster `broker.heartbeat` is 2 s unless a source sets it.

    Raises:
        SettingsError: anything in them is unknown or wrong; it lists all of it.
    """
    path = find_file(config_file, environ)
    defaults = _default_layer()
    keys = all_keys()
    file = _file_layer(path) if path else Layer()
    problems = _file_problems(file, defaults)
    ours, unknown = maestro_layer(environ)
    problems += [unknown_variable(name, keys) for name in unknown]

    variables = _with_kind(ours).over(_with_kind(platform_layer(environ)))
    problems += _variable_problems(variables, defaults, environ)
    everything = _with_heartbeat(variables.over(_with_kind(file)).over(defaults))
    problems += _problems_together(everything)
    if problems:
        raise SettingsError(problems)
    layer = _with_auto_approved(_with_labels(everything, path), environ)
    settings = Settings.model_validate(layer.values)
    read_labels(settings.labels)
    if settings.broker.kind == "rabbitmq" and not settings.broker.url.get_secret_value():
        raise SettingsError([f'{layer.origins[_KIND]}: broker.kind = "rabbitmq": needs broker.url, or RABBITMQ_HOST'])
    named = config_file is not None or bool(environ.get(CONFIG))
    return Loaded(settings, path, layer.origins, tuple(environment_notes(environ)), named=named)


def find_file(config_file: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return the file to read: the given one, else MAESTRO_CONFIG's, else ./maestro.toml, else ./config/maestro.toml.

    None when there is none of these: the defaults hold. A file that is named is returned even if it does not exist.
    """
    if config_file is not None:
        return config_file
    if environ.get(CONFIG):
        return Path(environ[CONFIG])
    return next((path for path in USUAL_FILES if path.is_file()), None)


def _default_layer() -> Layer:
    values = plain(Settings())
    return Layer(values, {key: DEFAULT for key, _ in leaves(values)})


def _file_layer(path: Path) -> Layer:
    values = read_toml(path)
    _dates_as_text(values.get("policy"))
    return Layer(values, {key: str(path) for key, _ in leaves(values)})


def _dates_as_text(policies: object) -> None:
    """A policy's days may be TOML's own dates; from here on they are text, as everywhere else."""
    for policy in policies if isinstance(policies, list) else ():
        for name, value in policy.items() if isinstance(policy, dict) else ():
            if isinstance(value, date) and not isinstance(value, datetime):
                policy[name] = value.isoformat()


def _file_problems(file: Layer, defaults: Layer) -> list[str]:
    """A file has types, so it is held to them: "5" is no number and true is none either."""
    layer = file.over(defaults)
    try:
        # Dates are no setting's value, and must not turn into text on their way.
        as_json = json.dumps(layer.values, default=lambda value: [str(value)])
        Settings.model_validate_json(as_json, strict=True)
    except ValidationError as invalid:
        return describe(invalid, layer, all_keys())
    return []


def _variable_problems(variables: Layer, defaults: Layer, environ: Mapping[str, str]) -> list[str]:
    layer = _with_auto_approved(variables.over(defaults), environ)
    try:
        Settings.model_validate(layer.values)
    except ValidationError as invalid:
        return describe(invalid, layer, all_keys())
    return []


def _problems_together(layer: Layer) -> list[str]:
    try:
        Settings.model_validate(layer.values)
    except ValidationError as invalid:
        return describe_together(invalid, layer)
    return []


def _with_kind(layer: Layer) -> Layer:
    """A source with a broker's URL means RabbitMQ, unless it says otherwise itself."""
    broker = layer.values.get("broker")
    if isinstance(broker, dict) and broker.get("url") and "kind" not in broker:
        implied = Layer()
        implied.put(_KIND, "rabbitmq", layer.origins.get(_URL, DEFAULT))
        return implied.over(layer)
    return layer


def _with_heartbeat(layer: Layer) -> Layer:
    """In a cluster who is gone is noticed sooner, unless somebody says otherwise."""
    cluster = layer.values.get("cluster")
    name = cluster.get("name") if isinstance(cluster, dict) else ""
    if not name or layer.origins[_HEARTBEAT] != DEFAULT:
        return layer
    implied = Layer()
    implied.put(_HEARTBEAT, CLUSTER_HEARTBEAT, DEFAULT)
    return implied.over(layer)


def _with_labels(layer: Layer, path: Path | None) -> Layer:
    """The labels are those beside the configuration file, unless another file is named."""
    beside = path.with_name(LABELS) if path else None
    if layer.values.get("labels") or beside is None or not beside.is_file():
        return layer
    implied = Layer()
    implied.put(("labels",), str(beside), str(path))
    return implied.over(layer)


def _with_auto_approved(layer: Layer, environ: Mapping[str, str]) -> Layer:
    added = auto_approved(environ)
    present = layer.values.get("reprocessing", {}).get("auto_approve", [])
    if not added or not isinstance(present, list):
        return layer
    extra = {system: name for system, name in added.items() if system not in present}
    origins: dict[Key, str] = {
        (*AUTO_APPROVE, str(index)): name for index, name in enumerate(extra.values(), start=len(present))
    }
    if extra:
        origins[AUTO_APPROVE] = ", ".join([layer.origins[AUTO_APPROVE], *extra.values()])
    values = merged(layer.values, {"reprocessing": {"auto_approve": [*present, *extra]}})
    return Layer(values, layer.origins | origins)

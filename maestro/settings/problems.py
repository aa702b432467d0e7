"""What is wrong with the configuration, one line each: where it stands, which key, its value, what is allowed."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Final

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails

from maestro.settings.base import TOGETHER
from maestro.settings.environment import PREFIX, variable
from maestro.settings.layers import DEFAULT, Key, Layer, leaves, plain
from maestro.settings.model import Settings
from maestro.settings.policies import PolicySettings

_SHOWN: Final = 80
_MASK: Final = "***"
#: Their paths may hold secrets.
_WEBHOOKS: Final = ("webhooks", "urls")
_POLICY: Final = ("policy",)


class SettingsError(Exception):
    """The configuration is unusable; its text is one line for each problem."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        #: One line each.
        self.problems = tuple(problems)


def describe(invalid: ValidationError, layer: Layer, keys: Sequence[Key]) -> list[str]:
    """Return a line for each problem that validation found in `layer`. `keys` are the settings there are.

    Left out is what only several settings together are wrong in: one source need not hold all of them.
    """
    return [_describe(error, layer, keys) for error in invalid.errors(include_url=False) if error["type"] != TOGETHER]


def describe_together(invalid: ValidationError, layer: Layer) -> list[str]:
    """Return a line for each problem that several settings have together; `layer` is all sources."""
    lines = []
    for error in invalid.errors(include_url=False):
        if error["type"] == TOGETHER:
            table = tuple(str(part) for part in error["loc"])
            origins = dict.fromkeys(_origin((*table, *name.split(".")), layer) for name in error["ctx"]["names"])
            set_in = ", ".join(origin for origin in origins if origin != DEFAULT)
            lines.append(": ".join(filter(None, (set_in, ".".join(table), error["msg"]))))
    return lines


def unknown_variable(name: str, keys: Sequence[Key]) -> str:
    """Return the line for a MAESTRO_ variable that is no setting."""
    known = [variable(key).removeprefix(PREFIX) for key in keys]
    close = get_close_matches(name.removeprefix(PREFIX).upper(), known, n=1)
    hint = f"did you mean {PREFIX}{close[0]}?" if close else f"settings are {PREFIX}<KEY> and {PREFIX}<TABLE>__<KEY>"
    return f"{name}: unknown setting; {hint}"


def all_keys() -> list[Key]:
    """Return the key of every setting there is."""
    return [key for key, _ in leaves(plain(Settings()))]


def is_secret(key: Key) -> bool:
    """Return whether the setting's value must not be shown."""
    model: Any = Settings
    for part in key:
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:
            return False
        model = field.annotation
    return model is SecretStr


def _describe(error: ErrorDetails, layer: Layer, keys: Sequence[Key]) -> str:
    key = tuple(str(part) for part in error["loc"])
    origin = _origin(key, layer)
    if key[:1] == _POLICY and key[1:]:
        return f"{origin}: {_of_policy(error, key[1:], layer)}"
    if error["type"] == "extra_forbidden":
        return _unknown(key, origin, keys)
    value = _MASK if is_secret(key) or key[:2] == _WEBHOOKS else _shorten(repr(error["input"]))
    return f"{origin}: {'.'.join(key)} = {value}: {_allowed(error)}"


def _of_policy(error: ErrorDetails, key: Key, layer: Layer) -> str:
    """Say which policy is wrong, by its name or else its place, in which field, and how."""
    place, *within = key
    policies = layer.values.get("policy")
    policy = policies[int(place)] if isinstance(policies, list) else None
    name = policy.get("name") if isinstance(policy, dict) else None
    who = f'policy "{_shorten(name)}"' if isinstance(name, str) and name else f"policy {int(place) + 1}"
    if not within:
        return f"{who}: {_allowed(error)}"
    field = ".".join(within)
    if error["type"] == "missing":
        return f"{who}: {field} is missing"
    if error["type"] == "extra_forbidden":
        close = get_close_matches(field, PolicySettings.model_fields, n=1)
        hint = f"did you mean {close[0]}?" if close else f"here may stand: {', '.join(PolicySettings.model_fields)}"
        return f"{who}: {field}: unknown setting; {hint}"
    return f"{who}: {field} = {_shorten(repr(error['input']))}: {_allowed(error)}"


def _unknown(key: Key, origin: str, keys: Sequence[Key]) -> str:
    if origin.upper() == variable(key):
        return unknown_variable(origin, keys)
    name = ".".join(key)
    # A table is taken for a table: where `accesss` stands, `access` was meant, and none of the settings in it.
    tables = {known[:length]: None for known in keys for length in range(1, len(known))}
    close = get_close_matches(name, [".".join(known) for known in (*tables, *keys)], n=1)
    if close:
        return f"{origin}: {name}: unknown setting; did you mean {close[0]}?"
    above = key[:-1]
    beside = {known[len(above)]: None for known in keys if known[: len(above)] == above}
    return f"{origin}: {name}: unknown setting; here may stand: {', '.join(beside)}"


def _allowed(error: ErrorDetails) -> str:
    if error["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return "must be a table"
    if error["type"] == "tuple_type":
        return "must be a list"
    return error["msg"].removeprefix("Value error, ").replace("Input should", "must")


def _origin(key: Key, layer: Layer) -> str:
    for length in range(len(key), 0, -1):
        if key[:length] in layer.origins:
            return layer.origins[key[:length]]
    # A table in place of a value, or the other way round: where anything of it stands.
    return next((origin for known, origin in layer.origins.items() if known[: len(key)] == key), "settings")


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"

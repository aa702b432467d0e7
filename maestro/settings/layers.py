"""A layer is what one source says: values by key, and for each the name of where it stands."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel, SecretStr

#: A setting's way down the tables: ("http", "port").
Key = tuple[str, ...]

Tree = dict[str, Any]
DEFAULT: Final = "default"


@dataclass(slots=True)
class Layer:
    """What one source says."""

    values: Tree = field(default_factory=dict)
    #: Where each value stands: a file's path, or an environment variable.
    origins: dict[Key, str] = field(default_factory=dict)

    def put(self, key: Key, value: Any, origin: str) -> None:
        """Set one value."""
        table = self.values
        for part in key[:-1]:
            table = table.setdefault(part, {})
        table[key[-1]] = value
        self.origins[key] = origin

    def over(self, lower: "Layer") -> "Layer":
        """Return a layer that says what this one says, and else what `lower` says."""
        # Where this layer has a table, a value of the layer below is gone.
        tables = {key[:length] for key in self.origins for length in range(1, len(key))}
        below = {key: origin for key, origin in lower.origins.items() if key not in tables}
        return Layer(merged(lower.values, self.values), below | self.origins)


def merged(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> Tree:
    """Merge two trees; where both have a table, its keys are merged, else `upper` wins."""
    result = dict(lower)
    for key, value in upper.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def leaves(tree: Mapping[str, Any], above: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Yield every value, and every empty table, with its key, in order."""
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*above, name))
        else:
            yield (*above, name), value


def plain(model: BaseModel) -> Tree:
    """Return a model's fields as TOML and JSON have them: secrets in clear, paths and dates as text, tuples as lists.

    A field without a value is left out: TOML has none for it.
    """
    tree: Tree = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            tree[name] = plain(value)
        elif isinstance(value, SecretStr):
            tree[name] = value.get_secret_value()
        elif isinstance(value, tuple):
            tree[name] = [plain(one) if isinstance(one, BaseModel) else one for one in value]
        elif value is not None:
            tree[name] = value if isinstance(value, str | int | float) else str(value)
    return tree

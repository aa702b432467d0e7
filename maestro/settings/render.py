"""The effective settings as a TOML file: secrets masked, each line with where its value stands."""

import json
import re
from typing import Any, Final
from urllib.parse import urlsplit

from maestro.settings.layers import DEFAULT, Key, Tree, plain
from maestro.settings.loading import Loaded
from maestro.settings.problems import is_secret

#: URLs, and lists of them, whose paths are secrets: who knows one may post there.
SECRET_PATHS: Final = frozenset({
    ("webhooks", "urls"),
    *(("notify", form, name) for form in ("slack", "teams", "webhook") for name in ("url", "escalate_url")),
})  # fmt: skip
#: The password in a URL, before its host and among its options. Blanks end a URL: of a cluster there are several.
_PASSWORD: Final = re.compile(r"(?<=://)([^:@/\s]*):\S*@")
_OPTION: Final = re.compile(r"(?<=[?&])(\w*password)=[^&\s]*", re.IGNORECASE)


def as_toml(loaded: Loaded) -> str:
    """Return all settings as TOML."""
    lines = [f"# {loaded.file or 'no configuration file: defaults and environment'}"]
    lines += _table(plain(loaded.settings), (), loaded)
    return "\n".join(lines) + "\n"


def masked(secret: str) -> str:
    """Return a URL, or several with blanks between them, without passwords; any other secret is not shown at all."""
    if "://" not in secret:
        return "***" if secret else ""
    return _OPTION.sub(r"\1=***", _PASSWORD.sub(r"\1:***@", secret))


def without_path(url: str) -> str:
    """Return a URL's scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/…"


def _table(tree: Tree, above: Key, loaded: Loaded) -> list[str]:
    lines = [f"\n[{'.'.join(above)}]"] if above else []
    for name, value in tree.items():
        if not isinstance(value, dict) and not _is_tables(value):
            key = (*above, name)
            origin = loaded.origins.get(key, DEFAULT)
            text = _value(_shown(key, value))
            lines.append(f"{name} = {text}" + ("" if origin == DEFAULT else f"  # {origin}"))
    for name, value in tree.items():
        if isinstance(value, dict):
            lines += _table(value, (*above, name), loaded)
        elif _is_tables(value):
            lines += _tables(value, (*above, name), loaded)
    return lines


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _tables(trees: list[Tree], key: Key, loaded: Loaded) -> list[str]:
    origin = loaded.origins.get(key, DEFAULT)
    lines = []
    for tree in trees:
        lines.append(f"\n[[{'.'.join(key)}]]" + ("" if origin == DEFAULT else f"  # {origin}"))
        lines += [f"{name} = {_value(value)}" for name, value in tree.items()]
    return lines


def _shown(key: Key, value: Any) -> Any:
    if key in SECRET_PATHS:
        return [without_path(url) for url in value] if isinstance(value, list) else value and without_path(value)
    return masked(value) if is_secret(key) else value


def _value(value: Any) -> str:
    """JSON's text, numbers, booleans and lists are TOML's too, but for DEL, which TOML wants escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

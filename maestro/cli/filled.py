"""What is given and empty names nothing: `maestro skip "$ID"` where ID is not set. Left out it has its meaning."""

from collections.abc import Iterable
from typing import Any, Final

import typer

from maestro.language import t

#: How click names the source of a value that nobody gave.
_LEFT_OUT: Final = frozenset({"DEFAULT", "DEFAULT_MAP"})


def filled(ctx: typer.Context, param: typer.CallbackParam, value: Any) -> Any:
    """Return the value of an argument or option; end with exit code 2 where it was given, and is blank."""
    source = ctx.get_parameter_source(param.name or "")
    if ctx.resilient_parsing or source is None or source.name in _LEFT_OUT:
        return value
    given: Iterable[Any] = value if isinstance(value, (list, tuple)) else (value,)
    if any(isinstance(one, str) and not one.strip() for one in given):
        from maestro.cli.exits import EXIT_USAGE, fail  # noqa: PLC0415 - keeps `maestro --help` fast

        fail(t("{name} is empty", name=_name(param)), EXIT_USAGE)
    return value


def _name(param: typer.CallbackParam) -> str:
    """Return an option as it is written, an argument as the help has it."""
    option = next((one for one in param.opts if one.startswith("--")), "")
    named = getattr(param, "metavar", None) or (param.name or "").upper()
    return option or named.strip("[].")

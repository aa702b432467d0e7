"""Commands whose modules are imported only when they run, so that `maestro --help` answers at once."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, NamedTuple

import typer
from typer.core import TyperGroup


class Lazy(NamedTuple):
    """Where a command's function is, and what it does in one line."""

    function: str
    help: str


COMMANDS: Final = {
    "backup": Lazy("maestro.cli_backup:backup", "Copy every system's store to a folder, while Maestro is stopped."),
    "restore": Lazy("maestro.cli_backup:restore", "Put backed-up stores in the place of the present ones."),
    "sandbox": Lazy("maestro.sandbox.commands:sandbox", "Serve a small real platform around Maestro."),
    "demo": Lazy("maestro.sandbox.commands:demo", "Play the whole story on real data and check every result."),
}


class LazyGroup(TyperGroup):
    """The eager commands, and those of `COMMANDS`."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Name all commands."""
        return [*super().list_commands(ctx), *COMMANDS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; for a lazy one, what the help says of it."""
        lazy = COMMANDS.get(cmd_name)
        return _command(cmd_name, lambda: None, lazy.help) if lazy else super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, ...]:
        """Find the command to run; now its module is imported."""
        lazy = COMMANDS.get(args[0]) if args else None
        if lazy is None:
            return super().resolve_command(ctx, args)
        module, _, function = lazy.function.partition(":")
        return args[0], _command(args[0], getattr(import_module(module), function), None), args[1:]


def _command(name: str, function: Callable[..., None], text: str | None) -> Any:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(name, help=text)(function)
    return typer.main.get_command(app)

"""Commands whose modules are imported only when they run, so that `maestro --help` answers at once."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, NamedTuple

import typer
from typer.core import TyperGroup

from maestro.cli.help import in_language, usage_problems


class Lazy(NamedTuple):
    """Where a command's function, or a group's app, is, and what it does in one line."""

    function: str
    help: str


COMMANDS: Final = {
    "init": Lazy("maestro.cli.init:init", "Write a first configuration file: broker, access, TLS."),
    "backup": Lazy("maestro.cli.backup:backup", "Copy every system's store to a folder, running or not."),
    "restore": Lazy("maestro.cli.backup:restore", "Put backed-up stores in the place of the present ones."),
    "import": Lazy("maestro.cli.import_from:import_", "Take over what another Maestro left; first with --dry-run."),
    "adopt": Lazy("maestro.cli.adopt:adopt", "Take over a vhost's events from an installation that is gone."),
    "sandbox": Lazy("maestro.sandbox.commands:sandbox", "Serve a small real platform around Maestro."),
    "demo": Lazy("maestro.sandbox.commands:demo", "Play the whole story on real data and check every result."),
    "systems": Lazy("maestro.cli.looking:systems", "List the systems: state, lock, what runs, what waits."),
    "todo": Lazy("maestro.cli.todo:todo", "List everything that waits for a person, the most urgent first."),
    "pending": Lazy("maestro.cli.looking:pending", "List what waits for a decision."),
    "show": Lazy("maestro.cli.looking:show", "Show one reprocessing."),
    "units": Lazy("maestro.cli.units:units", "List the units of one reprocessing: searched, counted, by page."),
    "outcome": Lazy("maestro.cli.outcome:outcome", "Show what a reprocessing changed: values before and after."),
    "report": Lazy("maestro.cli.report:report", "Make the decision report of one reprocessing, a page to keep."),
    "approve": Lazy("maestro.cli.deciding:approve", "Commit what is held and replay what it impacts."),
    "skip": Lazy("maestro.cli.deciding:skip", "Discard what is held."),
    "decide": Lazy("maestro.cli.together:decide", "Approve or skip several together, for one reason."),
    "retry": Lazy("maestro.cli.deciding:retry", "Go on with what failed, was aborted or cancelled."),
    "cancel": Lazy("maestro.cli.deciding:cancel", "Give up a reprocessing."),
    "pause": Lazy("maestro.cli.deciding:pause", "Pause a reprocessing after its current replay."),
    "resume": Lazy("maestro.cli.deciding:resume", "Let a paused reprocessing go on."),
    "leave-out": Lazy("maestro.cli.leaving_out:leave_out", "Leave out units that cannot be replayed."),
    "recheck": Lazy("maestro.cli.deciding:recheck", "Ask again what a pending reprocessing would impact."),
    "reconsider": Lazy("maestro.cli.deciding:reconsider", "Have a skipped event judged again."),
    "waiting": Lazy("maestro.cli.looking:waiting", "List the events of a system that wait."),
    "history": Lazy("maestro.cli.looking:history", "List reprocessings, the newest last."),
    "stale": Lazy("maestro.cli.looking:stale", "List results of a system that are not known to be fresh."),
    "skipped": Lazy("maestro.cli.looking:skipped", "List what was skipped in a system."),
    "watch": Lazy("maestro.cli.watching:watch", "Watch a reprocessing until it ends."),
    "set-aside": Lazy("maestro.cli.stalled:set_aside", "Put what a stalled system has in hand aside."),
    "policy": Lazy("maestro.cli.policy:app", "Policies: list them, explain what they say, try them on the history."),
    "errors": Lazy("maestro.cli.errors:app", "Events that failed for good: groups, list, show, redrive."),
    "doubts": Lazy("maestro.cli.doubts:app", "Commits in doubt: list them, say what became of them."),
    "notify": Lazy("maestro.cli.notify:app", "How people are told what waits for them: show, test."),
    "store": Lazy("maestro.cli.store:app", "Look into a system's store, or move all stores to PostgreSQL and back."),
    "nodes": Lazy("maestro.cli.nodes:nodes", "List the nodes of the cluster, and what each owns."),
    "drain": Lazy("maestro.cli.nodes:drain", "Have a node of the cluster hand its systems over."),
    "doctor": Lazy("maestro.cli.doctor:doctor", "Check everything, and name the command that mends what is wrong."),
}


class LazyGroup(TyperGroup):
    """The eager commands, and those of `COMMANDS`."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Name all commands."""
        return [*super().list_commands(ctx), *COMMANDS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; for a lazy one, what the help says of it."""
        lazy = COMMANDS.get(cmd_name)
        found = _command(cmd_name, lambda: None, lazy.help) if lazy else super().get_command(ctx, cmd_name)
        return in_language(found) if found else None

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, ...]:
        """Find the command to run; now its module is imported."""
        if not args or args[0] not in COMMANDS:
            return super().resolve_command(ctx, args)
        return args[0], in_language(loaded(args[0])), args[1:]

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Read the arguments."""
        with usage_problems():
            in_language(self)
            return super().make_context(*args, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with usage_problems():
            return super().invoke(ctx)


def loaded(name: str) -> Any:
    """Return a lazy command; its module is imported."""
    module, _, function = COMMANDS[name].function.partition(":")
    return _command(name, getattr(import_module(module), function), None)


def _command(name: str, target: Callable[..., None] | typer.Typer, text: str | None) -> Any:
    if isinstance(target, typer.Typer):
        return typer.main.get_command(target)
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(name, help=text)(target)
    return typer.main.get_command(app)

"""Commands whose modules are imported only when they run, so that `maestro --help` answers at once."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, NamedTuple

import typer
from typer.core import TyperGroup

from maestro.cli.help import in_language, usage_problems
from maestro.language import mark


class Lazy(NamedTuple):
    """What a command is for, where its function, or a group's app, is, and what it does in one line."""

    panel: str
    function: str
    help: str


#: What `maestro --help` puts together, in this order.
LOOK: Final = mark("Look")
DECIDE: Final = mark("Decide")
MEND: Final = mark("Mend")
RUN: Final = mark("Run Maestro")
TRY: Final = mark("Try it")
PANELS: Final = (LOOK, DECIDE, MEND, RUN, TRY)

COMMANDS: Final = {
    "todo": Lazy(LOOK, "maestro.cli.todo:todo", "List everything that waits for a person, the most urgent first."),
    "systems": Lazy(LOOK, "maestro.cli.looking:systems", "List the systems: state, lock, what runs, what waits."),
    "pending": Lazy(LOOK, "maestro.cli.looking:pending", "List what waits for a decision."),
    "show": Lazy(LOOK, "maestro.cli.looking:show", "Show one reprocessing."),
    "units": Lazy(LOOK, "maestro.cli.units:units", "List the units of one reprocessing: searched, counted, by page."),
    "outcome": Lazy(LOOK, "maestro.cli.outcome:outcome", "Show what a reprocessing changed: values before and after."),
    "report": Lazy(LOOK, "maestro.cli.report:report", "Make the decision report of one reprocessing, a page to keep."),
    "waiting": Lazy(LOOK, "maestro.cli.looking:waiting", "List the events that wait."),
    "history": Lazy(LOOK, "maestro.cli.looking:history", "List reprocessings, the newest last."),
    "stale": Lazy(LOOK, "maestro.cli.looking:stale", "List results that are not known to be fresh."),
    "skipped": Lazy(LOOK, "maestro.cli.looking:skipped", "List what was skipped."),
    "watch": Lazy(LOOK, "maestro.cli.watching:watch", "Watch a reprocessing until it ends."),
    "approve": Lazy(DECIDE, "maestro.cli.deciding:approve", "Commit what is held and replay what it impacts."),
    "skip": Lazy(DECIDE, "maestro.cli.deciding:skip", "Discard what is held."),
    "decide": Lazy(DECIDE, "maestro.cli.together:decide", "Approve or skip several together, for one reason."),
    "recheck": Lazy(DECIDE, "maestro.cli.deciding:recheck", "Ask again what a pending reprocessing would impact."),
    "pause": Lazy(DECIDE, "maestro.cli.deciding:pause", "Pause a reprocessing after its current replay."),
    "resume": Lazy(DECIDE, "maestro.cli.deciding:resume", "Let a paused reprocessing go on."),
    "cancel": Lazy(DECIDE, "maestro.cli.deciding:cancel", "Give up a reprocessing."),
    "retry": Lazy(DECIDE, "maestro.cli.deciding:retry", "Go on with what failed, was aborted or cancelled."),
    "leave-out": Lazy(DECIDE, "maestro.cli.leaving_out:leave_out", "Leave out units that cannot be replayed."),
    "reconsider": Lazy(DECIDE, "maestro.cli.deciding:reconsider", "Have a skipped event judged again."),
    "policy": Lazy(
        DECIDE, "maestro.cli.policy:app", "Policies: list them, explain what they say, try them on the history."
    ),
    "doctor": Lazy(
        MEND, "maestro.cli.doctor:doctor", "Check everything, and name the command that mends what is wrong."
    ),
    "errors": Lazy(MEND, "maestro.cli.errors:app", "Events that failed for good: groups, list, show, redrive."),
    "doubts": Lazy(MEND, "maestro.cli.doubts:app", "Commits in doubt: list them, say what became of them."),
    "set-aside": Lazy(MEND, "maestro.cli.stalled:set_aside", "Put what a stalled system has in hand aside."),
    "store": Lazy(
        MEND, "maestro.cli.store:app", "Look into a system's store, or move all stores to PostgreSQL and back."
    ),
    "init": Lazy(RUN, "maestro.cli.init:init", "Write a first configuration file: broker, access, TLS."),
    "nodes": Lazy(RUN, "maestro.cli.nodes:nodes", "List the nodes of the cluster, and what each owns."),
    "drain": Lazy(RUN, "maestro.cli.nodes:drain", "Have a node of the cluster hand its systems over."),
    "backup": Lazy(RUN, "maestro.cli.backup:backup", "Copy every system's store to a folder, running or not."),
    "restore": Lazy(RUN, "maestro.cli.backup:restore", "Put backed-up stores in the place of the present ones."),
    "import": Lazy(
        RUN, "maestro.cli.import_from:import_", "Take over what another Maestro left; first with --dry-run."
    ),
    "adopt": Lazy(RUN, "maestro.cli.adopt:adopt", "Take over a vhost's events from an installation that is gone."),
    "notify": Lazy(RUN, "maestro.cli.notify:app", "How people are told what waits for them: show, test."),
    "demo": Lazy(TRY, "maestro.sandbox.commands:demo", "Play the whole story on real data and check every result."),
    "sandbox": Lazy(TRY, "maestro.sandbox.commands:sandbox", "Serve a small real platform around Maestro."),
}


class LazyGroup(TyperGroup):
    """The eager commands, and those of `COMMANDS`."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Name all commands, those of a panel together."""
        panels: dict[str, Any] = {name: one.panel for name, one in COMMANDS.items()}
        panels |= {name: getattr(self.commands[name], "rich_help_panel", RUN) for name in super().list_commands(ctx)}
        return sorted(panels, key=lambda name: PANELS.index(panels[name]))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; for a lazy one, what the help says of it."""
        lazy = COMMANDS.get(cmd_name)
        found: Any = _command(cmd_name, lambda: None, lazy.help) if lazy else super().get_command(ctx, cmd_name)
        if lazy:
            found.rich_help_panel = lazy.panel
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
    path, _, function = COMMANDS[name].function.partition(":")
    module = import_module(path)
    return _command(name, getattr(module, function), None, getattr(module, "EPILOGS", {}).get(name))


def _command(name: str, target: Callable[..., None] | typer.Typer, text: str | None, epilog: str | None = None) -> Any:
    if isinstance(target, typer.Typer):
        return typer.main.get_command(target)
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(name, help=text, epilog=epilog)(target)
    return typer.main.get_command(app)

"""The language of a command line: which it is, its help, and what is said of wrong arguments."""

import gettext
import inspect
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from maestro.language import ENGLISH, from_environment, from_name, language, mark, speak, t, told
from maestro.language.current import DOMAIN, LOCALE

OPTION: Final = "--language"
#: The end of a line within a paragraph.
_PARAGRAPH: Final = re.compile(r"(?<!\n)\n(?!\n)")
#: How typer marks an argument that is required.
_REQUIRED: Final = re.compile(r"\{([^{}]+)\}")

#: What typer and click say: they ask the standard library's gettext for some of it, and say the rest in English.
FRAMEWORK: Final = (
    mark("Usage: "),
    mark("Options"),
    mark("Arguments"),
    mark("Commands"),
    mark("Error"),
    mark("Aborted."),
    mark("[default: {}]"),
    mark("[env var: {}]"),
    mark("[required]"),
    mark("(dynamic)"),
    mark("[OPTIONS]"),
    mark("COMMAND [ARGS]..."),
    mark("Show this message and exit."),
    mark("Install completion for the current shell."),
    mark("Show completion for the current shell, to copy it or customize the installation."),
    mark("Try [blue]'{command_path} {help_option}'[/] for help."),
    mark("No such command {name!r}."),
    mark("Missing command."),
    mark("Missing argument {name}."),
    mark("Missing option {name}."),
    mark("No such option: {name}"),
    mark("No such option: {name} Did you mean {other}?"),
    mark("No such option: {name} (Possible options: {others})"),
    mark("Option {name} does not take a value."),
    mark("Option {name} requires an argument."),
    mark("Got unexpected extra argument(s) ({names})"),
    mark("Invalid value for {name}: {problem}"),
    mark("{value} is not a valid integer."),
    mark("{value} is not a valid int."),
    mark("{value} is not a valid float."),
    mark("{value} is not in the range {range}."),
    mark("{value} is not one of {values}."),
)


def choose(arguments: Sequence[str], environ: Mapping[str, str]) -> None:
    """Speak the language that `--language` names before the command, else that of the environment."""
    for place, one in enumerate(arguments):
        if not one.startswith("-"):
            break
        name, is_here, value = one.partition("=")
        if name == OPTION:
            speak_from_now_on(value if is_here else "".join(arguments[place + 1 : place + 2]))
            return
    speak_from_now_on(from_environment(environ))


def speak_from_now_on(name: str) -> None:
    """Speak a language; the libraries that ask gettext do so, too."""
    speak(from_name(name))
    if language() != ENGLISH:
        os.environ["LANGUAGE"] = language().replace("-", "_")
        gettext.bindtextdomain(DOMAIN, str(LOCALE))
        gettext.textdomain(DOMAIN)


def in_language(command: Any) -> Any:
    """Return a command with its help in the language that is spoken, and its usage without marks of typer's own."""
    _tidy(command)
    if language() != ENGLISH:
        for holder, name in _said(command):
            setattr(holder, name, t(inspect.cleandoc(getattr(holder, name))))
    # A paragraph is wrapped where it is shown, and nowhere else.
    command.help = _PARAGRAPH.sub(" ", inspect.cleandoc(command.help)) if command.help else command.help
    for one in getattr(command, "commands", {}).values():
        in_language(one)
    return command


def texts_of(command: Any) -> Iterator[str]:
    """Yield what a command's help says, and that of the commands in it."""
    yield from (inspect.cleandoc(getattr(holder, name)) for holder, name in _said(command))
    for one in getattr(command, "commands", {}).values():
        yield from texts_of(one)


@contextmanager
def usage_problems() -> Iterator[None]:
    """Have what is wrong with the arguments said in the language that is spoken."""
    try:
        yield
    except Exception as problem:
        say = getattr(problem, "format_message", None)
        if say is not None:
            text = told(say())
            problem.format_message = lambda: text  # type: ignore[attr-defined]  # click asks it
        raise


def _tidy(command: Any) -> None:
    """Have no type told of a flag, which takes no value, nor of an argument, whose name says what it is."""
    for one in command.params:
        if getattr(one, "is_flag", False) or one.param_type_name == "argument":
            one.display_type_rich = lambda ctx: None  # noqa: ARG005 - typer calls it so
    if hasattr(command.context_class, "plain_usage"):
        return
    command.context_class = _speaking(command.context_class)
    own = command.get_help_option

    def help_option(ctx: Any) -> Any:
        option = own(ctx)
        if option is not None:
            option.help = t(option.help)
            option.display_type_rich = lambda ctx: None  # noqa: ARG005 - as above
        return option

    command.get_help_option = help_option


def _said(command: Any) -> Iterator[tuple[Any, str]]:
    """Yield where a command's texts are: objects, and the names of their attributes."""
    for holder, names in (
        (command, ("help", "short_help", "options_metavar", "subcommand_metavar", "rich_help_panel", "epilog")),
        *((param, ("help", "metavar")) for param in command.params),
    ):
        yield from ((holder, name) for name in names if isinstance(getattr(holder, name, None), str))


def _speaking(context: Any) -> Any:
    """Return a class of contexts whose help says how a command is used in the language that is spoken."""

    class Formatter(context.formatter_class):  # type: ignore[misc]  # click's own, whichever typer brings
        def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
            super().write_usage(prog, _REQUIRED.sub(r"\1", args), prefix or t("Usage: "))

    class Context(context):  # type: ignore[misc]  # as above
        formatter_class = Formatter
        plain_usage = True

    return Context

"""An id, a system or a name that is given and empty names nothing: `maestro skip "$ID"` where ID is not set."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from maestro.cli import lazy
from maestro.cli.errors import _chosen
from maestro.cli.main import app
from maestro.cli.together import _meant
from maestro.client.finding import TooShort, least_of
from maestro.client.shapes.error_queue import ErrorMessage, ErrorPage
from maestro.client.shapes.lists import TodoItem

#: Options that name something; given empty they do not mean what they mean when left out.
OPTIONS = ("--system", "--group", "--unit")
#: What an argument may be empty for: it is no name.
NO_NAMES = ("file", "folder", "action")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"MAESTRO_URL": "http://127.0.0.1:9"})


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command that there is, with the words that call it."""
    lazily = (name for name in lazy.COMMANDS if name != "sandbox")  # its systems are no Maestro's
    groups = [((), typer.main.get_command(app)), *(((name,), lazy.loaded(name)) for name in lazily)]
    while groups:
        words, found = groups.pop()
        inner = getattr(found, "commands", {})
        groups += [((*words, name), one) for name, one in inner.items()]
        if not inner:
            yield words, found


def cases() -> Iterator[tuple[str, tuple[str, ...]]]:
    for words, found in commands():
        arguments = [one for one in found.params if one.param_type_name == "argument"]
        for number, one in enumerate(arguments):
            if one.name not in NO_NAMES:
                before = ["approve" if other.name == "action" else "x" for other in arguments[:number]]
                after = ["x" for other in arguments[number + 1 :] if other.required]
                yield one.metavar or one.name.upper(), (*words, *before, "", *after)
        needed = ["x" for one in arguments if one.required]
        for one in found.params:
            for option in set(one.opts) & set(OPTIONS):
                yield option, (*words, *needed, option, "")


#: What the commands' other options must be.
NEEDED = {"token add": ("--role", "viewer"), "set-aside": ("--reason", "x"), "import": ("--from", "go")}


@pytest.mark.parametrize(("name", "words"), sorted(cases()))
def test_nothing_is_done(name: str, words: tuple[str, ...]) -> None:
    more = next((more for call, more in NEEDED.items() if " ".join(words).startswith(call)), ())
    if words[0] == "decide":
        words = ("decide", "approve", *words[2:])
    for blank in ("", " ", "\t"):
        ran = run(*(word or blank for word in words), *more)
        assert (ran.exit_code, ran.stdout, ran.stderr) == (2, "", f"maestro: {name.strip('[].')} is empty\n")


def test_among_others() -> None:
    ran = run("decide", "skip", "aaaa", "", "--yes", "--reason", "x")
    assert (ran.exit_code, ran.stderr) == (2, "maestro: ID is empty\n")


def test_left_out_it_has_its_meaning() -> None:
    assert run("pending").exit_code == 3


@pytest.mark.parametrize("text", ["", " ", "abc"])
def test_what_decides_without_a_question_needs_more_than_a_letter_or_two(text: str) -> None:
    with pytest.raises(TooShort):
        _meant([TodoItem("pending", "sysA", reprocessing="abcdef")], text, least_of(unasked=True))


def test_what_decides_may_be_short_where_it_is_the_whole_id_or_somebody_is_asked() -> None:
    pending = [TodoItem("pending", "sysA", reprocessing=id_) for id_ in ("a", "ab", "bc")]
    assert _meant(pending, "a", least_of(unasked=True)) == pending[0]
    assert _meant(pending, "b", least_of(unasked=False)) == pending[2]


@pytest.mark.parametrize(("text", "unasked"), [("", False), ("", True), ("m1", True)])
def test_a_message_is_not_moved_by_a_letter_or_two(text: str, *, unasked: bool) -> None:
    page = ErrorPage(1, (ErrorMessage("m1x"),))
    maestro = SimpleNamespace(errors=lambda *_: SimpleNamespace(value=page))
    session: Any = SimpleNamespace(maestro=maestro)
    with pytest.raises(TooShort):
        _chosen(session, "sysA", text, least_of(unasked=unasked))
    assert _chosen(session, "sysA", "m1x", least_of(unasked=True)).id == "m1x"

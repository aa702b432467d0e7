"""The texts that Maestro is translated by: collects them from the code, and keeps `maestro/locale` up to date.

    python -m scripts.texts

writes every text into each `maestro.po`, drops those that are no longer in the code, and compiles the file. A text is

- marked where it stands: `t("…")`, `tn("…", "…", n)`, `mark("…")`;
- the help of a command, an option, an argument;
- the name of a table's column;
- a sentence that is said in English and recognised where it is shown (`maestro.language.told`): what is passed to one
  of `SPEAKERS`, or by one of `KEYWORDS`, or stands in one of the files of `SAYING`, with a {name} for each value.
"""

import ast
import io
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT: Final = Path(__file__).parents[1]
_NAMED: Final = re.compile(r"\{\w+\}")
LOCALE: Final = ROOT / "maestro" / "locale"
HEADER: Final = "# Maestro's texts. Made by `python -m scripts.texts`; the translations are written by hand."


class Speaker(NamedTuple):
    """Where the sentences are among a call's arguments, by place or by name, and where such calls are."""

    arguments: tuple[int | str, ...]
    folders: tuple[str, ...] = ("",)


#: Exceptions whose text is shown to people.
EXCEPTIONS: Final = (
    "ActorsFailed", "AlreadyRunning", "Ambiguous", "AuditError", "BadAnswerError", "BadCondition", "BadTarget",
    "BindError", "BrokerError", "BrokerUnavailable", "FolderUnsafe", "FolderUnusable", "IssuerAway",
    "NoMaestro", "NotFound", "NotReachable", "QueueUnavailable", "RecordUnreadable",
    "StoreDamaged", "StoreError", "StoreFull", "StoreLocked", "TokenError", "TooShort", "UnknownTable",
    "WrongShapeError",
)  # fmt: skip
#: Calls whose arguments are shown to people.
SPEAKERS: Final[Mapping[str, Speaker]] = {
    "Problem": Speaker((1, "message"), ("http",)),
    "Denied": Speaker((1, "message"), ("http",)),
    "problem": Speaker((1, 2, 3), ("http", "doctor", "cli/doctor")),
    "BadInput": Speaker((1,)),
    "Unavailable": Speaker((0,)),
    "UnknownSystem": Speaker((0,)),
    "Refused": Speaker((0,), ("access",)),
    "refuse": Speaker((2,), ("rules",)),
    "_refuse": Speaker((2,), ("rules",)),
    "Answer": Speaker((2, "message")),
    "Estimate": Speaker((1,)),
    "refused": Speaker((1,), ("cli", "client")),
    "ok": Speaker((2, 3), ("doctor", "cli/doctor")),
    "warning": Speaker((2, 3), ("doctor", "cli/doctor")),
    **{name: Speaker((0,)) for name in EXCEPTIONS},
}
#: Arguments that are shown to people, by their names.
KEYWORDS: Final = {
    "says": ("system/todo", "http"),
    "cause": ("rules",),
}
#: Files whose every sentence is shown to people: what a rule says becomes a cause in a history, as a failed call does.
SAYING: Final = (
    "actors/client.py", "actors/errors.py", "actors/pending_requests.py", "broker/base.py",
    "broker/rabbitmq_problem.py",
    "broker/rabbitmq_publisher.py", "events.py", "http/checking.py", "http/datasets.py", "http/deciding_many.py",
    "http/evidence.py", "http/middleware.py", "http/outcome.py", "http/overwrites.py", "http/platform_calls.py",
    "http/replies.py", "http/todo_list.py",
    "http/unusual.py", "gateways/client.py", "gateways/dialer.py", "gateways/listener.py",
    "ingress/consumer.py", "ingress/error_groups.py", "ingress/held.py", "ingress/ownership.py", "json_text.py",
    "notify/ways.py", "platform/apicore.py", "platform/connections.py", "platform/domain.py", "platform/once.py",
    "platform/transport.py", "rules/", "system/arrivals.py", "system/deadline.py", "system/deciders.py",
    "system/error_queue_client.py", "system/service.py", "system/todo.py", "system/views.py", "webhooks/sender.py",
)  # fmt: skip
#: Of these: what no person is shown.
SILENT: Final = ("rules/ids.py", "rules/ledger_book.py", "rules/resting.py")
#: What libraries say of a wrong value, passed on to its sender.
FOREIGN: Final = (
    "Expected `{kind}` of length >= {least}", "Expected `{kind}` of length <= {most}", "Expected `{kind}` >= {least}",
    "Expected `{kind}` <= {most}", "Expected `{kind}`, got `{found}`", "Invalid enum value {value}",
    "Expected `{kind}` matching regex {pattern}",
)  # fmt: skip
#: What is no sentence: a pattern, a type, a header, names of tasks.
_NO_SENTENCE: Final = re.compile(
    r"[|\[\]\\=]|charset|\r|^(Host: \{|entities of|live \{|outcome of|past of|error queue$)"
)
#: What surrounds a sentence that is joined to another one.
_JOINTS: Final = " ;:,"
#: Methods of a log: what they are passed is never translated.
_LOGS: Final = frozenset({"debug", "info", "warning", "error", "critical", "exception", "compile"})


class Text(NamedTuple):
    """A text, and its form for all but one where it has one."""

    one: str
    other: str = ""


def texts() -> dict[Text, set[str]]:
    """Return all texts, each with the files that it is in."""
    found: dict[Text, set[str]] = defaultdict(set)
    for path in sorted((ROOT / "maestro").rglob("*.py")):
        name = path.relative_to(ROOT / "maestro").as_posix()
        for text in _Module(path, name).texts():
            found[text].add(name)
    for text in FOREIGN:
        found[Text(text)].add("libraries")
    for text in helps():
        found[Text(text)].add("help")
    return dict(found)


def helps() -> Iterator[str]:
    """Yield the help of every command, option and argument."""
    import typer  # noqa: PLC0415 - only here

    from maestro.cli.help import texts_of  # noqa: PLC0415 - only here
    from maestro.cli.lazy import COMMANDS, loaded  # noqa: PLC0415 - as above
    from maestro.cli.main import app  # noqa: PLC0415 - as above

    yield from texts_of(typer.main.get_command(app))
    for name in COMMANDS:
        yield from (COMMANDS[name].help, *texts_of(loaded(name)))


class _Module:
    """One module's texts."""

    def __init__(self, path: Path, name: str) -> None:
        self._tree = ast.parse(path.read_text("utf-8"))
        self._name = name
        self._functions = {one.name: one for one in ast.walk(self._tree) if isinstance(one, ast.FunctionDef)}
        self._constants = dict(_assigned(self._tree.body))

    def texts(self) -> Iterator[Text]:
        """Yield the texts."""
        for scope in (self._tree, *_functions(self._tree)):
            for call in _own(scope):
                if isinstance(call, ast.Call):
                    yield from self._marked(call, scope)
                    yield from map(Text, self._said(call, scope))
                elif isinstance(call, ast.Dict):
                    yield from map(Text, self._noted(call, scope))
        if self._name.startswith(SAYING) and self._name not in SILENT:
            yield from map(Text, _every(self._tree))

    def _marked(self, call: ast.Call, scope: ast.AST) -> Iterator[Text]:
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        literal = [one.value for one in call.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        if name in ("t", "mark") and call.args:
            yield from (Text(one) for one in literal[:1] if one)
        elif name == "tn":
            yield Text(*literal[:2])
        elif isinstance(call.func, ast.Attribute) and call.func.attr == "table" and self._name.startswith("cli"):
            yield from self._columns(call, scope)

    def _said(self, call: ast.Call, scope: ast.AST) -> Iterator[str]:
        """Yield the sentences that a call says."""
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        speaker = SPEAKERS.get(name)
        if speaker is not None and self._is_in(speaker.folders):
            for argument in speaker.arguments:
                for said in _arguments(call, argument):
                    yield from self._sentences(said, scope, 3)
        for keyword, folders in KEYWORDS.items():
            if self._is_in(folders):
                for said in _arguments(call, keyword):
                    yield from self._sentences(said, scope, 3)

    def _noted(self, notes: ast.Dict, scope: ast.AST) -> Iterator[str]:
        """Yield what a field's type says of a value that does not fit."""
        for key, said in zip(notes.keys, notes.values, strict=True):
            if self._name.startswith("http") and isinstance(key, ast.Constant) and key.value == "says":
                yield from self._sentences(said, scope, 3)

    def _is_in(self, folders: tuple[str, ...]) -> bool:
        return any(self._name.startswith(folder) for folder in folders)

    def _columns(self, call: ast.Call, scope: ast.AST) -> Iterator[Text]:
        """Yield the names of a table's columns."""
        named = call.args[0]
        for columns in [named] if isinstance(named, ast.Tuple) else self._meant(named, scope):
            for one in columns.elts if isinstance(columns, ast.Tuple) else ():
                if isinstance(one, ast.Constant) and one.value:
                    yield Text(one.value.removeprefix(">"))
                elif isinstance(one, ast.Starred):
                    yield from self._columns(ast.Call(call.func, [one.value], []), scope)

    def _sentences(self, said: ast.expr, scope: ast.AST, depth: int) -> Iterator[str]:
        """Yield the sentences that an expression can be, and those in it."""
        parts = list(_parts(said))
        if len(parts) > 1 or isinstance(parts[0], str):
            yield from _template(parts)
            parts = [one for one in parts if isinstance(one, ast.expr)]
        for part in parts:
            if depth and isinstance(part, ast.expr):
                for meant in self._meant(part, scope):
                    yield from self._sentences(meant, scope, depth - 1)

    def _meant(self, part: ast.expr, scope: ast.AST) -> Iterator[ast.expr]:
        """Yield what a name, a choice, or a function of this module stands for."""
        match part:
            case ast.Name(id=name):
                own = [value for target, value in _assigned(_own(scope)) if target == name]
                yield from own or ([self._constants[name]] if name in self._constants else [])
            case ast.IfExp(body=body, orelse=orelse):
                yield from (body, orelse)
            case ast.BoolOp(values=values):
                yield from values
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="format")) if name in self._constants:
                yield self._constants[name]
            case ast.Call(func=ast.Name(id=name)) if name in self._functions:
                for one in ast.walk(self._functions[name]):
                    if isinstance(one, ast.Return | ast.Yield) and one.value is not None:
                        yield one.value
            case ast.JoinedStr() | ast.Constant(value=str()):
                yield part
            case _:
                pass


def _every(tree: ast.Module) -> Iterator[str]:
    """Yield every sentence of a module but its documentation, and what is logged, asserted or matched."""
    silent: set[ast.AST] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant()) | ast.Assert():
                silent.update(ast.walk(node))
            case ast.Call(func=ast.Attribute(attr=name)) if name in _LOGS:
                silent.update(ast.walk(node))
            case ast.Call(func=ast.Name(id="t" | "tn" | "mark")):  # found as what it is
                silent.update(ast.walk(node))
            case ast.JoinedStr(values=values):
                silent.update(one for one in values if isinstance(one, ast.Constant))
            case _:
                pass
    for node in ast.walk(tree):
        if node in silent or not (isinstance(node, ast.JoinedStr) or _is_text(node)):
            continue
        for template in _template(list(_parts(node))):  # type: ignore[arg-type]  # both are expressions
            bare = template.strip(_JOINTS)
            if " " in bare and len(_NAMED.sub("", bare).split()) > 1 and not _NO_SENTENCE.search(template):
                yield bare


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _functions(tree: ast.AST) -> Iterator[ast.AST]:
    yield from (one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))


def _own(scope: ast.AST) -> Iterator[Any]:
    """Yield the nodes of a function, or of a module, without those of the functions in it."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
            yield from _own(child)


def _assigned(nodes: Any) -> Iterator[tuple[str, ast.expr]]:
    for one in nodes:
        match one:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                yield name, value
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                yield from (
                    (name.id, value) for name, value in zip(names, values, strict=True) if isinstance(name, ast.Name)
                )
            case _:
                pass


def _arguments(call: ast.Call, argument: int | str) -> Iterator[ast.expr]:
    if isinstance(argument, int):
        yield from call.args[argument : argument + 1]
    else:
        yield from (one.value for one in call.keywords if one.arg == argument)


def _parts(said: ast.expr) -> Iterator[str | ast.expr]:
    """Yield what a text is put together of: literal text, and expressions."""
    match said:
        case ast.Constant(value=str() as text):
            yield text
        case ast.JoinedStr(values=values):
            for one in values:
                yield from _parts(one)
        case ast.FormattedValue(value=value):
            yield from (value,)
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            yield from _parts(left)
            yield from _parts(right)
        case _:
            yield said


def _template(parts: list[str | ast.expr]) -> Iterator[str]:
    text, used = "", defaultdict(int)
    for part in parts:
        if isinstance(part, str):
            text += part
        else:
            name = _name(part)
            used[name] += 1
            text += f"{{{name}{used[name] if used[name] > 1 else ''}}}"
    words = "".join(part for part in parts if isinstance(part, str))
    if sum(map(str.isalpha, words)) > 1 and not (used and " " not in words):
        yield text


def _name(part: ast.expr) -> str:
    """Return a name for a value."""
    match part:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name.strip("_").lower() or "value"
        case ast.Subscript(value=value):
            return _name(value)
        case _:
            return "value"


def update(file: Path) -> Catalog:
    """Bring a language's file up to date, and return what is in it now."""
    with file.open("rb") as before:
        known = read_po(before)
    catalog = Catalog(locale=known.locale, header_comment=HEADER, project="Maestro", fuzzy=False)
    catalog.mime_headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Plural-Forms", "nplurals=2; plural=(n != 1);"),
    ]
    for text, files in sorted(texts().items()):
        id_: Any = (text.one, text.other) if text.other else text.one
        before_ = known.get(text.one)
        fits = before_ is not None and isinstance(before_.string, tuple) == bool(text.other)
        catalog.add(id_, before_.string if fits else None, locations=[(name, None) for name in sorted(files)])
    return catalog


def written(catalog: Catalog) -> bytes:
    """Return the text of a language's file."""
    out = io.BytesIO()
    write_po(out, catalog, width=120, omit_header=True)
    head = (
        f'{HEADER}\nmsgid ""\nmsgstr ""\n"Language: {catalog.locale}\\n"\n'
        '"Content-Type: text/plain; charset=utf-8\\n"\n'
        '"Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n\n'
    )
    return head.encode() + out.getvalue().rstrip() + b"\n"


def compiled(catalog: Catalog) -> bytes:
    """Return what the standard library's gettext reads: the same of the same texts."""
    catalog.creation_date = catalog.revision_date = datetime(2026, 1, 1, tzinfo=UTC)
    out = io.BytesIO()
    write_mo(out, catalog)
    return out.getvalue()


def main() -> None:
    """Bring every language up to date; exit with 1 while a text has no translation."""
    missing = 0
    for file in sorted(LOCALE.glob("*/LC_MESSAGES/maestro.po")):
        catalog = update(file)
        file.write_bytes(written(catalog))
        file.with_suffix(".mo").write_bytes(compiled(read_po(io.BytesIO(written(catalog)))))
        untranslated = [one for one in catalog if one.id and not all(_strings(one.string))]
        missing += len(untranslated)
        print(f"{file.relative_to(ROOT)}: {len(catalog)} texts, {len(untranslated)} without a translation")  # noqa: T201
    sys.exit(1 if missing else 0)


def _strings(string: Any) -> tuple[str, ...]:
    return tuple(string) if isinstance(string, tuple) else (string,)


if __name__ == "__main__":
    main()

"""`maestro init`: a first configuration file, out of a few questions.

What it writes is loaded as `maestro serve` would load it before it is put in its place.
"""

import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final
from urllib.parse import quote

import typer

from maestro import whole_file
from maestro.access.exposure import is_loopback
from maestro.cli.config import EXIT_CONFIG, exposure
from maestro.cli.exits import EXIT_FAILED, fail, in_words
from maestro.cli.output import confirmed
from maestro.language import t, told
from maestro.settings.environment import VHOST
from maestro.settings.loading import load
from maestro.settings.problems import SettingsError

#: Read when the password of RabbitMQ is not asked for; an option would show it to others on the machine.
PASSWORD: Final = "RABBITMQ_PASSWORD"  # noqa: S105 - a variable's name


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")] = Path("maestro.toml"),
    *,
    rabbitmq: Annotated[
        str | None, typer.Option(metavar="HOST", help="RabbitMQ's host; empty: the embedded broker.")
    ] = None,
    rabbitmq_port: Annotated[int | None, typer.Option(min=1, max=65535, help="Its port, by default 5672.")] = None,
    rabbitmq_user: Annotated[
        str | None, typer.Option(help=f"Its user, by default guest. The password is asked for, or ${PASSWORD}.")
    ] = None,
    data_dir: Annotated[str | None, typer.Option(help="Folder of everything Maestro keeps, by default data.")] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on: 127.0.0.1 (the default), or 0.0.0.0 for other machines.")
    ] = None,
    access: Annotated[
        bool | None, typer.Option(help="Ask for credentials; by default when others than this machine are served.")
    ] = None,
    tls_cert: Annotated[str | None, typer.Option(metavar="PEM", help="Certificate; empty: plain HTTP.")] = None,
    tls_key: Annotated[str | None, typer.Option(metavar="PEM", help="Its key.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: take the options, else the defaults.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> None:
    """Write a first configuration file: broker, access, TLS. It asks what no option says."""
    if not force and (file.exists() or file.is_symlink()):
        fail(t("{file}: is there already; --force replaces it", file=file), EXIT_FAILED)
    if not yes and not _somebody_is_there():
        fail(t("nobody to ask: give --yes, and options for what differs from the defaults"), EXIT_CONFIG)

    def answer(given: str | None, question: str, default: str) -> str:
        if given is not None or yes:
            return default if given is None else given
        return str(typer.prompt(question, default=default, show_default=bool(default))).strip()

    broker = answer(rabbitmq, t("Host of RabbitMQ (empty: the embedded broker)"), "")
    url = ""
    if broker:
        port = answer(None if rabbitmq_port is None else str(rabbitmq_port), t("Its port"), "5672")
        user = answer(rabbitmq_user, t("Its user"), "guest")
        password = os.environ.get(PASSWORD) or ("guest" if yes else _password())
        url = f"amqp://{quote(user, safe='')}:{quote(password, safe='')}@{broker}:{port}/{VHOST}"
    folder = answer(data_dir, t("Folder of everything Maestro keeps"), "data")
    listen = answer(host, t("Address to listen on (0.0.0.0: every network of this machine)"), "127.0.0.1")
    if access is None:
        exposed = not is_loopback(listen)
        access = exposed if yes else confirmed(t("Ask for credentials"), default=exposed, err=False)
    cert = answer(tls_cert, t("PEM file of a TLS certificate (empty: plain HTTP)"), "")
    key = answer(tls_key, t("PEM file of its key"), "") if cert or tls_key else ""

    text = _text(folder=folder, url=url, host=listen, access=access, cert=cert, key=key)
    _check(file, text)
    try:
        whole_file.replace(file.absolute(), text.encode(), sync=True)
    except OSError as problem:
        fail(in_words(problem), EXIT_FAILED)
    typer.echo(t("{file}: written, for its owner only", file=file))
    named = "" if file == Path("maestro.toml") else f" --config {file}"
    typer.echo(t("next:"))
    if access:
        typer.echo(f"  maestro token add admin --role admin{named}")
    typer.echo(f"  maestro serve{named}")


def _somebody_is_there() -> bool:
    return sys.stdin.isatty()


def _password() -> str:
    return str(typer.prompt(t("Its password"), default="guest", hide_input=True, show_default=False))


def _check(file: Path, text: str) -> None:
    """End with 2 when `maestro serve` would not take the file."""
    with TemporaryDirectory(prefix="maestro-") as folder:
        copy = Path(folder) / file.name
        whole_file.replace(copy, text.encode(), sync=True)
        try:
            settings = load(copy, {}).settings
        except SettingsError as problem:
            lines = str(problem).replace(str(copy), str(file)).splitlines()
            fail("\n".join(map(told, lines)), EXIT_CONFIG)
    if refused := exposure(settings):
        fail(refused, EXIT_CONFIG)


def _text(*, folder: str, url: str, host: str, access: bool, cert: str, key: str) -> str:
    def value(text: str) -> str:
        """JSON's text is TOML's too, but for DEL, which TOML wants escaped."""
        return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

    return f"""\
# Written by `maestro init`. `maestro config template` shows every other setting, with its meaning and default.
# The environment wins over this file: RABBITMQ_HOST, APICORE_HOST, …, then MAESTRO_<TABLE>__<KEY>.

# Folder of everything Maestro keeps: stores, tokens, the audit log.
data_dir = {value(folder)}

# Where persist events come from: "rabbitmq", or "embedded", a broker inside Maestro.
[broker]
kind = {value("rabbitmq" if url else "embedded")}
# amqp://user:password@host:5672/vhost, special characters percent-encoded; amqps:// for TLS. It is a secret: keep this
# file its owner's alone, or leave the line out and set RABBITMQ_HOST, _PORT, _USERNAME and _PASSWORD.
url = {value(url)}

# Maestro's own gateway, and its console.
[http]
# 127.0.0.1 serves this machine only; 0.0.0.0 serves every network it is on, and needs access.enabled.
host = {value(host)}
# PEM files of the certificate (with its chain) and its key; both or none. With them: HTTPS only.
tls_cert = {value(cert)}
tls_key = {value(key)}

# Who may do what. Credentials are made by `maestro token add`; people may come by OpenID Connect ([access.oidc]).
[access]
enabled = {"true" if access else "false"}
"""

"""What Maestro rests on inside of libraries: names that their documentation does not promise.

A new version that moves one of them fails here, with the name, and not somewhere in a running service.
"""

import inspect
import re
from importlib.metadata import requires, version
from pathlib import Path

import pytest
import typer
from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from pika.adapters import asyncio_connection
from pika.adapters.utils import nbio_interface
from pika.channel import Channel
from tinydb.table import Table

from maestro.broker.rabbitmq_stream import _Linking, _Stream
from maestro.cli.main import app
from maestro.language.current import translations

ROOT = Path(__file__).parents[2]


def test_pika_has_the_adapter_whose_connect_step_is_replaced() -> None:
    adapter = asyncio_connection._AsyncioIOServicesAdapter
    parameters = inspect.signature(adapter.create_streaming_connection).parameters
    assert list(parameters)[1:] == ["protocol_factory", "sock", "on_done", "ssl_context", "server_hostname"]
    assert "_loop" in inspect.getsource(adapter.__init__)


def test_pikas_channel_has_what_is_asked_without_its_own_methods() -> None:
    assert {"_send_method", "_on_cancelok", "consumer_tags"} <= set(dir(Channel))
    assert list(inspect.signature(Channel._rpc).parameters) == ["self", "method", "callback", "acceptable_replies"]
    begin = inspect.getsource(Channel.__init__)
    assert all(f"self.{name}: " in begin for name in ("_consumers", "_on_getok_callback"))


@pytest.mark.parametrize(
    ("ours", "interface"),
    [(_Stream, nbio_interface.AbstractStreamTransport), (_Linking, nbio_interface.AbstractIOReference)],
)
def test_pikas_interfaces_ask_for_nothing_that_is_not_there(ours: type, interface: type) -> None:
    asked = {name for name, member in vars(interface).items() if inspect.isfunction(member)}
    assert asked
    assert asked <= set(dir(ours))
    assert not getattr(ours, "__abstractmethods__", frozenset())


def test_aiohttps_connection_has_what_ours_overrides() -> None:
    for name in ("pause_writing", "resume_writing", "connection_lost", "handle_error", "eof_received"):
        assert callable(getattr(RequestHandler, name)), name
    parameters = inspect.signature(RequestHandler.__init__).parameters
    assert {"access_log", "auto_decompress", "keepalive_timeout", "lingering_time"} <= set(parameters)
    assert list(inspect.signature(RequestHandler.handle_error).parameters) == [
        "self", "request", "status", "exc", "message",
    ]  # fmt: skip
    assert isinstance(inspect.getattr_static(RequestHandler, "writing_paused"), property)
    assert list(inspect.signature(RequestHandler.finish_response).parameters) == [
        "self", "request", "resp", "start_time",
    ]  # fmt: skip
    assert {"peername", "transport", "_messages", "_current_request", "_waiter"} <= set(dir(RequestHandler))


def test_aiohttp_prepares_a_response_as_the_lock_check_does_it() -> None:
    assert list(inspect.signature(web.Response.prepare).parameters) == ["self", "request"]
    assert isinstance(inspect.getattr_static(web.Response, "keep_alive"), property)
    assert list(inspect.signature(web.Response.write_eof).parameters) == ["self", "data"]


def test_tinydbs_table_reads_and_writes_where_ours_does_it() -> None:
    assert list(inspect.signature(Table._read_table).parameters) == ["self"]
    assert list(inspect.signature(Table._update_table).parameters) == ["self", "updater"]


@pytest.mark.parametrize("library", ["aiohttp", "pika", "thespian", "tinydb"])
def test_what_is_subclassed_has_an_upper_bound(library: str) -> None:
    """The bound is in the installed package's own metadata, and the installed version keeps to it."""
    (asked,) = (line for line in requires("maestro-reprocessing") or () if re.match(rf"{library}\b", line))
    bound = re.search(r"<([\d.]+)", asked)
    assert bound is not None, asked
    assert _numbers(version(library)) < _numbers(bound[1])


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", text)[:3]))


def test_gettext_tells_all_texts_of_a_language() -> None:
    catalog = translations("pt-BR")._catalog  # type: ignore[attr-defined]  # what it is about
    assert catalog["nothing waits"] == "nada espera"
    assert catalog["{n} event", 1] == "{n} eventos"


def test_click_has_what_the_help_in_other_languages_replaces() -> None:
    command = typer.main.get_command(app)
    context = command.context_class
    assert list(inspect.signature(context.formatter_class.write_usage).parameters) == ["self", "prog", "args", "prefix"]
    assert list(inspect.signature(command.get_help_option).parameters) == ["ctx"]
    with pytest.raises(Exception, match="requires an argument") as raised:
        command.make_context("maestro", ["--language"])
    assert raised.value.format_message() == "Option '--language' requires an argument."  # type: ignore[attr-defined]

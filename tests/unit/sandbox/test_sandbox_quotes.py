from maestro.sandbox.demo.story import Input
from maestro.sandbox.quotes.history import load_history


def test_the_history_is_the_banks() -> None:
    history = load_history()
    assert history.quotes("USD", "1999-01-04", "1999-01-04") == [Input("USD", "1999-01-04", 1.1789)]
    assert sum(len(days) for days in history.rates.values()) > 190_000
    days = list(history.rates["BRL"])
    assert days == sorted(days)


def test_no_quote_is_no_quote() -> None:
    history = load_history()
    assert history.quotes("BGN", "1999-01-04", "1999-01-04") == []
    assert history.quotes("XXX", "1999-01-01", "2010-01-01") == []

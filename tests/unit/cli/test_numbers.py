"""Values as a system's labels say, and numbers as the language writes them."""

import pytest

from maestro.cli.numbers import Reader, number
from maestro.cli.outcome import _cells
from maestro.client.shapes.values import Label, Labels, TypeLabels, Value
from maestro.language import speaking

LABELS = Labels(
    {
        "leitura": TypeLabels(
            {"en": "Reading", "pt-BR": "Leitura"},
            {"kwh": Label({"en": "Energy", "pt-BR": "Energia"}, {"en": "kWh", "pt-BR": "kWh"}, 2)},
        )
    }
)


@pytest.mark.parametrize(
    ("value", "decimals", "english", "portuguese"),
    [
        (38211, None, "38,211", "38.211"),
        (38211.5, None, "38,211.5", "38.211,5"),
        (3821.0, 2, "3,821.00", "3.821,00"),
        (-0.125, 2, "-0.12", "-0,12"),
        (1e21, 0, "1,000,000,000,000,000,000,000", "1.000.000.000.000.000.000.000"),
        (1e-7, None, "0.0000001", "0,0000001"),
        (0, None, "0", "0"),
        (2203.7400000000002, None, "2,203.74", "2.203,74"),
        (0.1 + 0.2, None, "0.3", "0,3"),
    ],
)
def test_a_number(value: float, decimals: int | None, english: str, portuguese: str) -> None:
    assert number(value, decimals) == english
    with speaking("pt-BR"):
        assert number(value, decimals) == portuguese


def test_a_value_has_its_label() -> None:
    reader = Reader(LABELS)
    assert (reader.type_name("leitura"), reader.field_name("leitura", "kwh")) == ("Reading", "Energy")
    with speaking("pt-BR"):
        assert (reader.type_name("leitura"), reader.field_name("leitura", "kwh")) == ("Leitura", "Energia")
        assert reader.value("leitura", "kwh", 1234.5) == "1.234,50 kWh"
        assert reader.value("leitura", "kwh", 1234.5, unit=False) == "1.234,50"
        assert (reader.type_name("x"), reader.field_name("x", "y"), reader.value("x", "y", 0.5)) == ("x", "y", "0,5")
    assert reader.value("leitura", "kwh", "text") == "text"
    assert reader.value("leitura", "kwh", None) == "null"


def test_rounding_hides_no_change() -> None:
    reader = Reader(LABELS)
    assert reader.value("leitura", "kwh", 1.001, others=(1.002,)) == "1.001 kWh"
    assert reader.value("leitura", "kwh", 1.001, others=(1.5,)) == "1.00 kWh"


def test_an_outcome_has_the_labels() -> None:
    value = Value(
        type="leitura", id="r1", about="pumps-1", field="kwh", before=3821.0, after=38211.5, change="changed",
        difference=34390.5, percent=900.0,
    )  # fmt: skip
    shown = ("Reading", "pumps-1", "Energy", "3,821.00 kWh", "38,211.50 kWh", "+34390.5", "+900.0 %", "")
    assert _cells(value, Reader(LABELS)) == shown
    with speaking("pt-BR"):
        assert _cells(value, Reader(LABELS))[:5] == ("Leitura", "pumps-1", "Energia", "3.821,00 kWh", "38.211,50 kWh")
    assert _cells(value, Reader(Labels()))[:5] == ("leitura", "pumps-1", "kwh", "3,821", "38,211.5")

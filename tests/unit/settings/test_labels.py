"""The file of labels: what it says, and what is wrong with it by the name of the field."""

from pathlib import Path

import pytest

from maestro.settings.labels import Label, TypeLabels, read_labels
from maestro.settings.loading import load
from maestro.settings.problems import SettingsError

ROOT = Path(__file__).parents[3]


def written(folder: Path, text: str) -> str:
    file = folder / "labels.toml"
    file.write_text(text, "utf-8")
    return str(file)


def test_a_text_is_for_all_languages_or_for_each(tmp_path: Path) -> None:
    text = """
        [sysA.conta]
        name = { en = "Account", pt-BR = "Conta" }
        [sysA.conta.fields]
        valor = { name = "Valor", unit = { pt-BR = "R$" }, decimals = 2 }
        dia = {}
        ["5a-b".x]
    """
    assert read_labels(written(tmp_path, text)) == {
        "sysA": {
            "conta": TypeLabels(
                {"en": "Account", "pt-BR": "Conta"},
                {
                    "valor": Label({"en": "Valor", "pt-BR": "Valor"}, {"en": "R$", "pt-BR": "R$"}, 2),
                    "dia": Label({}, {}, None),
                },
            )
        },
        "5a-b": {"x": TypeLabels({}, {})},
    }


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("sysA = 1", "sysA = 1: must be a table"),
        ("[sysA]\nconta = 'x'", "sysA.conta = 'x': must be a table of name, fields"),
        ("[sysA.conta]\nnmae = 'x'", "sysA.conta.nmae: is not known; there are name, fields"),
        ("[sysA.conta]\nname = 7", "sysA.conta.name = 7: must be a table of en, pt-BR"),
        ("[sysA.conta.name]\nde = 'Konto'", "sysA.conta.name.de: is not known; there are en, pt-BR"),
        ("[sysA.conta.name]\nen = 7", "sysA.conta.name.en = 7: must be a text of at most 60 printable characters"),
        ("[sysA.conta]\nname = '''a\nb'''", "sysA.conta.name = 'a\\nb': must be a text of at most 60 printable"),
        ("[sysA.conta.fields]\nvalor = 2", "sysA.conta.fields.valor = 2: must be a table of name, unit, decimals"),
        ("[sysA.conta.fields.valor]\ndecimals = 2.0", "sysA.conta.fields.valor.decimals = 2.0: must be a whole number"),
        ("[sysA.conta.fields.valor]\ndecimals = -1", "sysA.conta.fields.valor.decimals = -1: must be a whole number"),
        ("[sysA.conta.fields.valor]\ndecimals = true", "sysA.conta.fields.valor.decimals = True: must be a whole"),
        ("[sysA", "is no TOML: "),
    ],
)
def test_what_is_wrong_names_its_field(tmp_path: Path, text: str, wrong: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(SettingsError) as refused:
        read_labels(file)
    assert str(refused.value).startswith(f"{file}: {wrong}")


def test_all_that_is_wrong_is_listed(tmp_path: Path) -> None:
    text = "[a.b]\nname = 1\n[a.b.fields.c]\ndecimals = 'x'\nunit = 2"
    with pytest.raises(SettingsError) as refused:
        read_labels(written(tmp_path, text))
    assert len(str(refused.value).splitlines()) == 3


def test_the_file_beside_the_configuration_is_read_unless_another_is_named(tmp_path: Path) -> None:
    config = tmp_path / "maestro.toml"
    config.write_text("systems = []", "utf-8")
    assert load(config, {}).settings.labels == ""
    beside = written(tmp_path, "[sysA.conta]\nname = 'Conta'")
    loaded = load(config, {})
    assert (loaded.settings.labels, loaded.origins["labels",]) == (beside, str(config))
    other = tmp_path / "other.toml"
    other.write_text("", "utf-8")
    assert load(config, {"MAESTRO_LABELS": str(other)}).settings.labels == str(other)


def test_a_wrong_or_missing_file_is_a_wrong_configuration(tmp_path: Path) -> None:
    config = tmp_path / "maestro.toml"
    config.write_text("labels = 'nowhere.toml'", "utf-8")
    with pytest.raises(SettingsError, match=r"nowhere\.toml: cannot be read: No such file"):
        load(config, {})
    config.write_text("", "utf-8")
    written(tmp_path, "[a.b]\nname = 1")
    with pytest.raises(SettingsError, match=r"a\.b\.name = 1"):
        load(config, {})


def test_the_example_labels_both_stories() -> None:
    labels = read_labels(str(ROOT / "config" / "labels.toml"))
    assert labels["cotacoes"]["quote"].fields["rate"].decimals == 4
    assert labels["medicao"]["reading"].fields["kwh"].unit["pt-BR"] == "kWh"

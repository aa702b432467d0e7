"""Which language somebody wants."""

import pytest

from maestro.language import from_environment, from_header, from_name


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("pt", "pt-BR"), ("pt-BR", "pt-BR"), ("pt_PT.UTF-8", "pt-BR"), (" PT_br ", "pt-BR"),
        ("pt_BR.ISO-8859-1", "pt-BR"),         ("en", "en"), ("en_US.UTF-8", "en"), ("de_DE.UTF-8", "en"), ("C", "en"),
        ("ptx", "en"), ("", "en"),
    ],
)  # fmt: skip
def test_a_name(name: str, language: str) -> None:
    assert from_name(name) == language


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, "en"),
        ({"LANG": "pt_BR.UTF-8"}, "pt-BR"),
        ({"LC_MESSAGES": "en_US.UTF-8", "LANG": "pt_BR.UTF-8"}, "en"),
        ({"LC_ALL": "pt_BR.UTF-8", "LC_MESSAGES": "en_US", "LANG": "en_US"}, "pt-BR"),
        ({"LC_ALL": "", "LANG": "pt_BR"}, "pt-BR"),
        ({"MAESTRO_LANGUAGE": "en", "LC_ALL": "pt_BR.UTF-8"}, "en"),
        ({"MAESTRO_LANGUAGE": "pt", "LC_ALL": "C"}, "pt-BR"),
        ({"MAESTRO_LANGUAGE": "klingon", "LC_ALL": "pt_BR"}, "en"),
    ],
)
def test_an_environment(environ: dict[str, str], language: str) -> None:
    assert from_environment(environ) == language


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("pt-BR,pt;q=0.9,en;q=0.8", "pt-BR"),
        ("en,pt;q=0.9", "en"),
        ("de, pt;q=0.5", "pt-BR"),
        ("en;q=0.1, pt-PT;q=0.2", "pt-BR"),
        ("pt;q=0, en", "en"),
        ("*", "en"),
        ("pt;q=two, en;q=0.1", "en"),
        ("pt;q=nan", "en"),
        ("de", "en"),
        (";;,=;q,", "en"),
        ("x," * 400 + "pt", "en"),
    ],
)
def test_a_header(header: str, language: str) -> None:
    assert from_header(header) == language

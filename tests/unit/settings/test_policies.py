"""Policies in the configuration: what may stand there, and what is said about wrong ones."""

import json
import re
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest

from maestro.settings.loading import load, load_settings
from maestro.settings.model import Settings
from maestro.settings.policies import PolicySettings
from maestro.settings.problems import SettingsError
from maestro.settings.render import as_toml

CONFIG = Path(__file__).parents[3] / "config" / "maestro.toml"
CLOSED = """
[[policy]]
name = "closed-period"
effects = ["two_approvers", "refuse_skip"]
data_before = 2026-07-01
date_from = ["payload.date"]
"""


@pytest.fixture(autouse=True)
def empty_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(text: str, environ: Mapping[str, str] | None = None) -> Settings:
    Path("m.toml").write_text(text, "utf-8")
    return load_settings(Path("m.toml"), environ or {})


def problems(text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        loaded(text, environ)
    return list(caught.value.problems)


def policy(fields: str, name: str = 'name = "p"', effects: str = 'effects = ["ask"]') -> str:
    return f"[[policy]]\n{name}\n{effects}\n{fields}\n"


class TestLoading:
    def test_there_is_none_by_default(self) -> None:
        assert Settings().policy == ()

    @pytest.mark.parametrize("day", ["2026-07-01", '"2026-07-01"'])
    def test_a_day_is_a_date_or_a_text(self, day: str) -> None:
        (found,) = loaded(CLOSED.replace("2026-07-01", day)).policy
        assert found.data_before == date(2026, 7, 1)
        assert found.effects == ("two_approvers", "refuse_skip")
        assert found.date_from == ("payload.date",)

    def test_they_may_stand_in_the_environment(self) -> None:
        told = [{"name": "p", "effects": ["approve"], "units_to": 5, "data_from": "2026-07-01"}]
        (found,) = loaded("", {"MAESTRO_POLICY": json.dumps(told)}).policy
        assert (found.name, found.units_to, found.data_from) == ("p", 5, date(2026, 7, 1))

    def test_what_holds_is_shown_and_can_be_read_again(self) -> None:
        text = CLOSED + policy("units_to = 5\nbudget_replays = 9", 'name = "q"', 'effects = ["approve"]')
        settings = loaded(text)
        shown = as_toml(load(Path("m.toml"), {}))
        assert "[[policy]]  # m.toml" in shown
        assert loaded(shown).policy == settings.policy

    def test_the_complete_file_shows_every_setting_of_one(self) -> None:
        _, _, example = CONFIG.read_text("utf-8").partition("#[[policy]]")
        text = "[[policy]]" + re.sub(r"(?m)^#(?=[a-z_]+ = )", "", example)
        (shown,) = tomllib.loads(text)["policy"]
        budget = {name: shown.pop(name) for name in ("budget_replays", "budget_minutes")}
        assert {*shown, *budget} == {*PolicySettings.model_fields}
        assert loaded(text.replace("budget_", "#budget_")).policy[0].name == "closed-period"


class TestProblems:
    @pytest.mark.parametrize(
        ("text", "line"),
        [
            (policy("units_from = -1"), 'policy "p": units_from = -1: must be greater than or equal to 0'),
            (policy('units_from = "5"'), "policy \"p\": units_from = '5': must be a valid integer"),
            (policy("data_before = 2026-07-01T10:00:00"), 'policy "p": data_before = '),
            (policy('data_before = "July"'), "policy \"p\": data_before = 'July': must be a valid date"),
            (policy("unit_from = 5"), 'policy "p": unit_from: unknown setting; did you mean units_from?'),
            (policy("zzz = 5"), 'policy "p": zzz: unknown setting; here may stand: name, effects, '),
            (policy("", name=""), "policy 1: name is missing"),
            (policy("", name='name = "a b"'), "policy \"a b\": name = 'a b': "),
            (policy("", effects=""), 'policy "p": effects is missing'),
            (policy("", effects="effects = []"), 'policy "p": effects = []: must have at least one entry'),
            (policy("", effects='effects = ["aprove"]'), "policy \"p\": effects.0 = 'aprove': must be 'ask', "),
            (policy('systems = ["a b"]'), "policy \"p\": systems.0 = 'a b': "),
            (policy('date_from = ["payload..date"]'), "policy \"p\": date_from.0 = 'payload..date': must be a path"),
            (policy("units_from = 5\nunits_to = 4"), 'policy "p": units_from = 5, units_to = 4: no commit can be both'),
            (policy("rows_from = 5\nrows_to = 4"), 'policy "p": rows_from = 5, rows_to = 4: no commit can be both'),
            (
                policy("data_from = 2026-07-01\ndata_before = 2026-07-01"),
                'policy "p": data_from = 2026-07-01, data_before = 2026-07-01: no commit can be both',
            ),
            (
                policy("", effects='effects = ["approve", "ask"]'),
                'policy "p": effects: "approve" and "ask" exclude each other',
            ),
            (
                policy("budget_replays = 5"),
                'policy "p": budget_replays and budget_minutes are for the effect "approve"',
            ),
            ('policy = "x"', "policy = 'x': must be a list"),
        ],
    )
    def test_it_names_the_policy_and_the_field(self, text: str, line: str) -> None:
        (found,) = problems(text)
        assert found.startswith(f"m.toml: {line}")

    def test_each_problem_of_each_policy_has_its_line(self) -> None:
        text = policy("units_from = -1") + policy("rows_to = -1", name='name = "q"')
        assert [line.partition(" = ")[0] for line in problems(text)] == [
            'm.toml: policy "p": units_from',
            'm.toml: policy "q": rows_to',
        ]

    def test_one_in_the_environment_is_named_by_its_variable(self) -> None:
        (line,) = problems("", {"MAESTRO_POLICY": '[{"name": "p", "effects": ["ask"], "units_to": -1}]'})
        assert line.startswith('MAESTRO_POLICY: policy "p": units_to = -1: ')

    def test_two_of_one_name(self) -> None:
        (line,) = problems(policy("") + policy(""))
        assert line == "m.toml: two policies are called p"

    def test_who_names_himself_is_no_second_approver(self) -> None:
        text = '[access]\napprover_networks = ["10.1.0.0/16"]\n' + CLOSED
        (line,) = problems(text)
        assert line.startswith("m.toml: policy closed-period asks for two approvers, and callers of ")

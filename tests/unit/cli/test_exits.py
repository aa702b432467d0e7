"""What a failed call says, and its exit code."""

import pytest
import typer

from maestro.cli.exits import EXIT_UNREACHABLE, EXIT_USAGE, explained
from maestro.client.errors import NoMaestro, NotReachable
from maestro.client.target import DEFAULT_URL


@pytest.mark.parametrize(
    ("problem", "code", "said"),
    [
        (
            NotReachable(f"{DEFAULT_URL}: Connection refused"),
            EXIT_UNREACHABLE,
            "; is it elsewhere? MAESTRO_URL or --url says where; `maestro doctor` looks",
        ),
        (NotReachable("http://maestro:7000: Connection refused"), EXIT_UNREACHABLE, "maestro:7000: Connection refused"),
        (
            NoMaestro("http://h:1: this is no Maestro, but another service, which says: 404: Not Found"),
            EXIT_USAGE,
            "which says: 404: Not Found; MAESTRO_URL or --url says where Maestro is",
        ),
    ],
)
def test_who_does_not_reach_maestro_is_told_where_to_say_where_it_is(
    capsys: pytest.CaptureFixture[str], problem: NotReachable, code: int, said: str
) -> None:
    with pytest.raises(typer.Exit) as end, explained(json=False):
        raise problem
    assert end.value.exit_code == code
    assert capsys.readouterr().err.rstrip().endswith(said)

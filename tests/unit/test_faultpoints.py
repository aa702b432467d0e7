from pathlib import Path

import pytest

from maestro.faultpoints import Fault, FaultInjected, Injector, parse


def test_faults_are_read() -> None:
    assert parse("a.b:kill:3, c@s1:delay:0.5\nd:raise") == (
        Fault("a.b:kill:3", "a.b", "", "kill", 3),
        Fault("c@s1:delay:0.5", "c", "s1", "delay", 0.5),
        Fault("d:raise", "d", "", "raise", 1),
    )


@pytest.mark.parametrize("text", ["a", "a:stop", ":kill", "a:kill:x"])
def test_what_is_no_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"MAESTRO_FAULTPOINTS|could not convert"):
        parse(text)


def test_it_happens_at_the_passing_that_is_named() -> None:
    injector = Injector("here:raise:2")
    injector.reach("there")
    injector.reach("here")
    with pytest.raises(FaultInjected):
        injector.reach("here")
    injector.reach("here")


def test_it_happens_only_to_whom_it_is_meant_for() -> None:
    injector = Injector("here@s1:raise")
    injector.reach("here")
    injector.who = "s1"
    with pytest.raises(FaultInjected):
        injector.reach("here")


def test_of_a_file_it_happens_once_in_all_lives(tmp_path: Path) -> None:
    file = tmp_path / "faults"
    first, second = Injector(f"@{file}"), Injector(f"@{file}")
    first.reach("here")
    file.write_text("here:raise\n")
    with pytest.raises(FaultInjected):
        first.reach("here")
    second.reach("here")
    assert (tmp_path / "faults.fired").read_text() == "here:raise\n"

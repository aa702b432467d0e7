"""No command of the rules is without somebody who carries it out, or without the fact that it failed."""

from pathlib import Path

from maestro.rules.commands import Command, FindOldestEntries
from maestro.rules.facts import Fact, OldestEntriesFound
from maestro.settings.model import HttpSettings, Settings
from maestro.system.failing import failure
from maestro.system.service import SystemService


def test_a_look_that_fails_does_not_say_that_the_ledger_is_empty() -> None:
    assert failure(FindOldestEntries(rows=3), "the store is damaged") == OldestEntriesFound(
        problem="the store is damaged"
    )


async def test_each_command_has_one(tmp_path: Path) -> None:
    service = SystemService(Settings(data_dir=tmp_path, http=HttpSettings(lock_board=False)), "sysA", 1)
    await service.start()
    try:
        assert service._open is not None
        assert set(service._open.handlers()) == set(Command.__subclasses__())
        for kind in service._open._sibling_calls._handlers:
            command = kind(**dict.fromkeys(kind.__struct_fields__))
            assert isinstance(failure(command, "the sibling is away"), Fact), kind
    finally:
        await service.stop()

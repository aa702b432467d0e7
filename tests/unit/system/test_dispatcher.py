"""No command of the rules is without somebody who carries it out."""

from pathlib import Path

from maestro.rules.commands import Command
from maestro.settings.model import HttpSettings, Settings
from maestro.system.service import SystemService


async def test_each_command_has_one(tmp_path: Path) -> None:
    service = SystemService(Settings(data_dir=tmp_path, http=HttpSettings(lock_board=False)), "sysA", 1)
    await service.start()
    try:
        assert service._open is not None
        assert set(service._open.handlers()) == set(Command.__subclasses__())
    finally:
        await service.stop()

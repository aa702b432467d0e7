"""What a commit replaced: the rows that it changes, as its instance had read them.

Domain tells what stands there now. Once the commit is made, that is what it wrote, or what others wrote since: only
Process Memory still has what stood there when the instance read it.
"""

from collections.abc import Collection
from typing import Any, Final

from maestro.http.datasets import Datasets, rows_of
from maestro.platform import Platform, SiblingError

#: Histories held at once.
AT_ONCE: Final = 2


class Replaced:
    """Tells what commits replaced. `timeout`: seconds that an answer may take."""

    def __init__(self, platform: Platform, timeout: float) -> None:
        self._datasets = Datasets(platform, timeout, AT_ONCE)

    async def rows(self, instance_id: str, wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], Any]:
        """Return the wanted rows (by type and id) as the instance read them; without those that nothing tells of."""
        try:
            async with self._datasets.looking():
                history = await self._datasets.history(instance_id)
                return {} if history is None else await rows_of(history.read, wanted)
        except SiblingError:
            return {}

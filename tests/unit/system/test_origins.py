"""Origin events whose timestamps are not as the platform writes them: taken as they are, and told once."""

from pathlib import Path

from structlog.testing import capture_logs

from maestro.platform import Platform
from maestro.rules.impact import Impacted, replay_order
from maestro.rules.state import System
from maestro.store.memory import MemoryStore
from maestro.system.asking import Asking
from maestro.system.canaries import Canaries
from maestro.system.ledger import Ledger
from maestro.telemetry.definitions import OF_SYSTEM
from maestro.telemetry.metrics import MetricsRegistry
from tests.support.siblings import RecordingSiblings
from tests.support.stage import SYSTEM
from tests.unit.system.test_canaries import Keeping

STAMPS = {
    "plain": "2018-07-20T15:08:41.5",
    "zulu": "2018-07-20T15:08:41Z",
    "west": "2018-07-20T12:08:42-03:00",
    "soon": "soon",
    "later": "not now",
    "never": "",
}


async def test_each_way_to_be_odd_is_told_once_and_the_order_is_that_of_the_moments(
    siblings: RecordingSiblings, tmp_path: Path
) -> None:
    siblings.origins |= {name: {"name": "x.request", "timestamp": stamp} for name, stamp in STAMPS.items()}
    store = MemoryStore()
    async with await Platform.open(siblings.settings(tries=1)) as platform:
        canaries = Canaries(SYSTEM, platform, Keeping(store), tmp_path)  # type: ignore[arg-type]  # see Keeping
        asking = Asking(System(SYSTEM), platform, Ledger(store, lambda: None), canaries, MetricsRegistry(OF_SYSTEM))
        with capture_logs() as lines:
            for _ in range(3):
                origins = await asking.origins(Impacted(name, "master") for name in STAMPS)
    names = [origin.unit.instance_id for origin in replay_order(origins)]
    assert names == ["zulu", "plain", "west", "later", "never", "soon"]
    told = [line["event"] for line in lines if line["log_level"] == "warning" and line["system"] == SYSTEM]
    assert sorted(told) == [
        "the timestamp of an origin event does not parse: its instance is replayed after the others; said once",
        "the timestamp of an origin event names a zone: it is taken for the moment it names; said once",
    ]

"""`python -m tests.simulation.found --seeds 0..500`: what Maestro does not know, and what it says in vain.

Worlds in which Discovery sees no more than the real one, clocks of services differ by up to 2 s, and processes start
for seconds; nothing stale is replayed (`late.policy = report`). Of all results on a branch: how many are stale in truth
once all is at rest, how many of these are not listed (false negatives), and how many are listed that are right (false
positives). What people decided (skipped, cancelled, failed runs) is counted for itself.
"""

import argparse
import sys
from collections import Counter
from dataclasses import replace

from maestro.rules.impact import UnitKey
from maestro.rules.ledger_book import LatePolicy, Scope, StaleState
from maestro.rules.state import Rules
from tests.simulation.domain import Value
from tests.simulation.settled import beyond_telling, by_hand
from tests.simulation.world import Tenant, run


def measured(scope: Scope, seeds: range) -> Counter[str]:
    """Live through the worlds with a ledger of this scope; return the counts."""
    counts = Counter[str]()

    def tune(rules: Rules) -> Rules:
        return replace(rules, ledger_scope=scope, late_policy=LatePolicy.REPORT)

    for seed in seeds:
        run(seed, tune, lambda tenant: counts.update(_counted(tenant)))
    return counts


def _counted(tenant: Tenant) -> Counter[str]:
    data, watch = tenant.siblings.data, tenant.host.watch
    results = {
        (value.by.original, branch)
        for (_, branch), value in data.values.items()
        if value.by.reads and not value.by.is_total
    }
    notes = {(row["unit"][0], row["unit"][1]): row["state"] for _, row in tenant.host.store.rows("ledger_stale")}
    called_stale = {unit for unit, state in notes.items() if state == StaleState.STALE}
    reimpacted = {unit for id_ in watch.documents for unit, row in watch.units_of(id_).items() if row["reimpacted"]}
    listed = notes.keys() | reimpacted
    stale, decided, reasons = set(), set(), dict[UnitKey, str]()
    for (_, branch), value, causes in data.stale():
        unit = (value.by.original, branch)
        rows = [watch.documents.get(cause.doc) for cause in causes]
        given_up = any(row is not None and (row["status"] != "finished" or by_hand(row)) for row in rows)
        (decided if given_up else stale).add(unit)
        reasons[unit] = _why(tenant, value, causes)
    stale -= decided
    return Counter(
        {
            "results": len(results),
            "stale": len(stale),
            "not listed": len(stale - listed),
            "listed as stale": len(called_stale),
            "listed as stale, and right": len(called_stale - stale - decided),
            "stale by decision": len(decided),
        }
    ) + Counter(f"not listed: {reasons[unit]}" for unit in stale - listed)


def _why(tenant: Tenant, value: Value, causes: list[Value]) -> str:
    """Say what keeps Maestro from knowing that a result is stale."""
    heard = tenant.siblings.heard_at
    if value.by.unheard or value.by.id not in heard or any(cause.by.id not in heard for cause in causes):
        return "committed without Maestro, or before its store was lost"
    if any(beyond_telling(tenant, value, cause) for cause in causes):
        return "an instance that persisted twice, or a loss of power"
    if any(cause.by.only_inserts or not cause.by.changes for cause in causes):
        return "a row was inserted"
    if any(cause.by.kept_back for cause in causes):
        return "API core was away"
    if value.by.of and value.by.drops_send:
        return "a late result of a former round"
    return "the ledger does not have what it read"


def main() -> int:
    """Print a line for each scope."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.found", description=__doc__)
    parser.add_argument("--seeds", default="0..500", help="A..B: from A up to, not including, B")
    first, _, last = parser.parse_args().seeds.partition("..")
    for scope in Scope:
        print(f"{scope}: {dict(measured(scope, range(int(first), int(last))))}")  # noqa: T201 - a command line tool
    return 0


if __name__ == "__main__":
    sys.exit(main())

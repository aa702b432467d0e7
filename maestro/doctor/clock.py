"""Whether this machine's clock agrees with Maestro's, and with the times of what is stored."""

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Final

from maestro.doctor.finding import Finding, ok, warning
from maestro.doctor.site import Site
from maestro.store.places import store_files

CHECK: Final = "clock"
#: Seconds two clocks may differ; the header that is compared has whole seconds.
_SKEW: Final = 5.0
#: Seconds a file may come from the future.
_FUTURE: Final = 60.0
_SYNCHRONISE: Final = "timedatectl set-ntp true (or chronyc makestep)"


async def check_clock(site: Site) -> list[Finding]:
    """Whether the clock agrees with what can be seen of others."""
    found = [*_skewed(site), *_from_the_future(site)]
    return found or [ok(CHECK, "clock", "agrees with what can be seen of others")]


def _skewed(site: Site) -> Iterator[Finding]:
    try:
        skew = site.asked_at - parsedate_to_datetime(site.date).timestamp()
    except ValueError:
        return  # not known: Maestro did not answer
    if abs(skew) > _SKEW:
        message = f"is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} Maestro's"
        yield warning(CHECK, "clock", message, _SYNCHRONISE)


def _from_the_future(site: Site) -> Iterator[Finding]:
    now = time.time()
    for path in store_files(site.settings.data_dir):
        ahead = path.stat().st_mtime - now
        if ahead > _FUTURE:
            message = f"was written {ahead:.0f} s in the future: the clock was set back"
            yield warning(CHECK, str(path), message, _SYNCHRONISE)

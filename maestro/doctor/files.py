"""Whether others may read or change what Maestro's promises rest on."""

from maestro.access.permissions import openings
from maestro.doctor.finding import Finding, problem, warning
from maestro.doctor.site import Site

CHECK = "files"


async def check_files(site: Site) -> list[Finding]:
    """Return what others may do with the data folder, the tokens and the TLS key."""
    return [
        (problem if one.refused else warning)(CHECK, one.path, one.message, one.mend) for one in openings(site.settings)
    ]

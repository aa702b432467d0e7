"""The sibling services over HTTP: one typed client per sibling, retries and error kinds in one place.

May import `maestro.settings`, `logs`, `events`, `json_text`, `ports`, and the value types of `maestro.rules`.
"""

from maestro.platform.bundle import Platform as Platform
from maestro.platform.errors import FinalRefusal as FinalRefusal
from maestro.platform.errors import NeverAsked as NeverAsked
from maestro.platform.errors import NoSubscribers as NoSubscribers
from maestro.platform.errors import SiblingError as SiblingError
from maestro.platform.errors import SiblingLocked as SiblingLocked
from maestro.platform.errors import SiblingRefused as SiblingRefused
from maestro.platform.errors import SiblingUnreachable as SiblingUnreachable

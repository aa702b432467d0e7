"""What the settings' models are made of."""

from typing import Annotated, Final, LiteralString
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from maestro.events import check_system_id

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=1)]
SystemId = Annotated[str, AfterValidator(lambda value: check_system_id(value, repr(value)))]


def webhook_url(value: str) -> str:
    """Return the URL. Raises `ValueError`: nothing can be posted to it."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None or parts.fragment:
        raise ValueError("must be an http:// or https:// URL without a user and a fragment")
    check_host(parts.hostname)
    return value


def check_host(name: str) -> str:
    """Return the name of a host. Raises `ValueError`: it is none that can be looked up."""
    try:
        name.encode("idna")
    except UnicodeError:
        raise ValueError("must have a host of which each part has 1 to 63 characters") from None
    return name


#: The kind of a problem that only several settings together have, wherever each of them stands.
TOGETHER: Final = "together"


def together(message: LiteralString, *names: str) -> PydanticCustomError:
    """Return the problem that these settings of one table have together."""
    return PydanticCustomError(TOGETHER, message, {"names": names})


WebhookUrl = Annotated[str, AfterValidator(webhook_url)]


class Section(BaseModel):
    """A table of the file; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

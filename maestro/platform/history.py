"""What an instance read and what it computed.

Process Memory's `history` has its event, then its datasets in turn; `head` has the last dataset.
Rows stay undecoded: who compares them decodes one after the other, and gives way to others in between.
"""

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from maestro.json_text import without_surrogates
from maestro.platform.errors import WrongShapeError

T = TypeVar("T")

#: Bytes of such an answer that is taken; of a larger one nothing is kept.
LIMIT: Final = 16 * 1024 * 1024

#: Commas in it: each may part two rows, and a row takes memory however short it is.
MOST_PARTS: Final = 800_000

#: Rows by their type, each as it came.
Rows = Mapping[str, Sequence[msgspec.Raw]]


class History(msgspec.Struct, frozen=True):
    """The dataset as it was read first, and as it was computed last."""

    read: Rows
    computed: Rows


class _Dataset(msgspec.Struct, gc=False):
    entities: dict[str, list[msgspec.Raw]]


class _Kept(msgspec.Struct, gc=False):
    dataset: _Dataset | None = None


_HISTORY: Final = msgspec.json.Decoder(list[_Kept] | None)
_HEAD: Final = msgspec.json.Decoder(_Kept | list[_Kept] | None)
#: The dataset as read, and as computed.
_BOTH: Final = 2


class Gathered:
    """Takes an answer as it comes, up to `LIMIT` bytes."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._body = bytearray()
        self._too_large = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes; never raises."""
        if self._too_large:
            return
        self._body += data
        if len(self._body) > self._limit:
            self._too_large = True
            self._body.clear()

    def end(self) -> bytes:
        """Return all of it. Raises `WrongShapeError`: it is too large."""
        if self._too_large:
            raise WrongShapeError(f"it is larger than {self._limit} bytes")
        return bytes(self._body)


def history_of(answer: bytes) -> History | None:
    """Return what a history says; None when it has no two datasets.

    An instance that computed several times has a pair of datasets for each: the first as read and the last as computed
    say what it changed in all.

    Raises:
        WrongShapeError, msgspec.DecodeError: it is no history.
    """
    datasets = [one.dataset for one in (_decoded(_HISTORY, answer) or ())[1:] if one.dataset is not None]
    if len(datasets) < _BOTH:
        return None
    return History(datasets[0].entities, datasets[-1].entities)


def dataset_of(answer: bytes) -> Rows | None:
    """Return the rows of a head; None when it has no dataset. Raises as `history_of`."""
    kept = _decoded(_HEAD, answer)
    if isinstance(kept, list):
        kept = kept[-1] if kept else None
    return None if kept is None or kept.dataset is None else kept.dataset.entities


def _decoded(decoder: msgspec.json.Decoder[T], answer: bytes) -> T:
    if answer.count(b",") > MOST_PARTS:
        raise WrongShapeError(f"it has more than {MOST_PARTS} parts")
    try:
        return decoder.decode(answer)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return decoder.decode(without_surrogates(answer))

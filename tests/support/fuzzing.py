"""Mutates what was seen to be interesting: bytes flipped, cut, doubled, spliced, and words put in.

The corpus is in `tests/faults/corpus/<target>`, one input a file: whatever found a defect is added there.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from time import monotonic

CORPUS = Path(__file__).parents[1] / "faults" / "corpus"
#: Changes made to one input at most.
CHANGES = 6
#: Bytes of an input at most: long ones are slow, and tried by name elsewhere.
LONGEST = 64 * 1024
BYTES = (
    b"\x00",
    b"\xff",
    b"\r\n",
    b"\n",
    b"\r",
    b"\t",
    b" ",
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"/",
    b"%",
)
NUMBERS = (
    b"0", b"-1", b"1", b"255", b"256", b"65536", b"2147483648", b"9223372036854775808", b"1e400", b"-0.0", b"1e-400",
    b"NaN", b"Infinity", b"9" * 400, b"null", b"true", b"[]", b"{}", b'""', b'"\\ud83d"', b'"\\u0000"',
)  # fmt: skip


def corpus(target: str) -> list[bytes]:
    """Return the inputs kept for a target, in a fixed order."""
    found = [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]
    assert found, f"no corpus of {target}"
    return found


def mutants(seeds: Sequence[bytes], words: Sequence[bytes], dice: Random) -> Iterator[bytes]:
    """Yield the seeds themselves, then mutants of them without end."""
    yield from seeds
    words = (*words, *BYTES, *NUMBERS)
    while True:
        body = bytearray(dice.choice(seeds))
        for _ in range(dice.randint(1, CHANGES)):
            _change(body, seeds, words, dice)
        yield bytes(body[:LONGEST])


def _change(body: bytearray, seeds: Sequence[bytes], words: Sequence[bytes], dice: Random) -> None:
    at = dice.randint(0, len(body))
    length = min(dice.choice((1, 1, 2, 4, 16, 64)), len(body) - at)
    match dice.randint(0, 7):
        case 0:
            if at < len(body):
                body[at] ^= 1 << dice.randint(0, 7)
        case 1:
            del body[at : at + length]
        case 2:
            body[at:at] = dice.choice(words)
        case 3:
            body[at : at + length] = dice.choice(words)
        case 4:
            body[at:at] = body[at : at + length] * dice.choice((1, 2, 16, 200))
        case 5:
            other = dice.choice(seeds)
            cut = dice.randint(0, len(other))
            body[at:] = other[cut:]
        case 6:
            body[at:at] = dice.randbytes(dice.randint(1, 8))
        case _:
            # A word of the input takes another's place: fields change their values.
            other = dice.choice(seeds)
            cut = dice.randint(0, len(other))
            body[at : at + length] = other[cut : cut + length]


def until(seconds: float) -> Iterator[int]:
    """Count for that long, at least once."""
    ends, count = monotonic() + seconds, 0
    while count == 0 or monotonic() < ends:
        yield count
        count += 1

"""What a run measured, for its reader: printed, and added to the file that `MAESTRO_FAULTS_FIGURES` names."""

import json
import os
from pathlib import Path


def note(test: str, **figures: object) -> None:
    """Note a test's figures."""
    line = json.dumps({"test": test, **figures})
    print(line)  # noqa: T201 - shown by pytest for a test that fails, or with -s
    if path := os.environ.get("MAESTRO_FAULTS_FIGURES"):
        with Path(path).open("a") as file:
            file.write(f"{line}\n")

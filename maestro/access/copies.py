"""Copies of tokens and audit log for a backup, also while a gateway writes them: plain files, their owner's alone."""

from pathlib import Path

from maestro.access.private_file import private_folder
from maestro.whole_file import replace


def copy_access(data_dir: Path, target: Path) -> None:
    """Copy what a data folder has of tokens and of the audit log to the same places in `target`.

    Tokens are a file that is replaced whole. The audit log is only ever continued: of its last file the lines that are
    whole are copied, so that a copy can be verified as the log can.

    Raises:
        OSError: one cannot be read, or not be written.
    """
    for file in sorted((data_dir / "access").glob("tokens.json")):
        _write(target / "access" / file.name, file.read_bytes())
    for file in sorted((data_dir / "audit").rglob("audit-*.jsonl")):
        try:
            content = file.read_bytes()
        except FileNotFoundError:  # the oldest one, which was removed meanwhile; the log says so
            continue
        _write(target / file.relative_to(data_dir), content[: content.rfind(b"\n") + 1])


def _write(path: Path, content: bytes) -> None:
    private_folder(path.parent)
    replace(path, content, sync=True)

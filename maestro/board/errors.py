"""What can be wrong with a board."""


class BoardError(Exception):
    """The board cannot be used by this owner; it goes without, and is asked."""


class SlotHeld(Exception):  # noqa: N818 - it is held
    """The system's slot is another process's: an earlier owner that has not ended yet, or a second one."""

"""Texts in the reader's language: English in the code, others in `maestro/locale`, by the standard library's gettext.

A text is marked where it stands (`t`, `tn`), or only named there and translated where it is shown (`mark`). What
another process, or the past, has said in English is recognised by its sentence and said again (`told`).
"""

from maestro.language.choosing import ENGLISH, PORTUGUESE, from_environment, from_header, from_name
from maestro.language.current import current, language, speak, speaking
from maestro.language.recognising import told
from maestro.language.texts import figure, mark, t, tn

__all__ = [
    "ENGLISH",
    "PORTUGUESE",
    "current",
    "figure",
    "from_environment",
    "from_header",
    "from_name",
    "language",
    "mark",
    "speak",
    "speaking",
    "t",
    "tn",
    "told",
]

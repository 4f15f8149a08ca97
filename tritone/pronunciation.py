"""Words with their pronunciation, as Unicode marks annotations: ANCHOR, the word, SEPARATOR, the IPA, TERMINATOR.

The three characters are for use between programs; no markup or normalization changes them. A model whose description
has `pronounces` speaks the IPA; others are not sent any.
"""

from __future__ import annotations

import re
from typing import Final

ANCHOR: Final = "\ufff9"
SEPARATOR: Final = "\ufffa"
TERMINATOR: Final = "\ufffb"
PRONOUNCED: Final = re.compile(
    rf"{ANCHOR}([^{ANCHOR}-{TERMINATOR}]*){SEPARATOR}([^{ANCHOR}-{TERMINATOR}]*){TERMINATOR}"
)
"""A word and its IPA."""


def pronounce(word: str, ipa: str) -> str:
    """Return `word` as it is written for a model that pronounces it as `ipa`."""
    return f"{ANCHOR}{word}{SEPARATOR}{ipa}{TERMINATOR}"

"""The language that the script of a text shows."""

from __future__ import annotations

import re
from typing import Final

_SCRIPTS: Final = {
    "ja": re.compile("[\u3040-\u30ff]"),
    "ko": re.compile("[\u1100-\u11ff\uac00-\ud7af]"),
    "zh": re.compile("[\u3400-\u9fff\U00020000-\U0003ffff]"),
}
"""Language -> characters that show it; Japanese comes first, because it has those of Chinese too."""


def language_of_script(text: str) -> str | None:
    """Return `ja`, `ko` or `zh` for a text with its characters; None for all others."""
    return next((code for code, script in _SCRIPTS.items() if script.search(text)), None)

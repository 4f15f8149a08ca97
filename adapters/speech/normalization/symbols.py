"""Signs that are read as a word of their own: sections, arrows, roots, Greek letters, programming languages."""

# ruff: noqa: RUF001  (signs look like letters)

from __future__ import annotations

import re
from functools import cache

_GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "θ": "theta", "λ": "lambda", "π": "pi",
    "ρ": "rho", "σ": "sigma", "τ": "tau", "φ": "phi", "ω": "omega", "Δ": "delta", "Σ": "sigma", "Ω": "omega",
}  # fmt: skip
_WORDS = {
    "en": {"§": "section", "¶": "paragraph", "©": "copyright", "√": "the square root of", "∞": "infinity", "→": "to",
           "≠": "is not equal to", "∑": "sum", "#": "hashtag", "sharp": "sharp", "plus": "plus"},
    "es": {"§": "sección", "¶": "párrafo", "©": "copyright", "√": "raíz cuadrada de", "∞": "infinito", "→": "a",
           "≠": "distinto de", "∑": "suma", "#": "hashtag", "sharp": "sharp", "plus": "más"},
    "fr": {"§": "paragraphe", "¶": "paragraphe", "©": "copyright", "√": "racine carrée de", "∞": "infini", "→": "à",
           "≠": "différent de", "∑": "somme", "#": "hashtag", "sharp": "sharp", "plus": "plus"},
    "pt": {"§": "parágrafo", "¶": "parágrafo", "©": "copyright", "√": "raiz quadrada de", "∞": "infinito", "→": "a",
           "≠": "diferente de", "∑": "soma", "#": "hashtag", "sharp": "sharp", "plus": "mais"},
    "it": {"§": "paragrafo", "¶": "paragrafo", "©": "copyright", "√": "radice quadrata di", "∞": "infinito", "→": "a",
           "≠": "diverso da", "∑": "somma", "#": "hashtag", "sharp": "sharp", "plus": "più"},
    "hi": {"§": "धारा", "¶": "अनुच्छेद", "©": "कॉपीराइट", "√": "वर्गमूल", "∞": "अनंत", "→": "से", "≠": "बराबर नहीं",
           "∑": "योग", "#": "हैशटैग", "sharp": "शार्प", "plus": "प्लस"},
}  # fmt: skip
_LANGUAGE_NAME = re.compile(r"(?<![\w+])(?:([A-Z])\+\+|([CF])#)(?!\w)")
_HASHTAG = re.compile(r"(?<![\w#&])#(?=[^\W\d_])")


def write_out(text: str, code: str) -> str:
    """Return `text` with such signs as words."""
    words = _WORDS[code]
    text = _LANGUAGE_NAME.sub(
        lambda m: f"{m[1]} {words['plus']} {words['plus']}" if m[1] else f"{m[2]} {words['sharp']}", text
    )
    text = _HASHTAG.sub(f"{words['#']} ", text)
    return _signs(code).sub(lambda m: f" {words.get(m[1]) or _GREEK[m[1]]} ", text)


@cache
def _signs(code: str) -> re.Pattern[str]:
    """Return the pattern of the signs with the spaces around them; Greek letters count only outside Greek words."""
    signs = "".join(sign for sign in _WORDS[code] if len(sign) == 1 and sign != "#")
    greek = "".join(_GREEK) if code != "hi" else "π"
    return re.compile(rf" ?([{signs}]|(?<![^\W\d_])[{greek}](?![^\W\d_])) ?")

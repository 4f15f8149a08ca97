"""Text as phonemes, by espeak-ng, word by word between the marks that the model knows."""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Iterator
from typing import Final

import espeakng_loader

from adapters.speech.normalization import write_out
from adapters.zonos.vocabulary import LANGUAGES, PUNCTUATION
from tritone.text_parts import split_text

_SYNCHRONOUS: Final = 0x02
_UTF8: Final = 1
_IPA_SEPARATED: Final = 0x02 | ord("_") << 8
"""International phonetic alphabet, with this sign between the phonemes of a word."""
_WORDLESS: Final = frozenset(f"{PUNCTUATION} ")
_MARKS: Final = re.compile(f"([{re.escape(PUNCTUATION)}]+)")


class _Voice(ctypes.Structure):
    """espeak-ng's description of a voice to choose."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


class Phonemizer:
    """Convert text into phonemes, one call at a time, because espeak-ng keeps global state."""

    def __init__(self) -> None:
        """Load espeak-ng; raises `RuntimeError` if it cannot be loaded."""
        self._lock = threading.Lock()
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        data = espeakng_loader.get_data_path().encode()
        if self._library.espeak_Initialize(_SYNCHRONOUS, 0, data, 0) <= 0:
            raise RuntimeError("espeak-ng cannot be initialized")

    def __call__(self, text: str, language: str) -> str:
        """Return the phonemes of `text` in one of `LANGUAGES`, with its own punctuation."""
        runs = _MARKS.split(" ".join(text.split()))
        with self._lock:
            voice = _Voice(languages=LANGUAGES[language].encode())
            if self._library.espeak_SetVoiceByProperties(ctypes.byref(voice)):
                raise RuntimeError(f"espeak-ng has no voice for {language}")
            runs[::2] = [self._words(run) for run in runs[::2]]
        return "".join(runs).strip()

    def parts(self, text: str, language: str, *, chars: int, phonemes: int) -> Iterator[str]:
        """Yield the phonemes of the parts of a text, at most `phonemes` each; a part has about `chars` characters.

        Parts without words are left out.
        Numbers, dates and other signs are written out first, where there are rules for the language.
        """
        for part in split_text(write_out(text, language), chars):
            yield from self._halved(part, language, phonemes)

    def _halved(self, text: str, language: str, most: int) -> Iterator[str]:
        phonemes = self(text, language)
        if len(phonemes) <= most or len(text) < 2:
            if any(sign not in _WORDLESS for sign in phonemes):
                yield phonemes[:most]
            return
        for half in split_text(text, (len(text) + 1) // 2):
            yield from self._halved(half, language, most)

    def _words(self, text: str) -> str:
        if not text:
            return ""
        rest = ctypes.pointer(ctypes.c_char_p(text.encode()))
        clauses = []
        while rest.contents.value is not None:
            clauses.append(self._library.espeak_TextToPhonemes(rest, _UTF8, _IPA_SEPARATED) or b"")
        return " ".join(b" ".join(clauses).decode().replace("_", "").split())

"""Phonemes for Kokoro: espeak-ng for alphabets, misaki for Mandarin."""

# ruff: noqa: RUF001  (phonemes look like Latin letters)

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any

import espeakng_loader

from adapters.speech.chinese_words import load_dictionary

_MARKS = re.compile(r'([;—…"“”()]|[.,:!?](?=\W|$))')
"""Punctuation that Kokoro renders as pauses and intonation. Inside a word or a number, espeak-ng reads it."""
_HAN = re.compile(r"([\u4e00-\u9fff]+)")
_LATIN = re.compile(r"([A-Za-z\u00c0-\u024f]+(?:[ '.-]+[A-Za-z\u00c0-\u024f]+)*)")
_LANGUAGE_SWITCH = re.compile(r"\([^)]*\)")
_TIED = re.compile("(.)\u0361(.)")

_PAIRS = {
    "aɪ": "I", "aʊ": "W", "eɪ": "A", "oʊ": "O", "əʊ": "Q", "ɔɪ": "Y", "eə": "ɛː", "əl": "ᵊl",
    "dz": "ʣ", "dʒ": "ʤ", "ts": "ʦ", "tʃ": "ʧ",
}  # fmt: skip
"""Two sounds that espeak-ng ties together -> the letter that Kokoro was trained on."""
_UNTIED = [pair for pair in _PAIRS if pair not in ("əl", "dz", "ts")]
"""Pairs that English has as one sound alone: the IPA of a request may leave out their tie."""
_TYPED = str.maketrans({".": None, "'": "ˈ", ":": "ː", "g": "ɡ", "\u035c": "\u0361"})
"""Characters that people type in the IPA -> its own; a point between syllables has no sound."""
_ENGLISH = {
    "ʔˌn\u0329": "tᵊn", "ʔn\u0329": "tᵊn", "n\u0329": "ᵊn", "ʔ": "t",
    "r": "ɹ", "x": "k", "ç": "k", "ɬ": "l", "ɐ": "ə", "o": "ɔ", "\u0303": "", "ʲ": "",
}  # fmt: skip
_ACCENTS = {
    "en-us": _ENGLISH | {"ɜːɹ": "ɜɹ", "ɜː": "ɜɹ", "ɚɹ": "əɹ", "ɚ": "əɹ", "ɪə": "iə", "ɾ": "T", "ː": ""},
    "en-gb": _ENGLISH | {"iə": "ɪə", "ɚ": "ə", "ɾ": "t"},
}
"""Sounds of espeak-ng -> Kokoro's, where they differ; applied in this order."""
_UNSTRESSED_I = re.compile(r"(?<!\S)(?=I[^\sˈˌ]*(?!\S))")
"""The start of "I", "I'm" and similar words in espeak-ng's phonemes. Kokoro learned them with a stress; without it, it
drops them at the start of a sentence."""


def _import_wrapper() -> Any:
    """Import phonemizer's wrapper of espeak-ng, and nothing else of the package.

    The package itself imports all its backends, with libraries for linked data: half the time of Kokoro's imports. They
    are not installed.
    """
    for name in ("phonemizer", "phonemizer.backend", "phonemizer.backend.espeak"):
        spec = find_spec(name)
        if spec is None:
            raise ModuleNotFoundError(f"no module named {name!r}", name=name)
        sys.modules.setdefault(name, module_from_spec(spec))
    return import_module("phonemizer.backend.espeak.wrapper").EspeakWrapper


EspeakWrapper = _import_wrapper()


def from_ipa(ipa: str, accent: str) -> str:
    """Return Kokoro's phonemes for a pronunciation in the IPA, which may have no ties in diphthongs, tʃ and dʒ."""
    sounds = ipa.translate(_TYPED)
    sounds = _TIED.sub(lambda pair: _PAIRS.get(pair[1] + pair[2], pair[1] + pair[2]), sounds)
    for pair in _UNTIED if accent in _ACCENTS else ():
        sounds = sounds.replace(pair, _PAIRS[pair])
    return _accented(sounds, accent)


class Phonemizer:
    """Convert text into phonemes, one call at a time, because espeak-ng keeps global state."""

    def __init__(self) -> None:
        """Load espeak-ng; nothing is downloaded or left on disk."""
        EspeakWrapper.set_library(espeakng_loader.get_library_path())
        EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
        self._espeak: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._loading = threading.Lock()

    def __call__(self, text: str, accent: str) -> str:
        """Return the phonemes of `text` in an espeak-ng language such as `en-us`, or in `zh`.

        Chinese characters are read in Mandarin in any text, and Latin words inside Chinese text in English.
        """
        foreign, by_alphabet = (_LATIN, "en-us") if accent == "zh" else (_HAN, accent)
        runs = foreign.split(text)
        with self._lock:
            phonemes = [
                self._chinese(run) if (accent == "zh") != bool(i % 2) else self._alphabetic(run, by_alphabet)
                for i, run in enumerate(runs)
            ]
        return " ".join(" ".join(phonemes).split())

    @property
    def mandarin(self) -> Callable[[str], Sequence[str]]:
        """The dictionary of Mandarin. The first access takes about a second of CPU, a quarter of Kokoro's load."""
        with self._loading:
            return _load_mandarin()

    def _chinese(self, text: str) -> str:
        try:
            return str(self.mandarin(_respelled(text))[0])
        except ValueError:  # a character without a reading
            return " ".join(self._chinese(char) for char in text) if len(text) > 1 else ""

    def _alphabetic(self, text: str, accent: str) -> str:
        pieces = _MARKS.split(text)
        pieces[::2] = [_spaced(words, self._words(words, accent)) for words in pieces[::2]]
        return "".join(pieces)

    def _words(self, text: str, accent: str) -> str:
        if not text.strip():
            return ""
        if accent not in self._espeak:
            self._espeak[accent] = EspeakWrapper()
            self._espeak[accent].set_voice(accent)
        sounds = self._espeak[accent].text_to_phonemes(text, tie=True)
        sounds = _LANGUAGE_SWITCH.sub("", sounds).replace("-", "")
        sounds = _TIED.sub(lambda pair: _PAIRS.get(pair[1] + pair[2], pair[1] + pair[2]), sounds).replace("\u0361", "")
        sounds = _accented(sounds, accent)
        return _UNSTRESSED_I.sub("ˌ", sounds) if accent in _ACCENTS else sounds


@cache
def _load_mandarin() -> Callable[[str], Sequence[str]]:
    """Load the dictionaries of jieba and pypinyin, with words that have a character with two readings."""
    import pypinyin  # noqa: PLC0415 - the imports are a part of that second
    from misaki.zh import ZHG2P  # noqa: PLC0415

    dictionary = load_dictionary()
    for line in (Path(__file__).parent / "polyphones.tsv").read_text("utf-8").splitlines():
        word, reading = line.split("\t")
        dictionary.add_word(word)
        pypinyin.load_phrases_dict({word: [[syllable] for syllable in reading.split()]})
    convert: Callable[[str], Sequence[str]] = ZHG2P()
    return convert


def _accented(sounds: str, accent: str) -> str:
    for ours, theirs in _ACCENTS.get(accent, {}).items():
        sounds = sounds.replace(ours, theirs)
    return sounds


def _respelled(text: str) -> str:
    from adapters.kokoro.mandarin_readings import respell  # noqa: PLC0415 - it imports pypinyin's dictionary

    return respell(text)


def _spaced(text: str, sounds: str) -> str:
    """Return `sounds` with a space at each end where `text` has one."""
    return f"{' ' * text[:1].isspace()}{sounds}{' ' * text[-1:].isspace()}"

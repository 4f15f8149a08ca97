"""Emotions as an instruction, for models that follow words; emotion_words.toml has the words."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from adapters.speech.script import language_of_script
from tritone.emotions import EMOTIONS, weights_of

_WORDLESS: Final = "other"


def with_emotions(instruct: str, emotions: str, *, language: str, text: str) -> str:
    """Return the client's instruction and, after it, a sentence for its `emotions` (JSON, or empty).

    The sentence is in `language` (a code); for `auto`, in the language that the script of `text` shows.
    """
    words = _words_for(language, text)
    instruct = instruct.strip()
    phrases = list(_phrases(weights_of(emotions), words)) if emotions else []
    if not phrases:
        return instruct
    sentence = words["sentence"].format(words["joint"].join(phrases))
    if not instruct:
        return sentence
    stop = words["stop"] if instruct[-1].isalnum() else ""
    return f"{instruct}{stop}{words['space']}{sentence}"


def _phrases(weights: tuple[float, ...], words: dict[str, str]) -> Iterator[str]:
    """Yield each of the strongest emotions in words, with its degree, strongest first."""
    weight_of = {name: weight for name, weight in zip(EMOTIONS, weights, strict=True) if name != _WORDLESS}
    ranked = sorted(weight_of, key=lambda name: -weight_of[name])
    least = weight_of[ranked[0]] * _RULES["least_share"]
    for name in ranked[: _RULES["most"]]:
        weight = weight_of[name]
        if weight == 0 or weight < least:
            return
        degree = "{}"
        if weight < _RULES["slight_below"]:
            degree = words["slight"]
        elif weight >= _RULES["strong_from"]:
            degree = words["strong"]
        yield degree.format(words[name])


def _words_for(language: str, text: str) -> dict[str, str]:
    if language == "auto":
        language = language_of_script(text) or "en"
    return _LANGUAGES.get(language, _LANGUAGES["en"])


def _load() -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
    """Read the file. Raises `ValueError` for a language with other keys than English has."""
    path = Path(__file__).with_suffix(".toml")
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    languages = {key: value for key, value in data.items() if isinstance(value, dict)}
    for code, words in languages.items():
        if different := words.keys() ^ languages["en"].keys():
            raise ValueError(f"{path}: [{code}] and [en] differ in {', '.join(sorted(different))}")
    return {key: value for key, value in data.items() if key not in languages}, languages


_RULES, _LANGUAGES = _load()

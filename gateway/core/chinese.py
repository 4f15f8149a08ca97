"""Chinese text in the other script: simplified to traditional characters, or the other way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Final, Literal

from tritone.transcript import Segment, Transcript, Word

Script = Literal["traditional", "simplified"]
S2tConfig = Literal["s2t", "s2tw", "s2twp", "s2hk", "s2hkp"]
"""OpenCC's conversions to traditional characters: its own standard, Taiwan's, Taiwan's with its words, Hong Kong's, and
Hong Kong's with its words."""

_TO_SIMPLIFIED: Final = "t2s"
_CHINESE: Final = frozenset({"zh", "yue"})
_HAN: Final = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
_KANA_OR_HANGUL: Final = re.compile("[\u3040-\u30ff\uac00-\ud7af]")

Convert = Callable[[str], str]


def config_of(script: Script | None, s2t_config: S2tConfig) -> str:
    """Return the name of OpenCC's conversion to `script`; empty for None."""
    if script is None:
        return ""
    return s2t_config if script == "traditional" else _TO_SIMPLIFIED


def converted(transcript: Transcript, config: str) -> Transcript:
    """Return the transcript with its text converted by OpenCC's `config`, if it is Chinese; tokens stay as they are.

    The first call with a `config` reads its dictionaries, a quarter of a second: call it in a thread.
    """
    if not _is_chinese(transcript):
        return transcript
    convert = _converter(config)
    return replace(transcript, segments=tuple(_segment(segment, convert) for segment in transcript.segments))


def _is_chinese(transcript: Transcript) -> bool:
    """Return whether the text is Chinese; where the model names no language, by its characters."""
    if transcript.language:
        return transcript.language in _CHINESE
    text = "".join(segment.text for segment in transcript.segments)
    return bool(_HAN.search(text)) and not _KANA_OR_HANGUL.search(text)


@cache
def _converter(config: str) -> Convert:
    # 30 MB with its dictionaries, which a gateway without such requests does not need.
    from opencc import OpenCC  # noqa: PLC0415

    convert: Convert = OpenCC(config).convert
    return convert


def _segment(segment: Segment, convert: Convert) -> Segment:
    """Return the segment converted as a whole: which character is right depends on the words around it."""
    return replace(segment, text=convert(segment.text), words=tuple(_words(segment.words, convert)))


def _words(words: tuple[Word, ...], convert: Convert) -> Iterator[Word]:
    """Yield the words with their parts of the whole converted text, in which a term may be longer or shorter.

    A word of which nothing is left lends its time to the word before it.
    """
    whole, before = convert("".join(word.text for word in words)), ""
    last: Word | None = None
    start = 0
    for index, word in enumerate(words):
        before += word.text
        end = len(whole) if index == len(words) - 1 else min(max(start, len(convert(before))), len(whole))
        if start == end and last is not None:
            last = replace(last, end=word.end)
            continue
        if last is not None:
            yield last
        last = replace(word, text=whole[start:end])
        start = end
    if last is not None:
        yield last

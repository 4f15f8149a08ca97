"""The times of words that are known: the decoder is given the text, and attends to the audio of each word."""

from __future__ import annotations

from typing import Any, Final

from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import merge_punctuations

from adapters.triton.transcriber import WindowRequest
from adapters.whisper.decoding import batch
from adapters.whisper.window_state import APPENDED, PREPENDED
from tritone.errors import InvalidInput
from tritone.languages import candidates_of
from tritone.transcript import Segment, Transcript, Word

MAX_TOKENS: Final = 440
"""Tokens of a known text; the decoder has 448 positions, a few of them for the language and the task."""
_SILENCE: Final = 100
"""Feature frames of 10 ms that are added after the audio. Unlike a decoder that has to find the text, one that is given
it needs no window of 30 s, which would take a hundred times as long as one of two or three."""

_AHEAD: Final = 0.1
"""Seconds by which the decoder's attention is ahead of a word's sound; `benchmarks.words` measures it."""


def text_tokens(whisper: WhisperModel, text: str) -> list[int]:
    """Return the tokens of a known text. Raises `InvalidInput` if there are too many."""
    tokens: list[int] = whisper.hf_tokenizer.encode(f" {' '.join(text.split())}", add_special_tokens=False).ids
    end_of_text = whisper.hf_tokenizer.token_to_id("<|endoftext|>")
    tokens = [token for token in tokens if token < end_of_text]
    if len(tokens) > MAX_TOKENS:
        raise InvalidInput("known_text", f"has {len(tokens)} tokens; at most {MAX_TOKENS} can be in one window")
    return tokens


def align(whisper: WhisperModel, window: WindowRequest) -> Transcript:
    """Return the known text of a window as one segment, with its words."""
    features = whisper.feature_extractor(window.audio)
    frames = max(features.shape[-1] - 1, 2)  # the last one is padding; the encoder takes two for one position
    padded = pad_or_trim(features, min(features.shape[-1] + _SILENCE, whisper.feature_extractor.nb_max_frames) // 2 * 2)
    encoded = whisper.model.encode(batch([padded]))
    language, probability = _language(whisper, window, encoded)
    multilingual = whisper.model.is_multilingual
    tokenizer = Tokenizer(whisper.hf_tokenizer, multilingual, task="transcribe", language=language)
    tokens = text_tokens(whisper, window.options.known_text)
    [found] = whisper.find_alignment(tokenizer, [tokens], encoded, min(frames, padded.shape[-1]))
    merge_punctuations(found, PREPENDED, APPENDED)
    words = tuple(
        Word(float(word["start"]) + _AHEAD, float(word["end"]) + _AHEAD, word["word"], float(word["probability"]))
        for word in found
        if word["word"]
    )
    if not words:
        return Transcript(language, probability, ())
    text = "".join(word.text for word in words)
    segment = Segment(words[0].start, words[-1].end, text, tuple(tokens), words=words)
    return Transcript(language, probability, (segment,))


def _language(whisper: WhisperModel, window: WindowRequest, encoded: Any) -> tuple[str, float]:
    """Return the language of the text's tokens, and its probability."""
    candidates = candidates_of(window.options.language) if whisper.model.is_multilingual else ("en",)
    if len(candidates) == 1:
        return candidates[0], 1.0
    [ranking] = whisper.model.detect_language(encoded)
    probabilities = {token[2:-2]: probability for token, probability in ranking}
    among = candidates or tuple(probabilities)
    best = max(among, key=probabilities.__getitem__)
    return best, probabilities[best] / sum(probabilities[code] for code in among)

"""One window on its way from audio to a transcript."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.utils import get_end
from numpy.typing import NDArray

from adapters.triton.window import Window
from adapters.whisper.decoding import TEMPERATURES, Task, batch
from adapters.whisper.tokens import logprobs, spelling
from tritone.languages import candidates_of
from tritone.transcript import Segment, Transcript, Word

# Whisper's published habits, as faster-whisper has them.
MAX_CONTEXT = 223  # tokens of earlier text, less than half of what the decoder can hold
CONTEXT_RESET_TEMPERATURE = 0.5  # text sampled above it is no guide for what follows
PREPENDED = "\"'“¿([{-"
APPENDED = "\"'.。,，!！?？:：”)]}、"


class Hearing:
    """A window while it is being transcribed, in one round or more.

    Whisper may stop before the window's speech ends. What is left, from `_seek` (a feature frame of 10 ms) on, is then
    moved to the start of the 30 s that the encoder sees, and heard in a further round.
    """

    language: str
    """Whisper's code; empty until it is detected."""
    language_probability: float = 1.0
    candidates: tuple[str, ...]
    """The codes to choose from when it is detected; empty for any."""
    encoded: NDArray[Any]
    """The encoder's output for `features`, (1500, width)."""

    def __init__(self, whisper: WhisperModel, window: Window) -> None:
        options = window.options
        self.candidates = candidates_of(options.language) if whisper.model.is_multilingual else ("en",)
        self.language = self.candidates[0] if len(self.candidates) == 1 else ""
        self._whisper = whisper
        self._options = options
        self._all_features = whisper.feature_extractor(window.audio)
        self._frames: int = self._all_features.shape[-1] - 1  # the last one is of padding
        self._seek = 0
        self._hotwords = self._text_tokens(options.hotwords)[:MAX_CONTEXT]
        self._context = self._text_tokens(options.prompt)
        self._segments: list[Segment] = []
        self._last_word_end = 0.0

    @property
    def finished(self) -> bool:
        """All of the window was heard."""
        return self._seek >= self._frames

    @property
    def features(self) -> NDArray[np.float32]:
        """The log-mel features of what is not yet heard, (mels, 3000)."""
        features: NDArray[np.float32] = pad_or_trim(self._all_features[:, self._seek : self._seek + self._size])
        return features

    def task(self) -> Task:
        """What to decode in this round; needs `language` and `encoded`."""
        tokenizer = self._tokenizer
        # Faster-whisper gives so much to hotwords and context each, which may leave the decoder no room for text.
        room = MAX_CONTEXT - len(self._hotwords)
        before = [*self._hotwords, *self._context[max(0, len(self._context) - room) :]]
        temperature = self._options.temperature
        return Task(
            encoded=self.encoded,
            prompt=[*([tokenizer.sot_prev] if before else []), *before, *tokenizer.sot_sequence],
            tokenizer=tokenizer,
            temperatures=(temperature,) if temperature else TEMPERATURES,
        )

    def take(self, task: Task) -> None:
        """Add what the round has heard, and move on to where it stopped."""
        decoded = task.best
        if decoded.silent:
            self._seek += self._size
            return
        offset = self._seek * self._whisper.feature_extractor.time_per_frame
        # A private method, and the pin on faster-whisper keeps it; a second copy of its rules could only drift.
        pieces, seek, complete = self._whisper._split_segments_by_timestamps(
            tokenizer=task.tokenizer,
            tokens=decoded.tokens,
            time_offset=offset,
            segment_size=self._size,
            segment_duration=self._size * self._whisper.feature_extractor.time_per_frame,
            seek=self._seek,
        )
        if self._options.word_timestamps:
            self._align(pieces, task.tokenizer)
            if not complete and self._last_word_end > offset:
                seek = round(self._last_word_end * self._whisper.frames_per_second)
        told = self._token_logprobs(pieces, task.tokenizer)
        for piece in pieces:
            scores = tuple(islice(told, len(piece["tokens"])))
            text = task.tokenizer.decode(piece["tokens"])
            if piece["start"] == piece["end"] or not text.strip():
                continue
            self._context += piece["tokens"]
            self._segments.append(
                Segment(
                    start=piece["start"],
                    end=piece["end"],
                    text=text,
                    tokens=tuple(piece["tokens"]),
                    temperature=decoded.temperature,
                    avg_logprob=decoded.avg_logprob,
                    compression_ratio=decoded.compression_ratio,
                    no_speech_prob=decoded.no_speech_prob,
                    words=tuple(
                        Word(float(word["start"]), float(word["end"]), word["word"], float(word["probability"]))
                        for word in piece.get("words", ())
                    ),
                    token_logprobs=scores,
                    token_texts=tuple(spelling(task.tokenizer, token) for token in piece["tokens"]) if scores else (),
                )
            )
        if task.attempts[-1].temperature > CONTEXT_RESET_TEMPERATURE:
            self._context = []
        self._seek = seek

    def transcript(self) -> Transcript:
        """All that was heard."""
        return Transcript(self.language, self.language_probability, tuple(self._segments))

    @property
    def _size(self) -> int:
        """How many frames the next round hears."""
        return int(min(self._whisper.feature_extractor.nb_max_frames, self._frames - self._seek))

    @property
    def _tokenizer(self) -> Tokenizer:
        multilingual = self._whisper.model.is_multilingual
        return Tokenizer(self._whisper.hf_tokenizer, multilingual, task=self._options.task, language=self.language)

    def _text_tokens(self, text: str) -> list[int]:
        """A caller's text, without special tokens that it may spell out: they would break the whole batch."""
        if not text.strip():
            return []
        tokens = self._whisper.hf_tokenizer.encode(" " + text.strip(), add_special_tokens=False).ids
        end_of_text = self._whisper.hf_tokenizer.token_to_id("<|endoftext|>")
        return [token for token in tokens if token < end_of_text]

    def _token_logprobs(self, pieces: list[dict[str, Any]], tokenizer: Tokenizer) -> Iterator[float]:
        """Of the tokens of all the pieces, where they were asked for."""
        if not self._options.logprobs:
            return iter(())
        tokens = [token for piece in pieces for token in piece["tokens"]]
        return iter(logprobs(self._whisper, tokenizer, self.encoded, self._size, tokens))

    def _align(self, pieces: list[dict[str, Any]], tokenizer: Tokenizer) -> None:
        """Add `words` to the pieces, and trim the pieces' times to them."""
        self._whisper.add_word_timestamps(
            [pieces], tokenizer, batch([self.encoded]), self._size, PREPENDED, APPENDED, self._last_word_end
        )
        self._last_word_end = get_end(pieces)

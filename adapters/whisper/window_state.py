"""The state of one window while it is transcribed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.utils import get_end
from numpy.typing import NDArray

from adapters.triton.transcriber import WindowRequest
from adapters.whisper.decoding import BEAM_SIZE, TEMPERATURES, DecodeTask, batch
from adapters.whisper.tokens import logprobs, token_bytes
from tritone.languages import candidates_of
from tritone.transcript import Segment, Transcript, Word

# Whisper's published values, as in faster-whisper.
MAX_CONTEXT = 223  # tokens of earlier text, less than half of the decoder's positions
CONTEXT_RESET_TEMPERATURE = 0.5  # text sampled above it is not a prompt for the next round
PREPENDED = "\"'“¿([{-"
APPENDED = "\"'.。,，!！?？:：”)]}、"

# Feature frames of 10 ms that the encoder sees of a short clip. `benchmarks.clips` measures them.
_SHORTEST: Final = 1500
"""With 10 s the word error rate is half a point higher, and with 5 s the text of a clip is repeated."""
_SILENCE: Final = 100
"""After the clip: the decoder takes silence for the end."""
_STEP: Final = 500
"""Few lengths, so that clips share the decoder's batches."""


class WindowState:
    """A window while it is transcribed, in one round or more.

    Whisper may stop before the window's speech ends. The rest, from `_seek` (a feature frame of 10 ms) on, is then
    moved to the start of the encoder's 30 s, and decoded in a further round.

    If `shorten` is set, the first round of a clip is tried with less than these 30 s. Its result counts only if it
    passes every check of the decoder at once; otherwise the next round is the first one again, with all 30 s.
    """

    language: str
    """Whisper's code; empty before it is detected."""
    language_probability: float = 1.0
    candidates: tuple[str, ...]
    """The codes among which it is detected; empty for any."""
    encoded: NDArray[Any]
    """The encoder's output for `features`, (half as many positions as frames, width)."""

    def __init__(self, whisper: WhisperModel, window: WindowRequest, *, shorten: bool) -> None:
        options = window.options
        self.candidates = candidates_of(options.language) if whisper.model.is_multilingual else ("en",)
        self.language = self.candidates[0] if len(self.candidates) == 1 else ""
        self._whisper = whisper
        self._options = options
        self._all_features = whisper.feature_extractor(window.audio)
        self._frames: int = self._all_features.shape[-1] - 1  # the last one is padding
        self._seek = 0
        self._whole: int = whisper.feature_extractor.nb_max_frames
        self._length: int = self._whole
        # In less than 30 s languages are detected less well; translation was not measured.
        if shorten and options.clip and self.language and options.task == "transcribe":
            frames = -(-(self._frames + _SILENCE) // _STEP) * _STEP
            self._length = min(self._whole, max(_SHORTEST, frames))
        self._hotwords = self._text_tokens(options.hotwords)[:MAX_CONTEXT]
        self._context = self._text_tokens(options.prompt)
        self._segments: list[Segment] = []
        self._last_word_end = 0.0

    @property
    def finished(self) -> bool:
        """The whole window is transcribed."""
        return self._seek >= self._frames

    @property
    def features(self) -> NDArray[np.float32]:
        """The log-mel features of the audio that is not yet transcribed, (mels, 3000), or fewer frames of a clip."""
        audio = self._all_features[:, self._seek : self._seek + self._size]
        features: NDArray[np.float32] = pad_or_trim(audio, self._length)
        return features

    def task(self) -> DecodeTask:
        """Return the decoding task of this round; needs `language` and `encoded`."""
        tokenizer = self._tokenizer
        # faster-whisper allows so many tokens for each of hotwords and context, and may leave none for the text.
        room = MAX_CONTEXT - len(self._hotwords)
        before = [*self._hotwords, *self._context[max(0, len(self._context) - room) :]]
        temperature = self._options.temperature or 0.0
        once = self._shortened or self._options.draft or temperature
        return DecodeTask(
            encoded=self.encoded,
            prompt=[*([tokenizer.sot_prev] if before else []), *before, *tokenizer.sot_sequence],
            tokenizer=tokenizer,
            temperatures=(temperature,) if once else TEMPERATURES,
            beam_size=1 if self._options.draft else BEAM_SIZE,
        )

    def consume(self, task: DecodeTask) -> None:
        """Add the segments of a decoded round, and move to the audio after them."""
        best = task.best
        if self._shortened:
            self._length = self._whole
            if not best.sure:
                return
        if best.silent:
            self._seek += self._size
            return
        offset = self._seek * self._whisper.feature_extractor.time_per_frame
        # A private method; the pinned version of faster-whisper keeps it, and a copy of its rules would drift.
        pieces, seek, complete = self._whisper._split_segments_by_timestamps(
            tokenizer=task.tokenizer,
            tokens=best.tokens,
            time_offset=offset,
            segment_size=self._size,
            segment_duration=self._size * self._whisper.feature_extractor.time_per_frame,
            seek=self._seek,
        )
        if self._options.word_timestamps:
            self._align(pieces, task.tokenizer)
            if not complete and self._last_word_end > offset:
                seek = round(self._last_word_end * self._whisper.frames_per_second)
        token_scores = self._token_logprobs(pieces, task.tokenizer)
        for piece in pieces:
            self._append(piece, tuple(islice(token_scores, len(piece["tokens"]))), task)
        if task.attempts[-1].temperature > CONTEXT_RESET_TEMPERATURE:
            self._context = []
        self._seek = seek

    def transcript(self) -> Transcript:
        """Return the segments of all rounds."""
        return Transcript(self.language, self.language_probability, tuple(self._segments))

    def _append(self, piece: dict[str, Any], scores: tuple[float, ...], task: DecodeTask) -> None:
        """Add one of faster-whisper's segments, unless it has no length or no text."""
        text = task.tokenizer.decode(piece["tokens"])
        if piece["start"] == piece["end"] or not text.strip():
            return
        best = task.best
        words = piece.get("words", ())
        self._context += piece["tokens"]
        self._segments.append(
            Segment(
                start=piece["start"],
                end=piece["end"],
                text=text,
                tokens=tuple(piece["tokens"]),
                temperature=best.temperature,
                avg_logprob=best.avg_logprob,
                compression_ratio=best.compression_ratio,
                no_speech_prob=best.no_speech_prob,
                words=tuple(
                    Word(float(word["start"]), float(word["end"]), word["word"], float(word["probability"]))
                    for word in words
                ),
                token_logprobs=scores,
                token_texts=tuple(token_bytes(task.tokenizer, token) for token in piece["tokens"]) if scores else (),
            )
        )

    @property
    def _shortened(self) -> bool:
        """The encoder sees less than 30 s in this round."""
        return self._length < self._whole

    @property
    def _size(self) -> int:
        """Feature frames of the next round."""
        return min(self._whole, self._frames - self._seek)

    @property
    def _tokenizer(self) -> Tokenizer:
        multilingual = self._whisper.model.is_multilingual
        return Tokenizer(self._whisper.hf_tokenizer, multilingual, task=self._options.task, language=self.language)

    def _text_tokens(self, text: str) -> list[int]:
        """Return the tokens of a client's text, without special tokens, which would break the whole batch."""
        if not text.strip():
            return []
        tokens = self._whisper.hf_tokenizer.encode(" " + text.strip(), add_special_tokens=False).ids
        end_of_text = self._whisper.hf_tokenizer.token_to_id("<|endoftext|>")
        return [token for token in tokens if token < end_of_text]

    def _token_logprobs(self, pieces: list[dict[str, Any]], tokenizer: Tokenizer) -> Iterator[float]:
        """Return the scores of the tokens of all pieces; none without the option `logprobs`."""
        if not self._options.logprobs:
            return iter(())
        tokens = [token for piece in pieces for token in piece["tokens"]]
        return iter(logprobs(self._whisper, tokenizer, self.encoded, self._size, tokens))

    def _align(self, pieces: list[dict[str, Any]], tokenizer: Tokenizer) -> None:
        """Add `words` to the pieces, and trim the times of the pieces to them."""
        self._whisper.add_word_timestamps(
            [pieces], tokenizer, batch([self.encoded]), self._size, PREPENDED, APPENDED, self._last_word_end
        )
        self._last_word_end = get_end(pieces)

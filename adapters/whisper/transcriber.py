"""Whisper as a transcriber: windows of different clients, transcribed as one batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from faster_whisper import WhisperModel

from adapters.triton.lost_gpu import GpuLost
from adapters.triton.transcriber import WindowRequest
from adapters.whisper.checkpoint import parallel_calls
from adapters.whisper.decoding import batch, decode
from adapters.whisper.forced_alignment import align, text_tokens
from adapters.whisper.gpu import is_usable
from adapters.whisper.window_state import WindowState
from tritone.contract import TranscriptionDescription, TranscriptionOptions
from tritone.errors import InvalidInput
from tritone.languages import NAMES, candidates_of, code_of, is_auto
from tritone.transcript import Transcript

MAX_ROUNDS = 10
"""The most rounds for a window; speech takes one or two, and noise could go on for ever."""


class WhisperTranscriber:
    """One Whisper checkpoint as a `Transcriber`.

    A window's transcript is that of `WhisperModel.transcribe` for it alone with default options, or a better one where
    every attempt repeats itself (`DecodeTask.best`), or a cheaper one for clips and drafts (`WindowState`). But the
    encoder and the decoder run on the windows of all clients at once, and the language is detected from the same
    encoding.
    """

    def __init__(self, whisper: WhisperModel, *, options: Sequence[str] = (), short_clips: bool = True) -> None:
        """`options`: the request options that the family supports.

        `short_clips`: on a CPU, let the encoder see a short clip in less than 30 s; a GPU was not measured.
        """
        self._whisper = whisper
        self._short_clips = short_clips and whisper.model.device == "cpu"
        self._multilingual: bool = whisper.model.is_multilingual
        self.parallel_calls = parallel_calls(whisper.model.device)
        self.description = TranscriptionDescription(
            languages=tuple(filter(self._knows, NAMES)) if self._multilingual else ("en",),
            tasks=("transcribe", "translate") if self._multilingual else ("transcribe",),
            options=tuple(options),
        )

    def check(self, options: TranscriptionOptions) -> None:
        """Raise `InvalidInput` for a language or task that this checkpoint lacks, or for a long `known_text`."""
        for name in [] if is_auto(options.language) else options.language.split(","):
            code = code_of(name)
            if code is None or not self._knows(code):
                raise InvalidInput("language", f"{name!r} is unknown; send an ISO 639-1 code, or auto")
        text_tokens(self._whisper, options.known_text)
        if not self._multilingual:
            if not is_auto(options.language) and candidates_of(options.language) != ("en",):
                raise InvalidInput("language", f"this checkpoint supports only English, not {options.language!r}")
            if options.task != "transcribe":
                raise InvalidInput("task", "this checkpoint supports only English and cannot translate")

    def transcribe(self, windows: Sequence[WindowRequest]) -> list[Transcript]:
        """Return the transcript of each window. Options must have passed `check`. Raises `GpuLost`."""
        try:
            transcribed = iter(self._transcribe([window for window in windows if not window.options.known_text]))
            return [
                align(self._whisper, window) if window.options.known_text else next(transcribed) for window in windows
            ]
        except RuntimeError as error:  # what CTranslate2 raises for each error of CUDA
            if is_usable(self._whisper.model):
                raise
            raise GpuLost from error

    def _transcribe(self, windows: Sequence[WindowRequest]) -> list[Transcript]:
        states = [WindowState(self._whisper, window, shorten=self._short_clips) for window in windows]
        unfinished = states
        for _ in range(MAX_ROUNDS):
            self._encode(unfinished)
            self._detect_languages([state for state in unfinished if not state.language])
            tasks = [state.task() for state in unfinished]
            decode(self._whisper, tasks)
            for state, task in zip(unfinished, tasks, strict=True):
                state.consume(task)
            unfinished = [state for state in unfinished if not state.finished]
            if not unfinished:
                break
        return [state.transcript() for state in states]

    def _knows(self, code: str) -> bool:
        return self._whisper.hf_tokenizer.token_to_id(f"<|{code}|>") is not None

    def _encode(self, states: Sequence[WindowState]) -> None:
        """Encode the audio of each window that is not yet transcribed."""
        # A CPU's caches hold the activations of one window; with a batch of eight, a window takes a third more time.
        step = 1 if self._whisper.model.device == "cpu" else len(states)
        for start in range(0, len(states), step):
            part = states[start : start + step]
            # To the host on every device, because the rows are grouped anew for each decoding.
            encoded = self._whisper.model.encode(batch([state.features for state in part]), to_cpu=True)
            for state, row in zip(part, np.asarray(encoded), strict=True):
                state.encoded = row

    def _detect_languages(self, states: Sequence[WindowState]) -> None:
        if not states:
            return
        detected = self._whisper.model.detect_language(batch([state.encoded for state in states]))
        for state, ranking in zip(states, detected, strict=True):
            probabilities = {token[2:-2]: probability for token, probability in ranking}
            among = state.candidates or probabilities
            state.language = max(among, key=probabilities.__getitem__)
            share = sum(probabilities[code] for code in among) if state.candidates else 1.0
            state.language_probability = probabilities[state.language] / share

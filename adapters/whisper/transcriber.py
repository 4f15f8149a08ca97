"""Windows of different callers, transcribed as one batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from faster_whisper import WhisperModel

from adapters.triton.window import Window
from adapters.whisper.checkpoint import streams
from adapters.whisper.decoding import batch, decode
from adapters.whisper.hearing import Hearing
from tritone.contract import TranscriptionOptions
from tritone.errors import InvalidInput
from tritone.languages import candidates_of, code_of
from tritone.transcript import Transcript

MAX_ROUNDS = 10
"""How often the rest of a window is decoded anew; speech takes one or two rounds, noise could go on for ever."""


class WhisperTranscriber:
    """One Whisper checkpoint as a `Transcriber`.

    A window's transcript is what `WhisperModel.transcribe` gives for it alone with its default options, or better where
    all that it tries repeats itself (`Task.best`); but the encoder and the decoder run on the windows of all callers at
    once, and the language is detected from the same encoding.
    """

    def __init__(self, whisper: WhisperModel) -> None:
        self._whisper = whisper
        self.streams = streams(whisper.model.device)

    def check(self, options: TranscriptionOptions) -> None:
        """Raise `InvalidInput` for a language that the checkpoint does not know, or a translation that it cannot do."""
        for name in [] if options.language == "auto" else options.language.split(","):
            code = code_of(name)
            if code is None or self._whisper.hf_tokenizer.token_to_id(f"<|{code}|>") is None:
                raise InvalidInput("language", f"{name!r} is unknown; send an ISO 639-1 code, or auto")
        if not self._whisper.model.is_multilingual:
            if options.language != "auto" and candidates_of(options.language) != ("en",):
                raise InvalidInput("language", f"this checkpoint hears English alone, not {options.language!r}")
            if options.task != "transcribe":
                raise InvalidInput("task", "this checkpoint hears English alone; there is nothing to translate")

    def transcribe(self, windows: Sequence[Window]) -> list[Transcript]:
        """The transcript of each window. Options must have passed `check`."""
        hearings = [Hearing(self._whisper, window) for window in windows]
        unfinished = hearings
        for _ in range(MAX_ROUNDS):
            self._encode(unfinished)
            self._detect_languages([hearing for hearing in unfinished if not hearing.language])
            tasks = [hearing.task() for hearing in unfinished]
            decode(self._whisper, tasks)
            for hearing, task in zip(unfinished, tasks, strict=True):
                hearing.take(task)
            unfinished = [hearing for hearing in unfinished if not hearing.finished]
            if not unfinished:
                break
        return [hearing.transcript() for hearing in hearings]

    def _encode(self, hearings: Sequence[Hearing]) -> None:
        """Encode what each has not yet heard."""
        # A CPU's caches hold the activations of one window: there a batch of eight takes a third more time a window.
        step = 1 if self._whisper.model.device == "cpu" else len(hearings)
        for start in range(0, len(hearings), step):
            part = hearings[start : start + step]
            # To the host, whatever the device: the rows are grouped anew for every decoding.
            encoded = self._whisper.model.encode(batch([hearing.features for hearing in part]), to_cpu=True)
            for hearing, row in zip(part, np.asarray(encoded), strict=True):
                hearing.encoded = row

    def _detect_languages(self, hearings: Sequence[Hearing]) -> None:
        if not hearings:
            return
        detected = self._whisper.model.detect_language(batch([hearing.encoded for hearing in hearings]))
        for hearing, ranking in zip(hearings, detected, strict=True):
            chances = {token[2:-2]: probability for token, probability in ranking}
            among = hearing.candidates or chances
            hearing.language = max(among, key=chances.__getitem__)
            share = sum(chances[code] for code in among) if hearing.candidates else 1.0
            hearing.language_probability = chances[hearing.language] / share

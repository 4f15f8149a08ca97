"""Forced alignment: a transcription model finds the times of the words of a speech, whose text is known."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final

import numpy as np

from gateway.audio.frames import Pcm, Samples
from gateway.audio.renderer import Renderer
from gateway.core.at_capacity import wait_for_room
from gateway.core.services import Services
from gateway.core.synthesize import SpeechStream, SynthesisRequest
from gateway.core.telemetry import WorkTelemetry
from gateway.core.window_client import WindowClient
from gateway.core.workers import run_in
from tritone.contract import LISTEN_RATE, TranscriptionOptions
from tritone.descriptions import TranscriptionDescription
from tritone.errors import InvalidInput
from tritone.languages import code_of
from tritone.transcript import Transcript, Word
from tritone.windowing import Window
from tritone.written_words import letters_of, written_words

ALIGNED_CHARS: Final = 150
"""Characters of a part that is aligned as a whole: about 10 s of speech, and few enough tokens in any script."""
_MARGIN: Final = 0.5
"""Seconds of a window that are left free."""


@dataclass(frozen=True)
class Aligner:
    """Finds the times of the words of one request's parts."""

    services: Services
    model: str
    """The id of the transcription model."""
    supported: frozenset[str]
    window_seconds: int
    language: str
    """A code of the model, or `auto`."""
    telemetry: WorkTelemetry

    @classmethod
    def of(cls, services: Services, speech_model: str, request: SynthesisRequest, telemetry: WorkTelemetry) -> Aligner:
        """Return the aligner for a speech model that does not report times. Raises `InvalidInput` if there is none."""
        models = services.triton.served.of_kind("transcription")
        for model in sorted(models, key=lambda model: model.state != "ready"):
            described = model.description
            if isinstance(described, TranscriptionDescription) and "known_text" in described.options:
                code = code_of(str(request.options.get("language", "auto")))
                language = code if code in described.languages else "auto"
                options = frozenset(described.options)
                return cls(services, model.id, options, described.window_seconds, language or "auto", telemetry)
        raise InvalidInput(
            "word_times",
            f"{speech_model} does not report the times of its words, and no model that finds them is served here; "
            "add a Whisper model to STT_MODELS",
        )

    async def __call__(self, text: str, samples: Samples, rate: int) -> list[Word]:
        """Return the words of `text` with their times in `samples`, mono of `rate` Hz.

        Raises `InvalidInput` and any `ServiceError`.
        """
        if not written_words(text):
            return []
        hurry = max(1.0, len(samples) / rate / (self.window_seconds - _MARGIN))
        audio = await run_in(self.services.workers.encoding, for_listening, samples, rate, hurry)
        settings = self.services.settings
        client = WindowClient(
            self.services.triton,
            self.model,
            TranscriptionOptions(known_text=text),
            self.supported,
            f"{self.telemetry.request_id}-words",
            settings.request_timeout,
        )

        async def transcribe() -> Transcript:
            await self.services.triton.wake(self.model, settings.first_audio_timeout)
            with await self.services.admission.admit(self.model, self.telemetry.caller) as work:
                transcript = await client.transcribe(Window(0, audio), self.language, "")
                work.progress()
            return transcript

        transcript = await wait_for_room(transcribe, time.monotonic() + settings.first_audio_timeout)
        heard = [word for segment in transcript.segments for word in segment.words]
        return [word.scaled(hurry) for word in words_in(text, heard)]


async def find_words(
    services: Services, speech: SpeechStream, request: SynthesisRequest, telemetry: WorkTelemetry
) -> list[Word]:
    """Return the words of a speech that was read to its end and whose model does not report their times; else none.

    The times are seconds of its audio. Raises as `Aligner`.
    """
    recording = speech.recording
    if recording is None or not recording.blocks:
        return []
    aligner = Aligner.of(services, speech.model, request, telemetry)
    words = await aligner(request.text, np.concatenate(recording.blocks), recording.rate)
    return [word.scaled(1 / recording.tempo) for word in words]


def words_in(text: str, aligned: Sequence[Word]) -> list[Word]:
    """Return the written words of `text` with the times of `aligned` words, which together are the text, too.

    They may be divided in another way: then a written word has a share of an aligned word's time, or that of several.
    """
    pieces = _with_marks(aligned)
    ends = list(accumulate(len(piece.text) for piece in pieces))
    if not pieces:
        return []

    def moment(place: int, *, starts: bool) -> float:
        """Return the time at which the character at `place` starts, or the one before it ends."""
        index = min(bisect_right(ends, place if starts else place - 1), len(pieces) - 1)
        first, last = (ends[index - 1] if index else 0), ends[index]
        share = min(1.0, (place - first) / (last - first))
        return pieces[index].start + share * (pieces[index].end - pieces[index].start)

    words: list[Word] = []
    place = 0
    for word in written_words(text):
        end = place + len("".join(word.split()))
        words.append(Word(moment(place, starts=True), moment(end, starts=False), word, 1.0))
        place = end
    return words


def _with_marks(aligned: Sequence[Word]) -> list[Word]:
    """Return the words without spaces; marks alone are added to the word before, or to the first one."""
    found: list[Word] = []
    held = ""
    for word in aligned:
        text = "".join(word.text.split())
        if letters_of(text):
            found.append(replace(word, text=held + text))
            held = ""
        elif found:
            found[-1] = replace(found[-1], text=found[-1].text + text)
        else:
            held += text
    return found


def for_listening(samples: Samples, rate: int, tempo: float) -> Pcm:
    """Return the samples at the rate of transcription models, `tempo` times as fast."""
    renderer = Renderer("pcm", rate, tempo, whole=False, sample_rate=LISTEN_RATE)
    encoded = renderer.write(samples) + renderer.finish()
    return np.frombuffer(encoded, "<i2").astype(np.float32) / 2**15

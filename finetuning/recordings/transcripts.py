"""The texts of clips, by one of the served Whisper models."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import ctranslate2

from adapters.triton.instance import Instance
from adapters.triton.transcriber import WindowRequest
from adapters.whisper import checkpoint
from adapters.whisper.transcriber import WhisperTranscriber
from finetuning.errors import FineTuningError
from finetuning.recordings.audio import at_listen_rate
from finetuning.wav import Samples
from tritone.contract import LISTEN_RATE, WINDOW_SECONDS, TranscriptionOptions
from tritone.settings import CPU_THREADS
from tritone.transcript import Segment, Transcript

_BATCH: Final = 8
"""Clips that are transcribed together."""


@dataclass(frozen=True)
class Text:
    """The transcript of a clip."""

    text: str
    language: str
    """ISO code, as detected or as given."""
    confidence: float
    """Mean probability of a token, 0 to 1."""


class Transcripts:
    """A Whisper model in its folder `weights` below `model_dir`; raises `FineTuningError` if it cannot be loaded."""

    def __init__(self, model_dir: Path, weights: str) -> None:
        cuda = os.environ.get("DEVICE", "auto").lower() != "cpu" and ctranslate2.get_cuda_device_count() > 0
        threads = CPU_THREADS.read() or len(os.sched_getaffinity(0))
        instance = Instance(weights, "cuda" if cuda else "cpu", 0, model_dir / weights, threads, {})
        try:
            self._transcriber = WhisperTranscriber(checkpoint.load(instance, model_dir))
        except (FileNotFoundError, RuntimeError) as error:
            raise FineTuningError(f"{weights} cannot be loaded: {error}") from None

    def of(self, clips: Sequence[Samples], language: str) -> Iterator[Text]:
        """Yield the text of each clip, samples at 24 kHz and at most 30 s; `language` is a code, or empty."""
        for start in range(0, len(clips), _BATCH):
            options = TranscriptionOptions(language=language or "auto")
            heard = [at_listen_rate(clip)[: WINDOW_SECONDS * LISTEN_RATE] for clip in clips[start : start + _BATCH]]
            for transcript in self._transcriber.transcribe([WindowRequest(audio, options) for audio in heard]):
                yield _text(transcript)


def _text(transcript: Transcript) -> Text:
    text = " ".join("".join(segment.text for segment in transcript.segments).split())
    return Text(text, transcript.language, _confidence(transcript.segments))


def _confidence(segments: Sequence[Segment]) -> float:
    counted = [(segment.avg_logprob, max(1, len(segment.tokens))) for segment in segments]
    known = [(logprob, tokens) for logprob, tokens in counted if logprob is not None]
    tokens = sum(count for _, count in known)
    return round(math.exp(sum(logprob * count for logprob, count in known) / tokens), 3) if tokens else 0.0

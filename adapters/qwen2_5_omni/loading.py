"""From a checkpoint to a running engine."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch

from adapters.inflight.cuda_streams import disable_cudnn_attention
from adapters.qwen2_5_omni.engine import OmniEngine
from adapters.qwen2_5_omni.prompt import PromptBuilder
from adapters.qwen2_5_omni.settings import EngineSettings
from adapters.qwen2_5_omni.stepper import TokenStepper
from adapters.qwen2_5_omni.weights import Weights
from adapters.triton.response_stream import FinishReason
from adapters.triton.transcriber import WindowRequest
from tritone.contract import LISTEN_RATE, TranscriptionDescription, TranscriptionOptions
from tritone.transcript import Transcript

LANGUAGES = (
    "ar",
    "de",
    "en",
    "es",
    "fr",
    "id",
    "it",
    "ja",
    "ko",
    "ms",
    "nl",
    "pt",
    "ru",
    "th",
    "tr",
    "vi",
    "yue",
    "zh",
)
"""Languages that a request may name; without a name the model writes what it hears."""


def load_engine(
    folder: Path, settings: EngineSettings, *, options: tuple[str, ...], device: str, dtype: torch.dtype
) -> OmniEngine:
    """Load a checkpoint and start its engine; raises errors of the files."""
    place = torch.device(device)
    disable_cudnn_attention(place)
    with torch.cuda.device(place) if place.type == "cuda" else nullcontext():
        weights = Weights.load(folder, device, dtype)
        stepper = TokenStepper(weights, slots=settings.limits.slots, positions=settings.limits.positions)
        prompts = PromptBuilder(folder, weights)
        if place.type == "cuda":
            torch.cuda.empty_cache()  # joining and packing matrices left free blocks, which other models may need
            torch.cuda.synchronize()  # the threads of the engine have streams of their own
    description = TranscriptionDescription(
        LANGUAGES, ("transcribe",), options, settings.window_seconds, audio_token_rate=prompts.audio_tokens(LISTEN_RATE)
    )
    return OmniEngine(description, prompts, stepper, settings, device=place)


def self_test(engine: OmniEngine) -> None:
    """Transcribe a second of noise; raises the engine's error."""
    collector = TextCollector()
    audio = np.random.default_rng(0).uniform(-0.1, 0.1, LISTEN_RATE).astype(np.float32)
    options = TranscriptionOptions(temperature=0.0, max_new_tokens=8)
    engine.transcribe(WindowRequest(audio, options), collector, timeout=threading.TIMEOUT_MAX)
    collector.transcript()


class TextCollector:
    """Keeps the text of one window inside the process."""

    def __init__(self) -> None:
        self.closed = False
        """Set it to cancel the request."""
        self.deltas: list[str] = []
        self.reason: FinishReason | None = None
        self._result: Transcript | BaseException | None = None
        self._ended = threading.Event()

    def start(self) -> None:
        """Do nothing."""

    def text(self, delta: str) -> None:
        """Keep the next piece of the text."""
        self.deltas.append(delta)

    def finish(self, transcript: Transcript, *, seconds: float, reason: FinishReason) -> None:
        """Keep the transcript."""
        self.reason = reason
        self._result = transcript
        self._ended.set()

    def fail(self, error: BaseException) -> None:
        """Keep the error."""
        self._result = error
        self._ended.set()

    def transcript(self, timeout: float | None = None) -> Transcript:
        """Wait for the transcript; raises the error of the stream, or `TimeoutError` after `timeout` seconds."""
        if not self._ended.wait(timeout):
            raise TimeoutError(f"no transcript within {timeout} s")
        if isinstance(self._result, BaseException):
            raise self._result
        assert self._result
        return self._result

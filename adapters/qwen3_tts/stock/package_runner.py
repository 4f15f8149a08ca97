"""Synthesis with the published package's public methods, one batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from adapters.qwen3_tts.checkpoint import Checkpoint
from adapters.qwen3_tts.frames import SAMPLES_PER_FRAME, runaway_limit
from adapters.qwen3_tts.generation import generation_overrides
from adapters.qwen3_tts.package import VoiceClonePromptItem
from adapters.qwen3_tts.request import QwenRequest
from adapters.qwen3_tts.self_test import SELF_TEST
from adapters.qwen3_tts.stock.package_model import PackageModel, RowStopper
from adapters.triton.response_stream import FinishReason
from adapters.triton.samples import check_finite
from adapters.triton.speech_request import SpeechRequest
from tritone.contract import SPEECH_RATE, SpeechDescription


@dataclass(frozen=True, eq=False)
class SpeechResult:
    """Audio of one request, and its finish reason."""

    audio: NDArray[np.float32]
    """Samples (n,) at `SPEECH_RATE`, -1 to 1."""
    reason: FinishReason

    @property
    def frames(self) -> int:
        """The number of codec frames in `audio`."""
        return len(self.audio) // SAMPLES_PER_FRAME


class PackageRunner:
    """Runs one checkpoint. Any thread may call `check`; only one thread at a time may call `synthesize`."""

    def __init__(
        self,
        model: PackageModel,
        checkpoint: Checkpoint,
        *,
        default_speaker: str = "",
        default_language: str = "",
        runaway_limit: Callable[[int], int] = runaway_limit,
    ) -> None:
        """`default_speaker` and `default_language` apply to requests without a voice or a language.

        `runaway_limit` as in `QwenRequest.from_speech`. Raises `ValueError` for a language that the checkpoint lacks.
        """
        self.description: SpeechDescription = checkpoint.describe(default_speaker)
        self._model = model
        self._checkpoint = checkpoint
        self._default_language = checkpoint.default_language(default_language)
        self._runaway_limit = runaway_limit

    def check(self, request: SpeechRequest) -> QwenRequest:
        """Check a request against the checkpoint; raises `InvalidInput`."""
        return QwenRequest.from_speech(
            request,
            self._checkpoint,
            default_language=self._default_language,
            text_tokens=self._model.count_tokens(request.text),
            speaker=self.description.default_voice,
            max_new_tokens=self._model.max_new_tokens,
            runaway_limit=self._runaway_limit,
        )

    def synthesize(
        self, requests: Sequence[QwenRequest], cancelled: Callable[[], Sequence[bool]]
    ) -> list[SpeechResult]:
        """Synthesize requests with equal sampling options in one batch. Each row stops at its own end.

        `cancelled` is called after every frame and returns one flag per request; a cancelled row stops there. It may
        raise, which stops the whole batch.
        """
        stopper = RowStopper(self._model.end_token, [request.max_tokens for request in requests], cancelled)
        self._model.stopper = stopper
        seed = requests[0].options.seed
        devices = [self._model.device] if self._model.device.type == "cuda" else []
        with torch.random.fork_rng(devices) if seed is not None else nullcontext():
            if seed is not None:
                torch.manual_seed(seed)
            waves = self._run(requests)
        spoken = [wave[: (tokens - 1) * SAMPLES_PER_FRAME] for wave, tokens in zip(waves, stopper.tokens, strict=True)]
        for audio in spoken:
            check_finite(audio)
        return [
            SpeechResult(audio, request.limit_reason if hit_limit else "stop")
            for audio, hit_limit, request in zip(spoken, stopper.hit_limit, requests, strict=True)
        ]

    def self_test(self) -> None:
        """Synthesize a known sentence; raises `RuntimeError` if the result has no audio."""
        (result,) = self.synthesize([self.check(SELF_TEST)], lambda: [False])
        if not result.frames:
            raise RuntimeError(f"self-test failed: the checkpoint in {self._checkpoint.folder} gives no audio")

    def _run(self, requests: Sequence[QwenRequest]) -> list[NDArray[np.float32]]:
        options = requests[0].options
        arguments = {
            "text": [request.text for request in requests],
            "language": [request.language for request in requests],
            "max_new_tokens": max(request.max_tokens for request in requests),
            **generation_overrides(options),
        }
        if options.streaming_text is not None:
            arguments["non_streaming_mode"] = not options.streaming_text
        instruct = [request.instruct for request in requests]
        if self._checkpoint.mode == "voice_clone":
            voices = [self._voice(request) for request in requests]
            waves, rate = self._model.generate_voice_clone(**arguments, voice_clone_prompt=voices)
        elif self._checkpoint.mode == "voice_design":
            waves, rate = self._model.generate_voice_design(**arguments, instruct=instruct)
        else:
            speaker = [request.speaker for request in requests]
            waves, rate = self._model.generate_custom_voice(**arguments, speaker=speaker, instruct=instruct)
        if rate != SPEECH_RATE:
            raise RuntimeError(f"the checkpoint in {self._checkpoint.folder} gives {rate} Hz, not {SPEECH_RATE}")
        return list(waves)

    def _voice(self, request: QwenRequest) -> VoiceClonePromptItem:
        """Encode the voice of a reference, alone, so that it does not depend on the rest of the batch."""
        assert request.reference is not None
        (voice,) = self._model.create_voice_clone_prompt(
            ref_audio=[(request.reference.samples, SPEECH_RATE)],
            ref_text=[request.reference_text],
            x_vector_only_mode=[request.reference_text is None],
        )
        return voice

"""From utterances to samples, a batch at a time, through the package's public methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from adapters.qwen3_tts.checkpoint import Checkpoint
from adapters.qwen3_tts.package import VoiceClonePromptItem
from adapters.qwen3_tts.stock import SAMPLES_PER_FRAME, StockModel, Watch
from adapters.qwen3_tts.utterance import Utterance
from adapters.triton.speech import FinishReason, SpeechRequest
from tritone.contract import SPEECH_RATE, SpeechDescription, SpeechOptions

PROOF = SpeechRequest(
    text="The model is loaded, and it can speak.",
    voice="",
    language="auto",
    speed=1.0,
    options=SpeechOptions(instruct="A calm voice.", x_vector_only=True, max_new_tokens=26, seed=0),
    ref_audio=(0.1 * np.sin(np.arange(2 * SPEECH_RATE) * (2 * np.pi * 150 / SPEECH_RATE))).astype(np.float32),
)
"""Spoken at load: two seconds, with all that any of the modes asks for; those that do not pass it over."""


@dataclass(frozen=True, eq=False)
class Spoken:
    """What became of an utterance."""

    audio: NDArray[np.float32]
    """Samples (n,) at `SPEECH_RATE`, -1 to 1."""
    reason: FinishReason

    @property
    def frames(self) -> int:
        """The codec frames of `audio`."""
        return len(self.audio) // SAMPLES_PER_FRAME


class Synthesizer:
    """A checkpoint that speaks. `utterance` may be called from any thread, `speak` from one at a time."""

    def __init__(
        self, model: StockModel, checkpoint: Checkpoint, *, default_speaker: str = "", default_language: str = ""
    ) -> None:
        """`default_speaker` and `default_language` are for requests that say neither.

        Raises `ValueError` for a language that the checkpoint does not speak.
        """
        self.description: SpeechDescription = checkpoint.describe(default_speaker)
        self._model = model
        self._checkpoint = checkpoint
        self._default_language = checkpoint.default_language(default_language)

    def utterance(self, request: SpeechRequest) -> Utterance:
        """The request in the package's words; raises `InvalidInput`."""
        return Utterance.of(
            request,
            self._checkpoint,
            default_language=self._default_language,
            text_tokens=self._model.count_tokens(request.text),
            speaker=self.description.default_voice,
            max_new_tokens=self._model.max_new_tokens,
        )

    def speak(self, utterances: Sequence[Utterance], gone: Callable[[], Sequence[bool]]) -> list[Spoken]:
        """Speak utterances of equal `sampling` together, each to its own end.

        `gone` is asked after every frame which callers have left; theirs end there. It may raise, to end the batch.
        """
        watch = Watch(self._model.end_token, [utterance.max_tokens for utterance in utterances], gone)
        self._model.watch = watch
        seed = utterances[0].sampling.seed
        devices = [self._model.device] if self._model.device.type == "cuda" else []
        with torch.random.fork_rng(devices) if seed is not None else nullcontext():
            if seed is not None:
                torch.manual_seed(seed)
            waves = self._run(utterances)
        return [
            Spoken(_checked(wave[: (tokens - 1) * SAMPLES_PER_FRAME]), utterance.cut if was_cut else "stop")
            for wave, tokens, was_cut, utterance in zip(waves, watch.tokens, watch.was_cut, utterances, strict=True)
        ]

    def prove(self) -> None:
        """Speak a known sentence; raises `RuntimeError` if no audio comes of it."""
        (spoken,) = self.speak([self.utterance(PROOF)], lambda: [False])
        if not spoken.frames:
            raise RuntimeError(f"the checkpoint in {self._checkpoint.folder} does not speak")

    def _run(self, utterances: Sequence[Utterance]) -> list[NDArray[np.float32]]:
        sampling = utterances[0].sampling
        arguments = {
            "text": [utterance.text for utterance in utterances],
            "language": [utterance.language for utterance in utterances],
            "max_new_tokens": max(utterance.max_tokens for utterance in utterances),
            **sampling.arguments(),
        }
        if sampling.streaming_text is not None:
            arguments["non_streaming_mode"] = not sampling.streaming_text
        instruct = [utterance.instruct for utterance in utterances]
        if self._checkpoint.mode == "voice_clone":
            voices = [self._voice(utterance) for utterance in utterances]
            waves, rate = self._model.generate_voice_clone(**arguments, voice_clone_prompt=voices)
        elif self._checkpoint.mode == "voice_design":
            waves, rate = self._model.generate_voice_design(**arguments, instruct=instruct)
        else:
            speaker = [utterance.speaker for utterance in utterances]
            waves, rate = self._model.generate_custom_voice(**arguments, speaker=speaker, instruct=instruct)
        if rate != SPEECH_RATE:
            raise RuntimeError(f"the checkpoint in {self._checkpoint.folder} speaks at {rate} Hz, not {SPEECH_RATE}")
        return list(waves)

    def _voice(self, utterance: Utterance) -> VoiceClonePromptItem:
        """The voice of a reference, encoded alone, so that it does not depend on who shares the batch."""
        (voice,) = self._model.create_voice_clone_prompt(
            ref_audio=[(utterance.reference, SPEECH_RATE)],
            ref_text=[utterance.reference_text],
            x_vector_only_mode=[utterance.reference_text is None],
        )
        return voice


def _checked(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(audio).all():
        raise RuntimeError("the model gave NaN or infinite samples: the weights are broken, or DTYPE too narrow")
    return audio

"""From a request to what the stepper takes: off the stepping thread, because a new voice costs many frames."""

from __future__ import annotations

import secrets

import numpy as np
from numpy.typing import NDArray

from adapters.qwen3_tts.checkpoint import Checkpoint
from adapters.qwen3_tts.inflight.prompt import PromptBuilder
from adapters.qwen3_tts.inflight.sampling import Sampling
from adapters.qwen3_tts.inflight.stream import Prepared
from adapters.qwen3_tts.inflight.voices import ClonedVoice, VoiceCache
from adapters.qwen3_tts.inflight.weights import Weights
from adapters.qwen3_tts.utterance import Utterance
from adapters.triton.speech import SpeechRequest
from tritone.contract import SpeechDescription


class Preparation:
    """Makes the requests of one checkpoint ready to be spoken."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        weights: Weights,
        voices: VoiceCache | None,
        *,
        default_speaker: str = "",
        default_language: str = "",
    ) -> None:
        """`voices` is for checkpoints that clone; the defaults are for requests that say neither.

        Raises `ValueError` for a language that the checkpoint does not speak.
        """
        self.description: SpeechDescription = checkpoint.describe(default_speaker)
        self._checkpoint = checkpoint
        self._weights = weights
        self._prompts = PromptBuilder(weights)
        self._voices = voices
        self._default_language = checkpoint.default_language(default_language)

    def utterance(self, request: SpeechRequest) -> Utterance:
        """Check a request, quickly and in any thread; raises `InvalidInput`."""
        return Utterance.of(
            request,
            self._checkpoint,
            default_language=self._default_language,
            text_tokens=self._prompts.count_tokens(request.text),
            speaker=self.description.default_voice,
            max_new_tokens=int(self._weights.generation.get("max_new_tokens", 2048)),
        )

    def prepare_soon(self, utterance: Utterance) -> Prepared | None:
        """As `prepare`, but None where a voice must first be taken from its recording, which takes many frames."""
        if self._voices is None or utterance.reference is None:
            return self._prepared(utterance, None)
        voice = self._voices.find(*_reference(utterance))
        return None if voice is None else self._prepared(utterance, voice)

    def prepare(self, utterance: Utterance) -> Prepared:
        """Build the prompt, with the voice from its reference, in any thread.

        Where the request does not say, a cloned voice reads its text frame by frame, as in the package, and the others
        have all of it before they speak.
        """
        if self._voices is None or utterance.reference is None:
            return self._prepared(utterance, None)
        return self._prepared(utterance, self._voices.get(*_reference(utterance)))

    def _prepared(self, utterance: Utterance, voice: ClonedVoice | None) -> Prepared:
        streaming = utterance.sampling.streaming_text
        prompt = self._prompts.build(
            utterance.text,
            language=utterance.language,
            speaker=utterance.speaker,
            instruct=utterance.instruct,
            voice=voice,
            streaming_text=voice is not None if streaming is None else streaming,
        )
        seed = secrets.randbits(62) if utterance.sampling.seed is None else utterance.sampling.seed
        sampling = Sampling.of(self._weights.generation, utterance.sampling.arguments(), {"seed": seed})
        return Prepared(prompt, sampling, voice.codec_state if voice else None)


def _reference(utterance: Utterance) -> tuple[NDArray[np.float32], str, bool]:
    """A recording, its words, and whether its colour alone is taken."""
    assert utterance.reference is not None
    words = utterance.reference_text
    return utterance.reference, words or "", words is None

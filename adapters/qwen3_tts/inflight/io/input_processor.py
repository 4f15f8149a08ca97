"""From a request to the stepper's input. Not on the stepping thread: a new voice takes as long as many frames."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from adapters.qwen3_tts.checkpoint import Checkpoint
from adapters.qwen3_tts.inflight.codec.state import CodecState
from adapters.qwen3_tts.inflight.io.voice_cache import ClonedVoice, VoiceCache
from adapters.qwen3_tts.inflight.model.prompt import Prompt, PromptBuilder
from adapters.qwen3_tts.inflight.model.sampling_params import SamplingParams
from adapters.qwen3_tts.inflight.model.weights import Weights
from adapters.qwen3_tts.request import QwenRequest
from adapters.triton.speech_request import SpeechRequest
from tritone.contract import SpeechDescription


@dataclass(frozen=True, eq=False)
class PreparedInput:
    """The input of the stepper and of the codec for one request."""

    prompt: Prompt
    sampling: SamplingParams
    codec: CodecState | None
    """The codec's state after a cloned voice's reference; None: its state before any audio."""


class InputProcessor:
    """Checks and prepares the requests of one checkpoint."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        weights: Weights,
        voices: VoiceCache | None,
        *,
        default_speaker: str = "",
        default_language: str = "",
    ) -> None:
        """`voices`: for checkpoints that clone. The defaults apply to requests without a voice or a language.

        Raises `ValueError` for a language that the checkpoint lacks.
        """
        self.description: SpeechDescription = checkpoint.describe(default_speaker)
        self._checkpoint = checkpoint
        self._weights = weights
        self._prompts = PromptBuilder(weights)
        self._voices = voices
        self._default_language = checkpoint.default_language(default_language)

    def check(self, request: SpeechRequest) -> QwenRequest:
        """Check a request, quickly and on any thread; raises `InvalidInput`."""
        return QwenRequest.from_speech(
            request,
            self._checkpoint,
            default_language=self._default_language,
            text_tokens=self._prompts.count_tokens(request.text),
            speaker=self.description.default_voice,
            max_new_tokens=int(self._weights.generation.get("max_new_tokens", 2048)),
        )

    def prepare_if_cached(self, request: QwenRequest) -> PreparedInput | None:
        """Prepare a request. Return None if its voice must first be encoded, which takes as long as many frames."""
        if self._voices is None or request.reference is None:
            return self._prepare(request, None)
        voice = self._voices.find(request.reference)
        return None if voice is None else self._prepare(request, voice)

    def prepare(self, request: QwenRequest) -> PreparedInput:
        """Prepare a request on any thread, and encode its voice if necessary.

        Without the option `streaming_text`, a cloned voice reads its text frame by frame, as in the package; other
        prompts hold the whole text.
        """
        if self._voices is None or request.reference is None:
            return self._prepare(request, None)
        return self._prepare(request, self._voices.get(request.reference))

    def _prepare(self, request: QwenRequest, voice: ClonedVoice | None) -> PreparedInput:
        options = request.options
        prompt = self._prompts.build(
            request.text,
            language=request.language,
            speaker=request.speaker,
            instruct=request.instruct,
            voice=voice,
            streaming_text=voice is not None if options.streaming_text is None else options.streaming_text,
        )
        seed = secrets.randbits(62) if options.seed is None else options.seed
        sampling = SamplingParams.from_options(self._weights.generation, options, seed=seed)
        return PreparedInput(prompt, sampling, voice.codec_state if voice else None)

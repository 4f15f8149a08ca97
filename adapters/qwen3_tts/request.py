"""A speech request, checked against a Qwen3-TTS checkpoint. Both engines synthesize such requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from adapters.qwen3_tts.checkpoint import Checkpoint
from adapters.qwen3_tts.frames import runaway_limit
from adapters.speech.emotion_words import with_emotions
from adapters.triton.references import Reference
from adapters.triton.speech_request import SpeechRequest
from tritone.contract import SpeechOptions
from tritone.errors import InvalidInput

LimitReason = Literal["length", "runaway"]


@dataclass(frozen=True, eq=False)
class QwenRequest:
    """Input of one synthesis, in the checkpoint's own names."""

    text: str
    text_tokens: int
    speaker: str
    """In lower case, as the checkpoint's tables are searched; empty where the voice is designed or cloned."""
    language: str
    """The checkpoint's name of the language, or `auto`."""
    instruct: str
    """The client's, and words for its emotions."""
    reference: Reference | None
    """The voice to clone."""
    reference_text: str | None
    """The words of the reference; None: clone from the speaker embedding (x-vector) alone."""
    options: SpeechOptions
    """The sampling options are read from here."""
    max_tokens: int
    """Limit of codec tokens. The last token is not synthesized."""
    limit_reason: LimitReason
    """The finish reason when `max_tokens` is reached."""

    @classmethod
    def from_speech(
        cls,
        request: SpeechRequest,
        checkpoint: Checkpoint,
        *,
        text_tokens: int,
        speaker: str,
        max_new_tokens: int,
        default_language: str = "auto",
        runaway_limit: Callable[[int], int] = runaway_limit,
    ) -> QwenRequest:
        """Check the requirements of this model family; raises `InvalidInput`.

        `speaker` and `default_language` (a code) apply to requests without a voice or a language. `max_new_tokens` is
        the checkpoint's own limit. `runaway_limit`: text tokens -> codec tokens.
        """
        options = request.options
        language = default_language if request.language == "auto" else request.language
        if checkpoint.mode == "voice_design" and not options.instruct.strip():
            raise InvalidInput("instruct", "this model needs it: describe the voice, as in `a calm, low voice`")
        if checkpoint.mode == "voice_clone":
            _check_clone(request)
        requested = options.max_new_tokens or max_new_tokens
        runaway = runaway_limit(text_tokens)
        return cls(
            text=request.text.strip(),  # a newline at the start would merge with the token before it in the prompt
            text_tokens=text_tokens,
            speaker=(request.voice or speaker).lower(),
            language="auto" if language == "auto" else checkpoint.languages[language],
            instruct=with_emotions(options.instruct, options.emotions, language=language, text=request.text),
            reference=request.reference,
            reference_text=None if options.x_vector_only else options.ref_text.strip(),
            options=options,
            max_tokens=min(requested, runaway),
            limit_reason="length" if requested <= runaway else "runaway",
        )


def _check_clone(request: SpeechRequest) -> None:
    if request.reference is None:
        raise InvalidInput("ref_audio", "this model needs it: a recording of the voice to clone")
    if not request.options.x_vector_only and not request.options.ref_text.strip():
        raise InvalidInput("ref_text", "is missing: give the words of ref_audio, or set x_vector_only")

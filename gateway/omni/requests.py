"""The form of the Qwen2.5-Omni transcription service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import UploadFile
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateway.core.transcribe import TranscriptionRequest
from tritone.contract import TranscriptionOptions


def _given(value: Any) -> Any:
    """Take an empty field for one that was not sent."""
    return None if isinstance(value, str) and value.strip().lower() in ("", "null", "none", "undefined") else value


def _whole(value: Any) -> Any:
    """Take `60.0` for 60: forms hold text."""
    text = _given(value)
    return text.strip().removesuffix(".0") if isinstance(text, str) else text


class OmniForm(BaseModel):
    """The fields of every route. Browsers send numbers and booleans as text."""

    model_config = ConfigDict(extra="allow", arbitrary_types_allowed=True)

    file: UploadFile = Field(description="The recording, in any container that FFmpeg reads.")
    segment_duration: Annotated[Annotated[int, Field(ge=1, le=3600)] | None, BeforeValidator(_whole)] = Field(
        None, description="Seconds of the longest piece that the model gets at once; at most the model's own limit."
    )
    max_new_tokens: Annotated[Annotated[int, Field(ge=1, le=32768)] | None, BeforeValidator(_whole)] = Field(
        None, description="Tokens after which the text of a piece ends; 8192 where it is not set."
    )
    temperature: Annotated[Annotated[float, Field(ge=0, le=1)] | None, BeforeValidator(_given)] = Field(
        None, description="Sampling temperature; 0.1 where it is not set."
    )
    repetition_penalty: Annotated[Annotated[float, Field(ge=0.5, le=2)] | None, BeforeValidator(_given)] = Field(
        None, description="Above 1, tokens that were already used become less probable; 1.1 where it is not set."
    )
    enable_s2t: Annotated[bool | None, BeforeValidator(_given)] = Field(
        None, description="Write Chinese in traditional characters."
    )

    def ignored(self, options: Sequence[str]) -> list[str]:
        """Return the fields that had no effect: unknown ones, and those among `options`, which the model lacks."""
        sent = {name for name in type(self).model_fields if getattr(self, name) is not None}
        return [*(self.model_extra or ()), *(name for name in options if name in sent)]

    def request(self, model: str, *, segment_seconds: int, words: bool = False) -> TranscriptionRequest:
        """Return the request of the use case.

        `segment_seconds` is the length of a piece where the form has none; `words` asks for word times, if the model
        has them.
        """
        options = TranscriptionOptions(
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            repetition_penalty=self.repetition_penalty,
            word_timestamps=words,
        )
        return TranscriptionRequest(
            model,
            options,
            window_seconds=self.segment_duration or segment_seconds,
            optional=("word_timestamps",),
            script="traditional" if self.enable_s2t else None,
        )

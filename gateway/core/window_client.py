"""Transcribing one window with a model on Triton."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass, replace

import numpy as np

from gateway.core.chinese import converted
from gateway.core.tracing import TRACER
from gateway.core.triton_client import TritonClient
from tritone.contract import PRIORITY_FIRST, PRIORITY_REST, PROMPT_CHARS, TranscriptionOptions
from tritone.transcript import Transcript
from tritone.windowing import Window


@dataclass(frozen=True)
class WindowClient:
    """Transcribes the windows of one recording, all with the same options except language and prompt."""

    triton: TritonClient
    model: str
    options: TranscriptionOptions
    supported: Collection[str]
    """The options that the model supports; others are not sent."""
    request_id: str
    timeout: float
    """Seconds that one window may take."""
    chinese: str = ""
    """OpenCC's name of the conversion of Chinese text; empty: none."""

    async def transcribe(
        self,
        window: Window,
        language: str,
        prompt: str,
        *,
        background: bool = False,
        on_text: Callable[[str], None] | None = None,
    ) -> Transcript:
        """Return the transcript of `window`, which follows the text `prompt`.

        A window in the `background` may wait behind others. `on_text` gets each piece of the text as it is decoded; it
        is for options with `partial_text`.
        """
        options = replace(
            self.options,
            language=language,
            prompt=prompt[-PROMPT_CHARS:],
            background=background,
            clip=window.whole,
        )
        responses = self.triton.stream(
            self.model,
            {"audio": window.samples[np.newaxis]},
            {name: value for name, value in options.to_parameters().items() if name in self.supported},
            request_id=self.request_id,
            priority=PRIORITY_REST if background else PRIORITY_FIRST,
            timeout=self.timeout,
        )
        columns = None
        attributes: dict[str, str | float] = {"tritone.model": self.model, "tritone.audio_seconds": window.seconds}
        with TRACER.start_as_current_span("transcribe window", attributes=attributes):
            async with aclosing(responses):
                async for tensors in responses:
                    if "text_delta" not in tensors:
                        columns = tensors
                    elif on_text:
                        on_text(tensors["text_delta"].item().decode())
        assert columns, "a model sends a transcript or an error"
        transcript = Transcript.from_columns(columns)
        return await asyncio.to_thread(converted, transcript, self.chinese) if self.chinese else transcript

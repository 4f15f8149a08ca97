"""Transcribing one window with a model on Triton."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

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

    async def transcribe(self, window: Window, language: str, prompt: str, *, background: bool = False) -> Transcript:
        """Return the transcript of `window`, which follows the text `prompt`.

        A window in the `background` may wait behind others.
        """
        options = replace(self.options, language=language, prompt=prompt[-PROMPT_CHARS:], background=background)
        columns = await self.triton.infer(
            self.model,
            {"audio": window.samples[np.newaxis]},
            {name: value for name, value in options.to_parameters().items() if name in self.supported},
            request_id=self.request_id,
            priority=PRIORITY_REST if background else PRIORITY_FIRST,
            timeout=self.timeout,
        )
        return Transcript.from_columns(columns)

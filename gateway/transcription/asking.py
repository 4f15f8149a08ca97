"""Asking a transcription model about one window."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gateway.transcription.forms import PROMPT_CHARS
from gateway.triton import Triton
from tritone.contract import PRIORITY_FIRST, PRIORITY_REST, TranscriptionOptions
from tritone.transcript import Transcript
from tritone.windowing import Window


@dataclass(frozen=True)
class Asker:
    """The windows of one caller, all with the same options but for the language and the prompt."""

    triton: Triton
    model: str
    options: TranscriptionOptions
    request_id: str
    timeout: float
    """Seconds that one window may take."""

    async def ask(self, window: Window, language: str, prompt: str, *, background: bool = False) -> Transcript:
        """What the model hears in `window` after `prompt`; one in the `background` lets others go ahead."""
        options = replace(self.options, language=language, prompt=prompt[-PROMPT_CHARS:], background=background)
        columns = await self.triton.infer(
            self.model,
            {"audio": window.samples[np.newaxis]},
            options.to_parameters(),
            request_id=self.request_id,
            priority=PRIORITY_REST if background else PRIORITY_FIRST,
            timeout=self.timeout,
        )
        return Transcript.from_columns(columns)

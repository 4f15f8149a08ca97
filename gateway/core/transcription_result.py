"""The transcript of a whole recording, as its windows arrive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from tritone import languages
from tritone.descriptions import AUDIO_TOKEN_RATE
from tritone.transcribe_windows import WindowTranscript, next_prompt
from tritone.transcript import Segment

Task = Literal["transcribe", "translate"]


@dataclass
class TranscriptionResult:
    """The windows transcribed so far."""

    task: Task
    windows: list[WindowTranscript] = field(default_factory=list)
    seconds: float = 0.0
    """The recording's length; complete after the last window."""
    audio_token_rate: int = AUDIO_TOKEN_RATE
    """The model's positions for a second of audio."""

    @property
    def segments(self) -> Iterator[Segment]:
        """Every segment, in order."""
        return (segment for window in self.windows for segment in window.segments)

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(segment.text for segment in self.segments).lstrip()

    @property
    def language_code(self) -> str | None:
        """The code of the text's language; None if there is no text, or the model detects no language."""
        # Later windows are transcribed in the language of the earlier ones; a window without words has none.
        code = next((window.language for window in reversed(self.windows) if window.segments), None)
        return "en" if code and self.task == "translate" else code or None

    @property
    def language(self) -> str:
        """The English name of the text's language; `unknown` if there is no text, or the model detects no language."""
        code = "en" if self.task == "translate" else self.language_code or ""
        return languages.NAMES.get(code, "unknown")

    @property
    def language_codes(self) -> list[str]:
        """The ISO 639-1 codes of the languages that were spoken, in order; none if the model detects none."""
        return list(dict.fromkeys(window.language for window in self.windows if window.segments and window.language))

    def next_prompt(self) -> str:
        """Return the prompt for the audio that follows: the text so far, less what the model was unsure of."""
        return next_prompt(self.segments)

"""The speakers of a live session, turn by turn."""

from __future__ import annotations

import asyncio

from gateway.core.diarization import Speakers
from gateway.core.services import Services
from gateway.core.speech_pieces import speech_in
from tritone.transcribe_windows import WindowTranscript
from tritone.windowing import Window


class LiveSpeakers:
    """The speakers of one session: who spoke once keeps the label A, B, and so on in its later turns."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._speakers = Speakers({})
        self.in_order = asyncio.Lock()
        """Held while a turn is transcribed, so that turns get their speakers in order."""

    async def hear(self, window: Window) -> None:
        """Take the voices in a window of a turn."""
        self._speakers.hear(window.start_seconds, await speech_in(self._services, window))

    def assign(self, window: WindowTranscript) -> WindowTranscript:
        """Return the window that was heard last with the speakers of its words."""
        return self._speakers.assign(window)

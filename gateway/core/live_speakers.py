"""The speakers of a live session, turn by turn."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor

from gateway.core.diarization import Speakers, with_embeddings
from gateway.core.speaker_encoder import SpeakerEncoder
from gateway.core.workers import run_in
from tritone.transcribe_windows import WindowTranscript
from tritone.transcript import Transcript
from tritone.windowing import Window


class LiveSpeakers:
    """The speakers of one session: who spoke once keeps the label A, B, and so on in its later turns."""

    def __init__(self, encoder: SpeakerEncoder, threads: Executor) -> None:
        """`threads`: those that compute embeddings."""
        self._encoder = encoder
        self._threads = threads
        self._speakers = Speakers({})
        self.in_order = asyncio.Lock()
        """Held while a turn is transcribed, so that turns get their speakers in order."""

    async def with_embeddings(self, window: Window, transcript: Transcript) -> Transcript:
        """Return the transcript of a window cut into pieces for `assign`."""
        return await run_in(self._threads, with_embeddings, window, transcript, self._encoder)

    def assign(self, window: WindowTranscript) -> WindowTranscript:
        """Return the next window with the speakers of its segments."""
        return self._speakers.assign(window)

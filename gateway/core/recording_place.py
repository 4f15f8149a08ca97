"""The place of a recording at the model that transcribes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing

from gateway.core.admission import Work
from gateway.core.services import Services
from tritone.transcribe_windows import TranscribeWindow, WindowTranscript
from tritone.transcript import Transcript
from tritone.windowing import Window


class RecordingPlace:
    """A recording's place at its model, taken when its first window is ready: silence needs no model."""

    def __init__(self, services: Services, caller: str, model: str) -> None:
        self._services = services
        self._caller = caller
        self._model = model
        self._lock = asyncio.Lock()
        self._stack = ExitStack()
        self._work: Work | None = None

    def before(self, transcribe_one: TranscribeWindow) -> TranscribeWindow:
        """Return a function that takes the place before the first window goes to the model."""

        async def transcribe_window(window: Window, language: str, background: bool) -> Transcript:
            async with self._lock:
                if self._work is None:
                    await self._services.triton.wake(self._model, self._services.settings.request_timeout)
                    admission = self._services.admission.admit(self._model, self._caller)
                    self._work = self._stack.enter_context(await admission)
            return await transcribe_one(window, language, background)

        return transcribe_window

    async def kept(self, windows: AsyncGenerator[WindowTranscript]) -> AsyncGenerator[WindowTranscript]:
        """Yield `windows`, and give up the place at their end.

        Raises `ModelUnavailable` and `TooManyRequests` if the model cannot give the first of them in time.
        """
        with self._stack:
            async with aclosing(windows):
                async for window in windows:
                    if self._work:
                        self._work.progress()
                    yield window

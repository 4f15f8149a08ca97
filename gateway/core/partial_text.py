"""The text of the window whose turn it is, as the model decodes it, between the transcripts of whole windows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from tritone.transcribe_windows import WindowTranscript


class PartialTexts:
    """The pieces of text of the windows that are being transcribed, in the windows' order.

    Several windows are decoded at once; the pieces of a later one are kept until those before it are complete.
    """

    def __init__(self) -> None:
        self._pieces: dict[float, list[str]] = {}
        self._news = asyncio.Event()

    def begin(self, start: float) -> Callable[[str], None]:
        """Note that a window's transcription begins, in order of their start; return the function that adds a piece."""
        pieces = self._pieces.setdefault(start, [])

        def add(piece: str) -> None:
            pieces.append(piece)
            self._news.set()

        return add

    async def beside(self, transcripts: AsyncGenerator[WindowTranscript]) -> AsyncGenerator[WindowTranscript | str]:
        """Yield `transcripts`, and before each the text of its window so far, in pieces."""
        async with aclosing(transcripts):
            while True:
                whole = asyncio.ensure_future(anext(transcripts, None))
                try:
                    while not whole.done():
                        news = asyncio.ensure_future(self._news.wait())
                        try:
                            await asyncio.wait([whole, news], return_when=asyncio.FIRST_COMPLETED)
                        finally:
                            news.cancel()
                        self._news.clear()
                        for piece in self._take():
                            yield piece
                    transcript = whole.result()
                finally:
                    if not whole.done():
                        whole.cancel()
                        await asyncio.gather(whole, return_exceptions=True)
                if transcript is None:
                    return
                # What came between the last news and the transcript is in the transcript.
                self._pieces.pop(transcript.start, None)
                yield transcript

    def _take(self) -> list[str]:
        """Return and remove the pieces of the first open window."""
        pieces = next(iter(self._pieces.values()), [])
        taken = pieces[:]
        pieces.clear()
        return taken

"""Transcribe one turn: partial text while it grows, and the whole text at its end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final, Protocol

from gateway.core.transcription_result import TranscriptionResult
from gateway.core.window_client import WindowClient
from gateway.openai.realtime.protocol import Event, event
from gateway.openai.realtime.stability import stable_text
from gateway.openai.transcription.result import languages, logprobs
from tritone.contract import LISTEN_RATE
from tritone.transcribe_windows import iter_windows, transcribe_windows
from tritone.transcript import Transcript
from tritone.windowing import MAX_SAMPLES, Samples, SpeechDetector, Window

Send = Callable[[Event], Awaitable[None]]

_PARTIAL_SHARE: Final = 1.0
"""The pause after a partial transcription is at least so many times its duration, so that a model under load gets fewer
requests."""
_SHORTEST_PARTIAL: Final = 0.5
"""Seconds of a turn before its first partial transcription."""


class GrowingTurn(Protocol):
    """The speech of a turn that is not over."""

    @property
    def samples(self) -> Samples:
        """The latest piece so far, at most a window of the model."""

    @property
    def spoken(self) -> int:
        """The samples of the latest piece up to the end of its last speech."""

    def take_ended(self) -> list[Samples]:
        """Return the pieces before it that have ended since the last call."""

    async def wait(self, seconds: float) -> None:
        """Wait so long, or until a look at the text is worth it."""

    async def hear(self, transcript: Transcript, samples: int) -> None:
        """Take the transcript of the latest piece's first samples."""


class TurnTranscriber:
    """Sends the text of one turn as events.

    Deltas only ever add to the text. While the turn grows, they are the words that successive transcriptions agree
    on; the text at its end is final.
    """

    def __init__(
        self, item_id: str, client: WindowClient, send: Send, partial_interval: float, agreeing: int = 2
    ) -> None:
        """`partial_interval`: seconds between two partial transcriptions, at the least; `agreeing`: as in `Pace`."""
        self.item_id = item_id
        self._client = client
        self._send = send
        self._partial_interval = partial_interval
        self._agreeing = agreeing
        self._sent = ""
        self._before = ""
        """The text of the pieces that have ended inside the turn."""

    async def follow(self, growing: GrowingTurn) -> None:
        """Send text as the turn grows, until cancelled."""
        transcribed, wait = 0, self._partial_interval
        texts: deque[str] = deque(maxlen=self._agreeing)
        while True:
            await growing.wait(wait)
            for samples in growing.take_ended():
                self._before += _text(await self._transcript_of(samples))
                await self._send_delta(self._before.strip())
                transcribed = 0
                texts.clear()
            spoken, samples = growing.spoken, growing.samples
            if spoken <= transcribed or not _SHORTEST_PARTIAL * LISTEN_RATE <= len(samples) <= MAX_SAMPLES:
                continue
            transcribed = len(samples)
            began = time.monotonic()
            transcript = await self._transcript_of(samples)
            wait = max(self._partial_interval, _PARTIAL_SHARE * (time.monotonic() - began))
            texts.append(_text(transcript))
            await self._send_delta((self._before + stable_text([*texts], self._agreeing)).strip())
            await growing.hear(transcript, transcribed)

    async def finish(self, samples: Samples, detect: SpeechDetector | None) -> None:
        """Send the whole text. `detect` leaves out silence; it is needed for a turn that the client committed."""
        result = TranscriptionResult("transcribe", seconds=len(samples) / LISTEN_RATE)
        options = self._client.options

        async def transcribe(window: Window, language: str, background: bool) -> Transcript:
            return await self._client.transcribe(window, language, options.prompt, background=background)

        windows = iter_windows([samples], detect) if detect else _one_window(samples)
        async with aclosing(transcribe_windows(windows, transcribe, options.language)) as transcripts:
            async for transcript in transcripts:
                result.windows.append(transcript)
                await self._send_delta(result.text)
        fields: dict[str, Any] = {}
        if options.logprobs:
            fields["logprobs"] = [logprob.model_dump() for logprob in logprobs(result.segments)]
        await self._send(
            event(
                "conversation.item.input_audio_transcription.completed",
                item_id=self.item_id,
                content_index=0,
                transcript=result.text,
                languages=[language.model_dump() for language in languages(result)],
                usage={"type": "duration", "seconds": round(result.seconds, 3)},
                **fields,
            )
        )

    async def _transcript_of(self, samples: Samples) -> Transcript:
        """Return the transcript of at most a window."""
        options = self._client.options
        return await self._client.transcribe(Window(0, samples), options.language, options.prompt)

    async def _send_delta(self, text: str) -> None:
        """Send the new part of `text`, if it continues the text that was sent."""
        if len(text) > len(self._sent) and text.startswith(self._sent):
            delta, self._sent = text[len(self._sent) :], text
            await self._send(
                event(
                    "conversation.item.input_audio_transcription.delta",
                    item_id=self.item_id,
                    content_index=0,
                    delta=delta,
                )
            )


def _text(transcript: Transcript) -> str:
    """Return the text; it begins with a space in languages that use them."""
    return "".join(segment.text for segment in transcript.segments)


async def _one_window(samples: Samples) -> AsyncGenerator[Window]:
    yield Window(0, samples)

"""Transcribe one turn: partial text while it grows, and the whole text at its end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing, nullcontext
from dataclasses import replace
from typing import Any, Final, Protocol

from gateway.core.live_speakers import LiveSpeakers
from gateway.core.transcription_result import TranscriptionResult
from gateway.core.window_client import WindowClient
from gateway.openai.realtime.protocol import Event, event, new_id
from gateway.openai.realtime.stability import Pace, stable_text
from gateway.openai.transcription.result import diarized_segment, languages, logprobs
from tritone.contract import LISTEN_RATE
from tritone.transcribe_windows import iter_windows, transcribe_windows
from tritone.transcript import Segment, Transcript
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
        self,
        item_id: str,
        client: WindowClient,
        send: Send,
        pace: Pace,
        speakers: LiveSpeakers | None,
    ) -> None:
        """`pace`: when text is sent while the turn grows; `speakers`: the session's, if they are wanted."""
        self.item_id = item_id
        self._client = client
        options = replace(client.options, word_timestamps=False, logprobs=False)
        self._partial_client = replace(client, options=options)
        self._send = send
        self._pace = pace
        self._speakers = speakers
        self._sent = ""
        self._before = ""
        """The text of the pieces that have ended inside the turn."""

    async def follow(self, growing: GrowingTurn) -> None:
        """Send text as the turn grows, until cancelled."""
        transcribed, wait = 0, self._pace.interval
        texts: deque[str] = deque(maxlen=self._pace.agreeing)
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
            wait = max(self._pace.interval, _PARTIAL_SHARE * (time.monotonic() - began))
            texts.append(_text(transcript))
            await self._send_delta((self._before + stable_text([*texts], self._pace.agreeing)).strip())
            await growing.hear(transcript, transcribed)

    async def finish(self, samples: Samples, detect: SpeechDetector | None) -> None:
        """Send the whole text. `detect` leaves out silence; it is needed for a turn that the client committed."""
        result = TranscriptionResult("transcribe", seconds=len(samples) / LISTEN_RATE)
        options = self._client.options
        windows = iter_windows([samples], detect) if detect else _one_window(samples)
        async with (
            self._speakers.in_order if self._speakers else nullcontext(),
            aclosing(transcribe_windows(windows, self._transcribed, options.language)) as transcripts,
        ):
            async for transcript in transcripts:
                result.windows.append(self._speakers.assign(transcript) if self._speakers else transcript)
                await self._send_delta(result.text)
                if self._speakers:
                    await self._send_segments(result.windows[-1].segments)
        fields: dict[str, Any] = {}
        if options.logprobs:
            fields["logprobs"] = [logprob.model_dump() for logprob in logprobs(result.segments)]
        await self._send_part(
            "completed",
            transcript=result.text,
            languages=[language.model_dump() for language in languages(result)],
            usage={"type": "duration", "seconds": round(result.seconds, 3)},
            **fields,
        )

    async def _transcribed(self, window: Window, language: str, background: bool) -> Transcript:
        """Return the transcript of a window at the turn's end."""
        prompt = self._client.options.prompt
        transcript = await self._client.transcribe(window, language, prompt, background=background)
        return await self._speakers.with_embeddings(window, transcript) if self._speakers else transcript

    async def _transcript_of(self, samples: Samples) -> Transcript:
        """Return the transcript of at most a window."""
        client = self._partial_client
        return await client.transcribe(Window(0, samples), client.options.language, client.options.prompt)

    async def _send_delta(self, text: str) -> None:
        """Send the new part of `text`, if it continues the text that was sent."""
        if len(text) > len(self._sent) and text.startswith(self._sent):
            delta, self._sent = text[len(self._sent) :], text
            await self._send_part("delta", delta=delta)

    async def _send_segments(self, segments: Iterable[Segment]) -> None:
        """Send who said what; times are those of the turn's audio."""
        for segment in segments:
            spoken = diarized_segment(segment, 0).model_dump(exclude={"type", "id"})
            await self._send_part("segment", id=new_id("seg"), **spoken)

    async def _send_part(self, kind: str, **fields: Any) -> None:
        """Send an event of the turn's text."""
        type_ = f"conversation.item.input_audio_transcription.{kind}"
        await self._send(event(type_, item_id=self.item_id, content_index=0, **fields))


def _text(transcript: Transcript) -> str:
    """Return the text; it begins with a space in languages that use them."""
    return "".join(segment.text for segment in transcript.segments)


async def _one_window(samples: Samples) -> AsyncGenerator[Window]:
    yield Window(0, samples)

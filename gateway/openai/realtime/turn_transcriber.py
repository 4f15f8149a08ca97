"""Transcribe one turn: partial text while it grows, and the whole text at its end."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable
from contextlib import aclosing, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from gateway.core.errors import ServiceError
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
Begin = Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]]

_PARTIAL_SHARE: Final = 1.0
"""The pause after a partial transcription is at least so many times its duration, so that a model under load gets fewer
requests."""
_SURE: Final = 0.9
"""The probability of a language that is detected once for all drafts. Of ten telephone prompts, whisper-base takes two
seconds of one for another language, with a probability of 0.75."""
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

    @property
    def paused(self) -> bool:
        """Whether the speaker is silent, and the turn may be over."""

    def take_ended(self) -> list[Samples]:
        """Return the pieces before it that have ended since the last call."""

    async def wait(self, seconds: float | None) -> None:
        """Wait so long, without an end for None, or until a look at the text is worth it."""

    async def hear(self, transcript: Transcript, samples: int) -> None:
        """Take the transcript of the latest piece's first samples."""


@dataclass(frozen=True, eq=False)
class _Ahead:
    """The transcription of a turn that was begun when the speaker paused; it is the final one if that was the end."""

    samples: int
    """Those of the turn that it has."""
    transcript: asyncio.Task[Transcript]


class TurnTranscriber:
    """Sends the text of one turn as events.

    Deltas only ever add to the text. While the turn grows, they are the words that successive transcriptions agree
    on; the text at its end is final. It is begun when the speaker pauses, not when the silence is long enough for the
    end, and discarded if the speaker goes on.
    """

    def __init__(
        self,
        item_id: str,
        client: WindowClient,
        send: Send,
        pace: Pace,
        speakers: LiveSpeakers | None,
        *,
        begin: Begin,
    ) -> None:
        """`pace`: when text is sent while the turn grows; `speakers`: the session's, if they are wanted.

        `begin` starts a task of the session, which cancels it at its end wherever the turn is then.
        """
        self.item_id = item_id
        self._client = client
        options = replace(client.options, word_timestamps=False, logprobs=False, draft=True)
        self._draft_client = replace(client, options=options)
        self._draft_language = client.options.language
        self._send = send
        self._pace = pace
        self._speakers = speakers
        self._begin = begin
        self._sent = ""
        self._before = ""
        """The text of the pieces that have ended inside the turn."""
        self._ahead: _Ahead | None = None

    async def follow(self, growing: GrowingTurn, *, partial: bool) -> None:
        """Transcribe the turn when the speaker pauses, until cancelled; if `partial`, send text as the turn grows."""
        transcribed, wait = 0, self._pace.interval if partial else None
        texts: deque[str] = deque(maxlen=self._pace.agreeing)
        while True:
            await growing.wait(wait)
            for samples in growing.take_ended():
                self._before += _text(await self._transcript_of(samples))
                await self._send_delta(self._before.strip())
                transcribed = 0
                texts.clear()
            spoken, samples = growing.spoken, growing.samples
            if not _SHORTEST_PARTIAL * LISTEN_RATE <= len(samples) <= MAX_SAMPLES:
                continue
            ahead = growing.paused and not (self._ahead and spoken <= self._ahead.samples)
            if not ahead and (not partial or spoken <= transcribed):
                continue
            transcribed = len(samples)
            began = time.monotonic()
            transcript = await (self._transcribe_ahead(samples) if ahead else self._transcript_of(samples))
            if wait is not None:
                wait = max(self._pace.interval, _PARTIAL_SHARE * (time.monotonic() - began))
            texts.append(_text(transcript))
            await self._send_delta((self._before + stable_text([*texts], self._pace.agreeing)).strip())
            await growing.hear(transcript, transcribed)

    async def finish(self, samples: Samples, detect: SpeechDetector | None, spoken: int | None = None) -> None:
        """Send the whole text. `detect` leaves out silence; it is needed for a turn that the client committed.

        `spoken`: the samples up to the end of the last speech, where that is known.
        """
        if self._ahead and (detect or spoken is None or not spoken <= self._ahead.samples <= len(samples)):
            self.discard()
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
        ahead, self._ahead = self._ahead, None
        transcript = None
        if ahead:
            with suppress(ServiceError):
                transcript = await ahead.transcript
        if transcript is None:
            prompt = self._client.options.prompt
            transcript = await self._client.transcribe(window, language, prompt, background=background)
        if self._speakers:
            await self._speakers.hear(window)
        return transcript

    def discard(self) -> None:
        """Cancel what a pause has begun."""
        if self._ahead:
            self._ahead.transcript.cancel()
            self._ahead = None

    async def _transcribe_ahead(self, samples: Samples) -> Transcript:
        """Begin the transcription at the turn's end with what there is, and return it. A cancelled call leaves it."""
        self.discard()
        options = self._client.options
        call = self._client.transcribe(Window(0, samples, whole=True), options.language, options.prompt)
        self._ahead = _Ahead(len(samples), self._begin(call))
        return await asyncio.shield(self._ahead.transcript)

    async def _transcript_of(self, samples: Samples) -> Transcript:
        """Return a draft of the transcript of at most a window.

        Drafts after one that is sure of its language do not detect it again; the final text does.
        """
        window, prompt = Window(0, samples, whole=True), self._client.options.prompt
        transcript = await self._draft_client.transcribe(window, self._draft_language, prompt)
        if transcript.segments and transcript.language_probability >= _SURE and transcript.language:
            self._draft_language = transcript.language
        return transcript

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
    yield Window(0, samples, whole=True)

"""The input audio buffer of a session: its turns, and their text while they grow and at their end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from functools import partial
from typing import Any, Final

import numpy as np

from gateway.core.errors import ServiceError
from gateway.core.live_speakers import LiveSpeakers
from gateway.core.window_client import WindowClient
from gateway.core.workers import run_in
from gateway.errors import HttpError, http_error
from gateway.openai.realtime.audio import LiveDecoder
from gateway.openai.realtime.end_of_turn import ending_of, silence_ms
from gateway.openai.realtime.growing_turn import CommittedTurn, DetectedTurn
from gateway.openai.realtime.items import Items, Send
from gateway.openai.realtime.protocol import event, new_id
from gateway.openai.realtime.session_config import AudioInput, TranscriptionSettings
from gateway.openai.realtime.stability import pace_of
from gateway.openai.realtime.turn_detector import Change, TimedOut, TurnDetector, TurnEnded, TurnStarted
from gateway.openai.realtime.turn_transcriber import GrowingTurn, TurnTranscriber
from tritone.contract import LISTEN_RATE
from tritone.errors import InvalidInput
from tritone.transcript import Transcript
from tritone.windowing import Samples, SpeechDetector

TURNS: Final = 4
"""Turns of one session that are transcribed at once; a client that sends faster waits."""

LARGE: Final = 2**16
"""Events of so many bytes are read in a worker thread."""

logger = logging.getLogger(__name__)


class InputAudio:
    """The audio that one client sends. `close` it when the client has disconnected.

    All that happens in it is sent as events; a session that acts on them looks at what passes through its `send`.
    """

    def __init__(
        self,
        settings: AudioInput,
        send: Send,
        items: Items,
        client_of: Callable[[TranscriptionSettings, bool], WindowClient],
        new_detector: Callable[[], SpeechDetector],
        *,
        logprobs: bool,
        partial_interval: float,
        threads: Executor,
        speakers: LiveSpeakers,
        answer_due: Callable[[], bool] = lambda: False,
    ) -> None:
        """`client_of` returns the client for such settings, with log probabilities or not, and raises `ModelNotFound`.

        `items`: where the turns go.
        `logprobs`: whether texts come with the log probabilities of their tokens.
        `partial_interval`: seconds between two transcriptions of a turn that grows, at the least.
        `threads`: those that decode the client's audio and find the turns in it.
        `answer_due`: whether the silence is the user's who listens, or waits for an answer; called in these threads.
        """
        self._settings = settings
        self._logprobs = logprobs
        self._send = send
        self._items = items
        self._client_of = client_of
        self._new_detector = new_detector
        self._partial_interval = partial_interval
        self._threads = threads
        self._speakers = speakers
        self._detector = TurnDetector(new_detector(), answer_due)
        self._detector.detection = settings.detection
        self._decoder = LiveDecoder(settings.format.type)
        self._item: str | None = None
        self._turn: TurnTranscriber | None = None
        self._following: asyncio.Task[Any] | None = None
        self._committed_turn = CommittedTurn(new_detector())
        """The speech since the last commit, in a session without turn detection."""
        self._growing: DetectedTurn | None = None
        self._changing = asyncio.Lock()
        """Held while turns begin or end."""
        self._tasks: set[asyncio.Task[Any]] = set()
        """All tasks that are not done."""
        self._finishing: set[asyncio.Task[Any]] = set()
        self._last_commit: tuple[str, str | None] | None = None
        """The last turn's item, and the item before it."""
        self.seconds = 0.0
        """Seconds of audio received."""

    async def configure(self, settings: AudioInput, *, logprobs: bool) -> None:
        """Use other settings from here on; the open turn keeps its transcription's."""
        async with self._changing:
            if settings.format.type != self._settings.format.type:
                self._decoder = LiveDecoder(settings.format.type)
            if self._detector.detection is None and settings.turn_detection:
                self._detector.clear()  # no turns were detected in it
                await self._forget()
            self._detector.detection = settings.detection
            self._settings = settings
            self._logprobs = logprobs

    async def append(self, audio: Any) -> None:
        """Add audio in base64, and send the events of the turns in it. Raises `InvalidInput`."""
        if isinstance(audio, str) and len(audio) >= LARGE:
            blocks = await run_in(self._threads, self._decoder.blocks, audio)
        else:
            blocks = self._decoder.blocks(audio)
        del audio  # it may be large, and the blocks take long
        for block in blocks:
            await self._add(partial(self._decoder.decode, block))

    async def hear(self, samples: Samples) -> None:
        """Add audio at `LISTEN_RATE`, and send the events of the turns in it."""
        await self._add(lambda: samples)

    async def commit(self) -> None:
        """End the turn here; if the last turn has just ended, confirm that one again, as clients commit it too.

        Raises `BadRequest` if there is no turn.
        """
        async with self._changing:
            if self._last_commit and not self._detector.has_turn:
                await self._send_committed(*self._last_commit)
            else:
                await self._end(self._detector.commit(), detected=False)

    async def clear(self) -> None:
        """Discard the audio that is in no item."""
        async with self._changing:
            self._detector.clear()
            await self._forget()
        await self._send(event("input_audio_buffer.cleared"))

    async def transcribe(self, item_id: str, audio: Any) -> None:
        """Transcribe audio in base64 that is an item of its own, beside the buffer. Raises `InvalidInput`."""
        decoder = LiveDecoder(self._settings.format.type)

        def decode() -> Samples:
            return np.concatenate([np.empty(0, np.float32), *map(decoder.decode, decoder.blocks(audio))])

        samples = await run_in(self._threads, decode)
        if turn := self._new_turn(item_id):
            await self._begin_finishing(turn, samples, self._new_detector())

    async def finish(self) -> None:
        """End the open turn, if there is one, and wait until every turn has its text."""
        async with self._changing:
            if self._item is not None:
                await self._end(self._detector.commit(), detected=False)
        await asyncio.gather(*self._finishing, return_exceptions=True)

    async def close(self) -> None:
        """Cancel the transcription of every turn."""
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _add(self, decode: Callable[[], Samples]) -> None:
        """Add the samples that `decode` returns in a worker thread, and send the events of the turns in them."""
        async with self._changing:
            for change in await run_in(self._threads, self._feed, decode):
                match change:
                    case TurnStarted():
                        await self._start(change)
                    case TurnEnded():
                        await self._end(change, detected=True)
                    case TimedOut():
                        await self._time_out(change)
            if self._growing:
                self._growing.notice_pause()
            if self._item is None and self._detector.detection is None and self._committed_turn.has_speech:
                self._follow_turn(new_id("item"), self._committed_turn)

    def _feed(self, decode: Callable[[], Samples]) -> list[Change]:
        """Decode audio and detect turns in it. Runs in a worker thread."""
        samples = decode()
        self.seconds += len(samples) / LISTEN_RATE
        if self._detector.detection is None and self._settings.partial_text:
            self._committed_turn.feed(samples)
        return list(self._detector.feed(samples))

    async def _start(self, started: TurnStarted) -> None:
        """Give a new turn its id, and transcribe it as it grows."""
        self._item = new_id("item")
        await self._send(
            event("input_audio_buffer.speech_started", audio_start_ms=started.start_ms, item_id=self._item)
        )
        detection = self._detector.detection
        judge = self._judge if detection and detection.type == "semantic_vad" else None
        self._growing = DetectedTurn(self._detector, judge)
        self._follow_turn(self._item, self._growing)

    async def _judge(self, transcript: Transcript, samples: int) -> None:
        """Let what was said decide about the silence that ends the open turn; if it is over, end it."""
        detection, item_id = self._detector.detection, self._item
        if detection is None:
            return
        text = "".join(segment.text for segment in transcript.segments)
        wait_ms = silence_ms(detection.eagerness, ending_of(text, transcript.language))

        async def end() -> None:
            async with self._changing:
                if self._item == item_id and (ended := self._detector.wait(wait_ms, samples)):
                    await self._end(ended, detected=True)

        # Another task: the turn's end cancels the one that follows it, which is this.
        self._begin(end())

    async def _time_out(self, idle: TimedOut) -> None:
        """Make an item of a silence that has lasted too long."""
        self._item = new_id("item")
        await self._send(
            event(
                "input_audio_buffer.timeout_triggered",
                audio_start_ms=idle.start_ms,
                audio_end_ms=idle.end_ms,
                item_id=self._item,
            )
        )
        await self._end(TurnEnded(idle.end_ms, idle.samples), detected=False)

    def _follow_turn(self, item_id: str, growing: GrowingTurn) -> None:
        """Transcribe the turn as it grows, or at least when its speaker pauses."""
        self._item = item_id
        self._turn = self._new_turn(item_id)
        if self._turn:
            self._following = self._begin(self._follow(self._turn, growing, self._settings.partial_text))

    async def _end(self, ended: TurnEnded, *, detected: bool) -> None:
        """Make an item of a turn that is over, and transcribe it."""
        item_id = self._item or new_id("item")
        turn, self._turn = self._turn or self._new_turn(item_id), None
        await self._forget()
        if detected:
            await self._send(event("input_audio_buffer.speech_stopped", audio_end_ms=ended.end_ms, item_id=item_id))
        self._last_commit = item_id, self._items.last
        await self._send_committed(*self._last_commit)
        await self._items.add(item_id, ended.samples)
        if turn:
            detect = None if detected else self._new_detector()
            await self._begin_finishing(turn, ended.samples, detect, ended.spoken)

    async def _begin_finishing(
        self, turn: TurnTranscriber, samples: Samples, detect: SpeechDetector | None, spoken: int | None = None
    ) -> None:
        while len(self._finishing) >= TURNS:
            await asyncio.wait(self._finishing, return_when=asyncio.FIRST_COMPLETED)
        task = self._begin(self._finish(turn, samples, detect, spoken))
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)

    async def _send_committed(self, item_id: str, previous: str | None) -> None:
        await self._send(event("input_audio_buffer.committed", item_id=item_id, previous_item_id=previous))

    def _new_turn(self, item_id: str) -> TurnTranscriber | None:
        """Return the transcriber of a turn; None if turns are not transcribed."""
        settings = self._settings.transcription
        if settings is None:
            return None
        client = self._client_of(settings, self._logprobs)
        pace = pace_of(settings.delay, self._partial_interval)
        speakers = self._speakers if settings.with_speakers else None
        return TurnTranscriber(item_id, client, self._send, pace, speakers, begin=self._begin)

    def _begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task that ends with the session at the latest."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _forget(self) -> None:
        """Stop the transcription of the open turn, if there is one; what follows belongs to another."""
        if self._turn:
            self._turn.discard()
        self._item = self._turn = self._growing = None
        self._committed_turn = CommittedTurn(self._new_detector())
        if self._following:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
            self._following = None

    async def _follow(self, turn: TurnTranscriber, growing: GrowingTurn, partial: bool) -> None:
        try:
            await turn.follow(growing, partial=partial)
        except (ServiceError, InvalidInput) as error:
            # If the whole turn fails too, the client gets that error.
            logger.warning("partial transcription failed: %s", error)

    async def _finish(
        self, turn: TurnTranscriber, samples: Samples, detect: SpeechDetector | None, spoken: int | None
    ) -> None:
        try:
            await turn.finish(samples, detect, spoken)
        except Exception as caught:
            await self._send(
                event(
                    "conversation.item.input_audio_transcription.failed",
                    item_id=turn.item_id,
                    content_index=0,
                    error=session_error(caught).body()["error"],
                )
            )


def session_error(error: Exception) -> HttpError:
    """Return what a client of a session is told of an error.

    An event has no field `file`, which HTTP requests have: its audio is called `audio`, as in the contract.
    """
    return http_error(error, {})

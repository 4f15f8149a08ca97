"""One client's session: its events, and the turns that are being transcribed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from typing import Any, Final

from gateway.core.errors import ServiceError
from gateway.core.window_client import WindowClient
from gateway.core.workers import run_in
from gateway.errors import BadRequest, http_error
from gateway.openai.realtime import beta
from gateway.openai.realtime.audio import FIELD, LiveDecoder
from gateway.openai.realtime.growing_turn import CommittedTurn, DetectedTurn
from gateway.openai.realtime.protocol import MESSAGE_BYTES, Event, error_event, event, new_id
from gateway.openai.realtime.session_config import LOGPROBS, SessionConfig, TranscriptionSettings
from gateway.openai.realtime.turn_detector import TurnDetector, TurnEnded, TurnStarted
from gateway.openai.realtime.turn_transcriber import GrowingTurn, TurnTranscriber
from gateway.untrusted_json import MalformedJson, parse_object
from tritone.contract import LISTEN_RATE
from tritone.errors import InvalidInput
from tritone.windowing import Samples, SpeechDetector

TURNS: Final = 4
"""Turns of one session that are transcribed at once; a client that sends faster waits."""

_LARGE: Final = 2**16
"""Events of so many bytes are parsed in a worker thread."""
_FIELD_NAMES: Final[Mapping[str, str]] = {}
"""An event has no field `file`: its audio is called `audio`, as in the contract."""

logger = logging.getLogger(__name__)


class RealtimeSession:
    """The state of one session. `close` it when the client has disconnected."""

    def __init__(
        self,
        config: SessionConfig,
        send: Callable[[Event], Awaitable[None]],
        client_of: Callable[[TranscriptionSettings, bool], WindowClient],
        new_detector: Callable[[], SpeechDetector],
        *,
        partial_interval: float,
        threads: Executor,
        beta_events: bool = False,
    ) -> None:
        """`client_of` returns the client for such settings, with log probabilities or not, and raises `ModelNotFound`.

        `beta_events`: the client expects the events of the API's beta.
        `partial_interval`: seconds between two transcriptions of a turn that grows, at the least.
        `threads`: those that decode the client's audio and find the turns in it.
        """
        self._config = config
        self._threads = threads
        self._send = send
        self._client_of = client_of
        self._new_detector = new_detector
        self._partial_interval = partial_interval
        self._detector = TurnDetector(new_detector())
        self._detector.detection = config.input.turn_detection
        self._decoder = LiveDecoder(config.input.format.type)
        self._item: str | None = None
        self._turn: TurnTranscriber | None = None
        self._following: asyncio.Task[None] | None = None
        self._committed_turn = CommittedTurn(new_detector())
        """The speech since the last commit, in a session without turn detection."""
        self._finishing: set[asyncio.Task[None]] = set()
        self._last_item: str | None = None
        self._before_last_item: str | None = None
        self._beta = beta_events
        self.seconds = 0.0
        """Seconds of audio received."""

    @property
    def model(self) -> str:
        """The id of the model that transcribes; empty if none does."""
        settings = self._config.input.transcription
        return self._client_of(settings, False).model if settings else ""

    async def begin(self) -> None:
        """Send the configuration to the client."""
        await self._send_config("created", [])

    async def handle(self, message: str | bytes) -> None:
        """Act on one event of the client. An error in it is sent to the client, and the session continues."""
        id_ = None
        try:
            if len(message) < _LARGE:
                given = parse_object(message, max_bytes=MESSAGE_BYTES)
            else:
                given = await asyncio.to_thread(parse_object, message, max_bytes=MESSAGE_BYTES)
            del message  # it may be large, and acting on it take long
            id_ = given["event_id"] if isinstance(given.get("event_id"), str) else None
            await self._act(given)
        except MalformedJson as error:
            await self._send(error_event(BadRequest(f"the event: {error}"), id_))
        except Exception as error:
            await self._send(error_event(http_error(error, _FIELD_NAMES), id_))

    async def close(self) -> None:
        """Cancel the transcription of every turn."""
        tasks = [task for task in (self._following, *self._finishing) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _act(self, given: dict[str, Any]) -> None:
        match given.get("type"):
            case "session.update" | beta.UPDATE as type_:
                self._beta |= type_ == beta.UPDATE
                await self._update(beta.nested(given.get("session")))
            case "input_audio_buffer.append":
                await self._append(given)
            case "input_audio_buffer.commit":
                await self._commit()
            case "input_audio_buffer.clear":
                self._detector.clear()
                await self._forget()
                await self._send(event("input_audio_buffer.cleared"))
            case other:
                raise InvalidInput("type", f"{str(other)[:100]!r} is no event of a transcription session")

    async def _update(self, changes: Any) -> None:
        config, warnings = self._config.updated(changes)
        if config.input.transcription:
            self._client_of(config.input.transcription, False)
        if config.input.format.type != self._config.input.format.type:
            self._decoder = LiveDecoder(config.input.format.type)
        if self._detector.detection is None and config.input.turn_detection:
            self._detector.clear()  # no turns were detected in it
            await self._forget()
        self._detector.detection = config.input.turn_detection
        self._config = config
        for warning in warnings:
            logger.info("%s: %s", config.id, warning)
        await self._send_config("updated", warnings)

    async def _send_config(self, change: str, warnings: list[str]) -> None:
        fields = {"warnings": warnings} if warnings else {}
        if self._beta:
            await self._send(event(f"transcription_session.{change}", session=beta.flat(self._config), **fields))
        else:
            await self._send(event(f"session.{change}", session=self._config.model_dump(), **fields))

    async def _append(self, given: dict[str, Any]) -> None:
        audio = given.pop(FIELD, None)
        if isinstance(audio, str) and len(audio) >= _LARGE:
            blocks = await run_in(self._threads, self._decoder.blocks, audio)
        else:
            blocks = self._decoder.blocks(audio)
        del audio  # it may be large, and the blocks take long
        for block in blocks:
            for turn in await run_in(self._threads, self._feed, block):
                match turn:
                    case TurnStarted():
                        await self._start(turn)
                    case TurnEnded():
                        await self._end(turn, detected=True)
            if self._item is None and self._detector.detection is None and self._committed_turn.has_speech:
                self._follow_turn(new_id("item"), self._committed_turn)

    def _feed(self, block: bytes) -> list[TurnStarted | TurnEnded]:
        """Decode audio and detect turns in it. Runs in a worker thread."""
        samples = self._decoder.decode(block)
        self.seconds += len(samples) / LISTEN_RATE
        if self._detector.detection is None and self._config.input.transcription:
            self._committed_turn.feed(samples)
        return list(self._detector.feed(samples))

    async def _commit(self) -> None:
        """End the turn here; if the last turn has just ended, confirm that one again, as clients commit it too."""
        if self._last_item and not self._detector.has_turn:
            await self._send_committed(self._last_item, self._before_last_item)
        else:
            await self._end(self._detector.commit(), detected=False)

    async def _start(self, started: TurnStarted) -> None:
        """Give a new turn its id, and transcribe it as it grows."""
        self._item = new_id("item")
        await self._send(
            event("input_audio_buffer.speech_started", audio_start_ms=started.start_ms, item_id=self._item)
        )
        self._follow_turn(self._item, DetectedTurn(self._detector))

    def _follow_turn(self, item_id: str, growing: GrowingTurn) -> None:
        """Transcribe the turn as it grows."""
        self._item = item_id
        self._turn = self._new_turn(item_id)
        if self._turn:
            self._following = asyncio.create_task(self._follow(self._turn, growing))

    async def _end(self, ended: TurnEnded, *, detected: bool) -> None:
        """Make an item of a turn that is over, and transcribe it."""
        item_id = self._item or new_id("item")
        turn = self._turn or self._new_turn(item_id)
        await self._forget()
        if detected:
            await self._send(event("input_audio_buffer.speech_stopped", audio_end_ms=ended.end_ms, item_id=item_id))
        self._before_last_item, self._last_item = self._last_item, item_id
        await self._send_committed(item_id, self._before_last_item)
        item = {
            "id": item_id,
            "object": "realtime.item",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_audio", "transcript": None}],
        }
        for change in ("created",) if self._beta else ("added", "done"):
            await self._send(event(f"conversation.item.{change}", previous_item_id=self._before_last_item, item=item))
        if turn:
            while len(self._finishing) >= TURNS:
                await asyncio.wait(self._finishing, return_when=asyncio.FIRST_COMPLETED)
            task = asyncio.create_task(self._finish(turn, ended.samples, None if detected else self._new_detector()))
            self._finishing.add(task)
            task.add_done_callback(self._finishing.discard)

    async def _send_committed(self, item_id: str, previous: str | None) -> None:
        await self._send(event("input_audio_buffer.committed", item_id=item_id, previous_item_id=previous))

    def _new_turn(self, item_id: str) -> TurnTranscriber | None:
        """Return the transcriber of a turn; None if turns are not transcribed."""
        settings = self._config.input.transcription
        if settings is None:
            return None
        client = self._client_of(settings, LOGPROBS in self._config.include)
        return TurnTranscriber(item_id, client, self._send, self._partial_interval)

    async def _forget(self) -> None:
        """Stop the partial transcription of the open turn; what follows belongs to another."""
        self._item = self._turn = None
        self._committed_turn = CommittedTurn(self._new_detector())
        if self._following:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
            self._following = None

    async def _follow(self, turn: TurnTranscriber, growing: GrowingTurn) -> None:
        try:
            await turn.follow(growing)
        except (ServiceError, InvalidInput) as error:
            # If the whole turn fails too, the client gets that error.
            logger.warning("partial transcription failed: %s", error)

    async def _finish(self, turn: TurnTranscriber, samples: Samples, detect: SpeechDetector | None) -> None:
        try:
            await turn.finish(samples, detect)
        except Exception as caught:
            error = http_error(caught, _FIELD_NAMES)
            await self._send(
                event(
                    "conversation.item.input_audio_transcription.failed",
                    item_id=turn.item_id,
                    content_index=0,
                    error=error.body()["error"],
                )
            )

"""One client's session: its events in, ours out, its turns under way."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from gateway.errors import ApiError, BadRequest, ServerError
from gateway.realtime.audio import Decoder
from gateway.realtime.protocol import LOGPROBS, Event, Session, error_event, event, new_id
from gateway.realtime.turn import Turn
from gateway.realtime.turns import Started, Stopped, Turns
from gateway.transcription.asking import Asker
from tritone.contract import LISTEN_RATE, TranscriptionOptions
from tritone.windowing import Samples, SpeechDetector

TURNS: Final = 4
"""Turns of one session that are written down at once; a client that sends faster waits."""

logger = logging.getLogger(__name__)


class Conversation:
    """The events of one session. `close` it when the client has gone."""

    def __init__(
        self,
        session: Session,
        send: Callable[[Event], Awaitable[None]],
        asker: Callable[[str, TranscriptionOptions], Asker],
        detector: Callable[[], SpeechDetector],
    ) -> None:
        """`asker` is given a model's name, and raises `ApiError` where there is none of it."""
        self._session = session
        self._send = send
        self._asker = asker
        self._detector = detector
        self._turns = Turns(detector())
        self._turns.detection = session.input.turn_detection
        self._decoder = Decoder(session.input.format.type)
        self._item: str | None = None
        self._turn: Turn | None = None
        self._following: asyncio.Task[None] | None = None
        self._finishing: set[asyncio.Task[None]] = set()
        self._last_item: str | None = None
        self.seconds = 0.0
        """Of audio that was heard."""

    async def begin(self) -> None:
        """Tell the client what it may count on."""
        await self._send(event("session.created", session=self._session.model_dump()))

    async def take(self, message: str | bytes) -> None:
        """Do what one event of the client asks; what is wrong with it is told, and the session goes on."""
        id_ = None
        try:
            given = json.loads(message) if len(message) < 1 << 16 else await asyncio.to_thread(json.loads, message)
            if not isinstance(given, dict):
                raise BadRequest("the event is not a JSON object")
            id_ = given["event_id"] if isinstance(given.get("event_id"), str) else None
            await self._act(given)
        except ValueError:
            await self._send(error_event(BadRequest("the event is not JSON"), id_))
        except ApiError as error:
            await self._send(error_event(error, id_))

    async def close(self) -> None:
        """Stop the work of every turn."""
        tasks = [task for task in (self._following, *self._finishing) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _act(self, given: dict[str, Any]) -> None:
        match given.get("type"):
            case "session.update":
                await self._update(given.get("session"))
            case "input_audio_buffer.append":
                await self._append(given.get("audio"))
            case "input_audio_buffer.commit":
                await self._end(self._turns.commit(), detected=False)
            case "input_audio_buffer.clear":
                self._turns.clear()
                await self._forget()
                await self._send(event("input_audio_buffer.cleared"))
            case other:
                raise BadRequest(f"type: {str(other)[:100]!r} is no event of a transcription session", param="type")

    async def _update(self, changes: Any) -> None:
        session = self._session.updated(changes)
        if session.input.transcription:
            self._asker(session.input.transcription.model, TranscriptionOptions())
        if session.input.format.type != self._session.input.format.type:
            self._decoder = Decoder(session.input.format.type)
        if self._turns.detection is None and session.input.turn_detection:
            self._turns.clear()  # what nobody listened to has no turns in it
        self._turns.detection = session.input.turn_detection
        self._session = session
        await self._send(event("session.updated", session=session.model_dump()))

    async def _append(self, audio: Any) -> None:
        samples = await asyncio.to_thread(self._decoder.decode, audio)
        self.seconds += len(samples) / LISTEN_RATE
        for turn in await asyncio.to_thread(lambda: list(self._turns.hear(samples))):
            match turn:
                case Started():
                    await self._start(turn)
                case Stopped():
                    await self._end(turn, detected=True)

    async def _start(self, started: Started) -> None:
        """A turn has begun: it gets its id, and is followed."""
        self._item = new_id("item")
        await self._send(
            event("input_audio_buffer.speech_started", audio_start_ms=started.start_ms, item_id=self._item)
        )
        self._turn = self._new_turn(self._item)
        if self._turn:
            self._following = asyncio.create_task(self._follow(self._turn))

    async def _end(self, stopped: Stopped, *, detected: bool) -> None:
        """A turn is over: it becomes an item, and is written down."""
        item_id = self._item or new_id("item")
        turn = self._turn or self._new_turn(item_id)
        await self._forget()
        if detected:
            await self._send(event("input_audio_buffer.speech_stopped", audio_end_ms=stopped.end_ms, item_id=item_id))
        previous, self._last_item = self._last_item, item_id
        await self._send(event("input_audio_buffer.committed", item_id=item_id, previous_item_id=previous))
        item = {
            "id": item_id,
            "object": "realtime.item",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_audio", "transcript": None}],
        }
        for type_ in ("conversation.item.added", "conversation.item.done"):
            await self._send(event(type_, previous_item_id=previous, item=item))
        if turn:
            while len(self._finishing) >= TURNS:
                await asyncio.wait(self._finishing, return_when=asyncio.FIRST_COMPLETED)
            task = asyncio.create_task(self._finish(turn, stopped.samples, None if detected else self._detector()))
            self._finishing.add(task)
            task.add_done_callback(self._finishing.discard)

    def _new_turn(self, item_id: str) -> Turn | None:
        """None where nothing is to be written down."""
        told = self._session.input.transcription
        if told is None:
            return None
        asker = self._asker(told.model, told.options(logprobs=LOGPROBS in self._session.include))
        return Turn(item_id, asker, told.prompt, self._send)

    async def _forget(self) -> None:
        """Follow the open turn no more."""
        self._item = self._turn = None
        if self._following:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
            self._following = None

    async def _follow(self, turn: Turn) -> None:
        try:
            await turn.follow(lambda: self._turns.samples)
        except ApiError as error:
            # The end of the turn will tell, if it fails too.
            logger.warning("a growing turn was not heard: %s", error.message)

    async def _finish(self, turn: Turn, samples: Samples, detect: SpeechDetector | None) -> None:
        try:
            await turn.finish(samples, detect)
        except Exception as caught:
            if not isinstance(caught, ApiError):
                logger.exception("a turn failed")
            error = caught if isinstance(caught, ApiError) else ServerError()
            await self._send(
                event(
                    "conversation.item.input_audio_transcription.failed",
                    item_id=turn.item_id,
                    content_index=0,
                    error=error.body()["error"],
                )
            )

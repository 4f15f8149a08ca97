"""A session of `/v1/audio/speech/stream`: utterances, one after the other, each spoken while it is written."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from gateway.audio.renderer import Renderer
from gateway.core.services import Services
from gateway.core.spoken_clause import SpokenClause
from gateway.core.telemetry import WorkTelemetry
from gateway.core.workers import run_in
from gateway.core.written_speech import WrittenSpeech, speak_while_written
from gateway.errors import BadRequest, http_error
from gateway.openai.field_names import FIELD_NAMES
from gateway.openai.speech_stream.clause_times import ClauseTimes
from gateway.openai.speech_stream.protocol import (
    AddText,
    Cancel,
    Close,
    Configure,
    EndText,
    SpeechConfig,
    client_message,
    error_message,
)
from tritone.contract import SPEECH_RATE
from tritone.errors import InvalidInput

SendMessage = Callable[[dict[str, Any] | bytes], Awaitable[None]]
MAX_UTTERANCES: Final = 32
"""Utterances that may wait to be spoken."""


@dataclass
class Utterance:
    """A text that is still being written."""

    index: int
    config: SpeechConfig
    texts: asyncio.Queue[str | None] = field(default_factory=asyncio.Queue)
    """None ends it."""
    chars: int = 0

    async def written(self) -> AsyncGenerator[str]:
        """Yield the text as it comes."""
        while (text := await self.texts.get()) is not None:
            yield text


class SpeechSession:
    """Takes a client's messages, and speaks."""

    def __init__(self, services: Services, send: SendMessage, telemetry: WorkTelemetry) -> None:
        self._services = services
        self._send = send
        self._telemetry = telemetry
        self._config = SpeechConfig()
        self._utterances = 0
        self._open: Utterance | None = None
        """The one that is being written."""
        self._waiting: deque[Utterance] = deque()
        """The utterances that are spoken or will be."""
        self._changed = asyncio.Event()
        self._speaking: asyncio.Task[None] | None = None
        self._closing = False

    async def handle(self, content: Any) -> None:
        """Act on a message of the client. Raises `HttpError` and `InvalidInput`; the session can go on."""
        match client_message(content):
            case Configure() as message:
                self._configure(message)
            case AddText(text=text):
                self._add(text)
            case EndText():
                self._end()
            case Cancel():
                await self._cancel()
            case Close():
                self._closing = True
                if self._open:
                    self._end()
                self._changed.set()

    async def speak(self) -> None:
        """Speak each utterance in turn; return after the last one of a session that its client closed."""
        while True:
            while self._waiting:
                utterance = self._waiting[0]
                self._speaking = asyncio.create_task(self._utter(utterance))
                try:
                    await asyncio.wait({self._speaking})
                finally:
                    self._speaking.cancel()
                    await asyncio.gather(self._speaking, return_exceptions=True)
                if self._waiting and self._waiting[0] is utterance:
                    self._waiting.popleft()
                if self._open is utterance:  # it failed; what is still written of it is not spoken
                    self._open = None
            if self._closing:
                return
            self._changed.clear()
            await self._changed.wait()

    def _configure(self, message: Configure) -> None:
        if self._open:
            raise BadRequest("session.config: a text is being written; send input.done first", param="type")
        self._config = SpeechConfig.of(message)

    def _add(self, text: str) -> None:
        utterance = self._open or self._begin()
        most = self._services.settings.max_long_input_chars
        if utterance.chars + len(text) > most:
            raise InvalidInput("text", f"over {most} characters in one utterance; send input.done between")
        if text:  # an utterance that waits holds no more pieces than characters
            utterance.chars += len(text)
            utterance.texts.put_nowait(text)

    def _begin(self) -> Utterance:
        if len(self._waiting) >= MAX_UTTERANCES:
            raise InvalidInput("text", f"{MAX_UTTERANCES} utterances wait to be spoken; wait for session.done")
        self._open = Utterance(self._utterances, self._config)
        self._utterances += 1
        self._waiting.append(self._open)
        self._changed.set()
        return self._open

    def _end(self) -> None:
        utterance = self._open or self._begin()
        utterance.texts.put_nowait(None)
        self._open = None

    async def _cancel(self) -> None:
        cancelled, self._open = list(self._waiting), None
        self._waiting.clear()
        if self._speaking:
            self._speaking.cancel()
            await asyncio.gather(self._speaking, return_exceptions=True)
        for utterance in cancelled:
            await self._send({"type": "session.done", "utterance_index": utterance.index, "cancelled": True})

    async def _utter(self, utterance: Utterance) -> None:
        config = utterance.config
        sentences = 0
        telemetry = self._telemetry.part(str(utterance.index))
        try:
            speech = await speak_while_written(
                self._services, utterance.written(), config.body.request(), telemetry, config.split
            )
            self._telemetry.model = speech.model
            times = ClauseTimes(config.body)
            async with aclosing(speech.spoken()) as clauses:
                async for clause in clauses:
                    delay = await self._say(speech, clause, utterance, sentences)
                    times.add(clause, delay, {"utterance_index": utterance.index, "sentence_index": sentences})
                    sentences += 1
                    for message in times.messages():
                        await self._send(message)
            for message in times.messages():
                await self._send(message)
        except InvalidInput as error:
            named = InvalidInput(config.body.client_field_name(error.field), error.problem)
            await self._send(error_message(http_error(named, FIELD_NAMES)))
        except Exception as error:
            await self._send(error_message(http_error(error, FIELD_NAMES)))
        await self._send({"type": "session.done", "utterance_index": utterance.index, "total_sentences": sentences})

    async def _say(self, speech: WrittenSpeech, clause: SpokenClause, utterance: Utterance, index: int) -> float:
        """Send one part: its beginning, its audio, its end. Return the seconds that a player adds before it."""
        where = {"utterance_index": utterance.index, "sentence_index": index}
        renderer = Renderer(
            speech.audio_format,
            SPEECH_RATE,
            1.0,
            whole=not utterance.config.stream_audio,
            sample_rate=utterance.config.body.sample_rate,
        )
        await self._send(
            {
                "type": "audio.start",
                **where,
                "sentence_text": clause.text,
                "format": speech.audio_format,
                "sample_rate": speech.sample_rate,
            }
        )
        sent, held, failed = 0, b"", True
        try:
            async for block in _samples(clause):
                samples = np.frombuffer(block, "<i2").astype(np.int16)
                piece = await run_in(self._services.workers.encoding, renderer.write, samples)
                if utterance.config.stream_audio and piece:
                    sent += len(piece)
                    await self._send(piece)
                else:
                    held += piece
            held += await run_in(self._services.workers.encoding, renderer.finish)
            if held:
                sent += len(held)
                await self._send(held)
            failed = False
        finally:
            self._telemetry.audio_seconds += renderer.seconds
            if failed:
                await self._send({"type": "audio.done", **where, "total_bytes": sent, "error": True})
        await self._send({"type": "audio.done", **where, "total_bytes": sent, "error": False})
        return renderer.delay


async def _samples(clause: SpokenClause) -> AsyncGenerator[bytes]:
    for silence in clause.silent_blocks():
        yield silence
    async for block in clause.blocks():
        yield block

"""One client's translation session: speech in, the text of its translation and its speech out."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

from gateway.core.live_speakers import LiveSpeakers
from gateway.core.services import Services
from gateway.core.synthesize import synthesize
from gateway.core.telemetry import WorkTelemetry
from gateway.core.window_client import WindowClient
from gateway.core.written_speech import speak_while_written
from gateway.openai.live_translation.config import TranslationConfig
from gateway.openai.live_translation.turns import OrderedTexts
from gateway.openai.realtime.audio import FIELD
from gateway.openai.realtime.client_events import handle_audio, handle_event
from gateway.openai.realtime.input_audio import InputAudio, session_error
from gateway.openai.realtime.items import Send
from gateway.openai.realtime.protocol import ClientWarning, Event, error_event, event, warning_event
from gateway.openai.realtime.serving import window_client
from gateway.openai.realtime.session_config import AudioInput, TranscriptionSettings
from gateway.openai.realtime.unknown_fields import UnknownFields
from tritone.contract import SPEECH_RATE
from tritone.errors import InvalidInput
from tritone.windowing import Samples

_APPEND: Final = "session.input_audio_buffer.append"
_FIELDS: Final[Mapping[str, Collection[str]]] = {
    "session.update": {"session"},
    _APPEND: {FIELD},
    "session.close": (),
}
"""The events of a client -> their fields, beside those of every event."""
_SPEECH_FIELDS: Final = {name: f"session.audio.output.{name}" for name in ("model", "voice", "speed")}
_STEP_MS: Final = 200
"""The unit of `elapsed_ms`."""

logger = logging.getLogger(__name__)


class TranslationSession:
    """The state of one session. `close` it when the client has disconnected."""

    def __init__(
        self,
        services: Services,
        config: TranslationConfig,
        send: Send,
        disconnect: Callable[[], Awaitable[None]],
        telemetry: WorkTelemetry,
    ) -> None:
        """`disconnect` ends the connection, when the client has closed the session."""
        self._services = services
        self._config = config
        self._send = send
        self._disconnect = disconnect
        self._telemetry = telemetry
        self._unknown = UnknownFields(_FIELDS)
        self._utterances: asyncio.Queue[_Utterance | None] = asyncio.Queue()
        self._utterance: _Utterance | None = None
        """The one that is being written."""
        self._speaking: asyncio.Task[None] | None = None
        self._translated = self._hearing(config.translated_input, self._write_translation, self._end_utterance)
        self._source: InputAudio | None = None

    @property
    def seconds(self) -> float:
        """Seconds of audio received."""
        return self._translated.seconds

    @property
    def models(self) -> list[str]:
        """The ids of the models that the session uses."""
        served = self._services.triton.served
        named = [each.transcription.model for each in self._inputs() if each.transcription]
        speech = served.resolve(self._config.speech.model, "speech").id
        return [*(served.resolve(name, "transcription").id for name in named), speech]

    async def check(self) -> None:
        """Raise the errors of models, the voice and its fields; nothing is heard or spoken."""
        await self._check(self._config)

    async def begin(self) -> None:
        """Send the configuration to the client."""
        await self._listen()
        self._speaking = asyncio.create_task(self._speak())
        await self._send(event("session.created", session=self._config.model_dump()))

    async def handle(self, message: str | bytes) -> None:
        """Act on one event of the client. An error in it is sent to the client, and the session continues."""
        await handle_event(message, self._act, self._send)

    async def hear(self, samples: Samples) -> None:
        """Act on audio at `LISTEN_RATE` that came beside the events."""
        for audio in self._audio():
            await handle_audio(samples, audio, self._send)

    async def close(self) -> None:
        """Stop all work."""
        for audio in filter(None, (self._translated, self._source)):
            await audio.close()
        if self._speaking:
            self._speaking.cancel()
            await asyncio.gather(self._speaking, return_exceptions=True)

    async def _act(self, given: dict[str, Any], id_: str | None) -> None:
        type_ = given.get("type")
        warnings: list[ClientWarning] = []
        if type_ == _APPEND:
            audio = given.pop(FIELD, None)
            for hearing in self._audio():
                await hearing.append(audio)
        elif type_ == "session.update":
            config, warnings = self._config.updated(given.get("session"))
            await self._check(config)
            self._config = config
            await self._listen()
            await self._send(event("session.updated", session=config.model_dump()))
        elif type_ != "session.close":
            raise InvalidInput("type", f"{str(type_)[:100]!r} is no event of a translation session")
        for warning in [*self._unknown.warnings(type_, given), *warnings]:
            logger.info("%s: %s", self._config.id, warning["message"])
            await self._send(warning_event(warning, id_))
        if type_ == "session.close":
            await self._finish()

    async def _finish(self) -> None:
        """Send what is left of the translation, and disconnect."""
        for audio in self._audio():
            await audio.finish()
        self._utterances.put_nowait(None)
        if self._speaking:
            await self._speaking
        await self._send(event("session.closed"))
        await self._disconnect()

    async def _check(self, config: TranslationConfig) -> None:
        for given, task in ((config.translated_input, "translate"), (config.source_input, "transcribe")):
            if given and given.transcription:
                window_client(self._services, given.transcription, self._telemetry, task=task)
        try:
            await synthesize(
                self._services,
                replace(config.speech, text=".", owner=self._telemetry.owner),
                self._telemetry.part(continues=True),
            )
        except InvalidInput as error:
            raise InvalidInput(_SPEECH_FIELDS.get(error.field, error.field), error.problem) from None

    def _inputs(self) -> list[AudioInput]:
        return [each for each in (self._config.translated_input, self._config.source_input) if each]

    def _audio(self) -> list[InputAudio]:
        """Return what hears the client now."""
        return [self._translated, *([self._source] if self._source and self._config.source_input else [])]

    async def _listen(self) -> None:
        """Transcribe the language that is spoken, as the configuration asks for it."""
        given = self._config.source_input
        if given and self._source:
            await self._source.configure(given, logprobs=False)
        elif given:
            self._source = self._hearing(given, self._write_source, _nothing, task="transcribe")

    def _hearing(
        self,
        given: AudioInput,
        write: Callable[[str], Awaitable[None]],
        end: Callable[[], Awaitable[None]],
        task: str = "translate",
    ) -> InputAudio:
        texts = OrderedTexts(write, end, self._fail)
        services = self._services

        def client_of(settings: TranscriptionSettings, _logprobs: bool) -> WindowClient:
            return window_client(services, settings, self._telemetry, task=task)

        return InputAudio(
            given,
            texts.take,
            texts,
            client_of,
            services.detectors.new,
            logprobs=False,
            partial_interval=services.timing.partial_interval,
            threads=services.workers.live,
            speakers=LiveSpeakers(services),
        )

    async def _write_source(self, text: str) -> None:
        if self._config.source_input:
            await self._send(self._timed("session.input_transcript.delta", delta=text))

    async def _write_translation(self, text: str) -> None:
        await self._send(self._timed("session.output_transcript.delta", delta=text))
        if self._utterance is None:
            self._utterance = _Utterance()
            self._utterances.put_nowait(self._utterance)
        self._utterance.texts.put_nowait(text)

    async def _end_utterance(self) -> None:
        if self._utterance:
            self._utterance.texts.put_nowait(None)
            self._utterance = None

    async def _fail(self, failed: Event) -> None:
        await self._send(event("error", error={**failed["error"], "event_id": None}))

    async def _speak(self) -> None:
        """Speak each utterance while it is written, until None; a failure is told, and the next one is spoken."""
        number = 0
        while utterance := await self._utterances.get():
            number += 1
            try:
                speech = await speak_while_written(
                    self._services, utterance.written(), self._config.speech, self._telemetry.part(str(number))
                )
                async with aclosing(speech.encoded()) as pieces:
                    async for piece in pieces:
                        await self._send(
                            self._timed(
                                "session.output_audio.delta",
                                delta=base64.b64encode(piece).decode(),
                                format="pcm16",
                                sample_rate=SPEECH_RATE,
                                channels=1,
                            )
                        )
            except Exception as error:
                await self._send(error_event(session_error(error), None))

    def _timed(self, type_: str, **fields: Any) -> Event:
        milliseconds = int(self.seconds * 1000)
        return event(type_, **fields, elapsed_ms=milliseconds - milliseconds % _STEP_MS)


class _Utterance:
    """The translation of one turn, while it is written."""

    def __init__(self) -> None:
        self.texts: asyncio.Queue[str | None] = asyncio.Queue()
        """None ends it."""

    async def written(self) -> AsyncGenerator[str]:
        """Yield the text as it comes."""
        while (text := await self.texts.get()) is not None:
            yield text


async def _nothing() -> None:
    """Do nothing at the end of a turn that is not spoken."""

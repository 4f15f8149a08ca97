"""One client's conversation: its events, and its configuration."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from typing import Any, Final

from gateway.core.errors import ServiceError
from gateway.core.live_speakers import LiveSpeakers
from gateway.core.services import Services
from gateway.core.telemetry import WorkTelemetry
from gateway.core.window_client import WindowClient
from gateway.core.written_speech import speak_while_written
from gateway.openai.conversation.answers import Answers
from gateway.openai.conversation.config import ConversationConfig, ResponseChanges, ResponseOptions
from gateway.openai.conversation.history import Entry, History
from gateway.openai.conversation.items import Message, item_of
from gateway.openai.conversation.models import check_model
from gateway.openai.conversation.output import truncated
from gateway.openai.conversation.playback import NewPlayback, SentPlayback
from gateway.openai.conversation.response import speech_request
from gateway.openai.conversation.turns import Turns
from gateway.openai.realtime.audio import FIELD
from gateway.openai.realtime.client_events import handle_audio, handle_event
from gateway.openai.realtime.input_audio import InputAudio
from gateway.openai.realtime.items import Send
from gateway.openai.realtime.protocol import ClientWarning, event, warning_event
from gateway.openai.realtime.session_config import LOGPROBS, TranscriptionSettings
from gateway.openai.realtime.unknown_fields import UnknownFields
from tritone.errors import InvalidInput
from tritone.windowing import Samples

_SPEECH_FIELDS: Final = {"model": "audio.output.model", "voice": "audio.output.voice", "speed": "audio.output.speed"}
"""Fields of a speech request -> their names in the session."""

_ITEM: Final = "conversation.item."
_FIELDS: Final[Mapping[str, Collection[str]]] = {
    "session.update": {"session"},
    "input_audio_buffer.append": {FIELD},
    "input_audio_buffer.commit": (),
    "input_audio_buffer.clear": (),
    "output_audio_buffer.clear": (),
    "conversation.item.create": {"item", "previous_item_id"},
    "conversation.item.retrieve": {"item_id"},
    "conversation.item.delete": {"item_id"},
    "conversation.item.truncate": {"item_id", "content_index", "audio_end_ms"},
    "response.create": {"response"},
    "response.cancel": {"response_id"},
}
"""The events of a client -> their fields, beside those of every event."""

logger = logging.getLogger(__name__)


class ConversationSession:
    """The state of one conversation. `close` it when the client has disconnected."""

    def __init__(
        self,
        services: Services,
        config: ConversationConfig,
        send: Send,
        client_of: Callable[[TranscriptionSettings, bool], WindowClient],
        telemetry: WorkTelemetry,
        *,
        new_playback: NewPlayback,
    ) -> None:
        """`client_of` returns the client of a transcription, with log probabilities or not."""
        self._services = services
        self._send = send
        self._plays = new_playback is not SentPlayback
        self._client_of = client_of
        self._telemetry = telemetry
        self._history = History()
        self._unknown = UnknownFields(_FIELDS)
        self._answers = Answers(services, config, self._history, send, telemetry, new_playback=new_playback)
        self._turns = Turns(self._history, self._answers, send)
        self._audio = InputAudio(
            config.heard_input,
            self._turns.pass_on,
            self._turns,
            client_of,
            services.detectors.new,
            logprobs=LOGPROBS in config.include,
            partial_interval=services.timing.partial_interval,
            threads=services.workers.live,
            speakers=LiveSpeakers(services),
            answer_due=lambda: self._answers.due,
        )

    @property
    def seconds(self) -> float:
        """Seconds of audio received and sent."""
        return self._audio.seconds + self._answers.seconds

    @property
    def models(self) -> list[str]:
        """The ids of the models that the session uses."""
        config, served = self._answers.config, self._services.triton.served
        models = [served.resolve(config.heard_transcription.model, "transcription").id]
        if config.output_modalities == ["audio"]:
            models.append(served.resolve(config.audio.output.model, "speech").id)
        return models

    async def begin(self) -> None:
        """Send the configuration to the client."""
        await self._send(event("session.created", session=self._answers.config.model_dump()))
        await self._send(
            event("conversation.created", conversation={"id": self._history.id, "object": "realtime.conversation"})
        )

    async def handle(self, message: str | bytes) -> None:
        """Act on one event of the client. An error in it is sent to the client, and the session continues."""
        await handle_event(message, self._act, self._send)

    async def hear(self, samples: Samples) -> None:
        """Act on audio at `LISTEN_RATE` that came beside the events."""
        await handle_audio(samples, self._audio, self._send)

    async def close(self) -> None:
        """Stop the responses, and the transcription of every turn."""
        await self._answers.close()
        await self._audio.close()

    async def _act(self, given: dict[str, Any], id_: str | None) -> None:
        warnings: list[ClientWarning] = []
        match given.get("type"):
            case "session.update" as type_:
                warnings = await self._update(given.get("session"))
            case "input_audio_buffer.append" as type_:
                await self._audio.append(given.pop(FIELD, None))
            case "input_audio_buffer.commit" as type_:
                await self._audio.commit()
            case "input_audio_buffer.clear" as type_:
                await self._audio.clear()
            case "output_audio_buffer.clear" as type_ if self._plays:
                await self._answers.cut()
            case str() as type_ if type_.startswith(_ITEM) and type_ in _FIELDS:
                await self._act_on_item(type_.removeprefix(_ITEM), given)
            case "response.create" as type_:
                changes, warnings = ResponseChanges.of(given.get("response"))
                self._answers.create(changes)
            case "response.cancel" as type_:
                self._answers.cancel(given.get("response_id"))
            case other:
                raise InvalidInput("type", f"{str(other)[:100]!r} is no event of a conversation")
        for warning in [*self._unknown.warnings(type_, given), *warnings]:
            logger.info("%s: %s", self._answers.config.id, warning["message"])
            await self._send(warning_event(warning, id_))

    async def _act_on_item(self, action: str, given: dict[str, Any]) -> None:
        match action:
            case "create":
                await self._create_item(given)
            case "retrieve":
                item = self._history.find(given.get("item_id")).item
                await self._send(event("conversation.item.retrieved", item=item.fields()))
            case "delete":
                self._history.delete(given.get("item_id"))
                await self._send(event("conversation.item.deleted", item_id=given["item_id"]))
            case "truncate":
                await self._truncate(given)

    async def _update(self, changes: Any) -> list[ClientWarning]:
        old = self._answers.config
        config, warnings = old.updated(changes)
        check_model(config.model, self._services.settings)
        if config.tools and self._services.settings.llm_api == "completions":
            raise InvalidInput("session.tools", "LLM_API is `completions` here, which has no tools")
        self._client_of(config.heard_transcription, False)
        if config.audio.output != old.audio.output:
            await self._check_speech(config)
        await self._audio.configure(config.heard_input, logprobs=LOGPROBS in config.include)
        self._answers.config = config
        await self._send(event("session.updated", session=config.model_dump()))
        return warnings

    async def _check_speech(self, config: ConversationConfig) -> None:
        """Raise `InvalidInput` for a voice that cannot speak, and `ModelNotFound`."""
        request = speech_request(ResponseOptions.of(config, ResponseChanges()))
        try:
            await speak_while_written(self._services, _nothing(), request, self._telemetry.part())
        except InvalidInput as error:
            field = _SPEECH_FIELDS.get(error.field, error.field)
            raise InvalidInput(f"session.{field}", error.problem) from None

    async def _create_item(self, given: dict[str, Any]) -> None:
        item = item_of(given.get("item"), "item")
        audio = _untranscribed(item) if isinstance(item, Message) else None
        entry = Entry(item)
        if audio is None:
            entry.complete.set()
        await self._turns.insert(entry, given.get("previous_item_id"))
        if audio is None:
            return
        try:
            await self._audio.transcribe(item.id, audio)
        except (InvalidInput, ServiceError):
            self._history.delete(item.id)
            raise

    async def _truncate(self, given: dict[str, Any]) -> None:
        item_id, end = given.get("item_id"), given.get("audio_end_ms")
        heard = self._history.truncate(item_id, given.get("content_index", 0), end)
        await self._send(truncated(str(item_id), int(end or 0), heard))


def _untranscribed(message: Message) -> str | None:
    """Return the audio of a message whose words are not known. Raises `InvalidInput`."""
    parts = [part for part in message.content if part.type == "input_audio" and part.transcript is None]
    if not parts:
        return None
    if len(message.content) > 1 or not parts[0].audio:
        raise InvalidInput("item.content", "a message with audio has one part, with `audio` or its `transcript`")
    return parts[0].audio


async def _nothing() -> AsyncGenerator[str]:
    return
    yield

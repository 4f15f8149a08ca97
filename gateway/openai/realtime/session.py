"""One client's transcription session: its events, and its configuration."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor
from typing import Any, Final

from gateway.core.live_speakers import LiveSpeakers
from gateway.core.window_client import WindowClient
from gateway.openai.realtime import beta
from gateway.openai.realtime.audio import FIELD
from gateway.openai.realtime.client_events import handle_audio, handle_event
from gateway.openai.realtime.input_audio import InputAudio
from gateway.openai.realtime.items import Send, TranscriptionItems
from gateway.openai.realtime.protocol import ClientWarning, event, warning_event
from gateway.openai.realtime.session_config import LOGPROBS, SessionConfig, TranscriptionSettings
from gateway.openai.realtime.unknown_fields import UnknownFields
from tritone.errors import InvalidInput
from tritone.windowing import Samples, SpeechDetector

_FIELDS: Final[Mapping[str, Collection[str]]] = {
    "session.update": {"session"},
    beta.UPDATE: {"session"},
    "input_audio_buffer.append": {FIELD},
    "input_audio_buffer.commit": (),
    "input_audio_buffer.clear": (),
}
"""The events of a client -> their fields, beside those of every event."""

logger = logging.getLogger(__name__)


class RealtimeSession:
    """The state of one session. `close` it when the client has disconnected."""

    def __init__(
        self,
        config: SessionConfig,
        send: Send,
        client_of: Callable[[TranscriptionSettings, bool], WindowClient],
        new_detector: Callable[[], SpeechDetector],
        *,
        partial_interval: float,
        threads: Executor,
        speakers: LiveSpeakers,
        beta_events: bool = False,
    ) -> None:
        """Parameters as those of `InputAudio`. `beta_events`: the client expects the events of the API's beta."""
        self._config = config
        self._send = send
        self._client_of = client_of
        self._items = TranscriptionItems(send)
        self._items.beta = beta_events
        self._unknown = UnknownFields(_FIELDS)
        self._audio = InputAudio(
            config.input,
            send,
            self._items,
            client_of,
            new_detector,
            logprobs=LOGPROBS in config.include,
            partial_interval=partial_interval,
            threads=threads,
            speakers=speakers,
        )

    @property
    def seconds(self) -> float:
        """Seconds of audio received."""
        return self._audio.seconds

    @property
    def models(self) -> list[str]:
        """The ids of the models that the session uses."""
        settings = self._config.input.transcription
        return [self._client_of(settings, False).model] if settings else []

    async def begin(self) -> None:
        """Send the configuration to the client."""
        await self._send_config("created")

    async def handle(self, message: str | bytes) -> None:
        """Act on one event of the client. An error in it is sent to the client, and the session continues."""
        await handle_event(message, self._act, self._send)

    async def hear(self, samples: Samples) -> None:
        """Act on audio at `LISTEN_RATE` that came beside the events."""
        await handle_audio(samples, self._audio, self._send)

    async def close(self) -> None:
        """Cancel the transcription of every turn."""
        await self._audio.close()

    async def _act(self, given: dict[str, Any], id_: str | None) -> None:
        warnings: list[ClientWarning] = []
        match given.get("type"):
            case "session.update" | beta.UPDATE as type_:
                self._items.beta |= type_ == beta.UPDATE
                warnings = await self._update(given.get("session"))
            case "input_audio_buffer.append" as type_:
                await self._audio.append(given.pop(FIELD, None))
            case "input_audio_buffer.commit" as type_:
                await self._audio.commit()
            case "input_audio_buffer.clear" as type_:
                await self._audio.clear()
            case other:
                raise InvalidInput("type", f"{str(other)[:100]!r} is no event of a transcription session")
        for warning in [*self._unknown.warnings(type_, given), *warnings]:
            logger.info("%s: %s", self._config.id, warning["message"])
            await self._send(warning_event(warning, id_))

    async def _update(self, changes: Any) -> list[ClientWarning]:
        nested = beta.nested(changes)
        is_flat = nested is not changes
        try:
            config, warnings = self._config.updated(nested)
        except InvalidInput as error:
            raise InvalidInput(beta.flat_path(error.field), error.problem) if is_flat else error from None
        if config.input.transcription:
            self._client_of(config.input.transcription, False)
        await self._audio.configure(config.input, logprobs=LOGPROBS in config.include)
        self._config = config
        await self._send_config("updated")
        return [beta.flat_warning(warning) for warning in warnings] if is_flat else warnings

    async def _send_config(self, change: str) -> None:
        if self._items.beta:
            await self._send(event(f"transcription_session.{change}", session=beta.flat(self._config)))
        else:
            await self._send(event(f"session.{change}", session=self._config.model_dump()))

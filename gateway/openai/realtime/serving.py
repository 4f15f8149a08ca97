"""A session of either type, on any transport: its services, and its deadlines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import Final, Protocol

from gateway.core.chinese import config_of
from gateway.core.errors import ServiceError
from gateway.core.live_speakers import LiveSpeakers
from gateway.core.services import Services
from gateway.core.telemetry import WorkTelemetry
from gateway.core.transcribe import SupportedOptions
from gateway.core.window_client import WindowClient
from gateway.errors import GatewayTimeout, HttpError
from gateway.openai.conversation.config import ConversationConfig
from gateway.openai.conversation.playback import NewPlayback, SentPlayback
from gateway.openai.conversation.session import ConversationSession
from gateway.openai.realtime.inbox import Inbox
from gateway.openai.realtime.protocol import Event, error_event
from gateway.openai.realtime.session import RealtimeSession
from gateway.openai.realtime.session_config import RealtimeConfig, SessionConfig, TranscriptionSettings
from gateway.openai.realtime.transport import ClientMessage, Transport
from tritone.errors import InvalidInput
from tritone.windowing import Samples

_LOOK_SECONDS: Final = 10.0
"""Between two looks at whether a session's model, which it may change, can become idle."""


class Session(Protocol):
    """A session of either type."""

    @property
    def seconds(self) -> float:
        """Seconds of audio received and sent."""

    @property
    def models(self) -> list[str]:
        """The ids of the models that it uses."""

    async def begin(self) -> None:
        """Send the configuration to the client."""

    async def handle(self, message: str | bytes) -> None:
        """Act on one event of the client."""

    async def hear(self, samples: Samples) -> None:
        """Act on audio at `LISTEN_RATE` that came beside the events."""

    async def close(self) -> None:
        """Stop all work, once the client has disconnected."""


async def open_session(
    services: Services,
    config: RealtimeConfig,
    send: Callable[[Event], Awaitable[None]],
    telemetry: WorkTelemetry,
    *,
    beta_events: bool,
    new_playback: NewPlayback = SentPlayback,
) -> Session:
    """Return a new session, whose answers are heard by `new_playback`.

    Raises `ModelNotFound`, `ModelUnavailable`, and `InvalidInput` for an unknown language.
    """

    def client_of(settings: TranscriptionSettings, logprobs: bool) -> WindowClient:
        return window_client(services, settings, telemetry, logprobs=logprobs)

    if isinstance(config, ConversationConfig):
        client_of(config.heard_transcription, False)
        await services.detectors.load()
        return ConversationSession(services, config, send, client_of, telemetry, new_playback=new_playback)
    assert isinstance(config, SessionConfig)
    if config.input.transcription:
        client_of(config.input.transcription, False)
    await services.detectors.load()
    return RealtimeSession(
        config,
        send,
        client_of,
        services.detectors.new,
        partial_interval=services.timing.partial_interval,
        threads=services.workers.live,
        speakers=LiveSpeakers(services),
        beta_events=beta_events,
    )


def window_client(
    services: Services,
    settings: TranscriptionSettings,
    telemetry: WorkTelemetry,
    *,
    logprobs: bool = False,
    task: str = "transcribe",
) -> WindowClient:
    """Return the client of a session's transcription, or translation.

    Raises `ModelNotFound`, `ModelUnavailable`, and `InvalidInput` for an unknown language, or a task that the model
    does not know.
    """
    served = services.triton.served.resolve(settings.model, "transcription")
    telemetry.model = served.id
    if settings.with_speakers and (problem := services.speaker_encoder.missing):
        raise InvalidInput(
            "session.audio.input.transcription.model", f"speakers cannot be distinguished here: {problem}"
        )
    options = replace(settings.options(logprobs=logprobs), task=task)
    # Where a model tells no times of words, speakers change between its segments.
    supported = SupportedOptions.of(served, options, optional=("word_timestamps",))
    return WindowClient(
        services.triton,
        served.id,
        supported.options,
        supported.supported,
        telemetry.request_id,
        services.settings.request_timeout,
        config_of(settings.script, services.settings.s2t_config),
    )


async def run_session(services: Services, transport: Transport, session: Session, telemetry: WorkTelemetry) -> None:
    """Handle the client's messages until it disconnects or a deadline passes, which it is told; count its usage."""
    try:
        await session.begin()
        await _run(services, transport, session)
    finally:
        # First, as closing may be cancelled: at a stop of the gateway.
        telemetry.audio_seconds = session.seconds
        if session.seconds:
            services.usage.add("transcription", telemetry, session.seconds)
        await session.close()


async def _run(services: Services, transport: Transport, session: Session) -> None:
    inbox = Inbox(transport.receive)
    reading = asyncio.create_task(inbox.read())
    handling = asyncio.create_task(_handle_messages(services, inbox, session))
    keeping = asyncio.create_task(_keep_loaded(services, session))
    try:
        await asyncio.wait({reading, handling}, return_when=asyncio.FIRST_COMPLETED)
        if handling.done():
            error = handling.result()
            await transport.send(error_event(error, None))
            await transport.close(error.code or "")
    finally:
        for task in (reading, handling, keeping):
            task.cancel()
        await asyncio.gather(reading, handling, keeping, return_exceptions=True)


async def _handle_messages(services: Services, inbox: Inbox[ClientMessage], session: Session) -> HttpError:
    """Handle messages until a deadline passes; return its error."""
    settings, timeout = services.settings, services.timing.timeout
    idle = settings.realtime_idle_timeout

    async def next_message() -> ClientMessage:
        async with timeout(idle) if idle else nullcontext():
            return await inbox.next()

    try:
        async with timeout(settings.realtime_session_timeout) as whole:
            while True:
                message = await next_message()
                if isinstance(message, str | bytes):
                    await session.handle(message)
                else:
                    await session.hear(message)
    except TimeoutError:
        if whole.expired():
            return _expired(f"it was open for {settings.realtime_session_timeout:g} s", "session_expired")
        return _expired(f"no event for {idle:g} s", "idle_timeout")


async def _keep_loaded(services: Services, session: Session) -> None:
    """Keep the session's models loaded while nobody speaks."""
    while True:
        seconds = 0.0
        with suppress(ServiceError, InvalidInput):  # the next turn reports what is wrong
            after = [await services.triton.keep_loaded(model) for model in session.models]
            seconds = min(filter(None, after), default=0.0)
        await asyncio.sleep(seconds or _LOOK_SECONDS)


def _expired(problem: str, code: str) -> HttpError:
    return GatewayTimeout(f"the session was closed: {problem}", code=code)

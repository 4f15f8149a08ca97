"""The connections, networks and settings that every use case works with."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from gateway.core.admission import Admission
from gateway.core.deliver import Delivery, open_delivery
from gateway.core.jobs.open import JobBackend, open_jobs
from gateway.core.known_voices import KnownVoices
from gateway.core.language_model import LanguageModel
from gateway.core.model_watch import UNLOAD_GRACE
from gateway.core.shared_texts import SharedTexts, open_texts
from gateway.core.speaker_encoder import SpeakerEncoder
from gateway.core.speech_detectors import SpeechDetectors
from gateway.core.triton_client import TritonClient
from gateway.core.usage.recorder import UsageRecorder, open_usage
from gateway.core.voices.open import open_voices
from gateway.core.voices.store import VoiceStore
from gateway.core.workers import Workers
from gateway.settings import GatewaySettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timing:
    """The clocks of a gateway; tests replace them."""

    timeout: Callable[[float], asyncio.Timeout] = asyncio.timeout
    """Begins a deadline of so many seconds."""
    unload_grace: float = UNLOAD_GRACE
    """Seconds that a call may stay silent after its model was unloaded."""
    partial_interval: float = 1.0
    """Seconds between two transcriptions of a live turn that grows, at the least."""
    linger: float = 2.0
    """Seconds that a client may go on sending a rejected body, or not read the error that ends its response."""


DEFAULT_TIMING: Final = Timing()


@dataclass(frozen=True)
class Services:
    """One gateway's services, the same for all requests."""

    settings: GatewaySettings
    triton: TritonClient
    detectors: SpeechDetectors
    speaker_encoder: SpeakerEncoder
    timing: Timing
    language_model: LanguageModel
    admission: Admission
    workers: Workers
    voices: VoiceStore
    usage: UsageRecorder
    known_voices: KnownVoices = field(default_factory=KnownVoices)
    texts: SharedTexts = field(default_factory=SharedTexts)
    jobs: JobBackend | None = None
    """None where JOBS is not set, and in a worker."""
    delivery: Delivery | None = None
    """Where results and notices go; None without a bucket."""


@asynccontextmanager
async def open_services(
    settings: GatewaySettings,
    *,
    timing: Timing = DEFAULT_TIMING,
    detectors: SpeechDetectors | None = None,
    servers_up: Callable[[], Awaitable[None]] | None = None,
) -> AsyncIterator[Services]:
    """Connect to the servers of `settings`, and close the connections at the end of the block.

    `servers_up` is awaited before the connection to Triton, when all else is open.
    """
    triton = TritonClient(settings.triton_grpc_url, unload_grace=timing.unload_grace)
    detectors = detectors or SpeechDetectors(settings.model_dir)
    language_model = LanguageModel(settings.language_model_options())
    workers = Workers()
    try:
        if problem := detectors.missing:
            logger.info("no transcription without the speech detector: %s", problem)
        admission = Admission(
            min(settings.max_wait, settings.first_audio_timeout), settings.request_timeout, settings.caller_share
        )
        encoder = SpeakerEncoder(settings.model_dir)
        async with (
            open_voices(settings) as voices,
            open_usage(settings) as usage,
            open_jobs(settings) as jobs,
            open_delivery(settings) as delivery,
        ):
            if servers_up:
                await servers_up()
            await triton.start()
            yield Services(
                settings,
                triton,
                detectors,
                encoder,
                timing,
                language_model,
                admission,
                workers,
                voices,
                usage,
                texts=open_texts(settings),
                jobs=jobs,
                delivery=delivery,
            )
    finally:
        await language_model.close()
        await triton.close()
        workers.close()

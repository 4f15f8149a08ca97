"""The gateway on a loopback port, in front of the fake Triton."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import uvicorn
from fastapi import FastAPI

from gateway.app import create_app
from gateway.core.services import Services, Timing
from gateway.core.speech_detectors import SpeechDetectors
from gateway.settings import GatewaySettings
from gateway.transport import KEEP_ALIVE_SECONDS, ConnectionLimits, limited_protocol
from tests.fake_triton import Call, FakeTriton, Tensors
from tests.plain_http import NO_TLS
from tests.unit.gateway.loudness import LoudnessDetectors
from tests.unit.gateway.servers import follow
from tritone.contract import SPEECH_RATE
from tritone.descriptions import SpeechDescription, Voice
from tritone.errors import UnknownVoice
from tritone.spoken_words import word_columns
from tritone.transcript import Word


def tone(seconds: float, rate: int = SPEECH_RATE) -> np.ndarray:
    """Return a sine of 220 Hz as int16 samples."""
    return (8000 * np.sin(2 * np.pi * 220 * np.arange(round(seconds * rate)) / rate)).astype(np.int16)


DESCRIPTION = SpeechDescription(
    voices=tuple(Voice(id_, id_[3:].title(), "en") for id_ in ("af_heart", "af_kore", "af_bella", "bf_emma")),
    languages=("en",),
    default_voice="af_heart",
    speed_range=(0.5, 2.0),
    mixes_voices=True,
)

_SAMPLING = (
    *("temperature", "top_k", "top_p", "subtalker_temperature", "subtalker_top_k", "subtalker_top_p"),
    *("repetition_penalty", "max_new_tokens", "streaming_text", "seed"),
)
_SPEAKERS = ("vivian", "ryan", "serena", "uncle_fu", "ono_anna", "sohee", "aiden", "eric", "dylan")


def qwen(*options: str, speakers: tuple[str, ...] = ()) -> SpeechDescription:
    """Return the description of a Qwen3-TTS model that supports `options` beside those that all support."""
    return SpeechDescription(
        voices=tuple(Voice(speaker, speaker.title()) for speaker in speakers),
        languages=("zh", "en", "ko"),
        default_voice=speakers[0] if speakers else "",
        speed_range=(1.0, 1.0),
        options=("language", *options, *_SAMPLING),
    )


QWEN = {
    "qwen3-tts-0.6b": qwen("voice", speakers=_SPEAKERS),
    "qwen3-tts-1.7b": qwen("voice", "instruct", "emotions", speakers=_SPEAKERS),
    "qwen3-tts-1.7b-design": qwen("instruct", "emotions"),
    "qwen3-tts-0.6b-clone": qwen("ref_text", "x_vector_only", "voice_key"),
    "qwen3-tts-1.7b-clone": qwen("ref_text", "x_vector_only", "voice_key"),
}


@dataclass
class FakeSpeech:
    """A scripted speech model: it sends `chunks`, each after its event in `gates`, then raises `failure`, if any."""

    chunks: list[np.ndarray] = field(default_factory=lambda: [tone(0.5), tone(0.7)])
    gates: list[asyncio.Event] = field(default_factory=list)
    failure: Exception | None = None
    rate: int = SPEECH_RATE
    finish_reason: str = "stop"
    description: SpeechDescription = DESCRIPTION
    called: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the first call."""
    voices: set[str] = field(default_factory=set)
    """The keys of the voices that it holds, as a clone model does."""
    words: list[list[Word]] = field(default_factory=list)
    """Those of each chunk, for calls with `word_timestamps`."""

    async def __call__(self, call: Call) -> AsyncIterator[Tensors]:
        self.called.set()
        if key := call.parameters.get("voice_key"):
            if "ref_audio" in call.inputs:
                self.voices.add(key)
            elif key not in self.voices:
                raise UnknownVoice("no voice is held under this voice_key")
        for index, chunk in enumerate(self.chunks):
            if index < len(self.gates):
                await self.gates[index].wait()
            timed = self.words[index : index + 1] if call.parameters.get("word_timestamps") else []
            yield {**self._audio(chunk), **(word_columns(timed[0]) if timed else {})}
        if self.failure:
            raise self.failure
        yield {
            **self._audio(np.empty(0, np.int16)),
            "finish_reason": np.array([self.finish_reason.encode()], np.object_),
            "text_tokens": np.array([7], np.int32),
            "audio_frames": np.array([30], np.int32),
            "total_seconds": np.array([0.25], np.float32),
        }

    def _audio(self, samples: np.ndarray) -> Tensors:
        return {"audio": samples, "sample_rate": np.array([self.rate], np.int32)}


@dataclass
class Gateway:
    """A running gateway, and clients of it."""

    app: FastAPI
    url: str
    http: httpx.AsyncClient
    openai: openai.AsyncOpenAI

    @property
    def services(self) -> Services:
        services: Services = self.app.state.services
        return services

    async def follow(self, *tritons: FakeTriton) -> None:
        """Publish the documents of `tritons`, and wait until the gateway has them."""
        await follow(self.services.triton, *tritons)


class _UvicornServer(uvicorn.Server):
    """Has an event for its start."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


Serve = Callable[..., AbstractAsyncContextManager[Gateway]]

FAR = 86_400.0
"""A timeout of a gateway, in seconds, that passes when `expire` is called."""
NO_PARTIALS = 600.0
"""A `partial_interval` without partial transcriptions, however slow the machine is."""
LIMITS = ConnectionLimits()
TIMING = Timing(partial_interval=NO_PARTIALS)


@dataclass
class Deadlines:
    """A clock for gateways, whose deadlines of `FAR` seconds tests let pass."""

    begun: list[asyncio.Timeout] = field(default_factory=list)

    def timeout(self, seconds: float) -> asyncio.Timeout:
        deadline = asyncio.timeout(seconds)
        if seconds == FAR:
            self.begun.append(deadline)
        return deadline

    def expire(self) -> None:
        """Let the last deadline pass now."""
        self.begun[-1].reschedule(0)


@asynccontextmanager
async def _serve(
    fake: FakeTriton,
    *,
    timing: Timing = TIMING,
    detectors: SpeechDetectors | None = None,
    limits: ConnectionLimits = LIMITS,
    keep_alive: int = KEEP_ALIVE_SECONDS,
    **settings: Any,
) -> AsyncIterator[Gateway]:
    app = create_app(
        GatewaySettings(**{"_env_file": None, "triton_grpc_url": fake.address, **settings}),
        timing=timing,
        detectors=detectors or LoudnessDetectors(),
    )
    server = _UvicornServer(
        uvicorn.Config(
            app,
            http=limited_protocol(limits),
            ws="websockets-sansio",
            log_config=None,
            access_log=False,
            lifespan="on",
            timeout_keep_alive=keep_alive,
        )
    )
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    running = asyncio.create_task(server.serve([listener]))
    async with asyncio.timeout(300):
        await server.up.wait()
    try:
        async with (
            httpx.AsyncClient(base_url=url, timeout=300, verify=NO_TLS) as http,
            openai.AsyncOpenAI(
                base_url=f"{url}/v1",
                api_key="sk-test",
                max_retries=0,
                timeout=300,
                http_client=openai.DefaultAsyncHttpxClient(verify=NO_TLS),
            ) as sdk,
        ):
            yield Gateway(app, url, http, sdk)
    finally:
        server.should_exit = True
        await running
        listener.close()


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in GatewaySettings.model_fields.keys() - {"model_dir"}:
            patch.delenv(name.upper(), raising=False)
        yield


@pytest.fixture(scope="session")
async def _triton() -> AsyncIterator[FakeTriton]:
    async with FakeTriton({}) as fake:
        yield fake


@pytest.fixture(scope="session")
def detectors() -> LoudnessDetectors:
    """The detectors of `gateway`."""
    return LoudnessDetectors()


@pytest.fixture(scope="session")
async def _gateway(_triton: FakeTriton, detectors: LoudnessDetectors) -> AsyncIterator[Gateway]:
    async with _serve(_triton, detectors=detectors) as running:
        yield running


@pytest.fixture
def kokoro() -> FakeSpeech:
    return FakeSpeech()


async def nothing_wanted(_model: str) -> None:
    pass


@pytest.fixture
async def triton(_triton: FakeTriton, kokoro: FakeSpeech) -> FakeTriton:
    """One server for all tests, with new models for each."""
    _triton.handlers = {"kokoro-82m": kokoro, "whisper-base": lambda call: iter(())}
    _triton.states.clear()
    _triton.overrides.clear()
    _triton.gpus = ()
    _triton.calls.clear()
    _triton.on_want = nothing_wanted
    await _triton.publish()
    return _triton


@pytest.fixture
async def gateway(_gateway: Gateway, triton: FakeTriton) -> Gateway:
    """A gateway with the default settings, one for all tests."""
    await _gateway.follow(triton)
    return _gateway


@pytest.fixture(scope="session")
def references(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of recordings that `ref_audio` may name."""
    return tmp_path_factory.mktemp("references")


@pytest.fixture(scope="session")
async def _qwen_gateway(_triton: FakeTriton, references: Path) -> AsyncIterator[Gateway]:
    async with _serve(_triton, default_response_format="wav", ref_audio_dir=references) as running:
        yield running


@pytest.fixture
async def qwen_gateway(_qwen_gateway: Gateway, triton: FakeTriton) -> Gateway:
    """A gateway with the five Qwen3-TTS models, as the earlier Qwen3-TTS server had them."""
    triton.handlers = {id_: FakeSpeech(description=description) for id_, description in QWEN.items()}
    await _qwen_gateway.follow(triton)
    return _qwen_gateway


@pytest.fixture
def deadlines() -> Deadlines:
    return Deadlines()


@pytest.fixture
def expire(deadlines: Deadlines) -> Callable[[], None]:
    """Let the last timeout of `FAR` seconds pass that a gateway of `serve` has begun."""
    return deadlines.expire


@pytest.fixture
def serve(triton: FakeTriton, deadlines: Deadlines) -> Serve:
    """`async with serve(max_input_chars=10) as gateway:` runs a gateway of its own with these settings.

    `clocks` holds fields of its `Timing`, `detectors` its detectors.
    """

    def run(
        clocks: dict[str, Any] | None = None, detectors: SpeechDetectors | None = None, **settings: Any
    ) -> AbstractAsyncContextManager[Gateway]:
        timing = Timing(**{"timeout": deadlines.timeout, "partial_interval": NO_PARTIALS, **(clocks or {})})
        return _serve(triton, timing=timing, detectors=detectors, **settings)

    return run


@asynccontextmanager
async def leaving(request: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    """A client that sends `request`, and disconnects at the end of the block."""
    client = asyncio.create_task(request)
    try:
        yield
    finally:
        client.cancel()
        with suppress(asyncio.CancelledError):
            await client


@pytest.fixture
def request_lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[dict[str, Any]]]:
    """The log lines of the requests so far."""
    caplog.set_level("INFO", logger="gateway.telemetry")
    return lambda: [vars(record)["details"] for record in caplog.records if record.name == "gateway.telemetry"]

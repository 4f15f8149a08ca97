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

from gateway.app import create_app
from gateway.settings import Settings
from tests.fake_triton import Call, FakeTriton, Tensors
from tritone import vad
from tritone.contract import SPEECH_RATE, SpeechDescription, Voice


def tone(seconds: float, rate: int = SPEECH_RATE) -> np.ndarray:
    """A sine of 220 Hz as int16 samples."""
    return (8000 * np.sin(2 * np.pi * 220 * np.arange(round(seconds * rate)) / rate)).astype(np.int16)


DESCRIPTION = SpeechDescription(
    voices=tuple(Voice(id_, id_[3:].title(), "en") for id_ in ("af_heart", "af_alloy", "af_bella", "bf_emma")),
    languages=("en",),
    default_voice="af_heart",
    speed_range=(0.5, 2.0),
)

_SAMPLING = (
    *("temperature", "top_k", "top_p", "subtalker_temperature", "subtalker_top_k", "subtalker_top_p"),
    *("repetition_penalty", "max_new_tokens", "streaming_text", "seed"),
)
_SPEAKERS = ("vivian", "ryan", "serena", "uncle_fu", "ono_anna", "sohee", "aiden", "eric", "dylan")


def qwen(*follows: str, speakers: tuple[str, ...] = ()) -> SpeechDescription:
    """What a Qwen3-TTS model says of itself that follows these options beside the ones that all do."""
    return SpeechDescription(
        voices=tuple(Voice(speaker, speaker.title()) for speaker in speakers),
        languages=("zh", "en", "ko"),
        default_voice=speakers[0] if speakers else "",
        speed_range=(1.0, 1.0),
        follows=("language", *follows, *_SAMPLING),
    )


QWEN = {
    "qwen3-tts-0.6b": qwen("voice", speakers=_SPEAKERS),
    "qwen3-tts-1.7b": qwen("voice", "instruct", speakers=_SPEAKERS),
    "qwen3-tts-1.7b-design": qwen("instruct"),
    "qwen3-tts-0.6b-clone": qwen("ref_text", "x_vector_only"),
    "qwen3-tts-1.7b-clone": qwen("ref_text", "x_vector_only"),
}


@dataclass
class FakeSpeech:
    """A scripted speech model: gives `chunks`, each after its turn in `gates` has come; then `failure`, if any."""

    chunks: list[np.ndarray] = field(default_factory=lambda: [tone(0.5), tone(0.7)])
    gates: list[asyncio.Event] = field(default_factory=list)
    failure: Exception | None = None
    rate: int = SPEECH_RATE
    finish_reason: str = "stop"
    description: SpeechDescription = DESCRIPTION
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it is asked to speak."""

    async def __call__(self, call: Call) -> AsyncIterator[Tensors]:
        if call.parameters.get("describe"):
            yield {"description": np.array([self.description.to_json().encode()], np.object_)}
            return
        self.asked.set()
        for index, chunk in enumerate(self.chunks):
            if index < len(self.gates):
                await self.gates[index].wait()
            yield self._audio(chunk)
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
    """A gateway that runs, and clients of it."""

    url: str
    http: httpx.AsyncClient
    openai: openai.AsyncOpenAI


class _Server(uvicorn.Server):
    """A server that reports when it listens, and stops on an event where uvicorn polls."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()
        self.leave = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    async def main_loop(self) -> None:
        await self.leave.wait()


Serve = Callable[..., AbstractAsyncContextManager[Gateway]]
KEYS = {"api_keys": "sk-one, sk-two"}


@asynccontextmanager
async def _serve(fake: FakeTriton, **settings: Any) -> AsyncIterator[Gateway]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vad, "load", lambda model_dir: None)  # the detector of these tests is `loudness`
        app = create_app(Settings(_env_file=None, **{"triton_grpc_url": fake.address, **settings}))
    server = _Server(
        uvicorn.Config(app, http="httptools", ws="websockets-sansio", log_config=None, access_log=False, lifespan="on")
    )
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    running = asyncio.create_task(server.serve([listener]))
    async with asyncio.timeout(10):
        await server.up.wait()
    try:
        async with (
            httpx.AsyncClient(base_url=url, timeout=30) as http,
            openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="sk-test", max_retries=0, timeout=30) as sdk,
        ):
            yield Gateway(url, http, sdk)
    finally:
        server.leave.set()
        await running
        listener.close()


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in Settings.model_fields.keys() - {"model_dir"}:
            patch.delenv(name.upper(), raising=False)
        yield


@pytest.fixture(scope="session")
async def _triton() -> AsyncIterator[FakeTriton]:
    async with FakeTriton({}) as fake:
        yield fake


@pytest.fixture(scope="session")
async def _gateway(_triton: FakeTriton) -> AsyncIterator[Gateway]:
    async with _serve(_triton) as running:
        yield running


@pytest.fixture
def kokoro() -> FakeSpeech:
    return FakeSpeech()


@pytest.fixture
def triton(_triton: FakeTriton, kokoro: FakeSpeech) -> FakeTriton:
    """One server for all tests, with new models and no memory for each."""
    _triton.handlers = {"kokoro-82m": kokoro, "whisper-base": lambda call: iter(())}
    _triton.away.clear()
    _triton.calls.clear()
    return _triton


@pytest.fixture
def gateway(_gateway: Gateway, triton: FakeTriton) -> Gateway:
    """A gateway with the default settings, one for all tests."""
    return _gateway


@pytest.fixture(scope="session")
def references(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of recordings that `ref_audio` may name."""
    return tmp_path_factory.mktemp("references")


@pytest.fixture(scope="session")
async def _qwen_gateway(_triton: FakeTriton, references: Path) -> AsyncIterator[Gateway]:
    settings = {"model_type": "both", "tts_modes": "all", "stt_models": "none", "ref_audio_dir": references}
    async with _serve(_triton, default_response_format="wav", **settings) as running:
        yield running


@pytest.fixture
def qwen_gateway(_qwen_gateway: Gateway, triton: FakeTriton) -> Gateway:
    """A gateway with the five Qwen3-TTS models, as the server that they came from had them."""
    triton.handlers |= {id_: FakeSpeech(description=description) for id_, description in QWEN.items()}
    return _qwen_gateway


@pytest.fixture(scope="session")
async def _locked_gateway(_triton: FakeTriton) -> AsyncIterator[Gateway]:
    async with _serve(_triton, **KEYS) as running:
        yield running


@pytest.fixture
def locked_gateway(_locked_gateway: Gateway, triton: FakeTriton) -> Gateway:
    """A gateway that requires one of `KEYS`."""
    return _locked_gateway


@pytest.fixture
def serve(triton: FakeTriton) -> Serve:
    """`async with serve(max_input_chars=10) as gateway:` runs a gateway of its own with these settings."""
    return lambda **settings: _serve(triton, **settings)


@asynccontextmanager
async def leaving(asking: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    """A client that asks, and is gone at the end of the block."""
    client = asyncio.create_task(asking)
    try:
        yield
    finally:
        client.cancel()
        with suppress(asyncio.CancelledError):
            await client


FAR = 86_400.0
"""A timeout of a gateway, in seconds, whose end is up to `expire`."""


@pytest.fixture
def expire(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Has the last timeout of `FAR` seconds that was begun run out now: how fast the machine is has no part in it."""
    begun: list[asyncio.Timeout] = []
    timeout = asyncio.timeout

    def noted(seconds: float | None) -> asyncio.Timeout:
        deadline = timeout(seconds)
        if seconds == FAR:
            begun.append(deadline)
        return deadline

    monkeypatch.setattr(asyncio, "timeout", noted)
    return lambda: begun[-1].reschedule(0)


@pytest.fixture
def request_lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[dict[str, Any]]]:
    """What was logged of the requests so far."""
    caplog.set_level("INFO", logger="gateway.telemetry")
    return lambda: [record.details for record in caplog.records if record.name == "gateway.telemetry"]

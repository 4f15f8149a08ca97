"""A gateway with two keys, the five Qwen3-TTS models, and a transcription model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest

from tests.fake_triton import Call, FakeTriton, Tensors
from tests.unit.gateway.conftest import QWEN, FakeSpeech, Gateway, Serve
from tests.unit.gateway.recordings import encoded, tone
from tests.unit.gateway.transcription.conftest import segment
from tritone.contract import SPEECH_RATE
from tritone.transcript import Transcript

KEYS = ("sk-one", "sk-two")
WORDS = "The words of the recording."


def recording(seconds: float = 2.0, silence: float = 1.0, hertz: float = 440.0) -> bytes:
    """Return a WAV file of a tone with silence around it."""
    quiet = np.zeros(round(silence * SPEECH_RATE), np.float32)
    loud = tone(seconds, SPEECH_RATE, hertz)
    return encoded(np.concatenate([quiet, loud, quiet]), "wav", "pcm_s16le", SPEECH_RATE)


def whisper(call: Call) -> Iterator[Tensors]:
    """Transcribe everything as `WORDS`."""
    yield Transcript("en", 0.9, (segment(f" {WORDS}", 0.0, 1.0),)).to_columns()


@pytest.fixture
def clone_calls(triton: FakeTriton) -> Any:
    """A function that returns the calls of clone models."""
    return lambda: [call for call in triton.calls if call.model.endswith("-clone")]


@pytest.fixture
async def triton(triton: FakeTriton) -> FakeTriton:
    triton.handlers = {id_: FakeSpeech(description=description) for id_, description in QWEN.items()}
    triton.handlers["whisper-base"] = whisper
    return triton


@pytest.fixture
def options() -> dict[str, Any]:
    """Settings of `voices_gateway` that differ from those of all tests."""
    return {}


@pytest.fixture
async def voices_gateway(serve: Serve, triton: FakeTriton, tmp_path: Path, options: Any) -> AsyncIterator[Gateway]:
    """A gateway without the network that tells speakers apart, but for a test that asks for its weights."""
    settings = {"api_keys": ", ".join(KEYS), "voices_dir": tmp_path / "voices", "model_dir": tmp_path, **options}
    async with serve(**settings) as gateway:
        await gateway.follow(triton)
        yield gateway


@pytest.fixture
async def one(voices_gateway: Gateway) -> openai.AsyncOpenAI:
    """The OpenAI SDK with the first key."""
    return voices_gateway.openai.with_options(api_key=KEYS[0])


@pytest.fixture
async def two(voices_gateway: Gateway) -> openai.AsyncOpenAI:
    """The OpenAI SDK with the second key."""
    return voices_gateway.openai.with_options(api_key=KEYS[1])

"""A gateway with WebRTC, whose calls take place on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aioice import ice

from tests.fake_triton import FakeTriton
from tests.stand_ins.language_model import LanguageModelServer
from tests.unit.gateway.conftest import Gateway, Serve
from tests.unit.gateway.conversation.conftest import language_model
from tests.unit.gateway.realtime.test_realtime import model
from tests.unit.gateway.transcription.conftest import FakeWhisper, whisper

__all__ = ["language_model", "model", "whisper"]


@pytest.fixture(autouse=True)
def _loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let both ends use loopback, which aioice leaves out, so that no network is needed."""
    monkeypatch.setattr(ice, "get_host_addresses", lambda **_: ["127.0.0.1"])


@pytest.fixture
async def gateway(
    serve: Serve, triton: FakeTriton, model: FakeWhisper, language_model: LanguageModelServer
) -> AsyncIterator[Gateway]:
    """A gateway with Kokoro, Whisper and the language model."""
    async with serve(webrtc=True, llm_url=language_model.url, request_timeout=600) as running:
        await running.follow(triton)
        yield running

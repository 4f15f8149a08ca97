"""The code of docs/conversation.md in a real browser, whose microphone hears a tone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.async_api import Browser

from tests.chromium import chromium
from tests.fake_triton import FakeTriton
from tests.pages import blocks
from tests.stand_ins.language_model import LanguageModelServer
from tests.unit.gateway.conftest import Gateway, Serve, tone
from tests.unit.gateway.transcription.conftest import FakeWhisper

SESSION = {"type": "realtime", "model": "gpt-realtime"}
_LISTEN = """
async () => {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(document.querySelector("audio").srcObject).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  while (true) {
    analyser.getFloatTimeDomainData(samples);
    if (samples.some((sample) => Math.abs(sample) > 0.05)) return true;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
"""
"""Waits until the answer is heard."""


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    heard = tmp_path / "heard.wav"
    soundfile.write(heard, np.concatenate([tone(1.5, 48_000), np.zeros(5 * 48_000, np.int16)]), 48_000)
    async with chromium(heard) as running:
        yield running


async def test_the_code_of_the_page_talks(
    serve: Serve, triton: FakeTriton, model: FakeWhisper, language_model: LanguageModelServer, browser: Browser
) -> None:
    (code,) = [block.code for block in blocks("docs/conversation.md", "js")]
    async with serve(webrtc=True, llm_url=language_model.url, api_keys="sk-test") as gateway:
        await gateway.follow(triton)
        await _talk(gateway, browser, code.replace("http://localhost:8899", gateway.url))


async def _talk(gateway: Gateway, browser: Browser, code: str) -> None:
    key = (await gateway.openai.realtime.client_secrets.create(session=SESSION)).value  # type: ignore[arg-type]
    context = await browser.new_context(permissions=["microphone"])
    page = await context.new_page()
    faults: list[str] = []
    events: list[str] = []
    changed = asyncio.Event()

    def note(message: object) -> None:
        events.append(str(message))
        changed.set()

    page.on("pageerror", lambda error: faults.append(str(error)))
    await page.expose_function("note", note)
    await page.goto(f"{gateway.url}/health")  # any page of this origin
    await page.set_content("<audio autoplay></audio>")
    await page.evaluate(f"async (key) => {{ console.log = (event) => note(event.type); {code} }}", key)
    assert await page.evaluate(_LISTEN)
    async with asyncio.timeout(300):
        while "response.done" not in events:
            changed.clear()
            await changed.wait()
    await context.close()
    assert faults == []
    order = ["session.created", "input_audio_buffer.speech_started", "response.created", "output_audio_buffer.started"]
    assert [event for event in events if event in order][:4] == order

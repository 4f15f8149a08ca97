"""The view that speaks, in a real browser in front of a fake model."""

from __future__ import annotations

import asyncio
import base64
import io
from dataclasses import replace
from pathlib import Path

import soundfile
from playwright.async_api import Page, expect

from gateway.audio.encoder import encoder
from gateway.audio.formats import AudioFormat
from tests.chromium import violations
from tests.fake_triton import FakeTriton
from tests.unit.gateway.conftest import FakeSpeech, Gateway, tone
from tests.unit.gateway.page.conftest import Open
from tritone.contract import SPEECH_RATE
from tritone.transcript import Word

TEXT = "Good morning, world."


async def speak(page: Page, text: str = TEXT) -> None:
    """Type a text, and let it be spoken by the keyboard."""
    await page.get_by_label("Text to speak").fill(text)
    await expect(page.get_by_role("button", name="Speak", exact=True)).to_be_enabled()
    await page.keyboard.press("Control+Enter")


async def downloaded(page: Page) -> Path:
    async with page.expect_download() as download:
        await page.get_by_role("button", name="Download").click()
    return Path(await (await download.value).path())


async def test_speech_is_played_and_drawn_while_it_is_made_and_escape_stops_the_model(
    visit: Open, triton: FakeTriton, kokoro: FakeSpeech
) -> None:
    kokoro.gates = [asyncio.Event(), asyncio.Event()]
    async with visit("#speak") as page:
        await speak(page)
        await expect(page.get_by_text("Waiting for the first sound")).to_be_visible()
        kokoro.gates[0].set()
        await expect(page.get_by_text("First sound after")).to_be_visible()
        await expect(page.get_by_role("slider", name="Position")).to_have_attribute("aria-valuemax", "1")
        assert await page.locator("canvas").evaluate(_HAS_BARS)
        await page.keyboard.press("Escape")
        async with asyncio.timeout(300):
            await triton.calls[-1].cancelled.wait()
        await expect(page.locator(".chip", has_text="Stopped")).to_be_visible()
        assert await violations(page) == ""


async def test_a_download_holds_the_samples_that_the_model_made(visit: Open, kokoro: FakeSpeech) -> None:
    async with visit("#speak") as page:
        await speak(page)
        file = await downloaded(page)
        samples, rate = soundfile.read(file, dtype="int16")
    made = sum(len(chunk) for chunk in kokoro.chunks)
    assert (len(samples), rate) == (made, SPEECH_RATE)
    assert abs(int(samples[:3000].max()) - int(kokoro.chunks[0].max())) < 100


async def test_the_settings_are_sent_and_a_compressed_file_is_played_too(visit: Open, triton: FakeTriton) -> None:
    wanted: AudioFormat = "mp3"
    async with visit("#speak") as page:
        await page.get_by_role("combobox", name="Voice").select_option("bf_emma")
        await page.get_by_role("slider", name="Speed").fill("1.5")
        await page.get_by_text("File and streaming").click()
        await page.get_by_role("combobox", name="Format").select_option(wanted)
        await speak(page)
        file = await downloaded(page)
        await expect(page.get_by_role("slider", name="Position")).to_have_attribute("aria-valuetext", "0:01 / 0:01")
        assert soundfile.info(io.BytesIO(file.read_bytes())).format == "MP3"
    parameters = triton.calls[-1].parameters
    assert (parameters["voice"], parameters["speed"]) == ("bf_emma", 1.5)


async def test_an_error_of_a_field_is_shown_at_the_field_and_the_limit_beside_the_counter(visit: Open) -> None:
    async with visit("#speak") as page:
        await speak(page, "a" * 100_001)
        await expect(page.get_by_role("alert")).to_contain_text("100001 characters; at most 100000")
        await expect(page.get_by_text("100,001 / 100,000 characters")).to_be_visible()
        await page.get_by_label("Text to speak").fill("Better.")
        await expect(page.get_by_role("alert")).to_have_count(0)
        await expect(page.get_by_text("7 / 100,000 characters")).to_be_visible()


async def test_words_are_highlighted_as_they_are_spoken(
    visit: Open, gateway: Gateway, triton: FakeTriton, kokoro: FakeSpeech
) -> None:
    options = (*kokoro.description.options, "word_timestamps")
    kokoro.description = replace(kokoro.description, options=options)
    first = [Word(0.0, 0.2, "Good", 1.0), Word(0.2, 0.5, " morning,", 1.0)]
    kokoro.words = [first, [Word(0.5, 1.2, " world.", 1.0)]]
    kokoro.gates = [asyncio.Event(), asyncio.Event()]
    await gateway.follow(triton)
    async with visit("#speak") as page:
        await expect(page.get_by_role("combobox", name="Model")).to_have_value("kokoro-82m")
        await speak(page)
        kokoro.gates[0].set()
        await expect(page.locator(".word.now")).to_have_text("morning,")  # the playback waits here for the rest
        kokoro.gates[1].set()
        await expect(page.locator(".word")).to_have_text(["Good", "morning,", "world."])
        await expect(page.locator(".word.now")).to_have_text("world.")
        await expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()  # it is at its end
        position = page.get_by_role("slider", name="Position")
        await position.press("Home")
        await expect(page.locator(".word.now")).to_have_count(0)
        await position.press("ArrowRight")
        await expect(page.locator(".word.now")).to_have_text("world.")


async def test_a_server_that_cannot_be_reached_is_an_error_with_a_second_try(visit: Open) -> None:
    async with visit("#jobs") as page:
        await page.route("**/v1/models", lambda route: route.abort())
        await page.get_by_role("link", name="Speak").click()
        await expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
        await page.unroute("**/v1/models")
        await page.get_by_role("button", name="Try again").click()
        await expect(page.get_by_role("combobox", name="Model")).to_have_value("kokoro-82m")


_HAS_BARS = """(canvas) => new Promise((resolve) => {
    const look = () => {
        const {width, height} = canvas;
        const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
        const rows = new Set();
        for (let at = 3; at < data.length; at += 4) if (data[at] > 200) rows.add(Math.floor(at / 4 / width));
        rows.size > 20 ? resolve(true) : requestAnimationFrame(look);
    };
    look();
})"""
"""Waits until the bars of a waveform are higher than the line of dots before."""


_DECODE_IN_PIECES = """async ([base64, pieces]) => {
  const { FileDecoder } = await import("./page/audio/decoder.js");
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const decode = AudioContext.prototype.decodeAudioData;
  let decoded = 0;
  AudioContext.prototype.decodeAudioData = function (buffer) {
    decoded += buffer.byteLength;
    return decode.call(this, buffer);
  };
  let samples = 0;
  const decoder = new FileDecoder(24000, (more) => (samples += more.length), () => 10);
  for (let piece = 0; piece < pieces; piece += 1) {
    const part = (end) => Math.round((end / pieces) * bytes.length);
    decoder.push(bytes.slice(part(piece), part(piece + 1)));
    while (decoder.busy) await new Promise((done) => setTimeout(done, 1));
  }
  await decoder.finish();
  return [samples, decoded / bytes.length];
}"""


async def test_a_compressed_file_that_comes_in_pieces_is_not_decoded_for_each(visit: Open) -> None:
    mp3 = encoder("mp3", SPEECH_RATE)
    file = mp3.write(tone(20.0)) + mp3.finish()
    async with visit("#speak") as page:
        arguments = [base64.b64encode(file).decode(), 100]
        samples, times = await page.evaluate(_DECODE_IN_PIECES, arguments)
    assert samples / SPEECH_RATE > 19.9
    assert times < 5  # 50 if each piece were decoded with all before it

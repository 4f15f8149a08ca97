"""The view that transcribes, in a real browser in front of a fake model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.async_api import FilePayload, Page, WebSocketRoute, expect

from tests.chromium import violations
from tests.fake_triton import TRANSCRIPTION, Call, FakeTriton, Tensors
from tests.unit.gateway.conftest import Serve
from tests.unit.gateway.page.conftest import Open
from tests.unit.gateway.recordings import encoded, tone
from tritone.transcript import Segment, Transcript, Word

WORDS = ("Good", "morning,", "world.")
TEXT = "Good morning, world."


class Model:
    """Transcribes everything as `TEXT`, a word every half second, once its gate is open."""

    description = TRANSCRIPTION

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, call: Call) -> AsyncIterator[Tensors]:
        self.calls.append(call)
        await self.gate.wait()
        words = tuple(Word(n / 2, n / 2 + 0.4, f" {word}", 0.9) for n, word in enumerate(WORDS))
        yield Transcript("en", 0.9, (Segment(0, 1.5, f" {TEXT}", (1, 2), 0.0, -0.2, 1.0, 0.0, words),)).to_columns()


@pytest.fixture
def model(triton: FakeTriton) -> Model:
    made = Model()
    triton.handlers["whisper-base"] = made
    return made


@pytest.fixture(scope="module")
def recording() -> FilePayload:
    return FilePayload(name="talk.flac", mimeType="audio/flac", buffer=encoded(tone(2), "flac", "flac"))


async def choose(page: Page, file: FilePayload) -> None:
    await page.locator(".drop input").set_input_files(file)


async def downloaded(page: Page, form: str) -> str:
    async with page.expect_download() as download:
        await page.get_by_role("button", name=f"Download as {form}").click()
    return Path(await (await download.value).path()).read_text()  # noqa: ASYNC240 - a small file


async def test_a_dropped_file_becomes_text_whose_words_play_when_they_are_clicked(
    visit: Open, model: Model, recording: FilePayload
) -> None:
    async with visit("#transcribe") as page:
        await expect(page.get_by_role("combobox", name="Model")).to_have_value("whisper-base")
        content = list(recording["buffer"])
        await page.locator(".drop").evaluate(_DROP, [content, recording["name"]])
        await expect(page.locator(".said")).to_have_text(TEXT)
        await expect(page.get_by_role("heading", name="talk.flac")).to_be_visible()
        await page.locator(".word", has_text="world").click()
        await expect(page.locator(".word.now")).to_have_text("world.")
        await expect(page.get_by_role("slider", name="Position")).to_have_attribute("aria-valuetext", "0:02 / 0:02")
        assert await violations(page) == ""
        assert await downloaded(page, "TXT") == f"{TEXT}\n"
        assert await downloaded(page, "SRT") == f"1\n00:00:00,000 --> 00:00:01,400\n{TEXT}\n"
        assert await downloaded(page, "VTT") == f"WEBVTT\n\n00:00:00.000 --> 00:00:01.400\n{TEXT}\n"
        assert json.loads(await downloaded(page, "JSON"))["segments"][0]["words"][0]["word"] == "Good"


async def test_the_settings_are_sent_and_escape_cancels_the_work(
    visit: Open, model: Model, recording: FilePayload
) -> None:
    model.gate.clear()
    async with visit("#transcribe") as page:
        await page.get_by_role("combobox", name="Spoken language").select_option("ko")
        await page.get_by_label("Names and words to expect").fill("Tritone")
        await choose(page, recording)
        await expect(page.get_by_text("Transcribing …").first).to_be_visible()
        async with asyncio.timeout(300):
            while not model.calls:  # noqa: ASYNC110 - the model has no event for it
                await asyncio.sleep(0.01)
        await page.keyboard.press("Escape")
        async with asyncio.timeout(300):
            await model.calls[0].cancelled.wait()
    parameters = model.calls[0].parameters
    assert (parameters["language"], parameters["prompt"], parameters["word_timestamps"]) == ("ko", "Tritone", True)


async def test_speakers_have_a_name_and_a_colour_each(visit: Open, model: Model, recording: FilePayload) -> None:
    turns = [("A", "Hello."), ("B", "Hi there."), ("A", "Bye.")]
    events: list[dict[str, Any]] = [
        {"type": "transcript.text.segment", "id": f"seg_{n}", "speaker": who, "start": n, "end": n + 1, "text": text}
        for n, (who, text) in enumerate(turns)
    ]
    events.append({"type": "transcript.text.done", "text": "Hello. Hi there. Bye.", "languages": [{"code": "en"}]})
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    sent: list[str] = []

    async def answer(route: Any) -> None:
        sent.append((route.request.post_data_buffer or b"").decode("latin-1"))
        await route.fulfill(status=200, content_type="text/event-stream", body=body)

    async with visit("#transcribe") as page:
        await page.route("**/v1/audio/transcriptions", answer)
        await page.get_by_label("Tell speakers apart").check()
        await choose(page, recording)
        await expect(page.locator(".speaker")).to_have_text(["Speaker A", "Speaker B", "Speaker A"])
        colours = await page.locator(".speaker").evaluate_all("(all) => all.map((one) => getComputedStyle(one).color)")
        assert colours[0] == colours[2] != colours[1]
        assert await violations(page) == ""
        assert await downloaded(page, "TXT") == "A: Hello.\nB: Hi there.\nA: Bye.\n"
    assert "diarized_json" in sent[0]


async def test_the_microphone_is_transcribed_live_by_a_server_that_needs_a_key(
    visit: Open, model: Model, serve: Serve
) -> None:
    async with serve(api_keys="sk-one") as gateway, visit("#transcribe", url=gateway.url) as page:
        await page.locator("dialog[open] input[name=key]").fill("sk-one")
        await page.get_by_role("button", name="Save").click()
        await page.get_by_role("button", name="Transcribe live").click()
        await expect(page.locator(".said:not(.coming)").first).to_have_text(TEXT)
        assert await violations(page) == ""
        await page.get_by_role("button", name="Stop").click()
        await expect(page.get_by_role("button", name="TXT")).to_be_visible()
    heard = np.concatenate([call.inputs["audio"].ravel() for call in model.calls])
    assert np.abs(heard).max() > 0.1  # the tone of the browser's microphone


async def test_sentences_of_a_live_session_have_their_speakers(visit: Open) -> None:
    def answer(socket: WebSocketRoute) -> None:
        def event(name: str, **fields: Any) -> None:
            socket.send(json.dumps({"type": f"conversation.item.input_audio_transcription.{name}", **fields}))

        socket.send(json.dumps({"type": "session.created"}))
        for speaker, text in (("A", "Hello."), ("B", "Hi.")):
            event("segment", item_id="one", speaker=speaker, text=text)
        event("completed", item_id="one", transcript="Hello. Hi.")

    async with visit("#transcribe") as page:
        await page.route_web_socket("**/v1/realtime", answer)
        await page.get_by_label("Tell speakers apart").check()
        async with page.expect_request("**/client_secrets") as request:
            await page.get_by_role("button", name="Transcribe live").click()
        asked: Any = (await request.value).post_data_json
        transcription = asked["session"]["audio"]["input"]["transcription"]
        assert (transcription["model"], transcription["delay"]) == ("gpt-4o-transcribe-diarize", "low")
        await expect(page.locator(".speaker")).to_have_text(["Speaker A", "Speaker B"])
        await page.keyboard.press("Escape")
        async with page.expect_download() as download:
            await page.get_by_role("button", name="TXT").click()
        assert Path(await (await download.value).path()).read_text() == "A: Hello.\nB: Hi.\n"  # noqa: ASYNC240 - small


@pytest.mark.parametrize("by_key", [False, True])
async def test_a_recording_of_the_microphone_is_transcribed(visit: Open, model: Model, by_key: bool) -> None:
    async with visit("#transcribe") as page:
        await page.get_by_role("button", name="Record", exact=True).click()
        await expect(page.locator(".heard .times")).to_have_text("0:01")
        if by_key:
            await page.keyboard.press("Escape")
        else:
            await page.get_by_role("button", name="Stop and transcribe").click()
        await expect(page.locator(".said")).to_have_text(TEXT)
        await expect(page.get_by_role("slider", name="Position")).to_be_visible()


_HELD_MICROPHONE = """
() => {
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wishes) => {
    await new Promise((allow) => (window.allow = allow));
    return (window.heard = await open(wishes));
  };
}
"""


async def test_a_microphone_that_is_allowed_after_the_stop_is_let_go_at_once(visit: Open, model: Model) -> None:
    async with visit("#transcribe") as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.evaluate(_HELD_MICROPHONE)
        await page.get_by_role("button", name="Transcribe live").click()
        await page.wait_for_function("() => Boolean(window.allow)")
        await page.keyboard.press("Escape")
        await page.evaluate("window.allow()")
        await page.wait_for_function("() => window.heard?.getTracks().every((track) => track.readyState === 'ended')")
        assert not [url for url in asked if "client_secrets" in url]


async def test_a_refused_microphone_is_explained(visit: Open) -> None:
    async with visit("#transcribe", microphone=False) as page:
        for button in ("Transcribe live", "Record"):
            await page.get_by_role("button", name=button, exact=True).click()
            await expect(page.get_by_role("alert")).to_contain_text("Allow it in the settings of the site")


async def test_a_file_without_sound_is_an_error_at_its_field(visit: Open, model: Model) -> None:
    async with visit("#transcribe") as page:
        await choose(page, FilePayload(name="x.txt", mimeType="text/plain", buffer=b"no sound"))
        await expect(page.get_by_role("alert")).to_contain_text("file")
        await expect(page.get_by_role("slider", name="Position")).to_have_count(0)


_DROP = """(zone, [bytes, name]) => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], name));
    zone.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
}"""


_CHOOSE_LARGE = """(input) => {
  const files = new DataTransfer();
  files.items.add(new File([new Uint8Array(8_000_000)], "ada.wav", { type: "audio/wav" }));
  input.files = files.files;
  input.dispatchEvent(new Event("change"));
}"""


async def test_a_recording_of_a_speaker_that_is_too_large_is_not_taken(visit: Open, model: Model) -> None:
    async with visit("#transcribe") as page:
        await page.get_by_label("Tell speakers apart").check()
        add = page.locator(".known input[type=file]")
        await add.evaluate(_CHOOSE_LARGE)
        problem = "ada.wav has 8.0 MB; a recording of 2–10 s has at most 7.7 MB"
        await expect(page.get_by_role("alert")).to_have_text(problem)
        await expect(page.locator(".known-row")).to_have_count(0)
        assert await violations(page) == ""
        await add.set_input_files({"name": "ada.wav", "mimeType": "audio/wav", "buffer": bytes(1000)})
        await expect(page.get_by_label("Name of the speaker in ada.wav")).to_have_value("ada")
        await expect(page.get_by_role("alert")).to_have_count(0)


async def test_a_copy_that_the_browser_refuses_is_told(visit: Open, model: Model, recording: FilePayload) -> None:
    async with visit("#transcribe") as page:
        await choose(page, recording)
        copy = page.get_by_role("button", name="Copy", exact=True)
        await page.evaluate("void (navigator.clipboard.writeText = () => Promise.reject(new Error('no')))")
        await copy.click()
        await expect(page.locator(".facts")).to_contain_text("The browser did not allow the copy.")
        await page.evaluate("void (navigator.clipboard.writeText = () => Promise.resolve())")
        await copy.click()
        await expect(page.locator(".facts")).to_contain_text("The text was copied")

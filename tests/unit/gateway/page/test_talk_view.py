"""The view of conversation in a real browser, with its microphone.

What depends on the moment is tested against a stand-in for the server's session, which sends OpenAI's events.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.async_api import Page, Route, WebSocketRoute, expect

from tests.chromium import violations
from tests.fake_triton import Call, FakeTriton, Tensors
from tests.stand_ins.language_model import LanguageModelServer
from tests.unit.gateway.conftest import Gateway, Serve, tone
from tests.unit.gateway.page.conftest import Open
from tests.unit.gateway.transcription.conftest import segment
from tritone.transcript import Transcript

ANSWER = "It will be sunny."
HEARD = "How will it be?"


def whisper(call: Call) -> Iterator[Tensors]:
    """Transcribe everything as `HEARD`."""
    yield Transcript("en", 0.9, (segment(f" {HEARD}", 0.0, 1.0),)).to_columns()


@dataclass
class Session:
    """A session of the stand-in: what the page has sent, and what it gets."""

    sent: list[dict[str, Any]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    socket: WebSocketRoute | None = None

    async def attach(self, page: Page) -> None:
        """Take the place of the server in the page."""
        await page.route("**/v1/realtime/client_secrets", self._secret)
        await page.route_web_socket("**/v1/realtime", self._open)

    def send(self, type_: str, **fields: Any) -> None:
        assert self.socket
        self.socket.send(json.dumps({"type": type_, **fields}))

    async def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first event from the page that is so."""
        async with asyncio.timeout(300):
            while not (found := next(filter(holds, self.sent), None)):
                self.changed.clear()
                await self.changed.wait()
        return found

    async def _secret(self, route: Route) -> None:
        await route.fulfill(json={"value": "ek_secret", "expires_at": 1, "session": route.request.post_data_json})

    def _open(self, socket: WebSocketRoute) -> None:
        self.socket = socket
        socket.on_message(self._receive)
        self.send("session.created", session={})

    def _receive(self, message: str | bytes) -> None:
        event = json.loads(message)
        self.sent.append(event)
        self.changed.set()
        if event["type"] == "session.update":
            self.send("session.updated", session=event["session"])


def of_type(type_: str) -> Callable[[dict[str, Any]], bool]:
    return lambda event: event["type"] == type_


async def test_a_conversation_is_heard_written_down_and_interrupted(visit: Open) -> None:
    session = Session()
    async with visit("#talk", width=360) as page:
        await session.attach(page)
        await page.locator("summary").click()
        await page.get_by_label("Instructions").fill("Be brief.")
        await page.get_by_label("Voice").select_option("af_bella")
        await page.get_by_role("button", name="Start to talk").click()
        update = (await session.until(of_type("session.update")))["session"]
        assert (update["type"], update["instructions"]) == ("realtime", "Be brief.")
        assert update["audio"]["output"]["voice"] == "af_bella"

        def is_loud(event: dict[str, Any]) -> bool:
            return of_type("input_audio_buffer.append")(event) and any(base64.b64decode(event["audio"]))

        await session.until(is_loud)
        session.send("input_audio_buffer.speech_started", item_id="one", audio_start_ms=0)
        await expect(page.locator(".stage")).to_have_attribute("data-state", "hearing")
        session.send("input_audio_buffer.speech_stopped", item_id="one", audio_end_ms=900)
        transcription = "conversation.item.input_audio_transcription"
        session.send(f"{transcription}.delta", item_id="one", delta="How will")
        session.send(f"{transcription}.completed", item_id="one", transcript="How will it be?")
        session.send("response.created", response={"id": "answer"})
        session.send("response.output_audio_transcript.delta", item_id="two", delta=ANSWER)
        session.send("response.output_audio.delta", item_id="two", delta=base64.b64encode(tone(30).tobytes()).decode())
        await expect(page.locator(".stage")).to_have_attribute("data-state", "speaking")
        await expect(page.locator("[data-role=user] p")).to_have_text("How will it be?")
        await expect(page.locator("[data-role=assistant] p")).to_have_text(ANSWER)

        session.send("input_audio_buffer.speech_started", item_id="three", audio_start_ms=2000)
        cut = await session.until(of_type("conversation.item.truncate"))
        assert (cut["item_id"], cut["content_index"]) == ("two", 0)
        assert 0 <= cut["audio_end_ms"] < 30_000
        await expect(page.locator("[data-role=assistant]")).to_have_attribute("data-state", "interrupted")
        session.send("response.output_audio.delta", item_id="two", delta=base64.b64encode(tone(1).tobytes()).decode())
        session.send("response.done", response={"status": "cancelled", "output": [{"id": "two"}]})
        session.send(
            "conversation.item.truncated", item_id="two", content_index=0, audio_end_ms=9, transcript="It will"
        )
        await expect(page.locator("[data-role=assistant] p")).to_have_text("It will")
        await expect(page.locator(".stage")).to_have_attribute("data-state", "hearing")
        assert await violations(page) == ""

        await page.get_by_role("button", name="End the conversation").click()
        await expect(page.locator(".stage")).to_have_attribute("data-state", "closed")


async def test_a_muted_microphone_sends_silence_and_messages_can_be_typed(visit: Open) -> None:
    session = Session()
    async with visit("#talk", dark=True) as page:
        await session.attach(page)
        await page.get_by_role("button", name="Start to talk").click()
        await page.get_by_role("button", name="Mute the microphone").click()
        await expect(page.locator(".stage")).to_have_attribute("data-state", "muted")
        before = len(session.sent)
        await session.until(lambda event: of_type("input_audio_buffer.append")(event) and len(session.sent) > before)
        assert not any(any(base64.b64decode(event["audio"])) for event in session.sent[before:])
        await page.get_by_label("Or type a message").fill("Good morning.")
        await page.keyboard.press("Enter")
        written = await session.until(of_type("conversation.item.create"))
        assert written["item"]["content"] == [{"type": "input_text", "text": "Good morning."}]
        await session.until(of_type("response.create"))
        failed = {"status": "failed", "output": [], "status_details": {"error": {"message": "LLM_URL is not set"}}}
        session.send("response.done", response=failed)
        await expect(page.get_by_role("alert")).to_contain_text("LLM_URL is not set")
        await expect(page.get_by_text("A conversation needs a language model")).to_be_visible()
        assert await violations(page) == ""


@pytest.fixture
async def language_model() -> AsyncIterator[LanguageModelServer]:
    async with LanguageModelServer(words=["Good ", "morning. ", "It will ", "be sunny."]).serving() as server:
        yield server


@pytest.fixture
async def talking(serve: Serve, triton: FakeTriton, language_model: LanguageModelServer) -> AsyncIterator[Gateway]:
    """A gateway with a stand-in for a language model."""
    triton.handlers["whisper-base"] = whisper
    async with serve(llm_url=language_model.url, api_keys="sk-one") as gateway:
        await gateway.follow(triton)
        yield gateway


async def test_the_server_answers_what_the_microphone_hears(
    visit: Open, talking: Gateway, language_model: LanguageModelServer
) -> None:
    async with visit("#talk", url=talking.url) as page:
        await page.locator("dialog input[name=key]").fill("sk-one")
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Start to talk").click()
        await expect(page.locator("[data-role=user] p").first).to_have_text(HEARD)
        # The microphone hears speech again and again, and would interrupt each answer.
        await page.get_by_role("button", name="Mute the microphone").click()
        answer = page.locator("[data-role=assistant][data-state=done] p").first
        await expect(answer).to_have_text("Good morning. It will be sunny.")
        assert await violations(page) == ""
        await page.get_by_role("button", name="End the conversation").click()
    assert language_model.requests[0]["messages"][1] == {"role": "user", "content": HEARD}


async def test_without_a_microphone_messages_are_typed_and_answered(
    visit: Open, talking: Gateway, language_model: LanguageModelServer
) -> None:
    async with visit("#talk", url=talking.url, microphone=False) as page:
        await page.locator("dialog input[name=key]").fill("sk-one")
        await page.keyboard.press("Enter")
        await page.locator("summary").click()
        await page.get_by_label("Instructions").fill("Be brief.")
        await page.get_by_role("button", name="Start to talk").click()
        await expect(page.get_by_text("You can type instead.")).to_be_visible()
        for number in (1, 2):  # the second one interrupts the first answer, or comes after it
            await page.get_by_label("Or type a message").fill(f"Question {number}")
            await page.keyboard.press("Enter")
            await expect(page.locator("[data-role=assistant]")).to_have_count(number)
        await expect(page.locator("[data-role=assistant]").last).to_have_attribute("data-state", "done")
        await expect(page.locator("[data-role=user] p")).to_have_text(["Question 1", "Question 2"])
        await expect(page.get_by_role("alert")).to_have_count(0)
    assert language_model.requests[0]["messages"][0] == {"role": "system", "content": "Be brief."}


async def test_a_server_without_a_language_model_says_what_to_set(visit: Open) -> None:
    async with visit("#talk", language="ko-KR", width=360, dark=True) as page:
        await page.locator("[data-act=talk]").click()
        await expect(page.get_by_role("alert")).to_contain_text("LLM_URL is empty")
        await expect(page.locator(".notice code")).to_contain_text("LLM_URL=")
        await expect(page.locator(".stage")).to_have_attribute("data-state", "closed")
        assert await violations(page) == ""

"""The view of voices in a real browser, with its microphone: what it lists, registers, designs and deletes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Locator, expect

from tests.chromium import violations
from tests.fake_triton import Call, FakeTriton, Tensors
from tests.unit.gateway.conftest import QWEN, FakeSpeech, Gateway, Serve
from tests.unit.gateway.page.conftest import Open
from tests.unit.gateway.transcription.conftest import segment
from tritone.transcript import Transcript

HEARD = "The words of the recording."


def whisper(call: Call) -> Iterator[Tensors]:
    """Transcribe everything as `HEARD`."""
    yield Transcript("en", 0.9, (segment(f" {HEARD}", 0.0, 1.0),)).to_columns()


@pytest.fixture
async def voices(serve: Serve, triton: FakeTriton, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway with models that clone and design voices, without the network that tells speakers apart."""
    triton.handlers |= {id_: FakeSpeech(description=description) for id_, description in QWEN.items()}
    triton.handlers["whisper-base"] = whisper
    async with serve(voices_dir=tmp_path / "voices", model_dir=tmp_path) as gateway:
        await gateway.follow(triton)
        yield gateway


async def record(part: Locator) -> None:
    """Record three seconds from the microphone."""
    await part.locator("[data-act=record]").click()
    await expect(part.locator(".clock")).to_have_text(re.compile("0:0[3-9]"))
    await part.locator("[data-act=stop]").click()
    await expect(part.locator("audio")).to_be_visible()


async def test_a_voice_is_recorded_with_its_consent_registered_heard_and_deleted(
    visit: Open, voices: Gateway, triton: FakeTriton
) -> None:
    async with visit("#voices", url=voices.url, dark=True) as page:
        await page.get_by_role("button", name="New voice").click()
        await page.get_by_role("button", name="Register the voice").click()
        await expect(page.locator("input[name=name]")).to_be_focused()
        await page.locator("input[name=name]").fill("Anna")
        await record(page.locator("[data-part=sample]"))
        words = page.get_by_label("Words of the recording")
        await expect(words).to_have_value(HEARD)
        await words.fill("What Anna read.")
        await record(page.locator("[data-part=consent]"))
        assert await violations(page) == ""
        await page.get_by_role("button", name="Register the voice").click()
        await expect(page.locator(".own h3")).to_have_text(["Anna"])
        (voice,) = (await voices.http.get("/v1/audio/voices")).json()["data"]
        (consent,) = (await voices.http.get("/v1/audio/voice_consents")).json()["data"]
        assert (voice["name"], voice["ref_text"], voice["consent"]) == ("Anna", "What Anna read.", consent["id"])
        assert (consent["name"], consent["language"]) == ("Consent of Anna", "en")

        async with page.expect_response(lambda response: response.url.endswith(f"{voice['id']}/preview")) as answer:
            await page.get_by_role("button", name="Hear Anna").click()
        assert (await answer.value).status == 200
        assert triton.calls[-1].model.endswith("-clone")

        await page.get_by_role("button", name="Delete the voice Anna").click()
        await expect(page.get_by_role("heading", name="Delete “Anna”?")).to_be_visible()
        await page.locator("dialog").get_by_role("button", name="Delete").click()
        await expect(page.locator(".own")).to_have_count(0)
        for path in ("voices", "voice_consents"):
            assert (await voices.http.get(f"/v1/audio/{path}")).json()["data"] == []


async def test_a_voice_is_designed_again_until_it_is_kept(visit: Open, voices: Gateway) -> None:
    async with visit("#voices", url=voices.url) as page:
        await page.get_by_role("button", name="Design a voice").click()
        await page.get_by_label("Description").fill("An old storyteller.")
        await page.locator("input[name=name]").fill("Teller")
        made = []
        for button in ("Design", "Another one"):
            async with page.expect_response(lambda response: response.url.endswith("/preview")) as heard:
                await page.get_by_role("button", name=button, exact=True).click()
            made.append((await heard.value).url.split("/")[-2])
            await expect(page.get_by_role("button", name="Keep it")).to_be_enabled()
        await page.get_by_role("button", name="Keep it").click()
        await expect(page.locator(".own h3")).to_have_text(["Teller"])
        (kept,) = (await voices.http.get("/v1/audio/voices")).json()["data"]
        assert made[0] != made[1] == kept["id"]
        assert (kept["type"], kept["prompt"]) == ("prompt", "An old storyteller.")


async def test_an_error_names_its_field_and_the_form_stays(visit: Open, voices: Gateway) -> None:
    async with visit("#voices", url=voices.url) as page:
        await page.get_by_role("button", name="New voice").click()
        await page.locator("input[name=name]").fill("Ben")
        file = Path(__file__).parents[4] / "gateway/page/static/icon.svg"
        await page.locator("[data-part=sample] input[type=file]").set_input_files(file)
        await page.get_by_label("The speaker agrees").select_option("none")
        await page.get_by_role("button", name="Register the voice").click()
        await expect(page.get_by_role("alert")).to_contain_text("a voice needs its speaker's consent")
        await expect(page.locator("input[name=name]")).to_have_value("Ben")


async def test_a_server_without_clones_says_what_to_set_and_its_voices_are_found_and_heard(
    visit: Open, gateway: Gateway, triton: FakeTriton
) -> None:
    async with visit("#voices", language="ko-KR", width=360) as page:
        await expect(page.locator(".notice code")).to_have_text("TTS_MODES=kokoro-82m,voice_design,voice_clone")
        await page.get_by_role("searchbox").fill("영어")
        await expect(page.locator(".grid li")).to_have_count(4)
        await page.get_by_role("searchbox").fill("EMMA")
        await expect(page.locator(".grid strong")).to_have_text(["Emma"])
        async with page.expect_response("**/v1/audio/speech") as answer:
            await page.locator(".grid button").click()
        assert (await answer.value).status == 200
        assert triton.calls[-1].inputs["text"].item().decode().startswith("Hello!")
        assert triton.calls[-1].parameters["voice"] == "bf_emma"

"""The page with real models, in a real browser whose microphone hears a recording."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import soundfile
from playwright.async_api import Browser, expect

from tests.chromium import chromium, opened
from tests.conftest import MODEL_DIR
from tests.e2e.server import Server
from tests.e2e.words import plain, word_error_rate

TEXT = "The train to the coast leaves at nine in the morning."
HEARD = MODEL_DIR / "test-recordings/librivox/sense_and_sensibility_01_austen_64kb-0870.wav"
PATIENCE = 300_000
"""Milliseconds for the models' work."""


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium(HEARD) as running:
        yield running


async def test_the_page_speaks_a_text_and_hears_it_in_the_downloaded_file(
    browser: Browser, server: Server, tmp_path: Path
) -> None:
    async with opened(browser, f"{server.url}/") as page:
        await page.get_by_role("combobox", name="Voice").select_option("af_heart")
        await page.get_by_label("Text to speak").fill(TEXT)
        await page.keyboard.press("Control+Enter")
        await page.get_by_role("button", name="Download").wait_for(timeout=PATIENCE)
        assert plain(await page.locator(".spoken").inner_text()) == plain(TEXT)
        await expect(page.locator(".spoken .word")).to_have_count(len(TEXT.split()))
        async with page.expect_download() as download:
            await page.get_by_role("button", name="Download").click()
        file = tmp_path / "speech.wav"
        await (await download.value).save_as(file)
        assert soundfile.info(file).duration > 2
        await page.get_by_role("link", name="Transcribe").click()
        await page.locator(".drop input").set_input_files(file)
        await page.get_by_role("button", name="Download as SRT").wait_for(timeout=PATIENCE)
        text = await page.locator(".said").inner_text()
        assert word_error_rate([TEXT], [text]) < 0.3, text
        await page.locator(".word").last.click()
        await expect(page.locator(".word.now")).to_have_count(1)


async def test_the_page_hears_its_microphone_live(browser: Browser, server: Server) -> None:
    async with opened(browser, f"{server.url}/#transcribe") as page:
        await page.get_by_role("button", name="Transcribe live").click()
        await expect(page.locator(".said").first).to_contain_text("leisure to consider", timeout=PATIENCE)
        await page.get_by_role("button", name="Stop").click()
        await page.get_by_role("button", name="TXT").wait_for(timeout=PATIENCE)

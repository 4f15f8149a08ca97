"""A real Chromium of the system, for tests of the page."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

HOW_TO_INSTALL = "Chromium is not installed: apt-get install chromium"
TIMEOUT = 300_000.0
"""Milliseconds that an element may take to appear, however slow the machine is."""

expect.set_options(timeout=TIMEOUT)


@asynccontextmanager
async def chromium(microphone: Path | None = None) -> AsyncIterator[Browser]:
    """Run a browser that hears the WAV file `microphone`, again and again. Without Chromium, skip; in CI, fail."""
    program = shutil.which("chromium")
    if program is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(HOW_TO_INSTALL)
    arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--use-fake-device-for-media-stream"]
    if microphone:
        arguments.append(f"--use-file-for-fake-audio-capture={microphone}")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=arguments, timeout=TIMEOUT)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def opened(
    browser: Browser,
    url: str,
    *,
    language: str = "en-US",
    width: int = 1280,
    dark: bool = False,
    microphone: bool = True,
) -> AsyncIterator[Page]:
    """Open the page at `url` as a new user. At the end, fail if the page had an error or broke its own policy."""
    context: BrowserContext = await browser.new_context(
        locale=language,
        viewport={"width": width, "height": 900},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",  # contrast is measured, and not while something fades in
        permissions=["microphone"] if microphone else [],
        accept_downloads=True,
    )
    context.set_default_timeout(TIMEOUT)
    page = await context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "console",
        lambda message: (
            faults.append(message.text)
            # The browser reports each response of an error, such as a 401, too.
            if message.type == "error" and "Failed to load resource" not in message.text
            else None
        ),
    )
    try:
        await page.goto(url)
        await page.wait_for_selector("main h1")
        yield page
    finally:
        await context.close()
    assert faults == []


async def violations(page: Page) -> str:
    """Return the rules of accessibility that the page breaks, as axe-core reports them; empty if there are none."""
    result = await Axe().run(page)
    return "" if result.violations_count == 0 else str(result.generate_report())

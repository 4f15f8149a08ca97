"""The page in a real browser, in front of a gateway with a fake Triton. One browser for all files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.async_api import Browser, Page

from tests.chromium import chromium, opened
from tests.unit.gateway.conftest import Gateway, tone

Open = Callable[..., AbstractAsyncContextManager[Page]]


@pytest.fixture(scope="package")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """A browser whose microphone hears two seconds of a tone, and a second of silence, again and again."""
    heard: Path = tmp_path_factory.mktemp("microphone") / "heard.wav"
    soundfile.write(heard, np.concatenate([tone(2, 48000), np.zeros(48000, np.int16)]), 48000)
    async with chromium(heard) as running:
        yield running


@pytest.fixture
def visit(browser: Browser, gateway: Gateway) -> Open:
    """`async with visit("#speak") as page:` opens a view as a new user; keywords are those of `tests.chromium.opened`.

    `url` names another gateway.
    """

    def visit(view: str = "", *, url: str = "", **options: object) -> AbstractAsyncContextManager[Page]:
        return opened(browser, f"{url or gateway.url}/{view}", **options)  # type: ignore[arg-type]

    return visit

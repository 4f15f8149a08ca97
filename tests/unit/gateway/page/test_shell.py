"""The frame of the page in a real browser: views, languages, themes, the API key, and accessibility."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.chromium import violations
from tests.unit.gateway.conftest import Serve
from tests.unit.gateway.page.conftest import Open

VIEWS = {"speak": "Speak", "transcribe": "Transcribe", "voices": "Voices", "jobs": "Jobs", "talk": "Talk"}


async def test_the_page_shows_each_view_without_a_violation_of_accessibility(visit: Open) -> None:
    async with visit() as page:
        for view, title in VIEWS.items():
            await page.get_by_role("navigation").get_by_role("link", name=title).click()
            await expect(page.get_by_role("heading", level=1)).to_have_text(title)
            await expect(page.locator(f".view-{view}")).to_be_visible()
            assert await violations(page) == "", view


@pytest.mark.parametrize(("language", "tag"), [("ko-KR", "ko"), ("zh-TW", "zh-TW")])
async def test_a_phone_in_the_dark_and_in_another_language_has_no_violation(
    visit: Open, language: str, tag: str
) -> None:
    async with visit(language=language, width=360, dark=True) as page:
        assert await page.locator("html").get_attribute("lang") == tag
        for view in VIEWS:
            await page.locator(f"nav a[href='#{view}']").click()
            await expect(page.locator(f".view-{view} h1")).to_be_visible()
            wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide == 0, view
            assert await violations(page) == "", view


async def test_the_chosen_language_and_theme_outlive_a_reload(visit: Open) -> None:
    async with visit("#jobs") as page:
        await page.get_by_label("Language").select_option("ko")
        await expect(page.get_by_role("heading", level=1)).to_have_text("작업")
        await page.get_by_role("button", name="테마").click()
        await page.reload()
        await expect(page.get_by_role("heading", level=1)).to_have_text("작업")
        await expect(page.locator("html")).to_have_attribute("data-theme", "light")


async def test_the_page_asks_for_the_key_of_the_server_and_keeps_it_for_the_tab(visit: Open, serve: Serve) -> None:
    async with serve(api_keys="sk-one") as gateway, visit(url=gateway.url) as page:
        for key in ("sk-wrong", "sk-one"):
            await page.locator("dialog[open] input[name=key]").fill(key)
            await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("combobox", name="Model")).to_have_value("kokoro-82m")
        assert await page.evaluate("[sessionStorage['tritone.key'], localStorage['tritone.key']]") == ["sk-one", None]

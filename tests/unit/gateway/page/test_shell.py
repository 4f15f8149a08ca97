"""The frame of the page in a real browser: views, languages, themes, the API key, and accessibility."""

from __future__ import annotations

import pytest
from playwright.async_api import Route, expect

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


async def test_a_key_with_a_letter_that_no_header_holds_is_not_taken(visit: Open, serve: Serve) -> None:
    async with serve(api_keys="sk-one") as gateway, visit(url=gateway.url) as page:
        field = page.locator("dialog[open] input[name=key]")
        await field.fill("sk\u2010one")
        await page.get_by_role("button", name="Save").click()
        assert await field.evaluate("input => input.validity.patternMismatch")
        await field.fill(" sk-one ")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("combobox", name="Model")).to_have_value("kokoro-82m")


async def test_a_key_that_is_entered_later_shows_what_it_opens(visit: Open, serve: Serve) -> None:
    async with serve(api_keys="sk-one") as gateway, visit(url=gateway.url) as page:
        await page.get_by_role("button", name="Cancel").click()
        await expect(page.get_by_role("alert")).to_contain_text("needs an API key")
        await page.get_by_role("button", name="Enter an API key").click()
        await page.locator("dialog[open] input[name=key]").fill("sk-one")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("combobox", name="Model")).to_have_value("kokoro-82m")


async def test_a_view_that_the_server_does_not_send_is_an_error_with_another_try(visit: Open) -> None:
    async def lost(route: Route) -> None:
        await route.abort("connectionrefused")

    async with visit() as page:
        await page.route("**/views/voices.js", lost)
        await page.get_by_role("link", name="Voices").click()
        await expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
        await page.unroute("**/views/voices.js", lost)
        await page.get_by_role("button", name="Try again").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Voices")


async def test_a_page_without_its_texts_says_so(visit: Open) -> None:
    async def lost(route: Route) -> None:
        await route.abort("connectionrefused")

    async with visit() as page:
        await page.route("**/locales/**", lost)
        await page.reload()
        await expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached")
        await page.unroute("**/locales/**", lost)
        await page.get_by_role("button", name="Try again").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Speak")


_DROP = """
async () => {
  const transfer = new DataTransfer();
  transfer.items.add(new File(["x"], "x.wav"));
  const options = { dataTransfer: transfer, bubbles: true, cancelable: true };
  return document.body.dispatchEvent(new DragEvent("drop", options));
}
"""


async def test_a_file_that_is_dropped_beside_its_place_does_not_replace_the_page(visit: Open) -> None:
    async with visit("#jobs") as page:
        assert not await page.evaluate(_DROP)  # false: its default, to open the file, is prevented

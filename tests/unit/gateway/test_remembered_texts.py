"""The memory of what was heard and said."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.core.remembered_texts import RememberedText, RememberedTexts
from gateway.core.shared_texts import SharedTexts


def test_a_text_is_kept_for_an_hour() -> None:
    now = 1000.0
    texts = RememberedTexts(lambda: now)
    assert texts.add("me", "audio_1", RememberedText("Good morning.")) == 4600
    now = 4599.0
    assert texts.get("me", "audio_1") == RememberedText("Good morning.")
    assert texts.get("you", "audio_1") is None
    now = 4600.0
    assert texts.get("me", "audio_1") is None


def test_a_client_has_at_most_a_thousand_texts() -> None:
    texts = RememberedTexts()
    for number in range(1001):
        texts.add("me", str(number), RememberedText("Yes."))
    texts.add("you", "0", RememberedText("No."))
    assert texts.get("me", "0") is None
    assert texts.get("me", "1") == RememberedText("Yes.")
    assert texts.get("you", "0") == RememberedText("No.")


def test_the_oldest_of_long_texts_are_forgotten_first() -> None:
    texts = RememberedTexts()
    half = RememberedText("a" * 2 * 2**20)
    for key in ("first", "second", "second", "third"):
        texts.add("me", key, half)
    assert texts.get("me", "first") is None
    assert texts.get("me", "second") == texts.get("me", "third") == half


async def test_gateways_with_one_database_know_each_others_texts(tmp_path: Path) -> None:
    now = 1000.0
    one, two = (SharedTexts(f"sqlite:///{tmp_path / 'jobs.sqlite'}", clock=lambda: now) for _ in range(2))
    assert await one.add("me", "audio_1", RememberedText("Good morning.", 7)) == 4600
    await one.add("me", "audio_1", RememberedText("Good evening.", 8))
    assert await two.get("me", "audio_1") == RememberedText("Good evening.", 8)
    assert await two.get("you", "audio_1") is None
    now = 4600.0
    assert await two.get("me", "audio_1") is None


async def test_a_gateway_without_its_database_knows_its_own_texts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    texts = SharedTexts(f"sqlite:///{tmp_path / 'file' / 'jobs.sqlite'}")
    await texts.add("me", "audio_1", RememberedText("Yes."))
    assert await texts.get("me", "audio_1") == RememberedText("Yes.")
    assert await texts.get("me", "audio_2") is None
    assert "in this gateway alone" in caplog.text
